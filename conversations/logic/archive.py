"""A recording as text, one JSON object a line, and back.

The first line may be the feed, `{"feed": {…}}`. Then come, in the order in which they came, messages; answers of ours,
`{"answer": {…}}`; and other permits that limits count, `{"permit": {…}}`. By hand a message needs no more than its text and its time:

::

    {"at": "2026-11-20T12:00:00Z", "username": "Ann", "text": "Owl, are you there?"}
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from conversations.logic.cast import Cast
from conversations.logic.lifecycle import Mode, ReplyState
from conversations.logic.message import Line
from conversations.logic.reading import Reader, Unreadable, load
from conversations.logic.recording import Given, Heard, House, Other, Recording
from conversations.logic.staging import SILENCE_S, Manners
from conversations.logic.talk import talk

LONGEST: Final = 100_000
"""Characters of a message."""

_MOMENTS: Final = ("decided", "reserved", "settled", "ready", "approved", "accepted", "ended")
_TEXTS: Final = ("outgoing_id", "username", "text", "reason", "conversation")


def written(it: Recording) -> Iterator[str]:
    """The lines of a recording."""
    yield _json({"feed": _house(it.house)})
    for heard in it.heard:
        yield _json(_heard(heard))
    for given in it.given:
        yield _json({"answer": _plain(given)})
    for other in it.others:
        yield _json({"permit": _plain(other)})


def read(lines: Iterable[str], cast: Cast, house: House | None = None) -> Recording:
    """The recording of these lines; `house` is the feed where they name none. Raises Unreadable, with the lines that are wrong."""
    home = house or House()
    problems: list[str] = []
    heard: list[Heard] = []
    given: list[Given] = []
    others: list[Other] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        where = f"line {number}"
        try:
            it = Reader(load(text, where), where, problems)
        except Unreadable as error:
            problems += error.problems
            continue
        if "feed" in it:
            home = _read_house(it.object("feed"))
        elif "answer" in it:
            given.append(_read_given(it.object("answer")))
        elif "permit" in it:
            others.append(_read_other(it.object("permit")))
        else:
            heard.append(_read_heard(it, number, home, cast))
    ids = [one.line.remote_id for one in heard]
    if len(set(ids)) < len(ids):
        problems.append(f"the id {next(ident for ident in ids if ids.count(ident) > 1)!r} stands twice; each message needs its own")
    if problems:
        raise Unreadable(problems)
    return Recording(house=home, heard=tuple(heard), given=tuple(given), others=tuple(others))


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _plain(it: Given | Other) -> dict[str, Any]:
    values = {field.name: getattr(it, field.name) for field in fields(it)}
    return {name: _time(value) for name, value in values.items() if value not in (None, "")}


def _time(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


# --- the feed ----------------------------------------------------------------------------------------------------
def _house(it: House) -> dict[str, Any]:
    same = {name: getattr(it, name) for name in ("name", "url", "domain", "window_gap_s", "max_text", "require_human_s")}
    return {**same, **_manners(it.manners), "rooms": {domain: _manners(rules) for domain, rules in it.rooms.items()}}


def _manners(it: Manners) -> dict[str, Any]:
    told = {name: getattr(it, name) for name in ("max_repliers", "strategy", "max_bot_run", "bot_decay", "silence_s")}
    return told if it.members is None else {**told, "members": sorted(it.members)}


def _read_house(it: Reader) -> House:
    usual = House()
    rooms, manners = it.object("rooms"), read_manners(it)
    found = House(
        name=it.text("name", usual.name),
        url=it.text("url", usual.url, longest=500),
        domain=it.text("domain", usual.domain),
        window_gap_s=it.number("window_gap_s", usual.window_gap_s, low=0.001),
        max_text=it.whole("max_text", usual.max_text, low=1),
        require_human_s=it.whole("require_human_s", 0),
        manners=manners,
        rooms={domain: read_manners(rooms.object(domain), manners.strategy) for domain in rooms.names()},
    )
    it.done()
    return found


def read_manners(it: Reader, strategy: str = "natural") -> Manners:
    """The rules of a place."""
    usual = Manners()
    members = it.texts("members") if "members" in it else None
    return Manners(
        max_repliers=it.whole("max_repliers", usual.max_repliers, high=32767),
        strategy=it.text("strategy", strategy, longest=40),
        max_bot_run=it.whole("max_bot_run", usual.max_bot_run, high=32767),
        bot_decay=it.number("bot_decay", usual.bot_decay, high=1.0),
        silence_s=it.number("silence_s", SILENCE_S),
        members=None if members is None else frozenset(members),
    )


# --- messages ----------------------------------------------------------------------------------------------------
def _heard(it: Heard) -> dict[str, Any]:
    line = it.line
    told: dict[str, Any] = {"id": line.remote_id, "number": line.id, "at": line.timestamp, "arrived": it.arrived.isoformat()}
    told |= {name: getattr(line, name) for name in ("username", "color", "kind", "text", "domain", "conversation", "reply_to")}
    told |= {"born": _time(line.born), "decided": _time(it.decided), "context": line.context, "params": line.params, "why": it.why}
    told |= {"own": line.own or None, "history": None if it.judged else True}
    if not it.opened[0]:
        told["closed"] = it.opened[1]
    needed = ("conversation", "context")  # empty is not the same as none
    return {name: value for name, value in told.items() if value is not None and (value != "" or name in needed)}


def _read_heard(it: Reader, number: int, home: House, cast: Cast) -> Heard:
    at = _needed(it, "at", it.moment("at"))
    stamp = it.raw("at")
    arrived = it.moment("arrived", at) or at
    kind = it.choice("kind", ("human", "AI"), "human")
    params = it.object("params")
    username, color = it.text("username", ""), it.text("color", "")
    domain = it.text("domain", home.domain)
    asked = kind == "human" and isinstance(params.raw("entity"), str)
    key = talk(
        (username, color), domain, home.domain, cast, entity=params.raw("entity") if asked else "", wish=str(params.raw("ais") or "")
    )
    line = Line(
        id=it.whole("number", number),
        remote_id=it.text("id", f"line-{number}"),
        text=it.text("text", "", longest=LONGEST),
        username=username,
        color=color,
        kind=kind,
        timestamp=stamp if isinstance(stamp, int) else round(at.timestamp() * 1000),
        born=it.moment("born", arrived),
        own=it.flag("own", False),
        context=it.texts("context", longest=LONGEST, empty=True) if "context" in it else None,
        params=it.raw("params"),
        domain=domain,
        reply_to=it.text("reply_to", ""),
        conversation=it.text("conversation", key),
    )
    closed = it.text("closed", "")
    decided, why, history = it.moment("decided"), it.text("why", "", longest=2000), it.flag("history", False)
    it.done()
    return Heard(line=line, arrived=arrived, decided=decided, judged=not history, opened=(not closed, closed), why=why)


def _needed(it: Reader, key: str, moment: datetime | None) -> datetime:
    if moment is None and key not in it:
        it.wrong(key, "is absent")
    return moment or datetime.fromtimestamp(0, UTC)


# --- answers and permits -----------------------------------------------------------------------------------------
def _read_given(it: Reader) -> Given:
    values: dict[str, Any] = {name: it.moment(name) for name in _MOMENTS}
    values |= {name: it.text(name, "", longest=LONGEST) for name in _TEXTS}
    values["decided"] = _needed(it, "decided", values["decided"])
    found = Given(
        message=it.text("message"),
        slug=it.text("slug"),
        mode=it.choice("mode", [mode.value for mode in Mode]),
        state=it.choice("state", [state.value for state in ReplyState]),
        spent=it.flag("spent", False),
        chance=it.number("chance") if "chance" in it else None,
        dice=it.number("dice") if "dice" in it else None,
        **values,
    )
    it.done(("chance", "dice"))
    return found


def _read_other(it: Reader) -> Other:
    reserved = _needed(it, "reserved", it.moment("reserved"))
    found = Other(
        slug=it.text("slug"), reserved=reserved, settled=it.moment("settled"), spent=it.flag("spent", False), here=it.flag("here", True)
    )
    it.done()
    return found
