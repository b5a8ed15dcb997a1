"""What people do with servers."""

from cluster import upkeep
from cluster.logic.lifecycle import HELD
from cluster.models import Placement, Server
from swwbot_site.lib.deeds import Deed

RIGHT = "cluster.operate_server"


def _loadable(row: Server) -> list[tuple[str, str]]:
    """What is on its disk and not in its memory."""
    if not row.enabled or row.draining:
        return []
    held = Placement.objects.filter(server=row, state__in=HELD).values("model")
    offers = row.offers.exclude(model__in=held).exclude(model__kind="embedding").select_related("model").order_by("model__key")
    return [(str(offer.pk), f"{offer.model.key} ({offer.model.size_gb:.1f} GB)") for offer in offers[:500]]


def _load(row: Server, who: str, choice: str) -> int:
    """Only what this very server offers: the number comes from a form."""
    known = {pk for pk, _ in _loadable(row)}
    if choice not in known:
        raise upkeep.NotLoadable(f"{row} has no such model on its disk, or has it in memory already.")
    return upkeep.load(int(choice), who)


DEEDS = (
    Deed(
        name="look",
        label="Probe and reconcile",
        sure="Ask these servers now what they are and hold, and make the rows agree?",
        yes="Yes, ask",
        done="asked at once by the next engine that is free",
        does=lambda row, _, __: upkeep.look([row.pk]),
        needs=RIGHT,
        fits=lambda row: row.enabled,
    ),
    Deed(
        name="drain",
        label="Drain",
        sure="Let these finish what they have, and give them nothing new?",
        yes="Yes, drain",
        done="draining",
        does=lambda row, who, _: upkeep.drain([row.pk], who, on=True),
        needs=RIGHT,
        fits=lambda row: row.enabled and not row.draining,
        danger=True,
    ),
    Deed(
        name="undrain",
        label="End draining",
        sure="Give these work again?",
        yes="Yes, give them work",
        done="at work again",
        does=lambda row, who, _: upkeep.drain([row.pk], who, on=False),
        needs=RIGHT,
        fits=lambda row: row.draining,
    ),
    Deed(
        name="load",
        label="Load",
        sure="Have this loaded here as soon as there is room? What is idle and least missed goes for it.",
        yes="Yes, load",
        done="in the queue: it stands among the generations until the model is in memory",
        does=_load,
        needs=RIGHT,
        many=False,
        ask="Which model",
        choices=_loadable,
    ),
    Deed(
        name="disable",
        label="Switch off",
        sure="Give these nothing, and look at them no more? What they are answering now is still taken.",
        yes="Yes, switch off",
        done="switched off",
        does=lambda row, who, _: upkeep.switch([row.pk], who, on=False),
        needs=RIGHT,
        fits=lambda row: row.enabled,
        danger=True,
    ),
    Deed(
        name="enable",
        label="Switch on",
        sure="Give these work, and look at them?",
        yes="Yes, switch on",
        done="switched on",
        does=lambda row, who, _: upkeep.switch([row.pk], who, on=True),
        needs=RIGHT,
        fits=lambda row: not row.enabled,
    ),
)
