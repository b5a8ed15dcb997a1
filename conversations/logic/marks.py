"""Web addresses and markup in an answer: found, and taken out.

`unlinked` keeps the text of a Markdown link and removes bare addresses with the brackets around them. `unmarked` removes Markdown and
HTML and keeps what they mark: emphasis, headings, quotes, code, links (their address in brackets behind them), tags, entities. Bullets
and numbers of lists are plain text. Both give a text that they would not change again, and both take time in proportion to it.
"""

import re
from typing import Final

_TOP: Final = "com|org|net|info|io|ai|app|dev|gg|tv|xyz|edu|gov|biz|ly|eu|uk|ru|cn|br|online|site|shop"
_WORDS: Final = "it|in|at|be|no|us|me|to|so|es|se|is|am|my|de|pl|co|fr|nl|jp|ch|ca|au|cc|link|click|top|chat|page|live"
"""Ends of addresses that are words as well: only with a path behind them, as in `t.me/somebody`."""
_REST: Final = r"""[^\s<>"'”()\[\]]|\([^\s<>()]{0,200}+\)"""
_BARE: Final = re.compile(
    rf"""(?:(?<![A-Za-z])(?:https?|ftp|wss?)\s?:\s?//|(?<![\w.])www\.)(?:{_REST}){{1,2000}}+
      | (?<![\w.@/-])(?:[A-Za-z0-9-]{{1,63}}\.){{1,5}}(?:(?:{_TOP})(?![\w-])(?!\.[A-Za-z0-9])(?::\d{{1,5}})?(?=[/?\#]|[^\w]|\Z)|(?:{_WORDS})(?=/))
          (?:[/?\#](?:{_REST}){{0,2000}}+)?
      | (?<![\w.])(?:mailto|tel|javascript|data):(?:{_REST}){{1,2000}}+""",
    re.IGNORECASE | re.VERBOSE,
)
_LINK: Final = re.compile(
    r"!?\[([^\[\]\n]{0,300})\]\(\s{0,3}<?([^\s()<>]{0,2000}+(?:\([^\s()<>]{0,200}+\)[^\s()<>]{0,200}+)?)>?[^()\n]{0,200}+\)"
)
_LABELLED: Final = re.compile(r"^\s{0,3}\[[^\[\]\n]{1,100}\]:\s*\S+.*$", re.MULTILINE)
_EMPTY: Final = re.compile(r"\(\s{0,9}\)|\[\s{0,9}\]|<\s{0,9}>")

_TAG: Final = re.compile(
    r"<(?:/\s{0,3}[A-Za-z][A-Za-z0-9-]{0,30}\s{0,3}|[A-Za-z][A-Za-z0-9-]{0,30}(?:\s[^<>]{0,1000})?/?|!--[^<>]{0,2000}--)>"
)
_KNOWN: Final = frozenset((
    "a", "abbr", "address", "article", "aside", "audio", "b", "big", "blockquote", "body", "br", "button", "canvas", "center", "cite",
    "code", "dd", "del", "details", "div", "dl", "dt", "em", "embed", "footer", "form", "font", "h1", "h2", "h3", "h4", "h5", "h6",
    "head", "header", "hr", "html", "i", "iframe", "img", "input", "ins", "kbd", "label", "li", "link", "main", "mark", "marquee",
    "meta", "nav", "object", "ol", "option", "p", "pre", "q", "s", "samp", "script", "section", "select", "small", "source", "span",
    "strike", "strong", "style", "sub", "summary", "sup", "svg", "table", "tbody", "td", "textarea", "th", "thead", "title", "tr",
    "tt", "u", "ul", "var", "video", "!--",
))  # fmt: skip
_TAG_NAME: Final = re.compile(r"!--|[A-Za-z][A-Za-z0-9-]*")
_ENTITY: Final = re.compile(r"&(amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash|#39|#x27|#34|#60|#62|#38);", re.IGNORECASE)
_MEANT: Final = {
    "amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " ", "hellip": "…", "mdash": "—", "ndash": "–", "#39": "'",
    "#x27": "'", "#34": '"', "#60": "<", "#62": ">", "#38": "&",
}  # fmt: skip

_FENCE: Final = re.compile(r"^[ ]{0,3}(?:`{3,}|~{3,})[^\n`]{0,100}$\n?", re.MULTILINE)
_CODE: Final = re.compile(r"(`{1,3})(?!`)([^`\n]+)(?<!`)\1(?!`)")
_HEAD: Final = re.compile(r"^[ ]{0,3}\#{1,6}[ ]+", re.MULTILINE)
_QUOTE: Final = re.compile(r"^[ ]{0,3}(?:>[ ]+)+(?=\S)", re.MULTILINE)
_RULE: Final = re.compile(r"^[ ]{0,3}(?:(?:-[ ]?){3,}|(?:\*[ ]?){3,}|(?:_[ ]?){3,}|={3,})$\n?", re.MULTILINE)
_BULLET: Final = re.compile(r"^([ ]{0,8})[*+][ ]+(?=\S)", re.MULTILINE)
_STARS: Final = re.compile(r"(\*{2,3})(?=[^\s*])([^*\n]*[^\s*])\1(?!\*)")
_STAR: Final = re.compile(r"(?<![\w*\\])\*(?=[^\s*])([^*\n]*[^\s*])\*(?![\w*])")
_LINES: Final = re.compile(r"(?<![\w_\\])(_{1,3})(?=[^\s_])([^\n]{0,500}?[^\s_])\1(?![\w_])")
_STRUCK: Final = re.compile(r"~~(?=[^\s~])([^~\n]*[^\s~])~~")
_BARS: Final = re.compile(r"^[ ]{0,3}\|(.*)\|[ ]*$", re.MULTILINE)


def linked(text: str) -> bool:
    """Whether there is a web address in `text`."""
    return _BARE.search(text) is not None or _LINK.search(text) is not None


def unlinked(text: str) -> str:
    """`text` without web addresses."""
    if not linked(text):
        return text
    without = _BARE.sub("", _LINK.sub(r"\1", _LABELLED.sub("", text)))
    return _EMPTY.sub("", without)


def marked(text: str) -> bool:
    """Whether there is Markdown or HTML in `text`."""
    return unmarked(text) != text


def unmarked(text: str) -> str:
    """`text` without Markdown and HTML."""
    text = _TAG.sub(_untagged, text)
    text = _ENTITY.sub(lambda found: _MEANT[found[1].lower()], text)
    text = _LINK.sub(_address, text)
    for pattern in (_FENCE, _RULE, _HEAD, _QUOTE):
        text = pattern.sub("", text)
    text = _BULLET.sub(r"\1- ", text)
    text = _CODE.sub(r"\2", text)
    for _ in range(3):  # bold inside of italic inside of struck out
        text = _STRUCK.sub(r"\1", _LINES.sub(r"\2", _STARS.sub(r"\2", _STAR.sub(r"\1", text))))
    return _BARS.sub(lambda found: " – ".join(cell.strip() for cell in found[1].split("|") if cell.strip()), text)


def _untagged(found: re.Match[str]) -> str:
    name = _TAG_NAME.search(found[0])
    kind = name[0].lower() if name else ""
    if kind not in _KNOWN:
        return found[0]
    return "\n" if kind in ("br", "p", "div", "li", "tr") and not found[0].startswith("</") else ""


def _address(found: re.Match[str]) -> str:
    label, address = found[1].strip(), found[2]
    if not label or not address or label == address:
        return label or address
    return f"{label} ({address})"
