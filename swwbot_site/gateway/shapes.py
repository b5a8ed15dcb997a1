"""What the gateway answers, in OpenAI's shapes: errors, events of a stream, lists of models, embeddings."""

import json
import math
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from swwbot_site.gateway.assembly import Chunks, Whole

__all__ = ["DONE", "Chunks", "Whole", "comment", "embeddings", "error", "event", "model", "models", "written"]

DONE: Final = b"data: [DONE]\n\n"
OWNER: Final = "saywhatwant"
_DEEPEST: Final = 64
_COMMENT: Final = 500
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, object]:
    """The body of a refusal; `kind` stands in it as `type`."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def written(value: object) -> bytes:
    """A value as JSON in ASCII, in one line. What JSON cannot say (NaN of a server, endless nesting) becomes null."""
    try:
        return _ENCODER.encode(value).encode("ascii")
    except (ValueError, RecursionError):
        return _ENCODER.encode(_plain(value, 0)).encode("ascii")


def event(value: object) -> bytes:
    """A value as one event of a stream."""
    return b"data: " + written(value) + b"\n\n"


def comment(text: str) -> bytes:
    """A line of a stream that no program takes for an event: it keeps the connection alive and tells people what goes on."""
    return b": " + " ".join(text.split())[:_COMMENT].encode("utf-8", "replace") + b"\n\n"


def model(key: str, created: int = 0, **more: object) -> dict[str, object]:
    """One model of the list; `created` in seconds of the epoch."""
    return {"id": key, "object": "model", "created": created, "owned_by": OWNER, **more}


def models(rows: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """The answer to `GET /v1/models`; `rows` are made by `model`."""
    return {"object": "list", "data": list(rows)}


def embeddings(vectors: Sequence[Sequence[float]], key: str, prompt_tokens: int | None, *, base64: bool) -> dict[str, object]:
    """The answer to `POST /v1/embeddings` of the model `key`; `base64`: each vector as the bytes of little-endian 32 bit numbers."""
    counted = prompt_tokens or 0
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if base64 else list(vector)}
            for index, vector in enumerate(vectors)
        ],
        "model": key,
        "usage": {"prompt_tokens": counted, "total_tokens": counted},
    }


def _packed(vector: Sequence[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")


def _plain(value: object, depth: int) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return None
    if isinstance(value, dict):
        return {name: _plain(each, depth + 1) for name, each in value.items()}
    return [_plain(each, depth + 1) for each in value] if isinstance(value, list) else value
