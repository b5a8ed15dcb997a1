"""The door into the cluster: hand in a request, look after it, call it off.

Both ways in, the conversation and other programs, queue here and get the same memory, fairness, failover and explanation.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q

from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.memory import DEFAULT_CONTEXT, guess_gb
from cluster.logic.naming import meant
from cluster.logic.request import Request, fingerprint
from cluster.models import ClusterPolicy, Generation, LanguageModel, Seat, Server
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.transitions import move, moved
from swwbot_site.lib.wake import Channel, wake


class NoModel(BotError):
    """A request names no model, and the cluster has no default one."""

    code = "no-model"
    fault = Fault.OPERATOR


class NoServer(BotError):
    """A request is pinned to a server that does not exist."""

    code = "no-server"
    fault = Fault.OPERATOR


class AmbiguousModel(BotError):
    """A name means several models."""

    code = "ambiguous-model"
    fault = Fault.OPERATOR


def resolve(name: str) -> LanguageModel:
    """The model that people mean by `name`: its key, an alias, or, if only one server's model is meant, a looser spelling of it.

    An unknown name is noted, in case a server has it later. Raises NoModel if there is no name and no default, AmbiguousModel.
    """
    wanted = (name.strip() or ClusterPolicy.current().default_model.strip()).lower()
    if not wanted:
        raise NoModel("The request names no model, and the cluster policy has no default model. Name one in the entity or in the policy.")
    exact = LanguageModel.objects.filter(Q(key=wanted) | Q(aliases__contains=[wanted])).order_by("id").first()
    if exact and exact.offers.exists():
        return exact
    offered = LanguageModel.objects.filter(offers__isnull=False).distinct().order_by("key")
    loose = [model for model in offered if meant(wanted, (model.key, *model.aliases))]
    if len(loose) > 1:
        names = ", ".join(model.key for model in loose)
        raise AmbiguousModel(f"The model {wanted!r} may mean {names}. Write one of these.")
    if loose:
        return loose[0]
    return exact or LanguageModel.objects.get_or_create(key=wanted, defaults={"size_gb": guess_gb(wanted)})[0]


def context_length(name: str) -> int:
    """Tokens that a request to a model may have in all: the least of what is loaded, otherwise what it would be loaded with."""
    wanted = (name.strip() or ClusterPolicy.current().default_model.strip()).lower()
    model = LanguageModel.objects.filter(Q(key=wanted) | Q(aliases__contains=[wanted])).order_by("id").first()
    if model is None:
        return DEFAULT_CONTEXT
    loaded = model.placements.filter(state=PlacementState.LOADED, context_length__isnull=False)
    least = loaded.aggregate(least=Min("context_length"))["least"]
    return int(least or model.context_length or min(DEFAULT_CONTEXT, model.max_context_length or DEFAULT_CONTEXT))


def pinned(name: str) -> Server | None:
    """The server that `name` (its name, address or host) means; None for no name. Raises NoServer."""
    if not name:
        return None
    for server in Server.objects.order_by("id"):
        host = server.url.split("://", 1)[-1]
        if name in (server.name, server.url, host, host.rsplit(":", 1)[0]):
            return server
    raise NoServer(f"There is no server called {name!r}. Correct the preferred server, or add it.")


def submit(
    model: str, request: Request, *, caller: str, now: datetime, priority: int = 50, deadline: datetime | None = None, pin: str = ""
) -> int:
    """Queue a request; returns its generation's id. Call it inside the transaction that needs it: both are kept, or neither.

    Raises NoModel, NoServer.
    """
    target = resolve(model)
    document = request.document()
    digest = fingerprint(target.key, document)
    answer = _cached(digest, now)
    row = Generation.objects.create(
        model=target,
        pin=pinned(pin),
        priority=max(0, min(99, priority)),
        deadline=deadline,
        caller=caller,
        request=document,
        request_hash=digest,
        queued_at=now,
        **(_copied(answer, now) if answer else {}),
    )
    wake(Channel.DELIVER if row.cached else Channel.SERVE)
    return row.pk


def cancel(generation_id: int, now: datetime, why: str) -> bool:
    """Call a request off, waiting or running. Returns whether there was something to call off."""
    with transaction.atomic():
        row = Generation.objects.select_for_update(no_key=True).filter(pk=generation_id).first()
        if row is None or row.state not in (GenerationState.QUEUED, GenerationState.RUNNING):
            return False
        Seat.objects.filter(generation=row).delete()
        done = moved(row, row.state, GenerationState.CANCELLED, ended_at=now, error_code="cancelled", error=why, **FREE)
        wake(Channel.SERVE)
        return done


def expire(now: datetime) -> int:
    """End what waited past its deadline. Returns how many."""
    late = Generation.objects.filter(deadline__lt=now)
    text = "It would have come too late: its deadline passed while it waited."
    count = move(late, GenerationState.QUEUED, GenerationState.EXPIRED, ended_at=now, error_code="deadline", error=text)
    if count:
        wake(Channel.DELIVER)
    return count


def _copied(answer: Generation, now: datetime) -> dict[str, Any]:
    """The columns of a request that a stored answer has answered."""
    same = ("text", "reasoning", "finish_reason", "prompt_tokens", "completion_tokens")
    why = f"the same request was answered by generation {answer.pk}"
    ended = {"state": GenerationState.DONE, "cached": True, "ended_at": now, "decision": {"why": why}}
    return {**ended, **{name: getattr(answer, name) for name in same}}


def _cached(digest: str, now: datetime) -> Generation | None:
    if not settings.ENABLE_RESPONSE_CACHE:
        return None
    since = now - timedelta(seconds=ClusterPolicy.current().cache_ttl_s)
    answers = Generation.objects.filter(state=GenerationState.DONE, request_hash=digest, cached=False, ended_at__gt=since)
    return answers.exclude(text="").order_by("-id").first()
