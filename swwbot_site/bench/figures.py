"""What benchmarks count with: percentiles, and where the CPU time of a run went."""

import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Self

import django
import psutil
from django.conf import settings
from django.db import connection


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 … 1) of `values` lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """p50, p95, p99 and the greatest of `values`."""
    shares = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(values, share), digits) for name, share in shares.items()}


def machine() -> dict[str, object]:
    """What the figures were measured on. The load is what others did when the run began."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = str(cursor.fetchone()[0])
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "django": django.get_version(),
        "postgres": postgres,
        "version": settings.VERSION,
    }


class Cores:
    """The CPU time that groups of processes take from its making on. A group is named by the process at its root."""

    def __init__(self, roots: Mapping[str, int], *, families: Sequence[str] = ()) -> None:
        self._roots = roots
        self._families = families
        self._before = self._spent()

    @classmethod
    def of(cls, pid: int) -> Self:
        """The time of one process."""
        return cls({"it": pid})

    def spent(self) -> dict[str, float]:
        """Seconds of CPU each group has taken since."""
        after = self._spent()
        return {name: after[name] - self._before[name] for name in self._roots}

    def _spent(self) -> dict[str, float]:
        return {name: sum(map(_seconds, self._group(name))) for name in self._roots}

    def _group(self, name: str) -> list[int]:
        root = self._roots[name]
        if name not in self._families:
            return [root]
        try:
            return [root, *(child.pid for child in psutil.Process(root).children(recursive=True))]
        except psutil.NoSuchProcess:
            return []


def _seconds(pid: int) -> float:
    with suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0
