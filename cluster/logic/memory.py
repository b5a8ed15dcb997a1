"""How much memory a model needs, and how much a server can give. GB are 2³⁰ bytes; source: reference/lm-studio.md, Memory."""

import re
from typing import Final

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


def need_gb(size_bytes: int, *, context: int | None, params: str = "", key: str = "") -> float:
    """GB that a model of `size_bytes` on disk takes with a context of `context` tokens (4096 if not known)."""
    size = billions(params, key)
    if size is None:
        size = size_bytes / GIB * 1.6  # about 5 bits a weight, the usual quantization
    per_token = next(kib for most, kib in KV_PER_TOKEN if size <= most) * 1024
    return (size_bytes * 1.05 + (context or DEFAULT_CONTEXT) * per_token) / GIB + ENGINE_GB


def headroom_gb(budget_gb: float) -> float:
    """What stays free of a budget for errors of the estimate: 2 GB or a tenth, but never more than a fifth of a small one."""
    return min(max(2.0, budget_gb * 0.1), budget_gb * 0.2)
