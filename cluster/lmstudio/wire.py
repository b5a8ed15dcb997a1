"""The grammar shared by all dialects: a request, a reply, and reading JSON that may be anything.

A conversation of several requests is a generator: it yields a `Request` and is sent its `Reply` (a `Pause` is answered by
an empty one), may be thrown the `PeerError` of a broken connection, and returns its result. It asks and never sends.
"""

import json
import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cluster.lmstudio.errors import BadRequest, Misconfigured

Json = Mapping[str, object]
AGENT = "saywhatwant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`path` is already quoted; `body` is sent as JSON. `once`: it is never sent twice, whatever happens to the connection.

    `within_s`: the whole reply comes in that time, or the conversation is thrown ProbeTimeout and may live without it.
    """

    method: str
    path: str
    body: Json | None = None
    once: bool = False
    within_s: float | None = None

    def encoded(self) -> bytes:
        """The body's bytes, none without a body. Raises BadRequest for what JSON cannot say (NaN, objects)."""
        if self.body is None:
            return b""
        try:
            said = json.dumps(self.body, allow_nan=False)
            if "\\ud" in said:  # half a character: strict readers refuse the whole body
                halves = json.dumps(self.body, allow_nan=False, ensure_ascii=False).encode("utf-16", "surrogatepass")
                said = halves.decode("utf-16", "replace")
            return said.encode()
        except (TypeError, ValueError) as exc:
            raise BadRequest(f"the body of {self.method} {self.path} is not JSON: {exc}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. Header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait before the next request."""

    seconds: float


T = TypeVar("T")
Conversation = Generator[Request | Pause, Reply, T]


def headers(token: str) -> dict[str, str]:
    """The headers of every request. Raises Misconfigured for a token that no header can carry."""
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise Misconfigured("the API token has characters that no token has")
    return {"Content-Type": "application/json", "Accept": "*/*", "User-Agent": AGENT} | (
        {"Authorization": f"Bearer {token}"} if token else {}
    )


def parsed(body: bytes | str) -> object:
    """The JSON value of a body; None when it is not JSON."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value


def mapping(value: object) -> Json:
    """`value` if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Json] | None:
    """The objects of a list; None when `value` is no list of objects."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    return None


def text(value: object) -> str:
    """`value` if it is a string, otherwise an empty one."""
    return value if isinstance(value, str) else ""


def whole(value: object) -> int | None:
    """`value` if it is a number that is whole, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) else None


def number(value: object) -> float | None:
    """`value` if it is a finite number, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
