"""How what goes wrong in the cluster is told to a program that speaks OpenAI's API: status, type and code."""

import math
from collections.abc import Mapping
from typing import Final

from cluster.logic.relaying import Full, Stopping, Unanswered
from swwbot_site.gateway.judging import Refused
from swwbot_site.gateway.shapes import error
from swwbot_site.lib.errors import BotError

BAD: Final = "invalid_request_error"
FAILED: Final = "server_error"

CODES: Final[Mapping[str, tuple[int, str, str]]] = {
    "context-overflow": (400, BAD, "context_length_exceeded"),
    "bad-request": (400, BAD, "refused_by_model_server"),
    "unknown-key": (400, BAD, "unknown_parameter"),
    "refused": (400, BAD, "refused_by_model_server"),
    "capability-missing": (400, BAD, "not_supported_by_model_server"),
    "unable": (400, BAD, "not_supported_by_model_server"),
    "model-missing": (404, BAD, "model_not_found"),
    "impossible": (503, FAILED, "model_not_available"),
    "deadline": (504, FAILED, "timeout"),
    "first-token-timeout": (504, FAILED, "timeout"),
    "idle-timeout": (504, FAILED, "timeout"),
    "total-timeout": (504, FAILED, "timeout"),
    "cancelled": (503, FAILED, "cancelled"),
}
"""By the code that is kept in the row; every other one is a failure of a server."""

OTHER: Final = (502, FAILED, "model_server_failed")

LAST: Final = (b"x-should-retry", b"false")
"""It was tried as often as it may be: the client of OpenAI does not try again."""

Header = tuple[bytes, bytes]


class Unfit(Refused):
    """A request that is refused for how it comes."""

    def __init__(self, status: int, message: str, code: str, header: Header) -> None:
        super().__init__(status, message, code=code)
        self.headers = [header]


def told(fault: Exception) -> tuple[int, dict[str, object], list[Header]]:
    """Status, body and headers for what ended a request."""
    if isinstance(fault, Refused):
        return fault.status, error(fault.message, fault.type, fault.code, fault.param), getattr(fault, "headers", [])
    if isinstance(fault, Full):
        wait = str(min(60, max(1, math.ceil(fault.oldest_s)))).encode()
        text = "So many requests wait that this one is not taken. Try again later, or add servers."
        return 429, error(text, "rate_limit_error", "queue_full"), [(b"retry-after", wait)]
    if isinstance(fault, Stopping):
        return (
            503,
            error("This server is about to stop. Try again.", FAILED, "stopping"),
            [(b"retry-after", b"1"), (b"connection", b"close")],
        )
    if isinstance(fault, Unanswered):
        status, kind, code = CODES.get(fault.code, OTHER)
        return status, error(str(fault), kind, code), [LAST, (b"x-sww-generation", str(fault.generation_id).encode())]
    if isinstance(fault, BotError):
        return 400, error(str(fault), BAD, fault.code), []
    return 500, error("Something is broken here; the web server's log says what.", FAILED, "internal_error"), [LAST]
