"""How much memory a model needs, and how much a server can give. GB are 2³⁰ bytes; source: reference/lm-studio.md, Memory.

What counts of a model, the first that is known:

1. the operator's own figure, which is never learned over
2. what a server's guardrail said it needs, until the largest file changes of which it was said
3. the formula over the largest file that any server lists: one name may be another quantization elsewhere
4. a guess from its name
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

GIB: Final = 2**30

KV_PER_TOKEN: Final[tuple[tuple[float, int], ...]] = ((4, 144), (9, 128), (15, 192), (35, 256), (float("inf"), 320))
"""(billions of parameters at most, KiB of context cache per token at 16 bits)."""

GUESSES: Final[tuple[tuple[str, float], ...]] = (
    ("gemma-3-27b", 17.0),
    ("highermind", 29.0),
    ("mixtral", 45.0),
    ("70b", 40.0),
    ("30b", 20.0),
    ("27b", 17.0),
    ("7b", 4.0),
)
"""The design document's table, from the special to the general; the first part of a name that fits counts."""

UNKNOWN_GB: Final = 8.0
"""The document's guess for a model whose name says nothing."""

ENGINE_GB: Final = 0.5
DEFAULT_CONTEXT: Final = 4096

OPERATOR, GUARDRAIL, LISTING = "operator", "guardrail", "listing"
"""Where a size may come from."""

PER_SLOT: Final = frozenset({"ollama"})
"""Dialects whose servers keep a context cache for each answer at once; all others share one."""

GROWING: Final = frozenset({"mlx"})
"""Formats whose context cache grows as it is used, whatever length the server reports."""

ABSURD: Final = 4.0
"""A guardrail that names more than so many times the estimate is not believed; 273 GB were seen for a small model."""

_PARAMS = re.compile(r"(\d+(?:\.\d+)?)\s*([bm])", re.IGNORECASE)


def guess_gb(key: str) -> float:
    """GB to reserve for a model of which only the name is known."""
    lowered = key.lower()
    return next((gb for part, gb in GUESSES if part in lowered), UNKNOWN_GB)


def billions(params: str, key: str) -> float | None:
    """Billions of parameters from "26B-A4B", "270M" or a name such as google/gemma-3-27b; None if neither tells."""
    for text in (params, key.rpartition("/")[2]):
        found = _PARAMS.search(text)
        if found:
            number = float(found[1])
            return number / 1000 if found[2].lower() == "m" else number
    return None


def cache_gb(tokens: int, *, size_bytes: float, params: str = "", key: str = "") -> float:
    """GB that the cache of `tokens` tokens of context takes."""
    size = billions(params, key)
    if size is None:
        size = size_bytes / GIB * 1.6  # about 5 bits a weight, the usual quantization
    return tokens * next(kib for most, kib in KV_PER_TOKEN if size <= most) / 2**20


def need_gb(size_bytes: int, *, context: int | None, params: str = "", key: str = "", slots: int = 1) -> float:
    """GB that a model of `size_bytes` on disk takes with a context of `context` tokens (4096 if not known) for each of `slots`."""
    cache = cache_gb((context or DEFAULT_CONTEXT) * slots, size_bytes=size_bytes, params=params, key=key)
    return size_bytes * 1.05 / GIB + cache + ENGINE_GB


class Known(Protocol):
    """What is kept of a model: its need of `size_gb` with a context of `context_length`, and the largest file of it."""

    @property
    def key(self) -> str: ...
    @property
    def size_gb(self) -> float: ...
    @property
    def size_source(self) -> str: ...
    @property
    def context_length(self) -> int | None: ...
    @property
    def size_bytes(self) -> int | None: ...
    @property
    def params(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A model on some server's disk. `slots`: how many contexts it would keep there."""

    size_bytes: int
    slots: int = 1


def settled(model: Known, files: Iterable[File]) -> tuple[float, str, int | None]:
    """Its need in GB, where that comes from, and its largest file, after a look at all servers' lists."""
    found = list(files)
    if not found:
        return model.size_gb, model.size_source, None
    largest = max(one.size_bytes for one in found)
    same = model.size_bytes in (None, largest)
    if model.size_source == OPERATOR or (model.size_source == GUARDRAIL and same):
        return model.size_gb, model.size_source, largest
    context, params = model.context_length, model.params
    needs = (need_gb(one.size_bytes, context=context, params=params, key=model.key, slots=one.slots) for one in found)
    return round(max(needs), 2), LISTING, largest


def instance_gb(model: Known, *, size_bytes: int | None, context: int | None, form: str = "", slots: int = 1) -> float:
    """What an instance takes of a file of `size_bytes` with the context it really got; `form` is its format, `slots` as for a `File`.

    The operator's figure counts as it is; a guardrail's or a guess is corrected by the difference of the contexts.
    """
    usual = model.context_length or DEFAULT_CONTEXT
    if context is None or model.size_source == OPERATOR:
        return model.size_gb
    if form in GROWING:
        context = min(context, usual)
    if size_bytes is not None and model.size_source == LISTING:
        return need_gb(size_bytes, context=context, params=model.params, key=model.key, slots=slots)
    weights = size_bytes or model.size_gb * GIB
    more = cache_gb(context * slots - usual, size_bytes=weights, params=model.params, key=model.key)
    return max(ENGINE_GB, model.size_gb + more)


def believed(said_gb: float, *, estimate_gb: float, size_bytes: int | None) -> bool:
    """Whether a guardrail's figure can be true: not less than the file, not absurdly more than the estimate."""
    return (size_bytes or 0) / GIB <= said_gb <= estimate_gb * ABSURD


def headroom_gb(budget_gb: float) -> float:
    """What stays free of a budget for errors of the estimate: 2 GB or a tenth, but never more than a fifth of a small one."""
    return min(max(2.0, budget_gb * 0.1), budget_gb * 0.2)
