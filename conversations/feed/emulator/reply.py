"""One answer of the emulator, before it is HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
"""A JSON object as it came or as it is stored: the backends check almost nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """`payload` is sent as JSON, or as plain text if it is a string."""

    status: int = 200
    payload: object = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def refusal(status: int, error: str, **more: object) -> Reply:
    """An error as the backends write it."""
    return Reply(status=status, payload={"error": error, **more})


def missing(body: Json, *names: str) -> bool:
    """Whether a required member is absent or empty."""
    return any(body.get(name) in (None, "") for name in names)
