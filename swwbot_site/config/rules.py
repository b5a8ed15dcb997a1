"""`rateLimits.rules`: limits that have no key of their own, and `warmup`: turns before a conversation. Both are lists of small objects."""

from collections.abc import Mapping
from typing import Any, Final

from entities.logic.turns import TURNS as WORDS
from entities.logic.turns import sound
from swwbot_site.config.kinds import Kind, Note, Wrong, called

PER: Final = ("minute", "hour", "day")
GAP: Final = "minSecondsBetweenPosts"
PLAIN: Final = {"minute": "maxPostsPerMinute", "hour": "maxPostsPerHour", "day": "maxPostsPerDay"}
_LARGE: Final = 2**31 - 1
_SMALL: Final = 32767


def _read_rules(value: Any, note: Note) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Wrong(f"is {called(value)}; it must be {_RULES}")
    rules = [_rule(each, index) for index, each in enumerate(value)]
    seen: dict[tuple[Any, ...], int] = {}
    for index, rule in enumerate(rules):
        first = seen.setdefault((rule["kind"], rule["every"], rule["feed"]), index)
        if first != index:
            raise Wrong(f"says at [{index}] what [{first}] says already; each may stand there once")
    return rules


def _rule(raw: Any, index: int) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Wrong(f"has {called(raw)} at [{index}]; it must be {_RULES}")
    feed = raw.get("feed")
    if feed is not None and not (isinstance(feed, str) and feed.strip()):
        raise Wrong(f"has the feed {called(feed)} at [{index}]; write the name of a feed, or leave it out for all feeds together")
    feed = feed.strip() if feed is not None else None
    gap = GAP in raw
    unknown = sorted(key for key in raw if key not in ({GAP, "feed"} if gap else {"posts", "every", "per", "feed"}) and key[:1] != "_")
    if unknown:
        raise Wrong(f"has {unknown[0]!r} at [{index}]; it must be {_RULES}")
    if gap:
        if feed is None:
            raise Wrong(f"has {GAP} without a feed at [{index}]; write rateLimits.{GAP}")
        return {"kind": "gap", "amount": _count(raw[GAP], GAP, index, _LARGE), "every": 1, "feed": feed}
    if raw.get("per") not in PER:
        raise Wrong(f"has per {called(raw.get('per'))} at [{index}]; it must be minute, hour or day")
    every = _count(raw.get("every", 1), "every", index, _SMALL)
    if every == 1 and feed is None:
        raise Wrong(f"has a limit of any one {raw['per']} at [{index}]; write rateLimits.{PLAIN[raw['per']]}")
    return {"kind": raw["per"], "amount": _count(raw.get("posts"), "posts", index, _LARGE), "every": every, "feed": feed}


def _count(value: Any, key: str, index: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= most or value != int(value):
        raise Wrong(f"has {key} {called(value)} at [{index}]; it must be a whole number from 1 to {most}")
    return int(value)


def _show_rules(value: Any) -> list[dict[str, Any]]:
    return [_shown(rule) for rule in value or ()]


def _shown(rule: Mapping[str, Any]) -> dict[str, Any]:
    feed = {"feed": rule["feed"]} if rule["feed"] else {}
    if rule["kind"] == "gap":
        return {GAP: rule["amount"], **feed}
    return {"posts": rule["amount"], "every": rule["every"], "per": rule["kind"], **feed}


_RULES: Final = f'a list of objects such as {{"posts": 5, "every": 10, "per": "minute", "feed": "main"}} or {{"{GAP}": 45, "feed": "main"}}'
RULES: Final = Kind(words=_RULES, read=_read_rules, show=_show_rules)
"""Column: a list of kind, amount, every, and the feed's name or None."""


def _turns(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise Wrong(f"is {called(value)}; it must be {WORDS}")
    for index, each in enumerate(value):
        if not sound(each):
            raise Wrong(f"has {called(each)} at [{index}]; it must be {WORDS}")
    return [{"role": each["role"], "content": each["content"]} for each in value]


def _read_context(value: Any, note: Note) -> list[dict[str, str]]:
    if not isinstance(value, dict):
        return _turns([] if value is None else value)
    others = sorted(key for key in value if key != "messages" and not key.startswith("_"))
    if others:
        note(f"has {others[0]!r}, which is unknown and has no effect")
    return _turns(value.get("messages", []))


def _show_turns(value: Any) -> list[dict[str, str]]:
    """Only what can be read again: a JSON column may hold anything that somebody typed."""
    return [{"role": each["role"], "content": each["content"]} for each in value if sound(each)] if isinstance(value, list) else []


TURNS: Final = Kind(words=WORDS, read=lambda value, note: _turns(value), show=_show_turns)
CONTEXT: Final = Kind(words=f"{WORDS}, or an object with them as messages", read=_read_context)
"""November's `initContext`."""
