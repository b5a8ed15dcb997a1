"""What people change acts at once although nothing waits: the engines of these tests look by themselves only every hour."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cluster import alter, plan, serve, swap, upkeep, warm
from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import LanguageModel, Offer, Placement, Server
from conversations import cycle
from swwbot_site.lib import clock
from tests import build
from tests.harness import engines, until
from tests.simulation.cluster import MEDIUM, SMALL, loaded, online

Start = Callable[..., Studio]
HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def resting(brisk: None, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is done because time has passed, but for what has a time of its own."""
    monkeypatch.setattr(plan, "REST", timedelta(seconds=HOUR_S))
    for module, name in ((serve, "REST_S"), (cycle, "IDLE_S"), (serve, "WAITING_S")):
        monkeypatch.setattr(module, name, HOUR_S)
    build.policy(reconcile_interval_s=HOUR_S, preload=False)


def test_what_is_to_stay_loaded_is_loaded_at_once_and_goes_at_once_when_it_is_told_to(studio: Start) -> None:
    studio(models=[SMALL])
    with engines():
        until(Offer.objects.exists, what="the offer")
        until(lambda: serve.sight.PLANNED.rows() != [], what="the first plan")
        warm.keep(Offer.objects.values_list("pk", flat=True), on=True)
        [place] = loaded("maker/small")
        warm.keep(Offer.objects.values_list("pk", flat=True), on=False)
        upkeep.unload(place.pk, "somebody")
        until(lambda: Placement.objects.get().state == "gone", what="the end of the instance")


def test_a_swap_begins_and_ends_at_once(studio: Start) -> None:
    studio(models=[SMALL, MEDIUM], loaded=["maker/small"])
    with engines():
        online()
        loaded("maker/small")
        until(lambda: Offer.objects.count() == 2, what="the offers")
        old, new = (LanguageModel.objects.get(key=f"maker/{name}") for name in ("small", "medium"))
        swap.swap(old, new, clock.now())
        loaded("maker/medium")
        until(lambda: LanguageModel.objects.filter(pk=old.pk, replaced_at__isnull=False).exists(), what="the end of the swap")


def test_a_server_that_is_switched_on_is_looked_at_at_once_and_gets_what_is_kept_there(studio: Start) -> None:
    studio("one", models=[SMALL], row={"enabled": False})
    server = Server.objects.get()
    build.offer(server=server, model=build.model(key="maker/small"), key="maker/small", pinned=True)
    with engines():
        until(lambda: serve.sight.PLANNED.rows() != [], what="the first plan")
        upkeep.switch([server.pk], "somebody", on=True)
        online()
        loaded("maker/small")


def test_a_policy_that_lets_models_go_does_so_at_once(studio: Start) -> None:
    studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        loaded("maker/small")
        alter.policy({"keep_models_loaded": False, "unload_delay_s": 0.0, "min_residency_s": 0.0}, "somebody")
        until(lambda: Placement.objects.get().state == "gone", what="the end of the instance")
