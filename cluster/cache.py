"""Equal requests are answered once: a stored answer serves those that come soon after it, and a request that is queued or running
serves those that come meanwhile, its followers. Rows only; shared by the verbs that queue and that end requests.

Two requests are equal if their model and every word and number of them are, and if they are pinned to the same server.
"""

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, QuerySet

from cluster.logic import cache
from cluster.logic.cache import Fate
from cluster.logic.lifecycle import ENDED, GenerationState
from cluster.models import Generation, Server
from swwbot_site.lib.leases import EQUALS
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.lib.written import Written

COPIED = ("text", "reasoning", "finish_reason", "prompt_tokens", "completion_tokens")


def lock(digest: str) -> str:
    """The statement, for `together`, after which nobody else queues an equal request until the running transaction ends.

    Of many at one moment, one is the first.
    """
    number = int.from_bytes(sha256(digest.encode()).digest()[:4], "big", signed=True)
    return f"SELECT pg_advisory_xact_lock({EQUALS}, {number})"


def _known(digest: str) -> QuerySet[Generation, Any]:
    live = Q(state__in=[GenerationState.QUEUED, GenerationState.RUNNING], leader__isnull=True, request_hash=digest)
    answered = Q(state=GenerationState.DONE, request_hash=digest)
    return Generation.objects.filter(live | answered).order_by().values_list("pk")[:1]  # each half has its index


KNOWN: Final = Written(_known, digest=str)
"""Some request that might be equal and waits, runs or was answered. Most are asked for the first time."""


def leader(model: int, digest: str, pin: Server | None) -> Generation | None:
    """The equal request that is queued or running, locked, so that it cannot end before its new follower can be seen."""
    live = Generation.objects.filter(state__in=[GenerationState.QUEUED, GenerationState.RUNNING], leader__isnull=True)
    rows = live.filter(request_hash=digest, model=model, pin=pin).order_by("id")
    return rows.select_for_update(no_key=True, of=("self",)).first()


def follow(first: Generation, turn_at: datetime) -> None:
    """A follower whose turn is earlier brings its leader forward."""
    Generation.objects.filter(pk=first.pk, turn_at__gt=turn_at).update(turn_at=turn_at)


def stored(model: int, digest: str, pin: Server | None, ttl_s: float, entries: int, now: datetime) -> Generation | None:
    """The newest answer to an equal request that still counts. An answer that was itself a copy does not."""
    answers = Generation.objects.filter(state=GenerationState.DONE, model=model, cached=False).exclude(text="")
    answer = answers.filter(request_hash=digest, pin=pin).order_by("-ended_at").first()
    if answer is None or answer.ended_at is None:
        return None
    age_s = (now - answer.ended_at).total_seconds()
    newer = answers.filter(ended_at__gt=answer.ended_at)[:entries].count() if age_s < ttl_s else 0
    return answer if cache.counts(age_s=age_s, newer=newer, ttl_s=ttl_s, entries=entries) else None


def copied(answer: Generation, now: datetime) -> dict[str, Any]:
    """The columns, without the state, of a request that another's answer has answered."""
    why = f"the same request was answered by generation {answer.pk}"
    ended = {"cached": True, "ended_at": now, "decision": {"why": why}}
    return {**ended, **{name: getattr(answer, name) for name in COPIED}}


def settle(now: datetime, leaders: Collection[int] | None = None) -> int:
    """Give the followers of requests that have ended (only of `leaders`, if given) their answers, or free them. Returns how many.

    Call it in the transaction that ends requests; what it was not called for is found by whoever looks at all of them.
    """
    with transaction.atomic(savepoint=False):
        followers = Generation.objects.filter(state=GenerationState.QUEUED, leader__isnull=False)
        if leaders is not None and not followers.filter(leader__in=leaders).exists():
            return 0  # nearly always: nobody asked the same meanwhile
        waiting = Generation.objects.filter(state=GenerationState.QUEUED, leader__state__in=ENDED)
        if leaders is not None:
            waiting = waiting.filter(leader__in=leaders)
        rows = waiting.order_by("turn_at", "id").select_related("leader")
        groups: dict[int, list[Generation]] = defaultdict(list)
        for row in rows.select_for_update(no_key=True, skip_locked=True, of=("self",)):
            groups[row.leader_id or 0].append(row)
        for pk in sorted(groups):
            _settle(groups[pk], now)
        return sum(len(group) for group in groups.values())


def _settle(followers: list[Generation], now: datetime) -> None:
    """What one leader's end means for its followers, the one with the first turn first."""
    ended = followers[0].leader
    assert ended is not None
    rows = Generation.objects.filter(pk__in=[row.pk for row in followers])
    what = cache.fate(GenerationState(ended.state), ended.text)
    if what is Fate.SERVED:
        move(rows, GenerationState.QUEUED, GenerationState.DONE, **copied(ended, now))
        wake(Channel.DELIVER)
        return
    first = followers[0]
    free = rows.filter(pk=first.pk) if what is Fate.LED else rows
    free.filter(state=GenerationState.QUEUED).update(leader=None, decision={})
    if what is Fate.LED:
        rows.filter(state=GenerationState.QUEUED).exclude(pk=first.pk).update(leader=first, decision=waits(first))
    wake(Channel.SERVE)


def waits(first: Generation) -> dict[str, str]:
    """Why a follower waits."""
    return {"waits": f"generation {first.pk} asks for the same answer"}
