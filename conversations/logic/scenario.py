"""A golden conversation as a document: who says what when, and what one entity must do with it. docs/scenarios.md says it for people.

Pure: a JSON value in, a `Script` or Unreadable (with every problem and its path) out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from conversations.logic.archive import LONGEST, read_manners
from conversations.logic.message import Line
from conversations.logic.reading import Reader, Unreadable
from conversations.logic.recording import House
from entities.logic.quota import WINDOWS, Rule

MOST: Final = 500
"""Messages of one scenario."""

BEGINNING: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
"""When a scenario plays that does not say when."""

REQUIRED: Final = "required"
"""A key of a document in a file, and a column of its row."""

DICE: Final = ("low", "high", "seeded")
WAYS: Final = ("mention", "trigger", "id", "chance")
"""How an entity comes to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is expected at a message; None and empty: nothing. `chance` is the least and the greatest probability of an answer."""

    answers: bool | None = None
    by: str = ""
    chance: tuple[float, float] | None = None
    why: str = ""
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    """Of the prompt."""
    matches: tuple[re.Pattern[str], ...] = ()
    avoids: tuple[re.Pattern[str], ...] = ()
    longest: int | None = None
    """Of the text that a real model writes."""

    @property
    def prompt(self) -> bool:
        """Whether the prompt is looked at."""
        return bool(self.contains or self.lacks)

    @property
    def text(self) -> bool:
        """Whether the text is looked at."""
        return bool(self.matches or self.avoids or self.longest is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One message of a scenario and what is expected of it."""

    line: Line
    at: datetime
    expected: Expected = field(default_factory=Expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A scenario. `others` are the ids of the other entities that are there; `limits` is None for the entity's own."""

    entity: str
    name: str
    house: House
    spoken: tuple[Spoken, ...]
    others: tuple[str, ...] = ()
    dice: str = "seeded"
    answer_s: float = 2.0
    limits: tuple[Rule, ...] | None = ()


def parse(value: Any, entity: str = "", name: str = "") -> Script:
    """The script of a document. Its entity and name may stand beside it instead of in it. Raises Unreadable."""
    problems: list[str] = []
    it = Reader(value, "$", problems)
    setting = it.object("setting")
    begin = setting.moment("time", BEGINNING) or BEGINNING
    house = House(
        name=setting.text("feed", "scenario"),
        url=setting.text("url", "http://scenario.invalid/api", longest=500),
        domain=setting.text("domain", "saywhatwant.app"),
        window_gap_s=setting.number("window_gap_s", 3600.0, low=0.001),
        max_text=setting.whole("max_text", 240, low=1),
        require_human_s=setting.whole("require_human_s", 0),
        manners=read_manners(setting),
    )
    script = Script(
        entity=it.text("entity", entity, longest=100),
        name=it.text("name", name, longest=100),
        house=house,
        others=setting.texts("present", longest=100, most=100),
        dice=setting.choice("dice", DICE, "seeded"),
        answer_s=setting.number("answer_s", 2.0, high=86400),
        limits=_limits(setting),
        spoken=_spoken(it, begin, house),
    )
    if not script.entity:
        it.wrong("entity", "is absent; name the entity that is tested")
    if entity and script.entity != entity:
        it.wrong("entity", f"is {script.entity!r}, but the scenario is one of {entity!r}")
    if not script.name:
        it.wrong("name", "is absent")
    setting.done()
    it.done((REQUIRED,))
    if problems:
        raise Unreadable(problems)
    return script


def _limits(setting: Reader) -> tuple[Rule, ...] | None:
    value = setting.raw("limits")
    if value is None or value == "none":
        return ()
    if value == "own":
        return None
    if not isinstance(value, list):
        setting.wrong("limits", 'must be "none", "own", or a list of limits such as {"kind": "minute", "amount": 1}')
        return ()
    found = []
    for each in setting.objects("limits", most=20):
        kind = each.choice("kind", ("gap", *WINDOWS))
        found.append(Rule(kind=kind, amount=each.whole("amount", low=1), every=each.whole("every", 1, low=1)))
        each.done()
    return tuple(found)


def _spoken(it: Reader, begin: datetime, house: House) -> tuple[Spoken, ...]:
    found: list[Spoken] = []
    at = begin.timestamp()
    messages = it.objects("messages", most=MOST)
    if not messages and "messages" not in it:
        it.wrong("messages", "is absent; a scenario has at least one message")
    elif not messages:
        it.wrong("messages", "is empty; a scenario has at least one message")
    for number, each in enumerate(messages, 1):
        at += each.number("after_s", 5.0 if number > 1 else 0.0, high=1e7)
        moment = datetime.fromtimestamp(at, UTC)
        context = each.texts("context", longest=LONGEST, empty=True) if "context" in each else None
        line = Line(
            id=number,
            remote_id=each.text("id", f"message-{number}"),
            text=each.text("text", "", longest=LONGEST),
            username=each.text("who", "Ann"),
            color=each.text("color", ""),
            kind=each.choice("kind", ("human", "AI"), "human"),
            timestamp=round(at * 1000),
            born=moment,
            context=context,
            params=_params(each),
            domain=each.text("domain", house.domain),
            reply_to=each.text("reply_to", ""),
        )
        found.append(Spoken(line=line, at=moment, expected=_expected(each)))
        each.done()
    ids = [one.line.remote_id for one in found]
    if len(set(ids)) < len(ids):
        it.wrong("messages", "have an id twice; each needs its own")
    return tuple(found)


def _params(each: Reader) -> Mapping[str, Any] | None:
    """What the message says to bots: `to` is the entity it is directed at."""
    to = each.text("to", "", longest=100)
    params = dict(each.raw("params")) if isinstance(each.raw("params"), Mapping) else {}
    if each.raw("params") is not None and not isinstance(each.raw("params"), Mapping):
        each.wrong("params", 'must be an object, such as {"priority": 5}')
    return params | ({"entity": to, "processed": False} if to else {}) or None


def _expected(each: Reader) -> Expected:
    value = each.raw("expect")
    if value is None:
        return Expected()
    if isinstance(value, str):
        return Expected(answers=each.choice("expect", ("answers", "silent")) == "answers")
    it = each.object("expect")
    by = it.choice("by", WAYS) if "by" in it else ""
    prompt, text = it.object("prompt"), it.object("text")
    answers = it.flag("answers", True) if "answers" in it else (True if by or "text" in it or "prompt" in it else None)
    if answers is False and (by or "prompt" in it or "text" in it):
        it.wrong("answers", "is false; then there is no by, no prompt and no text")
    found = Expected(
        answers=answers,
        by=by,
        chance=_chance(it),
        why=it.text("why", ""),
        contains=prompt.texts("contains", longest=LONGEST),
        lacks=prompt.texts("lacks", longest=LONGEST),
        matches=_patterns(text, "matches"),
        avoids=_patterns(text, "avoids"),
        longest=text.whole("longest", low=1) if "longest" in text else None,
    )
    for one in (prompt, text, it):
        one.done()
    return found


def _chance(it: Reader) -> tuple[float, float] | None:
    value = it.raw("chance")
    if value is None:
        return None
    pair = value if isinstance(value, list) else [value, value]
    if len(pair) != 2 or not all(isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one <= 1 for one in pair):
        it.wrong("chance", "must be a number from 0 to 1, or the least and the greatest, such as [0.2, 0.4]")
        return None
    low, high = float(pair[0]), float(pair[1])
    if low > high:
        it.wrong("chance", "has its greatest before its least")
    return low, high


def _patterns(it: Reader, key: str) -> tuple[re.Pattern[str], ...]:
    found = []
    for each in it.texts(key, longest=500, most=50):
        try:
            found.append(re.compile(each, re.IGNORECASE))
        except re.error as error:
            it.wrong(key, f"has {each[:60]!r}, which is no regular expression: {error}")
    return tuple(found)
