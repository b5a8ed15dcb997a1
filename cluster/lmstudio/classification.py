"""Which error a reply is: by text, then by status (section 10). The text wins over `code` and over the status.

The table is read from the top; its first column is the row of the reference.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError
from cluster.lmstudio.wire import mapping, parsed, text

Maker = Callable[[str, int | None, re.Match[str]], PeerError]


def _plain(kind: type[PeerError]) -> Maker:
    return lambda said, status, _: kind(said, status=status)


def _memory(said: str, status: int | None, _: re.Match[str]) -> PeerError:
    found = re.search(r"requires approximately ([\d.]+)\s*([KMGT]?)i?B", said, re.IGNORECASE)
    scale = {"": 2.0**-30, "K": 2.0**-20, "M": 2.0**-10, "G": 1.0, "T": 1024.0}
    try:
        needs = float(found[1].rstrip(".")) * scale[found[2].upper()] if found else None
    except ValueError:
        needs = None
    return errors.OutOfMemory(said, status=status, needs_gb=needs)


def _crash(said: str, status: int | None, _: re.Match[str]) -> PeerError:
    found = re.search(r"exit code: ?(\w+)", said, re.IGNORECASE)
    return errors.ModelCrashed(said, status=status, exit_code=found[1] if found else "null")


def _overflow(said: str, status: int | None, found: re.Match[str]) -> PeerError:
    named = found.groupdict()
    numbers = {name: int(named[name]) if named.get(name) else None for name in ("n_prompt", "n_ctx")}
    return errors.ContextOverflow(said, status=status, n_prompt=numbers["n_prompt"], n_ctx=numbers["n_ctx"])


def _keys(said: str, status: int | None, found: re.Match[str]) -> PeerError:
    return errors.UnknownKey(said, status=status, keys=tuple(re.findall(r"['\"]([^'\"]+)['\"]", found[1])))


def _credentials(said: str, status: int | None, _: re.Match[str]) -> PeerError:
    return _refusal(said, status)


_TABLE: tuple[tuple[str, str, Maker], ...] = (
    ("1", r"unexpected endpoint or method", _plain(errors.CapabilityMissing)),
    ("17", r"api token is required|malformed lm studio api token|invalid api key|permission denied to use", _credentials),
    ("7", r"insufficient system resources|requires approximately", _memory),
    ("7", r"more system memory .* than is available|out of memory", _memory),
    ("9", r"snapshot of system resources failed|system resources observer shutdown", _plain(errors.NeedsRestart)),
    ("8", r"exited before becoming healthy|signal=SIGABRT", _plain(errors.EngineFailed)),
    ("4", r"operation cancell?ed", _plain(errors.LoadCanceled)),
    ("5", r"\bmodel (is )?unloaded\b", _plain(errors.ModelUnloaded)),
    ("6", r"model has crashed|crashed without additional information", _crash),
    ("15", r"predict request failed|\bfetch failed", _plain(errors.EngineLost)),
    ("18", r"lm link connection|peer_keepalive_timeout", _plain(errors.LinkLost)),
    ("10", r"keep the first (?P<n_prompt>\d+) tokens[\s\S]*context length of only (?P<n_ctx>\d+)", _overflow),
    ("10", r"n_keep: ?(?P<n_prompt>\d+) ?>= ?n_ctx: ?(?P<n_ctx>\d+)", _overflow),
    ("10", r"request \((?P<n_prompt>\d+) tokens\) exceeds the available context size \((?P<n_ctx>\d+) tokens\)", _overflow),
    ("10", r"maximum context length is (?P<n_ctx>\d+) tokens[\s\S]*?(?P<n_prompt>\d+) (?:in the messages|tokens)", _overflow),
    ("10", r"exceed_context_size|context (?:size|length|window)[^.]*exceeded|exceeds? the (?:available )?context", _overflow),
    ("20", r"already (?:exists|loaded|running)", _plain(errors.AlreadyLoaded)),
    ("23", r"unrecognized key\(s\)[^:]*:?([^\n]*)", _keys),
    ("11", r"no models? (?:are |is )?loaded", _plain(errors.NothingLoaded)),
    ("21", r"no lm runtime found|unsupported (?:model )?format", _plain(errors.FormatUnsupported)),
    (
        "21",
        r"not found in downloaded models|invalid model identifier|model \\*\"[^\"]*\" not found|model '[^']*' not found|model [`'\"]?[^ ]+ does not exist",
        _plain(errors.ModelMissing),
    ),
    ("4.3", r"is not (?:loaded|running)\b|model not loaded", _plain(errors.NotLoaded)),
    ("22", r"array must only contain objects with|system message must be at the beginning|is not iterable", _plain(errors.BadRequest)),
    ("22", r"channel error", _plain(errors.ChannelError)),
    ("13", r"^\s*loading model", _plain(errors.StillLoading)),
    ("19", r"^\s*stopped\.?\s*$|no space left|ENOSPC", _plain(errors.Unavailable)),
    ("13", r"^\s*proxy error", _plain(errors.Dropped)),
    ("21", r"failed to load|error loading model", _plain(errors.LoadFailed)),
)
_RULES = tuple((re.compile(pattern, re.IGNORECASE), make) for _, pattern, make in _TABLE)


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
    if status == 429:
        lowered = {name.lower(): content for name, content in (headers or {}).items()}
        said = complaint(value) or "too many requests"
        return errors.RateLimited(said, status=status, retry_after_s=_seconds(lowered.get("retry-after", ""), now))
    if status in (401, 403):
        return _refusal(complaint(value) or raw, status)
    return of_object(value, status) if value is not None else _of_text(raw, status)


def of_object(value: object, status: int | None = None) -> PeerError:
    """The error of a decoded body or of a stream's error event; `status` None or 2xx means only the text can tell."""
    root = mapping(value)
    inner = mapping(root.get("error"))
    said = complaint(value) or "an error without a sentence"
    code, kind = text(inner.get("code")), text(inner.get("type"))
    found = _by_text(f"{said} {kind}" if kind == "exceed_context_size_error" else said, status)
    if isinstance(found, errors.ContextOverflow) and isinstance(inner.get("n_ctx"), int):
        found.n_ctx = found.n_ctx or int(str(inner["n_ctx"]))
        prompt = inner.get("n_prompt_tokens")
        found.n_prompt = found.n_prompt or (prompt if isinstance(prompt, int) else None)
    if found is not None:
        return found
    if code == "model_not_found" or kind == "model_not_found":
        return errors.ModelMissing(said, status=status)
    if code == "invalid_api_key" or kind == "authentication_error":
        return _refusal(said, status)
    if kind == "model_load_failed":
        return errors.LoadFailed(said, status=status)
    return _by_status(said, status, invalid=kind.startswith("invalid_request") or code in ("missing_required_parameter", "invalid_json"))


def complaint(value: object) -> str:
    """The sentence of an error body, of whichever shape; empty when the body reports no error."""
    root = mapping(value)
    error = root.get("error")
    if isinstance(error, dict) and error:
        return text(error.get("message")) or text(error.get("type")) or text(error.get("code")) or "an error without a sentence"
    if error:
        return str(error)
    if root.get("object") == "error" or root.get("type") == "error":
        return text(root.get("message")) or "an error without a sentence"
    return ""


def _of_text(raw: str, status: int) -> PeerError:
    said = raw.strip() or f"an empty reply with status {status}"
    if re.match(r"\s*<(?:!doctype|html)", raw, re.IGNORECASE):
        kind = errors.Hiccup if status == 500 else None
        said = f"an HTML page with status {status}"
        return kind(said, status=status) if kind else _by_status(said, status)
    return _by_text(said, status) or _by_status(said, status)


def _by_text(said: str, status: int | None) -> PeerError | None:
    for pattern, make in _RULES:
        if found := pattern.search(said):
            return make(said, status, found)
    return None


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


def _refusal(said: str, status: int | None) -> PeerError:
    """Never keeps the server's words: a 401 echoes part of the token."""
    if "none was provided" in said or "is required" in said:
        sentence = "the server wants an API token and none was sent"
    elif status == 403 or "permission" in said.lower():
        sentence = "the API token lacks a permission for this"
    else:
        sentence = "the server refuses our API token"
    return errors.Misconfigured(sentence, status=status)


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
