"""Takes out what a model wrote for itself before, or instead of, its answer.

Thoughts stand between marks, of which models and servers know many spellings: `<think>`, `<thinking lang="en">`, `[THINK]`, `◁think▷`,
`<|begin_of_thought|>`, `<|START_THINKING|>`, `<seed:think>`, also escaped as `&lt;think&gt;`. Models do not nest thoughts, they stammer:
so the first end closes a thought however often it was begun, a further end shows that what came since the beginning was thought too,
and an end without a beginning (many templates write the beginning themselves) makes thoughts of everything before it. A thought that
is never closed takes the rest. The harmony format says in which channel a part is: only `final` is an answer.
"""

import re
from typing import Final

_NAMES: Final = (
    "think", "thinking", "thinks", "thought", "thoughts", "antthinking", "reasoning", "reason", "reflection", "analysis", "scratchpad",
    "inner_monologue", "internal", "deliberation",
)  # fmt: skip
_NAME: Final = "|".join(sorted(_NAMES, key=len, reverse=True))
_ATTRIBUTES: Final = r"(?:\s[^<>\n]{0,200}+)?"

_MARK: Final = re.compile(
    rf"""(?:<|&lt;) \s{{0,3}} (?P<slash>/?) \s{{0,3}} (?:seed:)? (?:{_NAME}) {_ATTRIBUTES} /? (?:>|&gt;)
       | \[ (?P<slash2>/?) (?:{_NAME}) \]
       | ◁ (?P<slash3>/?) (?:{_NAME}) ▷
       | <\|  (?P<slash4>/?) (?:{_NAME}) \|>
       | <\| (?P<edge>begin|end|start|stop)_(?:of_)?(?:{_NAME}) \|>""",
    re.IGNORECASE | re.VERBOSE,
)

_CHANNEL: Final = re.compile(
    r"(?:<\|start\|>\s{0,3}\w{0,20}\s{0,3})?<\|channel\|>\s{0,3}(\w{1,20})[^<\n]{0,100}+(?:<\|constrain\|>\w{0,20})?<\|message\|>"
)
_CHANNEL_END: Final = re.compile(r"<\|(?:end|return|call|start)\|>")
_BARE: Final = re.compile(r"\A\s*(?:analysis|commentary)(?=[A-Z\W])")
_BARE_FINAL: Final = "assistantfinal"
"""What is left of the harmony format where a server has removed the marks and kept the words."""

_BROKEN: Final = re.compile(r"(?:<\|?|\[|◁)/?([a-z_]{3,20})\Z", re.IGNORECASE)


def spoken(text: str) -> str:
    """`text` without the thoughts in it, and without a mark of thoughts that was cut off in the middle."""
    return _finished(_outside(_final(text)))


def _final(text: str) -> str:
    """What stands in the channel `final`, if the text has channels; nothing if it has others only."""
    if "<|channel|>" not in text:
        return text.rpartition(_BARE_FINAL)[2] if _BARE_FINAL in text and _BARE.match(text) else text
    marks = list(_CHANNEL.finditer(text))
    if not marks:
        return text
    said: list[str] = [text[: marks[0].start()]]
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        if mark.group(1).lower() == "final":
            part = text[mark.end() : following.start() if following else len(text)]
            end = _CHANNEL_END.search(part)
            said.append(part[: end.start()] if end else part)
    return "".join(said)


def _outside(text: str) -> str:
    """What stands outside of every thought."""
    said: list[str] = []
    at = 0
    inside = False
    stammered = before = 0
    for mark in _MARK.finditer(text):
        groups = mark.groupdict()
        ending = bool(groups["slash"] or groups["slash2"] or groups["slash3"] or groups["slash4"])
        ending = ending or (groups["edge"] or "").lower() in ("end", "stop")
        if inside and not ending:
            stammered += 1
        elif inside:
            inside = False
        elif not ending:
            said.append(text[at : mark.start()])
            before, inside, stammered = len(said), True, 0
        elif stammered:
            stammered -= 1
            del said[before:]
        else:
            said.clear()
        at = mark.end()
    if not inside:
        said.append(text[at:])
    return "".join(said)


def _finished(text: str) -> str:
    """Without the beginning of a mark that ends the text."""
    found = _BROKEN.search(text[-25:])
    if found and any(name.startswith(found.group(1).lower()) for name in _NAMES):
        return text[: len(text) - (len(found.group()))]
    return text
