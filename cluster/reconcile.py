"""Make the rows agree with what a server lists: its models, what is in memory, what somebody else loaded, what vanished."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from cluster.lmstudio.dialects import fixed
from cluster.lmstudio.values import Dialect, Instance, ListedModel, Listing, State
from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.memory import GIB, OPERATOR, PER_SLOT, instance_gb
from cluster.models import LanguageModel, Offer, Placement, Server
from cluster.shelf import Shelf
from swwbot_site.lib import clock
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import CATALOGUE, FREE, alone, living
from swwbot_site.lib.leases import abandoned as left
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake

NOBODY: Final = 0
"""The owner of a load that is not ours: its lease has always run out, so its server is looked at again and again until it is settled."""

MANY: Final = 50
"""Of a longer list, as a cloud has it, only the models are kept that somebody has asked for or that the server is preferred for."""

ROUNDED: Final = timedelta(seconds=5)
"""How exactly it is known when a server lets something go by itself: it tells whole seconds, and is not asked every second."""


def reconcile(server_id: int, listing: Listing, asked_at: datetime, now: datetime) -> None:
    """Write one listing of a server, asked for at `asked_at`, into the rows.

    Placements newer than the question are left alone, and what has left since is not taken for something new: the next list tells.
    """
    now = max(now, clock.now())  # the database may have been waited for
    with transaction.atomic():
        alone(CATALOGUE)
        server = Server.objects.get(pk=server_id)
        offers = {offer.model_id: offer for offer in Offer.objects.filter(server=server)}
        shelf = Shelf()
        if listing.dialect is Dialect.OPENAI and len(listing.models) > MANY:
            listing = listing.among(shelf.names() | {str(name).lower() for name in server.preferred_models})
        looked = [_sized(listed, shelf.model(listed), offers) for listed in sorted(listing.models, key=lambda m: m.key)]
        kept = {model.pk for _, model in looked}
        lost = set() if listing.dialect is Dialect.LMSTUDIO_V0 and listing.jit is False else offers.keys() - kept
        shelf.weigh(server, listing.dialect, looked, kept | lost)
        held = list(
            Placement.objects.select_for_update(no_key=True, of=("self",))
            .select_related("model")
            .filter(server=server, state__in=HELD)
            .order_by("pk")
        )
        abandoned = set(Placement.objects.filter(left(now, living()), server=server, state__in=HELD).values_list("pk", flat=True))
        Offer.objects.filter(server=server, model_id__in=lost).delete()
        mine: dict[int, Offer] = {}
        changed = bool(lost) or shelf.changed
        for listed, model in looked:
            if model.pk not in mine:  # a second name of one model, such as another quantization, adds nothing to what is offered
                mine[model.pk], new = _offer(server, model, listed, offers.get(model.pk), now)
                changed = changed or new
        left_since = set(Placement.objects.filter(server=server, ended_at__gte=asked_at).values_list("model_id", flat=True))
        matched: set[int] = set()
        for listed, model in looked:
            for instance in _instances(listing, listed):
                row = _find(held, model, instance)
                if row is None and model.pk in left_since:
                    continue
                if row is None:
                    row = _adopt(server, model, mine[model.pk], instance, listing.dialect, now)
                    if row is None:
                        continue
                    held.append(row)
                    changed = True
                else:
                    row.model = model if row.model_id == model.pk else row.model  # as it was weighed just now
                    changed |= _refresh(row, server, mine[model.pk], instance, listing.dialect, row.pk in abandoned, now)
                matched.add(row.pk)
        certain = all(i.state is not State.UNKNOWN for m in listing.models for i in m.instances)
        for row in held:
            if row.pk not in matched and certain and (row.loaded_at or row.created_at) < asked_at:
                _vanished(row, server, row.pk in abandoned, now)
                changed = True
        if changed:
            wake(Channel.PLAN, Channel.SERVE)


def _sized(listed: ListedModel, model: LanguageModel, offers: Mapping[int, Offer]) -> tuple[ListedModel, LanguageModel]:
    """A listed model, with the size it was listed with before where the list is silent: some tell it only of what is in memory."""
    known = offers.get(model.pk)
    silent = known is not None and listed.size_bytes is None and known.key == listed.key
    return (replace(listed, size_bytes=known.size_bytes) if known and silent else listed), model


def _offer(server: Server, model: LanguageModel, listed: ListedModel, row: Offer | None, now: datetime) -> tuple[Offer, bool]:
    """The offer as it is listed now, and whether that is new."""
    values: dict[str, object] = {"key": listed.key, "size_bytes": listed.size_bytes, "format": listed.format}
    if row is None:
        return Offer.objects.create(server=server, model=model, listed_at=now, **values), True
    changed = any(getattr(row, name) != value for name, value in values.items())
    if changed:
        if listed.size_bytes != row.size_bytes:  # another file: what its predecessor taught of memory is void
            values |= {"context_limit": None, "cooldown_until": None, "cooldown_reason": ""}
        Offer.objects.filter(pk=row.pk).update(listed_at=now, **values)
        for name, value in values.items():
            setattr(row, name, value)
    return row, changed


def _instances(listing: Listing, listed: ListedModel) -> Iterable[Instance]:
    """What is in memory. A server without a life cycle has everything it lists always ready."""
    if fixed(listing.dialect) and not listed.instances:
        return (Instance(id=listed.key, state=State.LOADED),)
    return listed.instances


def _find(held: list[Placement], model: LanguageModel, instance: Instance) -> Placement | None:
    """The row of an instance: by its id, or the one of this model that is still loading and has no id yet."""
    by_id = (p for p in held if p.instance_id == instance.id)
    loading = (p for p in held if p.state == PlacementState.LOADING and p.model_id == model.pk)
    return next(by_id, None) or next(loading, None)


def _refresh(row: Placement, server: Server, offer: Offer, instance: Instance, dialect: Dialect, abandoned: bool, now: datetime) -> bool:
    """Write what is new of an instance; whether anything is."""
    rows = Placement.objects.filter(pk=row.pk)
    fresh = _shown(row, server, offer, instance, dialect, now)
    if row.state == PlacementState.LOADED:
        changed = any(getattr(row, name) != value for name, value in fresh.items())
        if changed:
            rows.update(**fresh)
        return changed
    if not abandoned or instance.state is not State.LOADED:
        return False
    if row.state == PlacementState.LOADING:
        fresh |= {"instance_id": instance.id, "loaded_at": now, "served": False, **FREE}
        move(rows, PlacementState.LOADING, PlacementState.LOADED, **fresh)
        whose = "somebody else did that" if row.adopted else "who had asked for it is gone"
        say("placement.loaded", f"{row.model} is loaded on {server}; {whose}", subject=f"server:{server}")
    else:
        move(rows, PlacementState.UNLOADING, PlacementState.LOADED, **FREE)
    return True


def _shown(row: Placement, server: Server, offer: Offer, instance: Instance, dialect: Dialect, now: datetime) -> dict[str, object]:
    """The columns that follow the server: slots, context and the memory they take, and when it goes by itself."""
    slots = server.slots or instance.parallel or row.slots
    context = instance.context_length or row.context_length
    fresh: dict[str, object] = {"slots": slots, "context_length": context, "expires_at": _expires(row, instance, now)}
    if not fixed(dialect) and (instance.memory_bytes or (slots, context) != (row.slots, row.context_length)):
        fresh["gb"] = _gb(row.model, offer, instance, context, slots, dialect)
    return fresh


def _expires(row: Placement, instance: Instance, now: datetime) -> datetime | None:
    """When the server lets it go if nobody uses it; as it is known, if it is still that within seconds."""
    if instance.ttl_s is None:
        return None
    at, known = now + timedelta(seconds=instance.ttl_s), row.expires_at
    return known if known and abs(at - known) < ROUNDED else at


def _gb(model: LanguageModel, offer: Offer, instance: Instance, context: int | None, slots: int, dialect: Dialect) -> float:
    """What an instance takes: what its server counts, otherwise what we reckon."""
    if instance.memory_bytes and model.size_source != OPERATOR:
        return instance.memory_bytes / GIB
    apart = slots if dialect in PER_SLOT else 1
    return instance_gb(model, size_bytes=offer.size_bytes, context=context, form=offer.format, slots=apart)


def _adopt(server: Server, model: LanguageModel, offer: Offer, instance: Instance, dialect: Dialect, now: datetime) -> Placement | None:
    """A placement for what is not ours; none while that cannot be said, or where another load is under way that is known already."""
    always, ready = fixed(dialect), instance.state is State.LOADED
    if instance.state not in (State.LOADED, State.LOADING):
        return None
    Server.objects.select_for_update(no_key=True).get(pk=server.pk)  # as does who reserves a load here: one of us sees the other
    if not ready and Placement.objects.filter(server=server, state=PlacementState.LOADING).exists():
        return None
    now = max(now, clock.now())
    slots = server.slots or instance.parallel or 1
    row = Placement.objects.create(
        server=server,
        model=model,
        state=PlacementState.LOADED if ready else PlacementState.LOADING,
        instance_id=instance.id,
        gb=0.0 if always else _gb(model, offer, instance, instance.context_length, slots, dialect),
        slots=slots,
        context_length=instance.context_length,
        adopted=True,
        reason="always there" if always else "found loaded" if ready else "found loading",
        created_at=now,
        loaded_at=now if ready else None,
        expires_at=None if instance.ttl_s is None else now + timedelta(seconds=instance.ttl_s),
        **({} if ready else {"lease_owner": NOBODY, "lease_until": now}),
    )
    if not always:
        what = "loaded" if ready else "loading"
        say("placement.adopted", f"{instance.id} is {what} on {server}; somebody else did that", subject=f"server:{server}")
    return row


def _vanished(row: Placement, server: Server, abandoned: bool, now: datetime) -> None:
    rows = Placement.objects.filter(pk=row.pk)
    if row.state == PlacementState.LOADED:
        over = row.expires_at is not None and row.expires_at <= now + ROUNDED
        text = "its time to live was over" if over else "the server does not list it any more"
        if move(rows, PlacementState.LOADED, PlacementState.GONE, ended_at=now, reason=text):
            told = f"{row.model} left {server} by itself: {text}" if over else f"{row.model} is gone from {server} without our doing"
            kind, level = ("placement.gone", Level.INFO) if over else ("placement.lost", Level.WARNING)
            say(kind, told, subject=f"server:{server}", level=level)
    elif row.state == PlacementState.UNLOADING and abandoned:
        move(rows, PlacementState.UNLOADING, PlacementState.GONE, ended_at=now, **FREE)
    elif row.state == PlacementState.LOADING and abandoned:
        text = "its load came to nothing" if row.adopted else "who had asked for it is gone, and the server is not loading it"
        move(rows, PlacementState.LOADING, PlacementState.FAILED, ended_at=now, reason=text, **FREE)
