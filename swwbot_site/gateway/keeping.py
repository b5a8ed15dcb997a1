"""What is kept of a request for people to read: all of a usual one, the beginning and the end of each text of a huge one."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

BUDGET: Final = 40_000
"""Bytes of text that are kept; with names and brackets around it the whole stays below 64 kB."""
MESSAGES: Final = 100
FIELDS: Final = 64
STOPS: Final = 32
_NAME: Final = 64
"""Characters of a field's name, of a role."""
_SHORTEST: Final = 48
"""A cut text is not shorter: its mark would not fit."""
_TOLD: Final = ("name", "tool_call_id", "tool_calls", "function_call", "reasoning_content", "refusal")
"""What is kept of a message beside its role and content."""
_ODD = re.compile("[\x00\ud800-\udfff]")


def document(
    messages: Sequence[Mapping[str, object]], fields: Mapping[str, object], stop: Sequence[str], *, whole: bool, odd: bool
) -> dict[str, object]:
    """`messages`, `sampling` and `stop` as JSON for a row. `whole`: nothing has to be cut; `odd`: texts may hold what no row takes."""
    told: dict[str, object]
    if whole:
        told = {"messages": [_flat(one) for one in messages], "sampling": dict(fields), "stop": list(stop)}
    else:
        said, others, ends = _few(messages), dict(list(fields.items())[:FIELDS]), list(stop[:STOPS])
        pieces = [value for one in said for value in one.values()]
        limit = _level([len(_text(each).encode("utf-8", "replace")) for each in (*pieces, *others.values(), *ends)])
        told = {
            "messages": [{name: _cut(value, limit) for name, value in one.items()} for one in said],
            "sampling": {name[:_NAME]: _cut(value, limit) for name, value in others.items()},
            "stop": [_cut(each, limit) for each in ends],
        }
    return {name: _clean(value) for name, value in told.items()} if odd else told


def _few(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The first and the last messages, each with what is told of it."""
    half, left = MESSAGES // 2, len(messages) - MESSAGES
    said = [_flat({name: one[name] for name in ("role", "content", *_TOLD) if name in one}) for one in _ends(messages, half)]
    if left > 0:
        said.insert(half, {"role": "note", "content": f"[{left} messages are not kept]"})
    return said


def _ends(messages: Sequence[Mapping[str, object]], half: int) -> Iterable[Mapping[str, object]]:
    return messages if len(messages) <= 2 * half else (*messages[:half], *messages[-half:])


def _flat(message: Mapping[str, object]) -> dict[str, object]:
    """A message with one text for its content, whatever parts it came in."""
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    return dict(message) | {"content": "\n".join(_part(part) for part in content if isinstance(part, dict))}


def _part(part: Mapping[str, object]) -> str:
    text = part.get("text")
    if isinstance(text, str):
        return text
    told = {name: value for name, value in part.items() if name != "type"}
    inner = next(iter(told.values()), "")
    url = inner.get("url", "") if isinstance(inner, dict) else inner
    said = url if isinstance(url, str) and url else _text(told)
    return f"[{part.get('type')}: {said if len(said) <= 2 * _SHORTEST else f'{said[:_SHORTEST]}… {len(said)} characters'}]"


def _level(sizes: Sequence[int]) -> int:
    """The longest that a text may be so that all together keep to the budget."""
    left, limit = BUDGET, BUDGET
    for count, size in zip(range(len(sizes), 0, -1), sorted(sizes), strict=True):
        limit = left // count
        if size > limit:
            break
        left -= size
    return max(limit, _SHORTEST)


def _cut(value: object, limit: int) -> object:
    text = _text(value)
    size = len(text.encode("utf-8", "replace"))
    if size <= limit:
        return value
    mark = f" … {len(text)} characters … "
    half = max(0, (limit - len(mark)) // 2)
    return _bytes(text, half) + mark + (_bytes(text[::-1], half)[::-1] if half else "")


def _bytes(text: str, limit: int) -> str:
    """As much of a text as fits into so many bytes."""
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _clean(value: object) -> object:
    """The same with `�` for NULs and halves of characters."""
    if isinstance(value, str):
        return _ODD.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_ODD.sub("\ufffd", name): _clean(each) for name, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value
