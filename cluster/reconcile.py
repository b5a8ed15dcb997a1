"""Make the rows agree with what a server lists: its models, what is in memory, what somebody else loaded, what vanished."""

from collections.abc import Iterable
from datetime import datetime
from itertools import chain

from django.db import transaction

from cluster.lmstudio.values import Dialect, Instance, ListedModel, Listing, State
from cluster.logic.lifecycle import HELD, PlacementState
from cluster.logic.memory import guess_gb, need_gb
from cluster.logic.naming import meant
from cluster.models import LanguageModel, Offer, Placement, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.leases import CATALOGUE, FREE, alone, living
from swwbot_site.lib.leases import abandoned as left
from swwbot_site.lib.transitions import move
from swwbot_site.lib.wake import Channel, wake


def reconcile(server_id: int, listing: Listing, asked_at: datetime, now: datetime) -> None:
    """Write one listing of a server, asked for at `asked_at`, into the rows. Placements newer than the question are left alone."""
    with transaction.atomic():
        alone(CATALOGUE)
        server = Server.objects.get(pk=server_id)
        catalogue = Catalogue()
        offers = {offer.model_id: offer for offer in Offer.objects.filter(server=server)}
        held = list(
            Placement.objects.select_for_update(no_key=True, of=("self",))
            .select_related("model")
            .filter(server=server, state__in=HELD)
            .order_by("pk")
        )
        abandoned = set(Placement.objects.filter(left(now, living()), server=server, state__in=HELD).values_list("pk", flat=True))
        matched: set[int] = set()
        mine: dict[int, Offer] = {}
        for listed in sorted(listing.models, key=lambda m: m.key):
            model = catalogue.row(listed)
            offer = mine.get(model.pk)
            if offer is None:  # a second name of one model, such as another quantization, adds nothing to what is offered
                offer = mine[model.pk] = _offer(server, model, listed, offers.pop(model.pk, None), now)
            for instance in _instances(listing, listed):
                row = _find(held, model, instance)
                if row:
                    matched.add(row.pk)
                    _refresh(row, server, instance, row.pk in abandoned, now)
                elif instance.state is State.LOADED:
                    held.append(_adopt(server, model, instance, listing, now))
                    matched.add(held[-1].pk)
        if not (listing.dialect is Dialect.LMSTUDIO_V0 and listing.jit is False):
            Offer.objects.filter(pk__in=[offer.pk for offer in offers.values()]).delete()
        certain = all(i.state is not State.UNKNOWN for m in listing.models for i in m.instances)
        for row in held:
            if row.pk not in matched and certain and (row.loaded_at or row.created_at) < asked_at:
                _vanished(row, server, row.pk in abandoned, now)
        wake(Channel.SERVE)


class Catalogue:
    """All models by name, read once; the caller holds the catalogue's lock."""

    def __init__(self) -> None:
        self._rows = list(LanguageModel.objects.order_by("id"))
        self._listed = set(Offer.objects.values_list("model_id", flat=True))

    def row(self, listed: ListedModel) -> LanguageModel:
        """The row of a listed model: the one of its key, of one of its names, or a name that somebody asked for; otherwise a new one."""
        instances = {i.id for i in listed.instances}
        names = [listed.key.lower(), *(a.lower() for a in listed.aliases if a not in instances)]
        exact = (m for m in self._rows if m.key == names[0])
        named = (m for m in self._rows if {m.key, *m.aliases} & set(names))
        asked = (m for m in self._rows if m.pk not in self._listed and meant(m.key, names))
        row = next(chain(exact, named, asked), None)
        if row is None:  # somebody may be asking for it for the first time at this very moment
            row, _ = LanguageModel.objects.get_or_create(key=names[0], defaults={"size_gb": guess_gb(names[0])})
            self._rows.append(row)
        size, source = _size(row, listed)
        fresh = {
            "aliases": sorted({*row.aliases, *names} - {row.key}),
            "size_gb": size,
            "size_source": source,
            "format": listed.format or row.format,
            "kind": listed.kind or row.kind,
            "max_context_length": listed.max_context_length or row.max_context_length,
        }
        if any(getattr(row, name) != value for name, value in fresh.items()):
            for name, value in fresh.items():
                setattr(row, name, value)
            row.save()
        self._listed.add(row.pk)
        return row


def _size(row: LanguageModel, listed: ListedModel) -> tuple[float, str]:
    """What it needs and how we know: the operator's word, then a server's, then its listing, then a guess."""
    source = LanguageModel.SizeSource
    if row.size_source in (source.OPERATOR, source.GUARDRAIL) or listed.size_bytes is None:
        return row.size_gb, row.size_source
    need = round(need_gb(listed.size_bytes, context=row.context_length, params=listed.params, key=listed.key), 2)
    if row.size_source == source.LISTING and need < row.size_gb:
        return row.size_gb, row.size_source  # another server has a larger file of it; the larger need is the safe one
    return need, source.LISTING


def _offer(server: Server, model: LanguageModel, listed: ListedModel, row: Offer | None, now: datetime) -> Offer:
    values = {"key": listed.key, "size_bytes": listed.size_bytes, "format": listed.format}
    if row is None:
        return Offer.objects.create(server=server, model=model, listed_at=now, **values)
    if any(getattr(row, name) != value for name, value in values.items()):
        Offer.objects.filter(pk=row.pk).update(listed_at=now, **values)
        for name, value in values.items():
            setattr(row, name, value)
    return row


def _instances(listing: Listing, listed: ListedModel) -> Iterable[Instance]:
    """What is in memory. A server without a life cycle has everything it lists always ready."""
    if listing.dialect is Dialect.OPENAI:
        return (Instance(id=listed.key, state=State.LOADED),)
    return listed.instances


def _find(held: list[Placement], model: LanguageModel, instance: Instance) -> Placement | None:
    """The row of an instance: by its id, or the one of this model that is still loading and has no id yet."""
    by_id = (p for p in held if p.instance_id == instance.id)
    loading = (p for p in held if p.state == PlacementState.LOADING and p.model_id == model.pk)
    return next(by_id, None) or next(loading, None)


def _refresh(row: Placement, server: Server, instance: Instance, abandoned: bool, now: datetime) -> None:
    rows = Placement.objects.filter(pk=row.pk)
    slots = server.slots or instance.parallel or row.slots
    if row.state == PlacementState.LOADED:
        if (row.slots, row.context_length) != (slots, instance.context_length or row.context_length):
            rows.update(slots=slots, context_length=instance.context_length or row.context_length)
    elif not abandoned or instance.state is not State.LOADED:
        return
    elif row.state == PlacementState.LOADING:
        move(
            rows,
            PlacementState.LOADING,
            PlacementState.LOADED,
            instance_id=instance.id,
            slots=slots,
            context_length=instance.context_length,
            loaded_at=now,
            **FREE,
        )
        say("placement.loaded", f"{row.model} is loaded on {server}; who had asked for it is gone", subject=f"server:{server}")
    else:
        move(rows, PlacementState.UNLOADING, PlacementState.LOADED, **FREE)


def _adopt(server: Server, model: LanguageModel, instance: Instance, listing: Listing, now: datetime) -> Placement:
    fixed = listing.dialect is Dialect.OPENAI
    row = Placement.objects.create(
        server=server,
        model=model,
        state=PlacementState.LOADED,
        instance_id=instance.id,
        gb=0.0 if fixed else model.size_gb,
        slots=server.slots or instance.parallel or 1,
        context_length=instance.context_length,
        adopted=True,
        reason="always there" if fixed else "found loaded",
        created_at=now,
        loaded_at=now,
    )
    if not fixed:
        say("placement.adopted", f"{instance.id} is loaded on {server}; somebody else did that", subject=f"server:{server}")
    return row


def _vanished(row: Placement, server: Server, abandoned: bool, now: datetime) -> None:
    rows = Placement.objects.filter(pk=row.pk)
    if row.state == PlacementState.LOADED:
        move(rows, PlacementState.LOADED, PlacementState.GONE, ended_at=now, reason="the server does not list it any more")
        say("placement.lost", f"{row.model} is gone from {server} without our doing", subject=f"server:{server}", level=Level.WARNING)
    elif row.state == PlacementState.UNLOADING and abandoned:
        move(rows, PlacementState.UNLOADING, PlacementState.GONE, ended_at=now, **FREE)
    elif row.state == PlacementState.LOADING and abandoned:
        text = "who had asked for it is gone, and the server is not loading it"
        move(rows, PlacementState.LOADING, PlacementState.FAILED, ended_at=now, reason=text, **FREE)
