"""The verdict on a reply, by its text before its status: a bare 2xx proves nothing."""

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from conversations.feed.errors import (
    Conflict,
    FeedError,
    Forbidden,
    Misaddressed,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
)

RETRY_AFTER_S = 60.0
"""Seconds of silence after a 429 that does not say how long: the backends' counter lives so long after the last post."""

LONGEST_S = 3600.0
"""Seconds of silence that are believed at most: asking once an hour whether it still holds costs one request."""


def classify(status: int, headers: Mapping[str, str], body: bytes, *, where: str) -> FeedError | None:
    """What is wrong with a reply, None if nothing is.

    `headers` have lower-case names; `where` names the request, such as `POST https://host/api/comments`.
    """
    text = body.decode("utf-8", "replace").strip()
    error = _error(text)
    success = 200 <= status < 300
    said = error if success else error or text
    known = said.lower()
    shown = f"{where} answered {status}: {_short(said)}" if said else f"{where} answered {status}"

    if status == 429 or known.startswith("rate limit"):
        wait = retry_after_s(headers)
        return RateLimited(f"{shown}; nothing is posted for {wait:g} s", retry_after_s=wait, status=status, body=text)
    if "not found in pending queue" in known or "not pending" in known:
        return Conflict(f"{shown}; somebody else has the message", status=status, body=text)
    if "message not found" in known:
        return NotFound(f"{shown}; the backend no longer has this message", status=status, body=text)
    if "text is required" in known or "invalid update" in known:
        return Rejected(f"{shown}; the request itself is wrong", status=status, body=text)
    if success:
        if error:
            return Unavailable(f"{shown}; that is an error although the status is {status}", status=status, body=text)
        if text.startswith("<"):
            return Unavailable(f"{where} answered {status} with a web page; is this the API's base?", status=status, body=text)
        return None
    if status in (401, 403):
        return Forbidden(f"{shown}; an access rule stands before the backend, allow this machine there", status=status, body=text)
    if status in (404, 405, 410) or 300 <= status < 400:
        moved = f" (moved to {headers['location']})" if "location" in headers else ""
        return Misaddressed(f"{shown}{moved}; no such backend here: check the feed's URL and generation", status=status, body=text)
    if status == 408 or status >= 500:
        return Unavailable(f"{shown}; the backend is unwell, it is tried again later", status=status, body=text)
    if status == 409:
        return Conflict(shown, status=status, body=text)
    return Rejected(f"{shown}; the request itself is wrong", status=status, body=text)


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds to be silent: `Retry-After` in seconds or as a date (measured from the reply's own `Date`), else 60. At most an hour."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), LONGEST_S)
    try:
        gap = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return RETRY_AFTER_S
    return min(max(gap.total_seconds(), 0.0), LONGEST_S)


def _error(text: str) -> str:
    """The `error` of a JSON object, as text; empty if there is none."""
    if not text.startswith("{"):
        return ""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    error = payload.get("error")
    details = payload.get("details")
    if not error:
        return ""
    said = error if isinstance(error, str) else json.dumps(error)
    return f"{said} ({details})" if isinstance(details, str) and details else said


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:199]}…"
