"""What people do with servers, done by a real engine on real sockets."""

from collections.abc import Callable

import pytest

from cluster import upkeep
from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Offer, Placement, Server
from tests import build
from tests.harness import engines, until
from tests.simulation.cluster import SMALL, ask, done, loaded, online

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_model_is_loaded_and_unloaded_on_demand_and_its_server_drained(studio: Callable[..., Studio]) -> None:
    build.policy(preload=False)
    emulator = studio(models=[SMALL])
    with engines():
        online()
        offer = Offer.objects.get()
        wish = upkeep.load(offer.pk, "ann")
        (placement,) = loaded("maker/small")
        until(lambda: Generation.objects.filter(pk=wish, state="done").exists(), what="the end of the wish")
        upkeep.unload(placement.pk, "ann")
        until(lambda: Placement.objects.filter(pk=placement.pk, state="gone").exists(), what="the end of the placement")
        assert emulator.work.machine.instances == {}
        done(ask("maker/small"))
        upkeep.drain([offer.server_id], "ann", on=True)
        (waiting,) = ask("maker/small")
        until(lambda: Generation.objects.get(pk=waiting).decision.get("waits"), what="the reason why it waits")
        upkeep.drain([offer.server_id], "ann", on=False)
        until(lambda: Generation.objects.filter(pk=waiting, state="done").exists(), what="the answer")
        assert Server.objects.get().draining is False
