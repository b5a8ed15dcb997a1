"""Who asks from outside: the requests of programs, by the token they came with. For people; reads rows only."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count, Max, Q, Sum

from cluster.models import Generation

PREFIX: Final = "api:"
"""How the caller of a program's request begins; the token's name follows."""

LATELY: Final = timedelta(minutes=5)

MOST: Final = 5000
"""So many of the latest answers are counted, at most: a look has to be quick however much is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program, by its token's name, with what it asks now and what it was answered in the last five minutes.

    `models` are those it asked for, the most asked first, with how many. `partial`: there was more than is counted.
    """

    name: str
    waiting: int
    running: int
    done: int
    failed: int
    tokens: int
    models: tuple[tuple[str, int], ...]
    last: datetime | None
    partial: bool


def programs(now: datetime) -> tuple[Program, ...]:
    """Those that ask now or were answered lately, who asks most first; three short queries."""
    ours = Generation.objects.filter(caller__startswith=PREFIX)
    asked: defaultdict[str, Counter[str]] = defaultdict(Counter)
    models: defaultdict[str, Counter[str]] = defaultdict(Counter)
    last: dict[str, datetime] = {}
    for state in ("queued", "running"):
        for caller, model, n in ours.filter(state=state).order_by().values_list("caller", "model__key").annotate(n=Count("pk")):
            asked[caller][state] += n
            models[caller][model] += n
    newest = ours.filter(ended_at__gte=now - LATELY).order_by("-ended_at").values("pk")[:MOST]
    ended = (
        Generation.objects.filter(pk__in=newest)
        .order_by()
        .values_list("caller", "model__key")
        .annotate(
            n=Count("pk"),
            done=Count("pk", filter=Q(state="done")),
            bad=Count("pk", filter=Q(state__in=("failed", "expired"))),
            written=Sum("completion_tokens"),
            at=Max("ended_at"),
        )
    )
    counted = 0
    for caller, model, n, done, bad, written, at in ended:
        counted += n
        asked[caller].update(done=done, failed=bad, tokens=written or 0)
        models[caller][model] += n
        last[caller] = max(at, last.get(caller, at))
    found = (
        Program(
            name=caller.removeprefix(PREFIX),
            waiting=one["queued"],
            running=one["running"],
            done=one["done"],
            failed=one["failed"],
            tokens=one["tokens"],
            models=tuple(sorted(models[caller].items(), key=lambda pair: (-pair[1], pair[0]))),
            last=last.get(caller),
            partial=counted >= MOST,
        )
        for caller, one in asked.items()
    )
    return tuple(sorted(found, key=lambda one: (-models[f"{PREFIX}{one.name}"].total(), one.name)))
