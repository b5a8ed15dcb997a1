"""One request to a model, and what to do when an attempt of it failed."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

BACKOFF_S: Final = (0.0, 1.0, 3.0, 8.0, 20.0)
"""Pauses before the second, third … attempt on the same servers."""


class Recorded(Protocol):
    """Something to ask a model, as it can be kept."""

    def document(self) -> dict[str, Any]:
        """The JSON that is kept with the generation: messages, sampling, max_tokens, stop."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A chat completion to queue. `sampling` are wire names; `messages` have `role` and `content`."""

    messages: Sequence[Mapping[str, str]]
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        """The JSON that is kept with the generation."""
        return {
            "messages": [dict(m) for m in self.messages],
            "sampling": dict(self.sampling),
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
        }


def fingerprint(model: str, document: Mapping[str, Any]) -> str:
    """Equal for equal requests to the same model: 64 hex digits."""
    text = json.dumps([model, document], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an attempt went wrong. `retry` is here, elsewhere or never; `at` when; `server` where (empty: nowhere)."""

    server_id: int
    server: str
    code: str
    text: str
    retry: str
    at: datetime

    def document(self) -> dict[str, Any]:
        """The JSON kept with the generation, one entry per attempt."""
        return {
            "server_id": self.server_id,
            "server": self.server,
            "code": self.code,
            "text": self.text,
            "retry": self.retry,
            "at": self.at.isoformat(),
        }


def again_at(failure: Failure, attempts: int, max_attempts: int) -> datetime | None:
    """When to try again after the `attempts`-th attempt failed; None: it has failed for good."""
    if failure.retry == "never" or attempts >= max_attempts:
        return None
    pause = BACKOFF_S[min(attempts - 1, len(BACKOFF_S) - 1)] if attempts >= 1 else 0.0
    return failure.at + timedelta(seconds=pause)
