"""What strangers write into a public chat, and models into their answers, to break the page of whoever reads it; and how to see that it did."""

import re
from html.parser import HTMLParser
from typing import Final

MARK: Final = "zqx"
"""In every one of them, so that it is found wherever it lands."""

DEED: Final = f"window.{MARK}=1,alert('{MARK}')"
"""What each tries to have done."""

MESSAGES: Final = (
    f"<script>{DEED}</script>",
    f"</script><script>{DEED}</script>",
    f"<ScRiPt src=//{MARK}.example/x.js></sCrIpT>",
    f"<scr<script>ipt>{DEED}</scr</script>ipt>",
    f"<img src=x onerror={DEED}>",
    f"<img src='x' onerror='{MARK}'",
    f"<svg onload={DEED}>",
    f"<svg><script>{DEED}</script></svg>",
    f"<svg><animate onbegin={DEED} attributeName=x dur=1s>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={DEED}>",
    f"<iframe srcdoc='<script>{DEED}</script>'></iframe>",
    f"<iframe src=javascript:{DEED}>",
    f"<object data=data:text/html,{MARK}></object>",
    f"<embed src=//{MARK}.example>",
    f"<body onload={DEED}>",
    f"<details open ontoggle={DEED}>",
    f"<input autofocus onfocus={DEED}>",
    f"<a href='javascript:{DEED}'>{MARK}</a>",
    f"javascript:{DEED}",
    f"JaVaScRiPt:{DEED}//{MARK}",
    f"data:text/html,<script>{DEED}</script>",
    f"<base href=//{MARK}.example/>",
    f"<meta http-equiv=refresh content='0;url=//{MARK}.example'>",
    f"<link rel=stylesheet href=//{MARK}.example/x.css>",
    f"<style>*{{background:url(//{MARK}.example)}}</style>",
    f"<form action=//{MARK}.example><button>{MARK}",
    f"<textarea>{MARK}</textarea><script>{DEED}</script>",
    f"</textarea><script>{DEED}</script>{MARK}",
    f"</title></style></noscript></template><script>{DEED}</script>",
    f'"><script>{DEED}</script>',
    f"'><script>{DEED}</script>",
    f'" onmouseover="{DEED}" x="',
    f"' onmouseover='{DEED}' x='",
    f"` onmouseover=`{DEED}`",
    f'" x-data="{DEED}" x-init="{DEED}',
    f'<div x-data x-init="{DEED}">{MARK}</div>',
    f"<div hx-get=/admin/logout/ hx-trigger=load>{MARK}</div>",
    f"<div @click='{DEED}' :class='{DEED}'>{MARK}</div>",
    f"{{{{ {MARK} }}}}{{{{ 7*7 }}}}",
    f"{{% include 'admin/login.html' %}}{MARK}",
    f"${{{DEED}}}",
    f"#{{{MARK}}} <%= {MARK} %>",
    f"&lt;script&gt;{DEED}&lt;/script&gt;",
    f"&#60;script&#62;{MARK}&#60;/script&#62;",
    f"\\u003cscript\\u003e{DEED}\\u003c/script\\u003e",
    f"%3Cscript%3E{DEED}%3C/script%3E",
    f"+ADw-script+AD4-{MARK}+ADw-/script+AD4-",
    f"\u202e{MARK} gpj.exe\u202c \u2066\u2069 \u200b\ufeff",
    f"{MARK}\u2028\u2029\u0085\x0b\x0c\x1b[31mred\x07",
    f"{MARK}\x00<script>{DEED}</script>",
    f"\uff1cscript\uff1e{MARK}\uff1c/script\uff1e",
    "Z\u0351\u036b\u0343a\u0321\u030a\u0360" + "\u0310" * 200 + MARK,
    f'=HYPERLINK("//{MARK}.example","{MARK}")',
    f"+1+cmd|' /C calc'!A0{MARK}",
    f"@SUM(1){MARK}",
    f"<!-- {MARK} --><![CDATA[<script>{DEED}</script>]]>",
    f"[{MARK}](javascript:{DEED}) ![{MARK}](//{MARK}.example/x.png)",
    f"'; DROP TABLE conversations_message; -- {MARK}",
    f"{'<b>' * 300}{MARK}",
    f"{MARK} {'A' * 3000}",
)

_EVALUATED: Final = re.compile(r"^(on|x-|hx-(?:on|vals|vars|headers|trigger)|@|:|v-|ng-)", re.IGNORECASE)
"""Attributes whose values are a program to somebody."""

_LEADING: Final = frozenset({"href", "src", "action", "formaction", "data", "srcdoc", "poster", "background", "xlink:href", "content"})
"""Attributes whose values lead somewhere."""


class Reader(HTMLParser):
    """Reads a page as a browser does and notes where the mark stands in it as anything but words."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.words = 0
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if MARK in tag:
            self.wrong.append(f"an element <{tag[:80]}>")
        for name, said in attrs:
            value = said or ""
            if MARK in name or (_EVALUATED.match(name) and MARK in value):
                self.wrong.append(f"<{tag}> has an attribute {name}={value[:120]!r}")
            if name in _LEADING and MARK in value and re.match(r"\s*(javascript|data|vbscript|//|https?:)", value, re.IGNORECASE):
                self.wrong.append(f"<{tag}> leads by {name} to {value[:120]!r}")
            self.words += MARK in value

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        if MARK in tag:
            self.wrong.append(f"an end </{tag[:80]}>")

    def handle_data(self, data: str) -> None:
        if MARK in data:
            self.words += 1
            if self._inside in ("script", "style"):
                self.wrong.append(f"within <{self._inside}>: {data[:200]!r}")

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.wrong.append(f"a comment {data[:80]!r}")

    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)


def read(page: str) -> Reader:
    """A page, read."""
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader
