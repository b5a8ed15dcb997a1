"""Which error a reply is: by text, then by status (section 10). The text wins over `code` and over the status.

The sentences stand in `signatures`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.signatures import CREDIT, by_text, refusal
from cluster.lmstudio.wire import mapping, objects, parsed, text, whole


def classify(status: int, body: bytes | str, headers: Mapping[str, str] | None = None, *, now: datetime | None = None) -> PeerError | None:
    """The error a whole reply is, or None for a success.

    A 2xx is an error only if it is an object with an `error` in it (or a bare "proxy error" line): no other text of a success
    is looked at. `now` makes a dated Retry-After readable.
    """
    raw = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    value = parsed(raw)
    if 200 <= status < 300:
        if complaint(value):
            return of_object(value, status)
        return errors.Dropped(raw, status=status) if raw.lstrip().lower().startswith("proxy error") else None
    if status in (402, 429):
        return _limited(complaint(value), status, text(mapping(mapping(value).get("error")).get("code")), _pause(headers or {}, now))
    if status in (401, 403):
        said = complaint(value) or raw
        found = by_text(said, status)
        return found if type(found) is errors.BadRequest else refusal(said, status)
    error = of_object(value, status) if value is not None else _of_text(raw, status)
    if status in (503, 529) and type(error) in (errors.Unavailable, errors.Busy) and (pause := _pause(headers or {}, now)) is not None:
        return errors.Busy(error.detail, status=status, retry_after_s=pause)
    return error


def of_object(value: object, status: int | None = None) -> PeerError:
    """The error of a decoded body or of a stream's error event; `status` None or 2xx means only the body can tell."""
    root = mapping(value)
    inner = mapping(root.get("error")) or root
    said = complaint(value) or "an error without a sentence"
    code, kind, number = text(inner.get("code")), text(inner.get("type")), whole(inner.get("code"))
    if (status is None or status < 300) and number is not None and 400 <= number < 600:
        if number in (402, 429):
            return _limited(said, number, code, None)
        status = number
    found = by_text(said, status)
    if kind == "exceed_context_size_error" and not isinstance(found, errors.ContextOverflow):
        found = errors.ContextOverflow(said, status=status)
    if isinstance(found, errors.ContextOverflow) and isinstance(inner.get("n_ctx"), int):
        found.n_ctx = found.n_ctx or int(str(inner["n_ctx"]))
        prompt = inner.get("n_prompt_tokens")
        found.n_prompt = found.n_prompt or (prompt if isinstance(prompt, int) else None)
    if found is not None:
        return found
    if unknown := _extras(root):
        return errors.UnknownKey(f"the server does not know {', '.join(unknown)}", status=status, keys=unknown)
    if "model_not_found" in (code, kind):
        return errors.ModelMissing(said, status=status)
    if code == "invalid_api_key" or kind == "authentication_error":
        return refusal(said, status)
    if kind == "model_load_failed":
        return errors.LoadFailed(said, status=status)
    return _by_status(said, status, invalid=kind.startswith("invalid_request") or code in ("missing_required_parameter", "invalid_json"))


def complaint(value: object) -> str:
    """The sentence of an error body, of whichever shape; empty when the body reports no error."""
    root = mapping(value)
    error = root.get("error")
    if not error and root.get("object") != "error" and root.get("type") != "error":
        return ""
    if isinstance(error, dict) and error:
        return text(error.get("message")) or text(error.get("type")) or text(error.get("code")) or "an error without a sentence"
    if error:
        return str(error)
    return text(root.get("message")) or "an error without a sentence"


def _of_text(raw: str, status: int) -> PeerError:
    said = raw.strip() or f"an empty reply with status {status}"
    if re.match(r"\s*<(?:!doctype|html)", raw, re.IGNORECASE):
        kind = errors.Hiccup if status == 500 else None
        said = f"an HTML page with status {status}"
        return kind(said, status=status) if kind else _by_status(said, status)
    return by_text(said, status) or _by_status(said, status)


def _by_status(said: str, status: int | None, *, invalid: bool = False) -> PeerError:
    if status in (404, 405, 415, 501):
        return errors.CapabilityMissing(said, status=status)
    if status is not None and (status >= 500 or status == 408):
        return errors.Unavailable(said, status=status)
    if invalid or status in (413, 422):
        return errors.BadRequest(said, status=status)
    if status is not None and 300 <= status < 400:
        return errors.Misconfigured(f"a redirect ({status})", status=status)
    return errors.Refused(said, status=status)


def _limited(said: str, status: int, code: str, pause: float | None) -> PeerError:
    """Too many requests, or too much spent."""
    if status == 402 or re.search(CREDIT, f"{said} {code}", re.IGNORECASE):
        return errors.OutOfCredit(said or "payment required", status=status, retry_after_s=pause)
    return errors.RateLimited(said or "too many requests", status=status, retry_after_s=pause)


def _extras(root: Mapping[str, object]) -> tuple[str, ...]:
    """The keys that a schema does not want, from a validation error of the form that FastAPI servers send."""
    faults = objects(root.get("detail")) or []
    places = [fault.get("loc") for fault in faults if text(fault.get("type")) == "extra_forbidden"]
    return tuple(str(place[1]) for place in places if isinstance(place, list) and len(place) == 2)


def _pause(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """How long the headers ask us to wait, seconds; None when they do not."""
    lowered = {name.lower(): content for name, content in headers.items()}
    precise = _seconds(lowered.get("retry-after-ms", ""), None)
    return precise / 1000 if precise is not None else _seconds(lowered.get("retry-after", ""), now)


def _seconds(value: str, now: datetime | None) -> float | None:
    """A Retry-After: seconds or a date; None when it is neither, or a date without a `now`."""
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if now is None:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
