"""Rows and what servers list."""

from datetime import timedelta
from typing import Any

import pytest

from cluster.lmstudio.values import Dialect, Listing, State
from cluster.models import LanguageModel, Offer, Placement, Server
from cluster.reconcile import reconcile
from swwbot_site.lib import clock
from tests import build
from tests.verbs.cluster.helpers import GIB, listed, listing

pytestmark = pytest.mark.django_db

KEY = "maker/model"


def seen(server: Server, what: Listing, asked_s_ago: float = 0.0) -> None:
    now = clock.now()
    reconcile(server.pk, what, now - timedelta(seconds=asked_s_ago), now)


def loaded(server: Server, **over: Any) -> Placement:
    """A placement of the model, loaded a minute ago."""
    values = {"server": server, "model": build.model(key=KEY), "loaded_at": clock.now() - timedelta(minutes=1)}
    return build.placement(**values | over)


def states() -> dict[str, str]:
    return dict(Placement.objects.order_by("id").values_list("instance_id", "state"))


# --- models and offers -------------------------------------------------------------------------------------------
def test_a_new_model_is_kept_with_what_the_list_says() -> None:
    server = build.server()
    seen(server, listing(listed("Maker/Model-14B", aliases=("Maker/Model-14B@q4", "Maker/Model-14B@q8"))))
    model, offer = LanguageModel.objects.get(), Offer.objects.get()
    assert (model.key, model.aliases) == ("maker/model-14b", ["maker/model-14b@q4", "maker/model-14b@q8"])
    assert (model.size_gb, model.size_source, model.format, model.max_context_length) == (11.75, "listing", "gguf", 131_072)
    assert (offer.server, offer.key, offer.size_bytes, offer.format) == (server, "Maker/Model-14B", 10 * GIB, "gguf")


def test_looking_twice_changes_nothing() -> None:
    server = build.server()
    look = listing(listed(KEY, KEY), listed("maker/other"))
    seen(server, look)
    before = [list(rows.objects.order_by("id").values()) for rows in (LanguageModel, Offer, Placement)]
    seen(server, look)
    assert before == [list(rows.objects.order_by("id").values()) for rows in (LanguageModel, Offer, Placement)]


NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "by its key": ({"key": KEY}, "Maker/Model"),
    "by one of its aliases": ({"key": "something/else", "aliases": [KEY]}, "maker/model"),
    "by a variant that somebody asked for": ({"key": "maker/model@q4"}, "maker/model"),
}


@pytest.mark.parametrize(("row", "name"), NAMES.values(), ids=NAMES.keys())
def test_a_listed_model_is_recognised(row: dict[str, Any], name: str) -> None:
    model = build.model(**row)
    seen(build.server(), listing(listed(name)))
    assert Offer.objects.get().model == model
    assert LanguageModel.objects.count() == 1


def test_two_variants_that_a_server_lists_are_two_models() -> None:
    seen(build.server(), listing(listed("maker/model@q4"), listed("maker/model@q8")))
    assert sorted(LanguageModel.objects.values_list("key", flat=True)) == ["maker/model@q4", "maker/model@q8"]
    assert Offer.objects.count() == 2


def test_two_servers_that_spell_a_model_differently_share_it() -> None:
    seen(build.server(), listing(listed("Maker/Model")))
    seen(build.server(), listing(listed("maker/model")))
    assert LanguageModel.objects.count() == 1
    assert sorted(Offer.objects.values_list("key", flat=True)) == ["Maker/Model", "maker/model"]


def test_instance_ids_are_no_names_of_the_model() -> None:
    seen(build.server(), listing(listed(KEY, KEY, f"{KEY}:2", aliases=(f"{KEY}:2",))))
    assert LanguageModel.objects.get().aliases == []


SIZES = {
    "a guess is replaced": ("guess", 99.0, 11.75, "listing"),
    "a smaller listing grows": ("listing", 5.0, 11.75, "listing"),
    "a larger listing stays": ("listing", 50.0, 50.0, "listing"),
    "a server's own word stays": ("guardrail", 5.0, 5.0, "guardrail"),
    "the operator's word stays": ("operator", 5.0, 5.0, "operator"),
}


@pytest.mark.parametrize(("source", "gb", "kept", "how"), SIZES.values(), ids=SIZES.keys())
def test_of_sizes(source: str, gb: float, kept: float, how: str) -> None:
    build.model(key=KEY, size_gb=gb, size_source=source)
    seen(build.server(), listing(listed(KEY)))
    model = LanguageModel.objects.get()
    assert (model.size_gb, model.size_source) == (kept, how)


def test_what_is_not_listed_any_more_is_no_offer_any_more() -> None:
    server, other = build.server(), build.server()
    for one in (server, other):
        seen(one, listing(listed(KEY), listed("maker/other")))
    seen(server, listing(listed("maker/other")))
    assert [(o.server, o.model.key) for o in Offer.objects.order_by("id") if o.model.key == KEY] == [(other, KEY)]
    assert Offer.objects.count() == 3


def test_without_jit_the_v0_list_shows_only_what_is_loaded_and_offers_stay() -> None:
    server = build.server()
    seen(server, listing(listed(KEY), dialect=Dialect.LMSTUDIO_V0, jit=True))
    seen(server, listing(dialect=Dialect.LMSTUDIO_V0, jit=False))
    assert Offer.objects.get().model.key == KEY


def test_what_was_learned_of_an_offer_stays() -> None:
    server = build.server()
    seen(server, listing(listed(KEY)))
    Offer.objects.update(load_seconds=7.0, cooldown_reason="no memory")
    seen(server, listing(listed(KEY, format="mlx")))
    offer = Offer.objects.get()
    assert (offer.load_seconds, offer.cooldown_reason, offer.format) == (7.0, "no memory", "mlx")


# --- what is in memory -------------------------------------------------------------------------------------------
def test_what_somebody_loaded_by_hand_is_adopted_with_its_copies() -> None:
    seen(build.server(), listing(listed(KEY, KEY, f"{KEY}:2")))
    rows = Placement.objects.order_by("id")
    assert [(p.instance_id, p.state, p.adopted, p.slots, p.gb) for p in rows] == [
        (KEY, "loaded", True, 4, 11.75),
        (f"{KEY}:2", "loaded", True, 4, 11.75),
    ]


def test_what_a_server_is_still_loading_for_somebody_is_not_adopted() -> None:
    seen(build.server(), listing(listed(KEY, KEY, state=State.LOADING)))
    assert not Placement.objects.exists()


def test_a_server_without_a_life_cycle_has_everything_always_ready_and_takes_no_memory() -> None:
    seen(build.server(slots=2), listing(listed(KEY), listed("maker/other"), dialect=Dialect.OPENAI))
    assert [(p.state, p.gb, p.slots) for p in Placement.objects.all()] == [("loaded", 0.0, 2)] * 2


def test_slots_and_context_follow_the_server() -> None:
    server = build.server()
    loaded(server, slots=1, context_length=None)
    seen(server, listing(listed(KEY, KEY, parallel=8)))
    placement = Placement.objects.get()
    assert (placement.slots, placement.context_length) == (8, 4096)
    Server.objects.update(slots=2)
    seen(server, listing(listed(KEY, KEY, parallel=8)))
    assert Placement.objects.get().slots == 2


def test_what_vanished_is_gone() -> None:
    server = build.server()
    loaded(server)
    seen(server, listing(listed(KEY)))
    placement = Placement.objects.get()
    assert (placement.state, placement.reason) == ("gone", "the server does not list it any more")


def test_what_was_loaded_after_the_question_is_not_missed_in_the_answer() -> None:
    server = build.server()
    loaded(server, loaded_at=clock.now())
    seen(server, listing(listed(KEY)), asked_s_ago=3)
    assert states() == {KEY: "loaded"}


def test_while_the_server_cannot_say_nothing_is_taken_for_vanished() -> None:
    server = build.server()
    loaded(server)
    seen(server, listing(listed("maker/other", "maker/other", state=State.UNKNOWN)))
    assert states() == {KEY: "loaded"}


def test_other_servers_are_left_alone() -> None:
    here, there = build.server(), build.server()
    loaded(there)
    seen(here, listing())
    assert states() == {KEY: "loaded"}


# --- what nobody looks after any more ----------------------------------------------------------------------------
LEFT: dict[str, tuple[str, Any, str]] = {
    "a load that is done": ("loading", (KEY,), "loaded"),
    "a load that never was": ("loading", (), "failed"),
    "an unload that is done": ("unloading", (), "gone"),
    "an unload that never was": ("unloading", (KEY,), "loaded"),
}


@pytest.mark.parametrize(("state", "instances", "becomes"), LEFT.values(), ids=LEFT.keys())
@pytest.mark.parametrize("alive", [False, True])
def test_what_a_dead_engine_began_is_settled_and_what_a_live_one_does_is_not(state: str, instances: Any, becomes: str, alive: bool) -> None:
    now, server = clock.now(), build.server()
    until = now + timedelta(seconds=29 if alive else -1)
    placement = loaded(server, state=state, loaded_at=None, created_at=now - timedelta(minutes=1), lease_owner=7, lease_until=until)
    seen(server, listing(listed(KEY, *instances)))
    placement.refresh_from_db()
    assert placement.state == (state if alive else becomes)
    assert (placement.lease_until is None) is not alive
    assert Placement.objects.count() == 1


def test_a_load_of_a_dead_engine_that_is_still_going_on_is_waited_for() -> None:
    server, past = build.server(), clock.now() - timedelta(minutes=1)
    placement = loaded(server, state="loading", loaded_at=None, created_at=past, lease_until=past)
    seen(server, listing(listed(KEY, KEY, state=State.LOADING)))
    placement.refresh_from_db()
    assert placement.state == "loading"
