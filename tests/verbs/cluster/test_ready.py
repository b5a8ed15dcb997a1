"""What loads leave in the rows, done and failed."""

from datetime import datetime, timedelta

import pytest

from cluster import ready
from cluster.address import errand as order
from cluster.lmstudio import errors
from cluster.lmstudio.values import LoadResult
from cluster.models import ClusterPolicy, LanguageModel, Offer, Placement, Server
from swwbot_site.lib import clock
from tests import build
from tests.verbs.cluster.helpers import GIB, errand

pytestmark = pytest.mark.django_db

RESULT = LoadResult(instance_id="maker/model:2", context_length=8192, parallel=3, seconds=4.0)


def loading(**over: object) -> Placement:
    """A placement that loads, on a server that offers its model."""
    placement = build.placement(**{"state": "loading", "gb": 17.0, **over})
    build.offer(server=placement.server, model=placement.model, size_bytes=10 * GIB, cooldown_reason="old", cooldown_until=clock.now())
    return placement


def fresh(placement: Placement) -> Placement:
    return Placement.objects.select_related("server", "model").get(pk=placement.pk)


def test_a_load_is_confirmed_as_the_server_did_it() -> None:
    placement = loading(model=build.model(key="maker/model-14b"))
    assert ready.loaded(errand(placement), RESULT, 4.5)
    row = fresh(placement)
    assert (row.state, row.instance_id, row.slots, row.context_length, row.lease_owner) == ("loaded", "maker/model:2", 3, 8192, None)
    assert row.gb == pytest.approx(10.5 + 8192 * 192 / 2**20 + 0.5)
    offer = Offer.objects.get()
    assert (offer.load_seconds, offer.cooldown_until, offer.cooldown_reason) == (4.5, None, "")


def test_the_slots_that_the_owner_gave_win_over_those_that_the_server_reports() -> None:
    placement = loading(server=build.server(slots=1))
    ready.loaded(errand(placement), RESULT, 1)
    assert fresh(placement).slots == 1


@pytest.mark.parametrize(("source", "gb"), [("operator", 17.0), ("guardrail", 17.5), ("guess", 17.5)])
def test_a_size_that_is_not_from_the_list_is_corrected_by_the_context_unless_the_operator_gave_it(source: str, gb: float) -> None:
    placement = loading(model=build.model(size_source=source, key="maker/model-8b"))
    ready.loaded(errand(placement), RESULT, 1)
    assert fresh(placement).gb == pytest.approx(gb)


def test_of_a_model_whose_size_is_only_guessed_the_reserved_memory_is_kept() -> None:
    placement = loading(model=build.model(size_source="guess"))
    Offer.objects.update(size_bytes=None)
    ready.loaded(errand(placement), RESULT, 1)
    assert fresh(placement).gb == 17.0


def test_a_model_that_was_loaded_has_not_served_yet() -> None:
    placement = loading(served=True)
    ready.loaded(errand(placement), RESULT, 1)
    assert not fresh(placement).served


def test_a_model_that_was_there_already_teaches_nothing_of_load_times() -> None:
    ready.loaded(errand(loading()), LoadResult(instance_id="x", already=True), 0.1)
    assert Offer.objects.get().load_seconds is None


def test_a_load_that_led_to_an_instance_which_was_found_meanwhile_ends_and_its_memory_is_counted_once() -> None:
    placement = loading()
    found = build.placement(server=placement.server, model=placement.model, instance_id=RESULT.instance_id, adopted=True)
    assert not ready.loaded(errand(placement), RESULT, 1)
    assert (fresh(placement).state, fresh(found).state) == ("gone", "loaded")


def test_a_load_that_somebody_else_settled_is_left_alone() -> None:
    placement = build.placement(state="failed")
    assert not ready.loaded(errand(placement), RESULT, 1)
    ready.failed(errand(placement), errors.LoadFailed("no"))
    assert fresh(placement).state == "failed"


def test_a_load_on_a_server_that_was_deleted_meanwhile_is_nothing() -> None:
    placement = loading()
    order = errand(placement)
    placement.server.delete()
    assert not ready.loaded(order, RESULT, 1)
    ready.failed(order, errors.OutOfMemory("no", needs_gb=30))


RESTS = {
    "memory": (errors.OutOfMemory("no memory"), 120),
    "engine": (errors.EngineFailed("SIGABRT"), 300),
    "format": (errors.FormatUnsupported("no runtime"), 86_400),
    "cancelled": (errors.LoadCanceled("Operation canceled."), 5),
    "too slow": (errors.LoadTimeout("no answer"), 30),
    "cut": (errors.Dropped("cut"), 30),
}


@pytest.mark.parametrize(("error", "seconds"), RESTS.values(), ids=RESTS.keys())
def test_a_failed_load_frees_its_memory_and_the_pair_rests(error: errors.PeerError, seconds: float) -> None:
    placement, before = loading(model=build.model(context_length=4096)), clock.now()
    ready.failed(errand(placement), error)
    row, offer = fresh(placement), Offer.objects.get()
    assert (row.state, row.reason, row.lease_owner) == ("failed", str(error), None)
    assert seconds <= rest(before) < seconds + 5
    assert offer.cooldown_reason == str(error)


def rest(since: datetime) -> float:
    """How long the pair of server and model rests, seconds."""
    until = Offer.objects.get().cooldown_until
    assert until is not None
    return (until - since).total_seconds()


def again(placement: Placement) -> Placement:
    """The next load of the same pair."""
    return build.placement(state="loading", server=placement.server, model=fresh(placement).model, gb=placement.gb)


def test_each_failure_in_a_row_rests_longer_until_a_load_succeeds() -> None:
    placement = loading(model=build.model(context_length=4096))
    seen = []
    for _ in range(3):
        before = clock.now()
        ready.failed(errand(placement), errors.OutOfMemory("no memory"))
        seen.append(round(rest(before), -1))
        placement = again(placement)
    assert seen == [120, 240, 480]
    ready.loaded(errand(placement), RESULT, 1)
    Placement.objects.filter(pk=placement.pk).update(state="gone")
    placement, before = again(placement), clock.now()
    ready.failed(errand(placement), errors.OutOfMemory("no memory"))
    assert round(rest(before), -1) == 120


def test_a_model_that_did_not_fit_is_loaded_once_with_half_the_context_and_then_the_pair_rests() -> None:
    placement, before = loading(model=build.model(context_length=32_768)), clock.now()
    ready.failed(order(placement, ClusterPolicy.current()), errors.OutOfMemory("no memory"))
    assert Offer.objects.get().context_limit == 16_384
    assert rest(before) < 10
    placement = again(placement)
    second = order(placement, ClusterPolicy.current())
    assert second.context_length == 16_384
    ready.failed(second, errors.OutOfMemory("no memory"))
    assert Offer.objects.get().context_limit == 16_384
    assert rest(before) > 200


def test_where_a_load_cannot_choose_its_context_no_smaller_one_is_tried() -> None:
    placement = loading(model=build.model(context_length=32_768), server=build.server(detected="lmstudio-v0"))
    ready.failed(errand(placement), errors.OutOfMemory("no memory"))
    assert Offer.objects.get().context_limit is None
    mlx = loading(model=build.model(context_length=32_768))
    Offer.objects.filter(server=mlx.server).update(format="mlx")
    ready.failed(errand(mlx), errors.EngineFailed("SIGABRT"))
    assert Offer.objects.get(server=mlx.server).context_limit is None


def test_an_engine_that_dies_while_it_loads_is_remembered_as_a_crash() -> None:
    placement = loading()
    ready.failed(errand(placement), errors.OutOfMemory("no memory"))
    assert Offer.objects.get().crashed_at is None
    ready.failed(errand(again(placement)), errors.EngineFailed("SIGABRT"))
    assert Offer.objects.get().crashed_at is not None


def test_a_model_that_is_not_there_is_not_tried_again_for_long_even_if_the_list_goes_on_naming_it() -> None:
    ready.failed(errand(loading()), errors.ModelMissing("not found in downloaded models"))
    offer = Offer.objects.get()
    assert offer.cooldown_until is not None
    assert offer.cooldown_until > clock.now() + timedelta(minutes=5)


@pytest.mark.parametrize(("source", "gb"), [("guess", 30.0), ("listing", 30.0), ("guardrail", 30.0), ("operator", 17.0)])
def test_what_the_server_says_it_needs_is_learned_unless_the_operator_knows_better(source: str, gb: float) -> None:
    before = clock.now()
    ready.failed(errand(loading(model=build.model(size_source=source))), errors.OutOfMemory("too large", needs_gb=30.0))
    model = LanguageModel.objects.get()
    assert (model.size_gb, model.size_source) == (gb, source if source == "operator" else "guardrail")
    assert rest(before) < 10, "the next load has more room: it need not wait"


@pytest.mark.parametrize("absurd", [273.25, 9.0])
def test_an_absurd_figure_is_not_learned(absurd: float) -> None:
    ready.failed(errand(loading(gb=8.0)), errors.OutOfMemory("too large", needs_gb=absurd))
    assert LanguageModel.objects.get().size_source == "listing"


HEALTH = {
    "memory": (errors.OutOfMemory("no"), "online", 0),
    "missing": (errors.ModelMissing("no"), "online", 0),
    "engine": (errors.EngineFailed("no"), "online", 1),
    "refused": (errors.Unreachable("no"), "offline", 1),
    "token": (errors.Misconfigured("no"), "misconfigured", 1),
}


@pytest.mark.parametrize(("error", "state", "failures"), HEALTH.values(), ids=HEALTH.keys())
def test_a_failed_load_says_of_the_server(error: errors.PeerError, state: str, failures: int) -> None:
    ready.failed(errand(loading()), error)
    server = Server.objects.get()
    assert (server.state, server.failures) == (state, failures)


def test_a_server_that_speaks_otherwise_than_thought_is_detected_again() -> None:
    ready.failed(errand(loading()), errors.CapabilityMissing("Unexpected endpoint"))
    server = Server.objects.get()
    assert (server.detected, server.listed_at) == ("", None)


def test_the_errand_of_a_load_waits_as_long_as_its_placement_may_load() -> None:
    now = clock.now()
    placement = loading(created_at=now, load_deadline=now + timedelta(seconds=1234))
    assert order(placement, ClusterPolicy.current()).timeouts.load_s == 1234
    assert order(build.placement(), ClusterPolicy.current()).timeouts.load_s == 600
