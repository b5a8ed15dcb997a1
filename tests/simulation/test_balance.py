"""Equal servers get equal shares, however many engines hand out the work.

In the whole suite over some hundred answers; `make balance` takes ten thousand.
"""

import os
from collections.abc import Callable, Sequence

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from tests.harness import engines, until
from tests.simulation.cluster import SMALL, ask, count, loaded, online, unharmed

ANSWERS = int(os.environ.get("BALANCE", "240"))
AT_ONCE = 120
"""So many wait at the same time: more than the servers have slots, so that there is always a choice to be made."""

LIMIT = 1.10 if ANSWERS >= 10_000 else 1.35
"""Busiest ÷ mean. Over few answers chance alone makes shares differ."""


@pytest.mark.parametrize("many", [1, 2, 4])
def test_four_equal_servers_get_equal_shares(many: int, studio: Callable[..., Studio]) -> None:
    emulators = [studio(models=[SMALL], loaded=["maker/small"], first_token_s=0.02) for _ in range(4)]
    with engines(many):
        online(4)
        loaded("maker/small", 4)
        asked: list[int] = []
        while len(asked) < ANSWERS:
            asked += ask("maker/small", min(AT_ONCE // 2, ANSWERS - len(asked)))
            until(lambda: waiting() < AT_ONCE // 2, what="room for more")
        until(lambda: waiting() == 0, what="the last answers")
    assert Generation.objects.filter(state="done", attempts=1).count() == ANSWERS
    assert [count(emulator, "queued") for emulator in emulators] == [0] * 4
    assert spread([count(emulator, "answered") for emulator in emulators]) <= LIMIT
    unharmed(*emulators)


def waiting() -> int:
    """Requests that are not answered yet."""
    return Generation.objects.filter(state__in=["queued", "running"]).count()


def spread(shares: Sequence[int]) -> float:
    """Busiest ÷ mean."""
    print(f"shares {dict(enumerate(shares))}: busiest ÷ mean {max(shares) * len(shares) / sum(shares):.3f}")  # noqa: T201 - the figure that `make balance` is for
    return max(shares) * len(shares) / sum(shares)
