"""What a program wishes of the gateway: a request of OpenAI's API, read and judged as OpenAI itself would.

What we do not know passes through unchanged: the model server may. What has to be refused is refused here, before anything waits for it.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from swwbot_site.gateway import judging, keeping
from swwbot_site.gateway.judging import Refused, wrong

__all__ = ["Kind", "Refused", "Wish", "read"]

DEEPEST: Final = 64
"""Lists and objects inside each other."""
MOST: Final = 500_000
"""Commas and opening brackets: each value takes memory, however small it is; 16 MB of empty lists would take half a gigabyte."""
_ESCAPES: Final = (b"\\u0000", b"\\ud", b"\\uD")
"""Without these in its bytes no text of a document holds a NUL or half of a character."""


class Kind(StrEnum):
    """Which endpoint was asked."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"

    @property
    def path(self) -> str:
        """Where OpenAI's API has it."""
        return _PATHS[self]


_PATHS: Final[Mapping[Kind, str]] = {
    Kind.CHAT: "/v1/chat/completions",
    Kind.COMPLETION: "/v1/completions",
    Kind.EMBEDDING: "/v1/embeddings",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One request. `fields` are all those that are not named here, as they came; `usage`: the end of the stream shall count tokens.

    `messages` is filled for a chat, `prompt` for a completion, `inputs` for embeddings. `size` is the bytes of the request, `odd`
    says that some text in it may hold what a database does not take.
    """

    kind: Kind
    model: str
    stream: bool = False
    usage: bool = False
    fields: dict[str, object] = field(default_factory=dict)
    messages: tuple[Mapping[str, object], ...] = ()
    prompt: str = ""
    inputs: tuple[str, ...] = ()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    base64: bool = False
    size: int = 0
    odd: bool = True

    def document(self) -> dict[str, object]:
        """What is kept of it in its row: at most about 64 kB, of longer ones the beginning and the end of each text."""
        said: tuple[Mapping[str, object], ...] = self.messages
        if self.kind is not Kind.CHAT:
            texts = (self.prompt,) if self.kind is Kind.COMPLETION else self.inputs
            said = tuple({"role": "user", "content": text} for text in texts)
        told = keeping.document(said, self.fields, self.stop, whole=self.size <= keeping.BUDGET, odd=self.odd)
        return told | {"max_tokens": self.max_tokens, "endpoint": self.kind.path}


def read(kind: Kind, body: bytes) -> Wish:
    """The wish in a request's body. Raises Refused for whatever OpenAI's API answers with 400."""
    fields = _document(body)
    model, stream = judging.model(fields.pop("model", None)), judging.flag(fields, "stream")
    options = judging.options(fields.pop("stream_options", None))
    size, odd = len(body), any(escape in body for escape in _ESCAPES)
    if kind is Kind.EMBEDDING:
        inputs, base64 = judging.inputs(fields.pop("input", None)), judging.base64(fields.pop("encoding_format", None))
        return Wish(kind=kind, model=model, inputs=inputs, base64=base64, fields=fields, size=size, odd=odd)
    usage = judging.flag(options, "include_usage", "stream_options.include_usage")
    stop, length = judging.stop(fields.pop("stop", None)), judging.length(fields, "max_tokens", 0 if kind is Kind.COMPLETION else 1)
    messages: tuple[Mapping[str, object], ...] = ()
    prompt = ""
    if kind is Kind.CHAT:
        messages, wished = judging.messages(fields.pop("messages", None)), judging.length(fields, "max_completion_tokens", 1)
        length = length if wished is None else wished
    else:
        prompt = judging.prompt(fields.pop("prompt", None))
    judging.ranged(fields)
    return Wish(
        kind=kind,
        model=model,
        stream=stream,
        usage=usage,
        fields=fields,
        messages=messages,
        prompt=prompt,
        max_tokens=length,
        stop=stop,
        size=size,
        odd=odd,
    )


def _document(body: bytes) -> dict[str, object]:
    if len(body) > MOST and sum(body.count(sign) for sign in (b",", b"[", b"{")) > MOST:
        raise Refused(413, f"The request has more than {MOST} values.", code="request_too_large")
    try:
        value = _DECODER.decode(body.decode("utf-8-sig"))
    except RecursionError as exc:
        raise wrong(f"the body is nested deeper than {DEEPEST} levels") from exc
    except ValueError as exc:
        raise wrong(f"the body is not valid JSON ({str(exc)[:100]}): send one JSON object", code="invalid_json") from exc
    if not isinstance(value, dict):
        raise wrong("the body must be one JSON object", code="invalid_json")
    # Nothing can be deeper than it has brackets.
    if body.count(b"[") + body.count(b"{") > DEEPEST and _deep(value):
        raise wrong(f"the body is nested deeper than {DEEPEST} levels")
    return value


def _deep(value: dict[str, object]) -> bool:
    left: list[object] = [value]
    for _ in range(DEEPEST):
        left = [part for each in left for part in _parts(each) if isinstance(part, dict | list)]
        if not left:
            return False
    return True


def _parts(value: object) -> Iterator[object]:
    yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _constant(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return value


_DECODER: Final = json.JSONDecoder(parse_constant=_constant, parse_float=_float)
