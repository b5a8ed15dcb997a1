"""What programs send to the REST API: JSON that every column can hold, or the bytes as they came."""

import json
from collections.abc import Iterator, Mapping
from math import isfinite
from typing import IO, Any, Final

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of a body."""

DEEPEST: Final = 64
"""Lists and objects inside each other."""

MOST: Final = 500_000
"""Commas and opening brackets: each value takes memory, however small it is; 16 MiB of empty lists would take half a gigabyte."""

WIDEST: Final = 2**63
"""Whole numbers are smaller."""


class TooLarge(APIException):
    """A body that is not read to its end."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = f"The body has more than {LARGEST} bytes."


class Raw(BaseParser):
    """The bytes of a JSON document, for whoever reads it by himself."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The body. Raises TooLarge."""
        body = stream.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise TooLarge
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > MOST:
            raise TooLarge(f"The body has more than {MOST} values.")
        return body


class Json(Raw):
    """JSON, and nothing in it that the database or an answer could not hold: no NUL, no half characters, no endless numbers."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        """The value. Raises ParseError, TooLarge."""
        body = super().parse(stream, media_type, parser_context)
        try:
            value = json.loads(body.decode(), parse_constant=_constant)
        except RecursionError as exc:
            raise ParseError(f"The body is nested deeper than {DEEPEST} levels.") from exc
        except ValueError as exc:
            raise ParseError(f"The body is no JSON: {exc}") from exc
        if trouble := next(_troubles(value), ""):
            raise ParseError(f"The body holds {trouble}.")
        return value


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _troubles(value: Any) -> Iterator[str]:
    """What no column could hold."""
    left: list[tuple[Any, int]] = [(value, 1)]
    while left:
        part, depth = left.pop()
        if isinstance(part, dict | list) and depth > DEEPEST:
            yield f"more than {DEEPEST} levels"
        elif isinstance(part, dict):
            left += [(each, depth + 1) for pair in part.items() for each in pair]
        elif isinstance(part, list):
            left += [(each, depth + 1) for each in part]
        elif isinstance(part, str) and ("\0" in part or any("\ud800" <= letter <= "\udfff" for letter in part)):
            yield "a NUL, or half of a character"
        elif (isinstance(part, float) and not isfinite(part)) or (isinstance(part, int) and abs(part) >= WIDEST):
            yield "a number that is too large"
