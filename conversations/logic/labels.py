"""One speaker: labels in front of the answer go, and it ends where it begins to speak for somebody else.

A label is a known name with a colon at the beginning of a line, however it is dressed: `Ann:`, `**Ann**:`, `[12:30] <Ann>`, `> Ann (AI):`,
`Ann says:`. Only names that are known are labels: those of the persona, of the others that it knows, and what models call the parties
of any conversation. In the middle of a line a label counts where a sentence has just ended, or behind a wide space: `… Ann: and you?`;
`I met Ann: she is nice` is no label.

In front of the answer every label goes: of the persona, and of somebody else, whom it addresses or repeats. If somebody else's line is
followed by one of the persona's own, the first was an echo, and the answer begins with the second.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from conversations.logic.words import folded

_OURS: Final = ("assistant", "assitant", "asistant", "ai", "bot", "response", "reply", "answer", "model", "chatbot", "gpt")
_ALIKE: Final = ("assistant", "assitant", "asistant")
"""Those of them that are no words of a sentence."""
_THEIRS: Final = ("human", "user", "system", "anon", "developer", "narrator", "you", "instruction", "input")
_ALIEN: Final = ("human", "user", "system", "anon")
"""Those of them that begin no line of somebody who speaks for himself."""

_LONGEST: Final = 80
"""Characters before the colon of a label."""
_COLON: Final = re.compile("[:：]")
_TIME: Final = re.compile(r"[\[(]?\d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]m)?[\])]?\s*[-–|,]?\s*", re.IGNORECASE)
_MARKS: Final = " \t*_~`#>@<[](){}|\"'“”„‚‘’«»-–•\u200c\u200d"
_AFTER: Final = '*_~`|"'
_ROLE: Final = re.compile(r"\s*[\[(][^\])\n]{0,20}[\])]\s*\Z")
_SAYS: Final = re.compile(r"\s+(?:says|said|replies|replied|answers|responds|whispers|writes)\Z", re.IGNORECASE)
_GAPS: Final = 3
"""A name may have a full stop in it, as `Dr. Who`; so many places before a colon are tried as its beginning."""
_CHAT: Final = re.compile(r"[>\s]{0,4}<([^<>\n]{1,60})>[ \t]*(?=\S)")
_BREAK: Final = re.compile(r"[.!?…。！？؟][\"'”’)*_]{0,3}\s+|[ \t\xa0]{2,}|\t|。|！|？")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Who may stand in a label, folded. `own`: the persona; `alien`: who is certainly somebody else."""

    own: frozenset[str]
    own_anywhere: frozenset[str]
    others: frozenset[str]
    alien: frozenset[str]


def names(own: Iterable[str], others: Iterable[str]) -> Names:
    """The labels of a persona that is called `own` among `others`; a name that both have is its own."""
    mine = _keys(own)
    rest = _keys(others) - mine
    return Names(
        own=mine | (frozenset(_OURS) - rest),
        own_anywhere=mine | (frozenset(_ALIKE) - rest),
        others=rest | (frozenset(_THEIRS) - mine),
        alien=rest | (frozenset(_ALIEN) - mine),
    )


def unlabelled(text: str, who: Names) -> str:
    """`text` without what stands in front of the answer: echoes of others with their labels, and labels of its own."""
    text = text.lstrip()
    echo = True
    while found := _label(text, who.own | who.others):
        if echo and found[0] not in who.own:
            echo = False
            text = _behind_echo(text, who) or text[found[1] :].lstrip()
        else:
            text = text[found[1] :].lstrip()
    first, line, rest = text.partition("\n")
    return rest.lstrip() if line and _key(first) in who.own_anywhere else text


def _behind_echo(text: str, who: Names) -> str:
    """What stands behind the first label of its own that begins a line; empty if there is none."""
    for at, char in enumerate(text):
        if char == "\n" and (label := _label(text[at + 1 : at + 1 + 2 * _LONGEST], who.own)):
            return text[at + 1 + label[1] :].lstrip()
    return ""


def alone(text: str, who: Names) -> str:
    """`text` up to where it speaks for somebody else, without further labels of its own."""
    said: list[str] = []
    for number, line in enumerate(text.split("\n")):
        label = _label(line, who.own_anywhere | who.alien) if number else None
        if label and label[0] in who.alien:
            break
        whole, cut = _inline(line[label[1] :].lstrip() if label else line, who)
        said.append(whole)
        if cut:
            break
    return "\n".join(said)


def speaks_as(text: str, who: Names) -> str:
    """The name of somebody else whose label begins a line of `text`; empty if there is none."""
    found = (_label(line, who.alien) for line in text.split("\n"))
    return next((label[0] for label in found if label), "")


def _inline(line: str, who: Names) -> tuple[str, bool]:
    """A line up to the label of somebody else in its middle, without labels of its own there; whether it was cut."""
    said: list[str] = []
    at = 0
    for colon in _COLON.finditer(line):
        for gap in list(_BREAK.finditer(line, max(at, colon.start() - _LONGEST), colon.start()))[-_GAPS:]:
            name = _key(line[gap.end() : colon.start()])
            if name in who.alien:
                return "".join([*said, line[at : gap.end()]]).rstrip(), True
            if name in who.own_anywhere and line[colon.end() : colon.end() + 1] in (" ", ""):
                said.append(line[at : gap.end()])
                at = colon.end() + 1
                break
    return "".join([*said, line[at:]]), False


def _label(line: str, known: frozenset[str]) -> tuple[str, int] | None:
    """The name in the label that begins a line, and where the label ends."""
    line = line[: 2 * _LONGEST]
    indent = len(line) - len(line.lstrip())
    time = _TIME.match(line, indent)
    begin = time.end() if time else indent
    line = line.partition("\n")[0]
    for colon in _COLON.finditer(line, begin, begin + _LONGEST):
        name = _key(line[begin : colon.start()])
        if name in known and (time or not _digits(line, colon.start())):
            end = colon.end()
            while end < len(line) and line[end] in _AFTER and line[end] in line[begin : colon.start()]:
                end += 1
            return name, end
    chat = _CHAT.match(line, begin)
    if chat and (name := _key(chat[1])) in known:
        return name, chat.end()
    return None


def _digits(line: str, colon: int) -> bool:
    """Whether a colon stands between digits, as in 12:30."""
    return colon > 0 and line[colon - 1].isdigit() and line[colon + 1 : colon + 2].isdigit()


def _keys(given: Iterable[str]) -> frozenset[str]:
    return frozenset(key for name in given if (key := _key(name)))


def _key(label: str) -> str:
    """A name as it is compared: folded, without what dresses it."""
    if len(label) > 2 * _LONGEST:
        return ""
    name = label.strip(_MARKS)
    bare = _SAYS.sub("", _ROLE.sub("", label.rstrip(" \t*_~`")).strip(_MARKS))
    return folded(bare.strip(_MARKS) or name or label)
