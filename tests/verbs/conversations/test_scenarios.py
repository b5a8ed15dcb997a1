"""Scenarios with rows: prompts, real models, and no trace of either in the chat."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from conversations import company, recorded, scenario
from conversations.models import ConversationPolicy, Message, Reply
from conversations.replay import Setting, replay
from entities import read
from entities.models import Permit
from tests import build
from tests.harness import engines

pytestmark = pytest.mark.django_db(transaction=True)
Studios = Callable[..., Studio]


def document(expect: Any, **setting: Any) -> dict[str, Any]:
    return {
        "setting": setting,
        "messages": [{"who": "Ann", "text": "Nice weather."}, {"who": "Ben", "text": "Owl, are you there?", "expect": expect}],
    }


def test_the_prompt_is_the_one_that_would_be_sent() -> None:
    owl = build.entity(slug="owl", username="Owl", system_prompt="You are an old owl.", model="maker/small", mood="sleepy", use_traits=True)
    sees = {
        "prompt": {"contains": ["You are an old owl.", "Mood: sleepy", "Ann: Nice weather.", "Ben: Owl, are you there?"], "lacks": ["cat"]}
    }
    build.scenario(entity=owl, name="sees", document=document(sees))
    build.scenario(entity=owl, name="lacks", document=document({"prompt": {"contains": ["cat"], "lacks": ["Ann"]}}))
    lacks, sound = scenario.run("owl")
    assert sound.passed, sound.problems
    assert [one.partition(": ")[2] for one in lacks.problems] == [
        "its prompt must have 'cat' in it, and has not",
        "its prompt must not have 'Ann' in it, and has",
    ]
    assert [model.objects.count() for model in (Generation, Message, Permit)] == [0, 0, 0]


def test_real_models_are_asked_and_their_texts_cleaned_and_held_against_what_is_expected(studio: Studios) -> None:
    studio(models=("maker/small:4",))
    owl = build.entity(slug="owl", username="Owl", model="maker/small", response_chance=0.0)
    ConversationPolicy.objects.create(filter_out=["nothing of this kind"])
    build.scenario(entity=owl, name="fine", document=document({"text": {"matches": ["."], "avoids": ["<think>"], "longest": 240}}))
    build.scenario(entity=owl, name="wrong", document=document({"text": {"matches": ["a text that no model writes"]}}))
    feed = build.feed()
    build.message(feed=feed, text="Owl, what is time?")
    with engines():
        fine, wrong = scenario.run("owl", real=True)
        there = recorded.recorded(feed, None, None, None, read.rules())
        report = replay(there, Setting(cast=company.cast(), rules=read.rules(), real=True, patience_s=60))
    assert fine.passed, fine.problems
    assert "its text must match 'a text that no model writes'" in wrong.problems[0]
    assert report.outcomes[0].now[0].written
    asked = list(Generation.objects.order_by("id").values_list("caller", "priority", "state"))
    assert {caller for caller, _, _ in asked} == {"scenario:owl", f"replay:{feed.name}", "entity:owl"} - (
        {"entity:owl"} if not Reply.objects.exists() else set()
    )
    assert {(priority, state) for caller, priority, state in asked if caller != "entity:owl"} == {(99, "done")}


def test_nobody_who_answers_is_an_answer_that_is_told() -> None:
    owl = build.entity(slug="owl", username="Owl", model="maker/small")
    build.scenario(entity=owl, document=document({"text": {"matches": ["."]}}))
    (result,) = scenario.run("owl")
    assert result.passed  # with stub models nobody looks at texts
    feed = build.feed()
    build.message(feed=feed, text="Owl, what is time?")
    there = recorded.recorded(feed, None, None, None, read.rules())
    report = replay(there, Setting(cast=company.cast(), rules=read.rules(), real=True, patience_s=0.3))
    assert report.outcomes[0].now[0].written == "(no answer within 0.3 s; is an engine running?)"
    assert list(Generation.objects.values_list("state", flat=True)) == ["cancelled"]
