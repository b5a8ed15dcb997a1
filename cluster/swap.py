"""Let a newer version take the place of a model without a gap, and take that back.

::

    swap     an operator names the successor: the planner loads it as if one request waited for it; the old model still answers
    switch   it is loaded: from now on it gets every request, also what waits for the old model, and the old one may go
    undo     the old model answers again
"""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet

from cluster.logic.lifecycle import GenerationState, PlacementState, ServerState
from cluster.logic.memory import headroom_gb
from cluster.logic.naming import meant
from cluster.models import Generation, LanguageModel, Offer, Placement
from swwbot_site.lib import clock
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.lib.events import say
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel, wake

IDLE_S: Final = 60.0
UNDER_WAY_S: Final = 1.0
"""How often swaps are looked at, while there is none and while there is one."""

SETTLING: Final = timedelta(minutes=1)
"""A transaction that began before a switch may still hand in a request for the old model; none lasts so long."""

BATCH: Final = 1000


class SwapRefused(BotError):
    """A model cannot take the place of another."""

    code = "swap-refused"
    fault = Fault.OPERATOR


class UnknownModel(BotError):
    """There is no such model, or a name means several."""

    code = "unknown-model"
    fault = Fault.OPERATOR


def named(name: str) -> LanguageModel:
    """The model of this key or alias, or the only one that `name` can mean; models that a server has come first.

    Raises UnknownModel if there is none, or more than one.
    """
    wanted = name.strip().lower()
    rows = list(LanguageModel.objects.annotate(offered=Count("offers")).order_by("id"))
    exact = sorted((m for m in rows if wanted == m.key or wanted in m.aliases), key=lambda m: not m.offered)
    loose = [m for m in rows if m.offered and meant(wanted, (m.key, *m.aliases))]
    if exact and (exact[0].offered or not loose):
        return exact[0]
    if len(loose) == 1:
        return loose[0]
    if loose:
        raise UnknownModel(f"{name!r} may mean {', '.join(m.key for m in loose)}. Write one of these.")
    known = ", ".join(m.key for m in rows if m.offered) or "none yet"
    raise UnknownModel(f"There is no model {name!r}. The servers have: {known}.")


def check(old: LanguageModel, new: LanguageModel) -> None:
    """Whether `new` can take the place of `old`. Raises SwapRefused with the reason."""
    if new == old:
        raise SwapRefused(f"{old} cannot take its own place.")
    if old.replaced_at and old.successor not in (None, new):
        raise SwapRefused(f"{old} has already been replaced by {old.successor}: swap that one, and {old} follows. Or undo its swap first.")
    if new.replaced_at and new.successor:
        raise SwapRefused(f"{new} has itself been replaced by {new.successor}. Swap for that one, or undo the swap of {new} first.")
    later = new.successor
    passed = {new.pk}
    while later and later.pk not in passed:
        if later == old:
            raise SwapRefused(f"{old} is to take the place of {new}, at once or in the end. Undo the swap of {new} first.")
        passed.add(later.pk)
        later = later.successor
    budgets = list(new.offers.filter(server__enabled=True).values_list("server__budget_gb", flat=True))
    if not budgets:
        raise SwapRefused(f"No enabled server has {new} on its disk. Download it; servers are looked at every half minute.")
    if new.size_gb > (most := max(budget - headroom_gb(budget) for budget in budgets)):
        raise SwapRefused(f"{new} needs {new.size_gb:.0f} GB, and no enabled server that has it can give a model more than {most:.0f} GB.")


def swap(old: LanguageModel, new: LanguageModel, now: datetime) -> bool:
    """Have `new` loaded, and then take the place of `old`. Returns whether that is a change. Raises SwapRefused."""
    check(old, new)
    with transaction.atomic():
        rows = LanguageModel.objects.filter(pk=old.pk).filter(~Q(successor=new) | Q(successor__isnull=True))
        if not rows.update(successor=new, successor_at=now, replaced_at=None):
            return False
        say("model.swapping", f"{new} is to take the place of {old} as soon as it is loaded", subject=f"model:{old}")
        wake(Channel.SWAP, Channel.PLAN, Channel.SERVE)
        return True


def undo(old: LanguageModel) -> bool:
    """Let `old` answer again, or never be replaced. Returns whether it had a successor. What waits for the successor stays there."""
    with transaction.atomic():
        rows = LanguageModel.objects.filter(pk=old.pk, successor__isnull=False)
        if not rows.update(successor=None, successor_at=None, replaced_at=None):
            return False
        say("model.restored", f"{old} answers for itself again", subject=f"model:{old}")
        wake(Channel.SWAP, Channel.PLAN, Channel.SERVE)
        return True


def switch(now: datetime) -> bool:
    """Let successors that are loaded take over, and send requests after them. Returns whether a swap is still under way."""
    olds = list(LanguageModel.objects.filter(successor__isnull=False).select_related("successor").order_by("pk"))
    if not olds:
        return False
    ready = set(
        Placement.objects.filter(
            state=PlacementState.LOADED, server__enabled=True, server__draining=False, server__state=ServerState.ONLINE
        ).values_list("model_id", flat=True)
    )
    pending = False
    for old in olds:
        if old.replaced_at is None and _heir(old).pk in ready:
            _take_over(old, now)
        pending |= old.replaced_at is None
    replaced = [old for old in olds if old.replaced_at is not None]
    left = Generation.objects.filter(model__in=replaced)
    for old_id in left.filter(state=GenerationState.QUEUED).order_by("model").values_list("model", flat=True).distinct():
        follow(next(old for old in replaced if old.pk == old_id))
    recent = any(old.replaced_at and old.replaced_at > now - SETTLING for old in replaced)
    return pending or recent or left.filter(state__in=[GenerationState.QUEUED, GenerationState.RUNNING]).exists()


def _heir(old: LanguageModel) -> LanguageModel:
    """Who answers once `old` is replaced: its successor, or whoever has replaced that one."""
    assert old.successor is not None
    return old.successor.heir()


def _take_over(old: LanguageModel, now: datetime) -> None:
    """From now on the successor gets the requests, and with them what was learned of how many there are."""
    with transaction.atomic():
        rows = LanguageModel.objects.filter(pk=old.pk, successor=old.successor, replaced_at__isnull=True)
        if not rows.update(replaced_at=now, rate=0.0, usual=0.0):
            return
        old.replaced_at = now
        new = _heir(old)
        moved = follow(old)
        say("model.replaced", f"{new} answers in the place of {old}; {moved} requests waited", subject=f"model:{old}", moved=moved)
        wake(Channel.PLAN, Channel.SERVE)
    # By itself: who holds one model's row must not wait for another's. An estimate may be lost.
    LanguageModel.objects.filter(pk=new.pk).update(rate=F("rate") + old.rate, usual=F("usual") + old.usual)


def follow(old: LanguageModel) -> int:
    """Let what waits for a replaced model wait for its successor, where that may answer it. Returns how many.

    Their answers are not the old model's, so the response cache does not get them.
    """
    moved = 0
    with transaction.atomic():
        # Read anew: what is undone meanwhile sends nobody away any more, and nobody undoes it before this is done.
        still = LanguageModel.objects.select_for_update(no_key=True, of=("self",)).filter(pk=old.pk, replaced_at__isnull=False).first()
        if still is None:
            return 0
        new = still.heir()
        there = Offer.objects.filter(model=new).values("server_id")
        rows = Generation.objects.filter(Q(pin__isnull=True) | Q(pin__in=there), model=old, state=GenerationState.QUEUED)
        while ids := _some(rows):
            moved += Generation.objects.filter(pk__in=ids).update(model=new, request_hash="")
        if moved:
            wake(Channel.SERVE)
    return moved


def _some(rows: QuerySet[Generation]) -> list[int]:
    """The next of these rows, locked; those that are being seated at this moment are passed over."""
    locked = rows.order_by("pk").select_for_update(no_key=True, skip_locked=True, of=("self",))
    return list(locked.values_list("pk", flat=True)[:BATCH])


async def turn(context: Context) -> float:
    """One look at the swaps."""
    return UNDER_WAY_S if await context.rows(switch, clock.now()) else IDLE_S


def loop() -> Loop:
    """The swaps' loop of a new engine. It sleeps nearly always; whoever asks for a swap wakes it."""
    return Loop(name="swap", channel=Channel.SWAP, turn=turn)
