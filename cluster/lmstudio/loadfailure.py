"""The branch of the error tree that only loads reach; the tree is drawn in `errors`, import from there."""

from cluster.lmstudio.outage import PeerError
from swwbot_site.lib.errors import Fault, Retry


class LoadFailed(PeerError):
    """A model would not load."""

    code = "load-failed"


class OutOfMemory(LoadFailed):
    """The guardrail refused. `needs_gb` (2^30 bytes) is what the server thinks the model needs, None when it does not say."""

    code = "out-of-memory"
    advice = "Unload something there, or lower the context length."

    def __init__(self, detail: str, *, status: int | None = None, needs_gb: float | None = None) -> None:
        super().__init__(detail, status=status)
        self.needs_gb = needs_gb


class EngineFailed(LoadFailed):
    """The engine died while loading, often of hidden GPU memory: one retry with a smaller context after an unload."""

    code = "engine-failed"
    retry = Retry.HERE
    harms_server = True


class LoadCanceled(LoadFailed):
    """Another load got in the way: again after it, few times."""

    code = "load-canceled"
    retry = Retry.HERE


class FormatUnsupported(LoadFailed):
    """This server has no engine for the model's format."""

    code = "format-unsupported"
    fault = Fault.OPERATOR


class AlreadyLoaded(PeerError):
    """What we asked to load is in memory."""

    code = "already-loaded"
