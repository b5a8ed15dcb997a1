"""What a model server can do to us.

::

    PeerError
    ├── Unreachable        refused, no route, no name, connect time-out
    ├── Dropped            the connection was cut (row 19 in the middle of a reply)
    ├── Slow               ── ProbeTimeout, LoadTimeout, FirstTokenTimeout, IdleTimeout, TotalTimeout (row 13)
    ├── CapabilityMissing  no such endpoint here, whatever the status (row 1) ── Unable: its dialect has no words for it
    ├── Misconfigured      401, 403, a wrong address (row 17)
    ├── RateLimited        429 ── Busy: its queue is full (503), OutOfCredit: 402 and spent quotas
    ├── StillLoading       503 "Loading model"
    ├── Unavailable        other 5xx, "Stopped.", disk full (row 19) ── Hiccup: an HTML 500 (row 16)
    ├── NeedsRestart       the resource observer is dead (row 9)
    ├── LinkLost           LM Link lost its machine (row 18)
    ├── Malformed          a reply of no known shape
    ├── Truncated          an answer without finish_reason
    ├── LoadFailed         ── OutOfMemory (row 7), EngineFailed (row 8), LoadCanceled (row 4), FormatUnsupported (row 21)
    ├── AlreadyLoaded      for a load a success (row 20)
    ├── ModelMissing       unknown model (row 21)
    ├── InstanceLost       ── ModelUnloaded (5), ModelCrashed (6), NothingLoaded (11), EngineLost (15), NotLoaded, WrongModel (2)
    ├── ChannelError       the engine's pipe broke; once more (row 22)
    ├── Crowded            what it answers at once does not fit the context together
    ├── Refused            an unknown 4xx sentence
    └── BadRequest         our request is wrong everywhere (row 22) ── ContextOverflow (row 10), UnknownKey (row 23)

Row numbers are those of the reference, section 10. `classification.classify` chooses; `client` maps broken connections.
"""

from cluster.lmstudio.loadfailure import AlreadyLoaded, EngineFailed, FormatUnsupported, LoadCanceled, LoadFailed, OutOfMemory
from cluster.lmstudio.outage import (
    Busy,
    CapabilityMissing,
    Dropped,
    FirstTokenTimeout,
    Hiccup,
    IdleTimeout,
    LinkLost,
    LoadTimeout,
    Malformed,
    Misconfigured,
    NeedsRestart,
    OutOfCredit,
    PeerError,
    ProbeTimeout,
    RateLimited,
    Slow,
    StillLoading,
    TotalTimeout,
    Truncated,
    Unable,
    Unavailable,
    Unreachable,
)
from swwbot_site.lib.errors import Fault, Retry

__all__ = [
    "AlreadyLoaded",
    "BadRequest",
    "Busy",
    "CapabilityMissing",
    "ChannelError",
    "ContextOverflow",
    "Crowded",
    "Dropped",
    "EngineFailed",
    "EngineLost",
    "FirstTokenTimeout",
    "FormatUnsupported",
    "Hiccup",
    "IdleTimeout",
    "InstanceLost",
    "LinkLost",
    "LoadCanceled",
    "LoadFailed",
    "LoadTimeout",
    "Malformed",
    "Misconfigured",
    "ModelCrashed",
    "ModelMissing",
    "ModelUnloaded",
    "NeedsRestart",
    "NotLoaded",
    "NothingLoaded",
    "OutOfCredit",
    "OutOfMemory",
    "PeerError",
    "ProbeTimeout",
    "RateLimited",
    "Refused",
    "Slow",
    "StillLoading",
    "TotalTimeout",
    "Truncated",
    "Unable",
    "Unavailable",
    "UnknownKey",
    "Unreachable",
    "WrongModel",
]


class ModelMissing(PeerError):
    """This server does not have the model; said to a load it is worth remembering, said to a chat it may only be unloaded."""

    code = "model-missing"
    fault = Fault.OPERATOR
    gone = True
    advice = "Load or download the model there, or correct its name."


class InstanceLost(PeerError):
    """The instance we meant is not in memory; what asked for it may ask again after a fresh look."""

    code = "instance-lost"
    gone = True


class ModelUnloaded(InstanceLost):
    """It was unloaded under us."""

    code = "model-unloaded"
    advice = "If nobody did that by hand, switch Auto-Evict off on that server."


class ModelCrashed(InstanceLost):
    """The model's process died. `exit_code` as written: `null`, `11`, `18446744072635812000`."""

    code = "model-crashed"
    harms_server = True

    def __init__(self, detail: str, *, status: int | None = None, exit_code: str = "null") -> None:
        super().__init__(detail, status=status)
        self.exit_code = exit_code


class NothingLoaded(InstanceLost):
    """No model is in memory and none is loaded on demand: load explicitly, ask once more."""

    code = "nothing-loaded"
    retry = Retry.HERE


class EngineLost(InstanceLost):
    """The engine behind the server does not answer it any more."""

    code = "engine-lost"
    harms_server = True


class NotLoaded(InstanceLost):
    """There is no such instance; for an unload a success."""

    code = "not-loaded"
    retry = Retry.HERE


class WrongModel(InstanceLost):
    """Another model answered. `got` is its name."""

    code = "wrong-model"
    retry = Retry.HERE
    advice = "Load the wanted model explicitly, or add that name to its aliases."

    def __init__(self, detail: str, *, got: str = "") -> None:
        super().__init__(detail)
        self.got = got


class ChannelError(PeerError):
    """The pipe to the engine broke; worth one more try unless the conversation begins with the assistant."""

    code = "channel-error"
    retry = Retry.HERE


class Crowded(PeerError):
    """Answers that share one context filled it together, and the server gave up all of them; each alone may have room."""

    code = "crowded"
    retry = Retry.HERE
    advice = "Give that server fewer slots, or its models more context."


class Refused(PeerError):
    """A 4xx with a sentence we do not know; the status says nothing about who is wrong."""

    code = "refused"


class BadRequest(PeerError):
    """The request is wrong; every server would say so."""

    code = "bad-request"
    retry = Retry.NEVER
    fault = Fault.REQUEST


class ContextOverflow(BadRequest):
    """The prompt does not fit. `n_prompt` and `n_ctx` in tokens, None when not named. Shorten it or use a larger context."""

    code = "context-overflow"
    advice = "Shorten the prompt, or load the model with a larger context length."

    def __init__(self, detail: str, *, status: int | None = None, n_prompt: int | None = None, n_ctx: int | None = None) -> None:
        super().__init__(detail, status=status)
        self.n_prompt = n_prompt
        self.n_ctx = n_ctx


class UnknownKey(BadRequest):
    """A closed schema does not know these keys of the body."""

    code = "unknown-key"

    def __init__(self, detail: str, *, status: int | None = None, keys: tuple[str, ...] = ()) -> None:
        super().__init__(detail, status=status)
        self.keys = keys
