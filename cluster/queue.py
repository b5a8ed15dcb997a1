"""The door into the cluster: hand in a request, look after it, call it off.

Both ways in, the conversation and other programs, queue here and get the same memory, fairness, failover and explanation.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Min, OuterRef, Q

from cluster import cache as equals
from cluster import intake
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.memory import DEFAULT_CONTEXT, guess_gb
from cluster.logic.naming import meant
from cluster.logic.request import Recorded, fingerprint
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Seat, Server
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.transitions import move, moved
from swwbot_site.lib.wake import Channel, wake

EXPECT_EVERY: Final = timedelta(seconds=5)
"""A mention soon after the last one tells nothing new."""

NAMED: Final = 20
"""So many models are named to whoever asked for one that is none."""


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


class UnknownModel(BotError):
    """A name means no model that any server has had."""

    code = "unknown-model"
    fault = Fault.REQUEST


def resolve(name: str) -> LanguageModel:
    """The model that people mean by `name`: its key, an alias, or, if only one server's model is meant, a looser spelling of it.

    An unknown name is noted, in case a server has it later. Raises NoModel if there is no name and no default, AmbiguousModel.
    """
    wanted = (name.strip() or ClusterPolicy.current().default_model.strip()).lower()
    if not wanted:
        raise NoModel("The request names no model, and the cluster policy has no default model. Name one in the entity or in the policy.")
    return _meant(wanted) or LanguageModel.objects.get_or_create(key=wanted, defaults={"size_gb": guess_gb(wanted)})[0]


def _meant(wanted: str) -> LanguageModel | None:
    """The model of a name in lower case. Raises AmbiguousModel."""
    rows = LanguageModel.objects.filter(Q(key=wanted) | Q(aliases__contains=[wanted])).order_by("id")
    exact = rows.annotate(offered=Exists(Offer.objects.filter(model=OuterRef("pk")))).first()
    if exact and exact.offered:
        return exact
    offered = LanguageModel.objects.filter(offers__isnull=False).distinct().order_by("key")
    loose = [model for model in offered if meant(wanted, (model.key, *model.aliases))]
    if len(loose) > 1:
        names = ", ".join(model.key for model in loose)
        raise AmbiguousModel(f"The model {wanted!r} may mean {names}. Write one of these.")
    return loose[0] if loose else exact


def known(name: str) -> LanguageModel:
    """The model that `name` means, if a server has it, or had it. Unlike `resolve` it notes nothing: strangers may ask.

    Raises UnknownModel, AmbiguousModel.
    """
    wanted = name.strip().lower()
    if found := _meant(wanted):
        return found
    names = ", ".join(LanguageModel.objects.filter(offers__isnull=False).distinct().order_by("key").values_list("key", flat=True)[:NAMED])
    raise UnknownModel(
        f"There is no model {wanted!r}. " + (f"The servers have {names}." if names else "No server has listed any model yet.")
    )


def context_length(name: str, pin: str = "") -> int:
    """Tokens that a request to a model may have in all, its answer included: the least of where it is loaded, otherwise what it would
    be loaded with; of the server `pin` alone, if there is one of that name.

    What a placement has is what one request may have: a server that divides its context among its slots (llama.cpp) tells the part,
    one that gives each slot a context of its own (Ollama) that, one whose slots share one (LM Studio) the whole.
    """
    wanted = (name.strip() or ClusterPolicy.current().default_model.strip()).lower()
    model = _meant(wanted) if wanted else None
    if model is None:
        return DEFAULT_CONTEXT
    server = _called(pin) if pin else None
    model = model.heir(server.pk if server else None)
    loaded = model.placements.filter(state=PlacementState.LOADED, context_length__gt=0)
    offers = model.offers.all()
    if server:
        loaded, offers = loaded.filter(server=server), offers.filter(server=server)
    if least := loaded.aggregate(least=Min("context_length"))["least"]:
        return int(least)
    usual = model.context_length or min(DEFAULT_CONTEXT, model.max_context_length or DEFAULT_CONTEXT)
    return min(usual, offers.aggregate(least=Min("context_limit"))["least"] or usual)


def pinned(name: str) -> Server | None:
    """The server that `name` (its name, address or host) means; None for no name. Raises NoServer."""
    if not name:
        return None
    if server := _called(name):
        return server
    raise NoServer(f"There is no server called {name!r}. Correct the preferred server, or add it.")


def _called(name: str) -> Server | None:
    for server in Server.objects.order_by("id"):
        host = server.url.split("://", 1)[-1]
        if name in (server.name, server.url, host, host.rsplit(":", 1)[0]):
            return server
    return None


def submit(
    model: str,
    request: Recorded,
    *,
    caller: str,
    now: datetime,
    priority: int = 50,
    deadline: datetime | None = None,
    pin: str = "",
    cache: bool = True,
    home: int | None = None,
) -> int:
    """Queue a request; returns its generation's id. Call it inside the transaction that needs it: both are kept, or neither.

    `cache`: it may share its answer with equal requests, older and newer ones. `home`: the owner in whose process a client waits for it,
    which asks itself. Raises NoModel, AmbiguousModel, NoServer.
    """
    server, document, name = pinned(pin), request.document(), model.strip().lower()
    common = {"caller": caller, "priority": max(0, min(99, priority)), "deadline": deadline, "request": document, "queued_at": now}
    common["home"] = home

    def queued(key: str, *, plain: bool) -> int | None:
        """Queue it for the model of this key; not if there is none, or if it has to be `plain` and is not."""
        digest = fingerprint(key, document) if cache else ""
        with transaction.atomic(savepoint=False):
            seen = intake.look(key, caller, digest if settings.ENABLE_RESPONSE_CACHE else "")
            if seen is None or (plain and not seen.plain):
                return None
            return _queue(seen, server, common | {"request_hash": digest}, now)

    row = queued(name, plain=True) if name else None
    while row is None:  # again, if the model is removed at this moment
        row = queued(resolve(model).heir(server.pk if server else None).key, plain=False)
    return row


def _queue(seen: intake.Seen, pin: Server | None, common: dict[str, Any], now: datetime) -> int:
    """Queue a request, or answer it from the cache."""
    values: dict[str, Any] = _shared(seen, pin, common["request_hash"], now) if seen.known and seen.ttl_s else {}
    if "state" not in values:
        turn = seen.turn(common["priority"], now)
        values |= {"share_at": turn.share_at, "turn_at": turn.turn_at}
    if values.keys() == {"share_at", "turn_at"}:
        return intake.add(common | values | {"model": seen.model_id, "pin": pin and pin.pk})
    if first := values.get("leader"):
        equals.follow(first, values["turn_at"])
    row = Generation.objects.create(model_id=seen.model_id, pin=pin, **common, **values)
    wake(Channel.DELIVER if row.cached else Channel.SERVE)
    return row.pk


def _shared(seen: intake.Seen, pin: Server | None, digest: str, now: datetime) -> dict[str, Any]:
    """The columns of a request whose answer is stored, or is being asked for; none if it has to be asked for itself."""
    first = equals.leader(seen.model_id, digest, pin)
    # Second: a leader that just ended has stored its answer by now.
    if answer := equals.stored(seen.model_id, digest, pin, seen.ttl_s, ClusterPolicy.current().cache_entries, now):
        return {"state": GenerationState.DONE, **equals.copied(answer, now)}
    return {"leader": first, "decision": equals.waits(first)} if first else {}


def expect(models: Iterable[str], now: datetime) -> None:
    """Somebody who speaks with one of these models was just mentioned: a request for it is likely soon.

    A hint, noted after the running transaction commits.
    """
    wanted = sorted(set(models))
    if wanted:
        transaction.on_commit(partial(_note, wanted, now))


def _note(names: Iterable[str], now: datetime) -> None:
    fresh = Q(expected_at__isnull=True) | Q(expected_at__lt=now - EXPECT_EVERY)
    for name in names:
        try:
            model = resolve(name).heir()
        except (NoModel, AmbiguousModel):
            continue  # whoever asks for it will be told
        if LanguageModel.objects.filter(fresh, pk=model.pk).update(expected_at=now):
            wake(Channel.PLAN, Channel.SERVE)


def cancel(generation_id: int, now: datetime, why: str) -> bool:
    """Call a request off, waiting or running. Returns whether there was something to call off."""
    with transaction.atomic():
        row = Generation.objects.select_for_update(no_key=True).filter(pk=generation_id).first()
        if row is None or row.state not in (GenerationState.QUEUED, GenerationState.RUNNING):
            return False
        Seat.objects.filter(generation=row).delete()
        done = moved(row, row.state, GenerationState.CANCELLED, ended_at=now, error_code="cancelled", error=why, **FREE)
        equals.settle(now, [row.pk])
        wake(Channel.SERVE)
        return done


def expire(now: datetime) -> int:
    """End what waited past its deadline. Returns how many."""
    late = Generation.objects.filter(deadline__lt=now)
    text = "It would have come too late: its deadline passed while it waited."
    with transaction.atomic():
        count = move(late, GenerationState.QUEUED, GenerationState.EXPIRED, ended_at=now, error_code="deadline", error=text)
        if count:
            equals.settle(now)
            wake(Channel.DELIVER)
    return count
