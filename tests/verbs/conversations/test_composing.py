"""Requests put together from rows: what of the conversation is in them, and how much the model's context really holds."""

from collections.abc import Iterator
from typing import Any

import pytest

from cluster import queue
from cluster.models import LanguageModel
from conversations.compose import compose
from conversations.logic.message import Line
from conversations.logic.prompt import Draft, TooLong
from conversations.logic.sane import Unsound
from conversations.models import ConversationPolicy
from entities import read
from entities.models import Entity
from swwbot_site.lib.hooks import PluginFailed, hookimpl, manager
from tests import build
from tests.logic.conversations.values import MS, bot, line

pytestmark = pytest.mark.django_db


def composed(row: Entity, message: Line | None = None, seen: tuple[Line, ...] = (), model: str | None = None, username: str = "") -> Draft:
    """The draft of an entity's answer."""
    who = read.persona(row)
    wanted = row.model if model is None else model
    return compose(
        who,
        message or line("why?", id=99),
        seen,
        username=username or row.username,
        model=wanted,
        authors={row.username: frozenset({row.slug})},
    )


def loaded(context: int | None, **over: Any) -> LanguageModel:
    """A model in memory with so much context, offered by its server."""
    model = over.pop("model", None) or build.model(key="maker/small")
    server = over.pop("server", None) or build.server(**over)
    build.offer(model=model, server=server)
    build.placement(model=model, server=server, context_length=context)
    return model


@pytest.fixture
def plugin() -> Iterator[Any]:
    """Registers an object as a plugin for the test."""
    made: list[object] = []

    def register(one: object, name: str) -> None:
        manager.register(one, name=name)
        made.append(one)

    yield register
    for one in made:
        manager.unregister(one)


def test_an_entity_sees_what_it_listens_to_and_only_what_it_posted_is_its_own() -> None:
    row = build.entity(username="Sage", prompt_format="turns", responds_to_all_ai=False, system_prompt="S", user_prompt="")
    seen = (
        line("hi", id=1, timestamp=MS - 9),
        bot("I am a bot", "Other", id=2, timestamp=MS - 8),
        bot("mine", "Sage", id=3, timestamp=MS - 7, own=True),
        bot("not mine", "Sage", id=4, timestamp=MS - 6),
        bot("as Mask", "Mask", id=5, timestamp=MS - 5, own=True),
    )
    assert composed(row, seen=seen).messages == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Ann: hi"},
        {"role": "assistant", "content": "mine"},
        {"role": "user", "content": "Sage (another): not mine\nAnn: why?"},
    ]
    assert composed(row, seen=seen, username="Mask").messages[-2:] == [
        {"role": "assistant", "content": "as Mask"},
        {"role": "user", "content": "Ann: why?"},
    ]


def test_the_policy_adds_its_stop_texts_and_warms_up_those_who_have_no_warmup() -> None:
    ConversationPolicy.objects.create(
        stop=["###", "END"], warmup=[{"role": "user", "content": "Common."}, {"role": "assistant", "content": "Yes."}]
    )
    own = [{"role": "user", "content": "Mine."}, {"role": "assistant", "content": "No."}]
    common, special = build.entity(prompt_format="turns", stop=["END"]), build.entity(prompt_format="turns", warmup=own)
    assert composed(common).stop == ["END", "###"]
    assert composed(common).messages[1:3] == [{"role": "user", "content": "Common."}, {"role": "assistant", "content": "Yes."}]
    assert composed(special).messages[1:3] == own


def test_traits_are_in_the_prompt_only_where_they_are_wanted() -> None:
    traits = {"style": "dry", "mood": "calm", "system_prompt": "S", "user_prompt": "U"}
    with_them, without = build.entity(use_traits=True, **traits), build.entity(**traits)
    assert composed(with_them).messages[0]["content"].startswith("S\n\nStyle: dry\nMood: calm\n\nContext: ")
    assert composed(without).messages[0]["content"].startswith("S\n\nContext: ")


def test_the_conversation_is_cut_to_the_context_that_is_really_there() -> None:
    loaded(1024)
    row = build.entity(model="maker/small", max_tokens=100, messages_to_read=1000)
    seen = tuple(line(f"number {n} of many words that are said", id=n, timestamp=MS - 999 + n) for n in range(300))
    made = composed(row, seen=seen)
    assert made.room == 1024
    assert made.tokens + 100 <= 1024
    assert 10 < len(made.lines) < 100
    assert made.dropped == [f"the {301 - len(made.lines)} oldest lines"]
    assert made.shown[-1] == "Ann: why?"


def test_a_prompt_that_leaves_no_room_is_an_error_that_names_the_numbers() -> None:
    loaded(512)
    with pytest.raises(TooLong, match=r"about \d+ tokens.*maker/small has 512"):
        composed(build.entity(model="maker/small", system_prompt="word " * 2000))


def test_a_strangers_model_must_be_known_and_the_entitys_own_need_not() -> None:
    loaded(4096)
    row = build.entity(model="not/listed-yet")
    assert composed(row).model == "not/listed-yet"
    assert composed(row, model="small").room == 4096
    with pytest.raises(queue.UnknownModel, match=r"There is no model 'evil/model'\. The servers have maker/small"):
        composed(row, model="Evil/Model")
    assert not LanguageModel.objects.filter(key__contains="evil").exists()


def test_a_plugin_changes_the_parts_and_what_it_adds_is_fitted_too(plugin: Any) -> None:
    class Changes:
        @hookimpl
        def before_prompt(self, draft: Draft) -> None:
            draft.system += " Be brief."
            draft.sampling["temperature"] = 0.1
            draft.stop.append("!")
            draft.lines[0:0] = draft.lines[-1:] * 5000

    plugin(Changes(), "changes")
    loaded(1024)
    made = composed(build.entity(model="maker/small", system_prompt="S", temperature=0.9, max_tokens=50))
    assert made.messages[0]["content"].startswith("S Be brief.\n\nContext: ")
    assert made.sampling["temperature"] == 0.1
    assert made.stop[-1] == "!"
    assert made.tokens <= 1024 - 50


def test_the_own_rules_run_before_those_of_plugins(plugin: Any) -> None:
    heard: list[str] = []

    class Hears:
        @hookimpl
        def before_prompt(self, draft: Draft) -> None:
            heard.append(draft.system)

    plugin(Hears(), "hears")
    composed(build.entity(use_traits=True, mood="calm", system_prompt="S"))
    assert heard == ["S\n\nMood: calm"]


def test_a_plugin_that_fails_ends_the_answer_and_is_named(plugin: Any) -> None:
    class Breaks:
        @hookimpl
        def before_prompt(self, draft: Draft) -> None:
            draft.messages[0]["content"] = "there is none yet"

    plugin(Breaks(), "breaks")
    with pytest.raises(PluginFailed, match="The plugin breaks failed in before_prompt: IndexError"):
        composed(build.entity())


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("lines", []),
        ("lines", None),
        ("lines", ["Ann: why?"]),
        ("system", None),
        ("model", 3),
        ("sampling", {"top_p": float("nan")}),
        ("sampling", {"seed": "x"}),
        ("max_tokens", 0),
        ("max_tokens", 1.5),
        ("stop", [None]),
        ("messages", [{"role": "root", "content": "x"}]),
        ("messages", [{"role": "user", "content": None}]),
        ("warmup", ["Hello"]),
        ("dropped", [object()]),
    ],
)
def test_a_plugin_that_leaves_no_request_ends_the_answer_and_the_part_is_named(plugin: Any, part: str, value: Any) -> None:
    class Breaks:
        @hookimpl
        def before_prompt(self, draft: Draft) -> None:
            setattr(draft, part, value)

    plugin(Breaks(), "breaks")
    with pytest.raises(Unsound, match=f"left something in .*{part}"):
        composed(build.entity())


def test_what_a_plugin_leaves_can_be_stored(plugin: Any) -> None:
    class Breaks:
        @hookimpl
        def before_prompt(self, draft: Draft) -> None:
            draft.messages = [{"role": "user", "content": "a\x00b\ud800"}]
            draft.model = "a\x00b"
            draft.dropped.append("\x00c")

    plugin(Breaks(), "breaks")
    made = composed(build.entity())
    assert (made.messages[0]["content"], made.model, made.dropped) == ("ab\ufffd", "ab", ["c"])


@pytest.mark.parametrize(
    ("rows", "tokens"),
    [
        ((), 4096),
        (({"context": 8192},), 8192),
        (({"context": 8192}, {"context": 2048}), 2048),
        (({"context": 8192}, {"context": None}), 8192),
        (({"context": 1024, "state": "gone"}, {"context": 8192}), 8192),
        (({"context": 1024, "state": "loading"},), 4096),
    ],
)
def test_a_request_may_have_the_least_of_what_is_loaded(rows: tuple[dict[str, Any], ...], tokens: int) -> None:
    model = build.model(key="maker/small")
    for row in rows:
        build.placement(model=model, context_length=row["context"], state=row.get("state", "loaded"))
    assert queue.context_length("Maker/Small") == tokens


@pytest.mark.parametrize(
    ("values", "limit", "tokens"),
    [
        ({}, None, 4096),
        ({"max_context_length": 2048}, None, 2048),
        ({"max_context_length": 131_072}, None, 4096),
        ({"context_length": 16_384}, None, 16_384),
        ({"context_length": 16_384}, 8192, 8192),
        ({}, 2048, 2048),
    ],
)
def test_what_is_not_loaded_will_have_what_it_would_be_loaded_with(values: dict[str, Any], limit: int | None, tokens: int) -> None:
    build.offer(model=build.model(key="maker/small", **values), context_limit=limit)
    assert queue.context_length("maker/small") == tokens


def test_the_part_of_a_divided_context_is_not_divided_again() -> None:
    """llama.cpp with 8192 tokens over 10 slots tells 819 for each; what it was loaded with would overflow after a few turns."""
    build.placement(model=build.model(key="maker/small", context_length=8192), slots=10, context_length=819)
    assert queue.context_length("maker/small") == 819


def test_a_pinned_request_counts_on_its_own_server_only() -> None:
    model, big, small = build.model(key="maker/small"), build.server(name="big"), build.server(name="small")
    loaded(8192, model=model, server=big)
    loaded(1024, model=model, server=small)
    assert queue.context_length("maker/small") == 1024
    assert queue.context_length("maker/small", "big") == 8192
    assert queue.context_length("maker/small", "no such server") == 1024


def test_a_loose_name_and_the_default_model_mean_the_same_context() -> None:
    loaded(2048, model=build.model(key="maker/small", aliases=["tiny"]))
    build.policy(default_model="tiny")
    assert [queue.context_length(name) for name in ("tiny", "small", "", " Maker/Small ")] == [2048] * 4
    assert queue.context_length("unheard-of") == 4096
