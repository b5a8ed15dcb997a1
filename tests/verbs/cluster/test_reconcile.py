"""Rows and what servers list."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cluster import lease
from cluster.lmstudio.values import Dialect, Instance, Listing, State
from cluster.models import LanguageModel, Offer, Placement, Server
from cluster.reconcile import reconcile
from cluster.shelf import Shelf
from swwbot_site.lib import clock
from swwbot_site.lib.leases import living
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
    "a guess is replaced": ("guess", 99.0, None, 11.75, "listing"),
    "a smaller listing grows": ("listing", 5.0, 4, 11.75, "listing"),
    "a larger listing shrinks": ("listing", 50.0, 40, 11.75, "listing"),
    "a server's own word stays": ("guardrail", 15.0, 10, 15.0, "guardrail"),
    "until the file changes": ("guardrail", 15.0, 12, 11.75, "listing"),
    "the operator's word stays": ("operator", 5.0, 4, 5.0, "operator"),
}


@pytest.mark.parametrize(("source", "gb", "file", "kept", "how"), SIZES.values(), ids=SIZES.keys())
def test_of_sizes(source: str, gb: float, file: int | None, kept: float, how: str) -> None:
    build.model(key=KEY, size_gb=gb, size_source=source, size_bytes=file and file * GIB)
    seen(build.server(), listing(listed(KEY)))
    model = LanguageModel.objects.get()
    assert (model.size_gb, model.size_source, model.size_bytes) == (kept, how, 10 * GIB)


def test_of_different_files_on_several_servers_the_largest_counts_while_it_is_there() -> None:
    small, large = build.server(), build.server()
    sizes = []
    for server, gb in ((small, 10), (large, 20), (small, 10), (large, 8)):
        seen(server, listing(listed(KEY, size_bytes=gb * GIB)))
        sizes.append(LanguageModel.objects.get().size_gb)
    seen(small, listing())
    assert [*sizes, LanguageModel.objects.get().size_gb] == [11.75, 22.25, 22.25, 11.75, 9.65]


def test_what_others_learned_of_a_model_meanwhile_is_not_written_over() -> None:
    model, server = build.model(key=KEY), build.server()
    shelf, what = Shelf(), listed("Maker/Model")
    LanguageModel.objects.update(size_gb=15.0, size_source="guardrail", rate=3.0)
    shelf.weigh(server, Dialect.LMSTUDIO_V1, [(what, shelf.model(what))], {model.pk})
    model.refresh_from_db()
    assert (model.size_gb, model.size_source, model.rate) == (15.0, "guardrail", 3.0)
    assert (model.params, model.format) == ("14B", "gguf")


def test_a_file_that_changes_takes_what_failed_loads_taught_with_it() -> None:
    server = build.server()
    seen(server, listing(listed(KEY)))
    Offer.objects.update(context_limit=4096, cooldown_until=clock.now(), cooldown_reason="no memory", load_seconds=7.0)
    seen(server, listing(listed(KEY, format="mlx")))
    assert Offer.objects.get().context_limit == 4096
    seen(server, listing(listed(KEY, size_bytes=5 * GIB)))
    offer = Offer.objects.get()
    assert (offer.context_limit, offer.cooldown_until, offer.cooldown_reason, offer.load_seconds) == (None, None, "", 7.0)


def test_a_server_that_tells_the_size_only_of_what_is_loaded_does_not_make_it_forgotten() -> None:
    server = build.server(dialect="llamacpp-router")
    seen(server, listing(listed(KEY, KEY), dialect=Dialect.LLAMACPP_ROUTER))
    Offer.objects.update(context_limit=8192, cooldown_until=clock.now(), cooldown_reason="no memory")
    before = [list(rows.objects.order_by("id").values()) for rows in (LanguageModel, Offer)]
    seen(server, listing(listed(KEY, size_bytes=None), dialect=Dialect.LLAMACPP_ROUTER))
    assert before == [list(rows.objects.order_by("id").values()) for rows in (LanguageModel, Offer)]


def test_of_a_cloud_that_lists_hundreds_only_what_somebody_wants_is_kept() -> None:
    build.model(key="maker/wanted")
    server = build.server(preferred_models=["maker/liked"])
    many = [listed(f"maker/other-{n}", size_bytes=None) for n in range(100)]
    seen(server, listing(listed("Maker/Wanted"), listed("maker/liked"), *many, dialect=Dialect.OPENAI))
    assert sorted(LanguageModel.objects.values_list("key", flat=True)) == ["maker/liked", "maker/wanted"]
    assert Placement.objects.count() == Offer.objects.count() == 2


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


def test_what_has_left_since_the_list_was_asked_for_is_not_taken_for_something_new() -> None:
    row = loaded(build.server(), instance_id=KEY)
    Placement.objects.filter(pk=row.pk).update(state="gone", ended_at=clock.now() - timedelta(seconds=1))
    seen(row.server, listing(listed(KEY, KEY)), asked_s_ago=2)
    assert states() == {KEY: "gone"}
    seen(row.server, listing(listed(KEY, KEY)))
    assert list(Placement.objects.order_by("id").values_list("state", "adopted")) == [("gone", False), ("loaded", True)]


def test_a_model_that_was_loaded_with_another_context_takes_the_memory_of_that() -> None:
    loaded_so = Instance(id=KEY, context_length=8192, parallel=4)
    seen(build.server(), listing(replace(listed(KEY), instances=(loaded_so,))))
    assert Placement.objects.get().gb == pytest.approx(12.5)
    seen(Server.objects.get(), listing(replace(listed(KEY), instances=(replace(loaded_so, context_length=4096),))))
    assert Placement.objects.get().gb == pytest.approx(11.75)


def test_what_a_server_counts_itself_is_believed_unless_the_operator_knows_better() -> None:
    server, told = build.server(detected="ollama"), Instance(id=KEY, context_length=4096, memory_bytes=13 * GIB)
    seen(server, listing(replace(listed(KEY), instances=(told,)), dialect=Dialect.OLLAMA))
    assert Placement.objects.get().gb == 13
    seen(server, listing(replace(listed(KEY), instances=(replace(told, memory_bytes=14 * GIB),)), dialect=Dialect.OLLAMA))
    assert Placement.objects.get().gb == 14
    LanguageModel.objects.update(size_gb=20, size_source="operator")
    seen(server, listing(replace(listed(KEY), instances=(told,)), dialect=Dialect.OLLAMA))
    assert Placement.objects.get().gb == 20


def test_what_a_server_is_loading_for_somebody_else_holds_its_memory_and_is_looked_at_until_it_is_there() -> None:
    server = build.server()
    seen(server, listing(listed(KEY, KEY, state=State.LOADING)))
    placement = Placement.objects.get()
    assert (placement.state, placement.adopted, placement.gb, placement.instance_id) == ("loading", True, 11.75, KEY)
    assert lease.reap(clock.now(), living()) == 0
    assert Server.objects.get().listed_at is None
    seen(server, listing(listed(KEY, KEY, state=State.LOADING)))
    assert states() == {KEY: "loading"}
    seen(server, listing(listed(KEY, KEY)))
    placement.refresh_from_db()
    assert (placement.state, placement.lease_owner, placement.served) == ("loaded", None, False)


def test_somebody_elses_load_that_comes_to_nothing_is_forgotten() -> None:
    server = build.server()
    seen(server, listing(listed(KEY, KEY, state=State.LOADING)), asked_s_ago=2)
    Placement.objects.update(created_at=clock.now() - timedelta(seconds=5))
    seen(server, listing(listed(KEY)))
    placement = Placement.objects.get()
    assert (placement.state, placement.reason, placement.lease_owner) == ("failed", "its load came to nothing", None)


def test_of_two_foreign_loads_one_is_known_and_beside_our_own_none() -> None:
    server = build.server()
    seen(server, listing(listed(KEY, KEY, state=State.LOADING), listed("maker/other", "maker/other", state=State.LOADING)))
    assert states() == {KEY: "loading"}


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


def test_what_leaves_because_nobody_used_it_for_its_time_to_live_is_no_error() -> None:
    server = build.server()
    timed = replace(listed(KEY), instances=(Instance(id=KEY, context_length=4096, parallel=4, ttl_s=3600),))
    seen(server, listing(timed))
    expires = Placement.objects.get().expires_at
    assert expires is not None
    assert 3590 < (expires - clock.now()).total_seconds() <= 3600
    seen(server, listing(timed))
    assert Placement.objects.get().expires_at == expires, "it is not written again for a second's difference"
    long_ago = clock.now() - timedelta(hours=2)
    Placement.objects.update(loaded_at=long_ago, expires_at=long_ago + timedelta(hours=1))
    seen(server, listing(listed(KEY)))
    assert (Placement.objects.get().state, Placement.objects.get().reason) == ("gone", "its time to live was over")


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
