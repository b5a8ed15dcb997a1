"""Sentences by which servers are known to fail (section 10), each with its error.

The table is read from the top; its first column is the row of the reference.
"""

import re
from collections.abc import Callable
from typing import Final

from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError

Maker = Callable[[str, int | None, re.Match[str]], PeerError]

CREDIT: Final = r"insufficient[_ ](?:quota|credits?|balance|funds)|exceeded your current quota|requires more credits|payment required"
"""How clouds say that nothing is left to spend."""


def _plain(kind: type[PeerError]) -> Maker:
    return lambda said, status, _: kind(said, status=status)


def _memory(said: str, status: int | None, _: re.Match[str]) -> PeerError:
    found = re.search(r"requires (?:approximately|more system memory) \(?([\d.]+)\s*([KMGT]?)i?B", said, re.IGNORECASE)
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
    quoted = re.findall(r"['\"]([^'\"]+)['\"]", found[1])
    return errors.UnknownKey(said, status=status, keys=tuple(quoted or re.findall(r"[\w.]+", found[1])))


def _credentials(said: str, status: int | None, _: re.Match[str]) -> PeerError:
    return refusal(said, status)


def refusal(said: str, status: int | None) -> PeerError:
    """What a 401 or 403 is. Never keeps the server's words: a 401 echoes part of the token."""
    if "none was provided" in said or "is required" in said:
        sentence = "the server wants an API token and none was sent"
    elif status == 403 or "permission" in said.lower():
        sentence = "the API token lacks a permission for this"
    else:
        sentence = "the server refuses our API token"
    return errors.Misconfigured(sentence, status=status)


_TABLE: tuple[tuple[str, str, Maker], ...] = (
    ("1", r"unexpected endpoint or method", _plain(errors.CapabilityMissing)),
    ("17", r"api token is required|malformed lm studio api token|invalid api key|incorrect api key|permission denied to use", _credentials),
    ("–", CREDIT, _plain(errors.OutOfCredit)),
    ("7", r"insufficient system resources|requires approximately", _memory),
    ("7", r"more system memory .* than is available|out ?of ?memory|unable to allocate \S+ buffer", _memory),
    ("9", r"snapshot of system resources failed|system resources observer shutdown", _plain(errors.NeedsRestart)),
    ("8", r"exited before becoming healthy|signal=SIGABRT|runner process has terminated", _plain(errors.EngineFailed)),
    ("4", r"operation cancell?ed", _plain(errors.LoadCanceled)),
    ("5", r"\bmodel (is )?unloaded\b", _plain(errors.ModelUnloaded)),
    ("6", r"model has crashed|crashed without additional information", _crash),
    ("6", r"model runner has unexpectedly stopped|error was encountered while running the model", _crash),
    ("15", r"predict request failed|\bfetch failed|runner process no longer running|enginecore|enginedead", _plain(errors.EngineLost)),
    ("18", r"lm link connection|peer_keepalive_timeout", _plain(errors.LinkLost)),
    ("10", r"keep the first (?P<n_prompt>\d+) tokens[\s\S]*context length of only (?P<n_ctx>\d+)", _overflow),
    ("10", r"n_keep: ?(?P<n_prompt>\d+) ?>= ?n_ctx: ?(?P<n_ctx>\d+)", _overflow),
    ("10", r"request \((?P<n_prompt>\d+) tokens\) exceeds the available context size \((?P<n_ctx>\d+) tokens\)", _overflow),
    ("10", r"maximum context length is (?P<n_ctx>\d+) tokens[\s\S]*?(?P<n_prompt>\d+) (?:in the messages|tokens)", _overflow),
    ("10", r"prompt \(length (?P<n_prompt>\d+)\) is longer than the maximum model length of (?P<n_ctx>\d+)", _overflow),
    ("10", r"input \((?P<n_prompt>\d+) tokens\) is (?:too large to process|larger than)[\s\S]*?size:? \(?(?P<n_ctx>\d+)", _overflow),
    ("10", r"^\s*context size has been exceeded", _plain(errors.Crowded)),
    ("10", r"exceed_context_size|context (?:size|length|window)[^.]*exceeded|exceeds? the (?:available )?context", _overflow),
    ("20", r"already (?:exists|loaded|running)", _plain(errors.AlreadyLoaded)),
    ("23", r"unrecognized key\(s\)[^:]*:?([^\n]*)", _keys),
    ("23", r"unrecognized request arguments? supplied: ([^\n]*)", _keys),
    ("23", r"(?:unknown|unsupported) (?:parameter|value): ('[\w.]+')", _keys),
    ("23", r"property ('[\w.]+') is unsupported", _keys),
    ("11", r"no models? (?:are |is )?loaded", _plain(errors.NothingLoaded)),
    ("21", r"no lm runtime found|unsupported (?:model )?format", _plain(errors.FormatUnsupported)),
    (
        "21",
        r"not found in downloaded models|invalid model identifier|is not a valid model id|no endpoints found",
        _plain(errors.ModelMissing),
    ),
    ("21", r"model \\*\"[^\"]*\" not found|model '[^']*' not found|model (?:name=\S+ )?is not found", _plain(errors.ModelMissing)),
    ("21", r"model [`'\"]?[^ ]+ does not exist", _plain(errors.ModelMissing)),
    ("4.3", r"is not (?:loaded|running)\b|model not loaded", _plain(errors.NotLoaded)),
    ("22", r"array must only contain objects with|system message must be at the beginning|is not iterable", _plain(errors.BadRequest)),
    (
        "22",
        r"jinja (?:exception|template)|\[json\.exception\.(?!type_error\.316)|^failed to parse (?:messages|tools)",
        _plain(errors.BadRequest),
    ),
    ("22", r"does not support logits computation|'response_format\.type' must be", _plain(errors.BadRequest)),
    (
        "22",
        r"(?:image|audio|video) input is not supported|param requires --jinja|server does not support embeddings",
        _plain(errors.Unable),
    ),
    ("22", r"\bflagged\b|content management policy", _plain(errors.BadRequest)),
    ("22", r"channel error", _plain(errors.ChannelError)),
    ("13", r"^\s*loading model", _plain(errors.StillLoading)),
    ("13", r"server busy|maximum pending requests|no slot available|queue is full|overloaded", _plain(errors.Busy)),
    ("19", r"^\s*stopped\.?\s*$|no space left|ENOSPC", _plain(errors.Unavailable)),
    ("13", r"^\s*proxy error", _plain(errors.Dropped)),
    ("4", r"model limit reached", _plain(errors.LoadCanceled)),
    ("21", r"failed to (?:load|spawn)|error loading model|waiting for llama runner to start", _plain(errors.LoadFailed)),
)
_RULES = tuple((re.compile(pattern, re.IGNORECASE), make) for _, pattern, make in _TABLE)


def by_text(said: str, status: int | None) -> PeerError | None:
    """The error that a sentence is, None if the table does not know it."""
    for pattern, make in _RULES:
        if found := pattern.search(said):
            return make(said, status, found)
    return None
