"""From the pieces that a model server sends to what our client gets: the same pieces under our name, or one whole answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from swwbot_site.gateway.wishes import Kind

_ROLE: Final = "assistant"
_COUNTS: Final = ("prompt_tokens", "completion_tokens")


@dataclass(slots=True)
class Chunks:
    """Rewrites the pieces of one stream. `id`, `model` and `created` are ours; `usage`: the client asked for the count of tokens."""

    id: str
    model: str
    created: int
    kind: Kind
    usage: bool
    _begun: set[int] = field(default_factory=set)

    def chunk(self, value: Mapping[str, object]) -> dict[str, object] | None:
        """One piece for the client; None if there is nothing in it for him. A whole completion becomes one piece."""
        given = value.get("choices")
        choices = [self._choice(one) for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        usage = value.get("usage")
        counted = self.usage and isinstance(usage, dict) and bool(usage)
        if not choices and not counted:
            return None
        told: dict[str, object] = {
            "id": self.id,
            "object": "chat.completion.chunk" if self.kind is Kind.CHAT else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }
        if self.usage:
            told["usage"] = spent(usage) if counted else None
        return told

    def _choice(self, choice: Mapping[str, object]) -> dict[str, object]:
        index = _index(choice, 0)
        told = {"index": index, "logprobs": choice.get("logprobs"), "finish_reason": choice.get("finish_reason") or None}
        delta = _said(choice)
        if self.kind is not Kind.CHAT:
            return {"text": _text(choice, delta), **told}
        if "message" in choice and isinstance(calls := delta.get("tool_calls"), list):
            delta = {**delta, "tool_calls": [{"index": at, **call} for at, call in enumerate(calls) if isinstance(call, dict)]}
        if index not in self._begun:
            self._begun.add(index)
            delta = {"role": _ROLE, **delta} if delta.get("role") is None else delta
        return {"delta": delta, **told}


@dataclass(slots=True)
class Whole:
    """Puts one answer together. `id`, `model` and `created` are ours."""

    id: str
    model: str
    created: int
    kind: Kind
    _choices: "dict[int, _Choice]" = field(default_factory=dict)
    _usage: object = None

    def take(self, value: Mapping[str, object]) -> None:
        """The next piece, or a whole completion."""
        if value.get("usage"):
            self._usage = value["usage"]
        given = value.get("choices")
        for one in given if isinstance(given, list) else ():
            if isinstance(one, dict):
                index = _index(one, 0)
                self._choices.setdefault(index, _Choice()).take(one)

    def completion(self) -> dict[str, object]:
        """The answer as it stands."""
        chat = self.kind is Kind.CHAT
        choices = self._choices or {0: _Choice()}
        return {
            "id": self.id,
            "object": "chat.completion" if chat else "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": [choices[index].told(index, chat=chat) for index in sorted(choices)],
            "usage": spent(self._usage),
        }


@dataclass(slots=True)
class _Choice:
    """One of the answers of a request. Texts are kept in pieces: a long answer has thousands."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, object] = field(default_factory=dict)
    calls: dict[int, dict[str, object]] = field(default_factory=dict)
    functions: dict[int, dict[str, object]] = field(default_factory=dict)
    function: dict[str, object] = field(default_factory=dict)
    logprobs: dict[str, object] | None = None
    finish: str = ""

    def take(self, choice: Mapping[str, object]) -> None:
        finish, logprobs, text = choice.get("finish_reason"), choice.get("logprobs"), choice.get("text")
        if isinstance(finish, str) and finish:
            self.finish = finish
        if isinstance(logprobs, dict):
            self.logprobs = {} if self.logprobs is None else self.logprobs
            _joined(self.logprobs, logprobs)
        if isinstance(text, str):
            self.texts.setdefault("content", []).append(text)
        for name, value in _said(choice).items():
            self._part(name, value)

    def _part(self, name: str, value: object) -> None:
        if value is None or name == "role":
            return
        if name == "tool_calls":
            for at, call in enumerate(value if isinstance(value, list) else ()):
                if isinstance(call, dict):
                    self._call(call, at)
        elif name == "function_call" and isinstance(value, dict):
            _called(self.function, value)
        elif isinstance(value, str):
            self.texts.setdefault(name, []).append(value)
        else:
            _joined(self.others, {name: value})

    def _call(self, piece: Mapping[str, object], at: int) -> None:
        """A piece of a call. Some servers give no index: a known id goes on, a new one begins."""
        known = next((key for key, call in self.calls.items() if piece.get("id") and call.get("id") == piece["id"]), None)
        fresh = len(self.calls) if piece.get("id") else at
        index = _index(piece, fresh if known is None else known)
        call, function, inner = self.calls.setdefault(index, {}), self.functions.setdefault(index, {}), piece.get("function")
        for name in ("id", "type"):
            if isinstance(value := piece.get(name), str) and value and not call.get(name):
                call[name] = value
        if isinstance(inner, dict):
            _called(function, inner)

    def told(self, index: int, *, chat: bool) -> dict[str, object]:
        texts = {name: "".join(parts) for name, parts in self.texts.items()}
        end: dict[str, object] = {"logprobs": self.logprobs, "finish_reason": self.finish or "stop"}
        if not chat:
            return {"index": index, "text": texts.get("content", ""), **end}
        acts: dict[str, object] = {}
        if self.calls:
            acts["tool_calls"] = [
                {"id": f"call_{at}", "type": "function", **call, "function": _whole_call(self.functions[at])}
                for at, call in sorted(self.calls.items())
            ]
        if self.function:
            acts["function_call"] = _whole_call(self.function)
        content = texts.pop("content", "") or (None if acts else "")
        message = {"role": _ROLE, "content": content, "refusal": texts.pop("refusal", "") or None, **texts, **self.others, **acts}
        return {"index": index, "message": message, **end}


def spent(usage: object) -> dict[str, object]:
    """A count of tokens with all the numbers that OpenAI promises; zeros where the server counted nothing."""
    given = {name: value for name, value in usage.items() if value is not None} if isinstance(usage, dict) else {}
    prompt, answer = (value if isinstance(value := given.get(name), int) else 0 for name in _COUNTS)
    return {**given, "prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": given.get("total_tokens", prompt + answer)}


def _said(choice: Mapping[str, object]) -> dict[str, object]:
    for name in ("delta", "message"):
        if isinstance(said := choice.get(name), dict):
            return said
    return {}


def _text(choice: Mapping[str, object], delta: Mapping[str, object]) -> str:
    text = choice.get("text", delta.get("content"))
    return text if isinstance(text, str) else ""


def _index(piece: Mapping[str, object], otherwise: int) -> int:
    index = piece.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) else otherwise


def _called(call: dict[str, object], piece: Mapping[str, object]) -> None:
    """A piece of a function's call: its name comes once, its arguments bit by bit."""
    name, arguments = piece.get("name"), piece.get("arguments")
    if isinstance(name, str) and name and not call.get("name"):
        call["name"] = name
    if isinstance(arguments, str):
        pieces = call.setdefault("arguments", [])
        assert isinstance(pieces, list)
        pieces.append(arguments)


def _whole_call(call: Mapping[str, object]) -> dict[str, object]:
    pieces = call.get("arguments")
    return {"name": call.get("name", ""), "arguments": "".join(pieces) if isinstance(pieces, list) else ""}


def _joined(kept: dict[str, object], piece: Mapping[str, object]) -> None:
    """Lists go on, everything else is as it was said last."""
    for name, value in piece.items():
        old = kept.get(name)
        if isinstance(value, list):
            kept[name] = old if isinstance(old, list) else []
            kept[name].extend(value)  # type: ignore[attr-defined]  # it is a list since the line above
        elif value is not None or name not in kept:
            kept[name] = value
