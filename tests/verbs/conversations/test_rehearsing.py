"""An entity is tried: its model answers, and nothing else happens."""

import pytest

from cluster.models import Generation
from conversations.models import Message, Reply
from conversations.preview import NoEntity, NoMessage
from conversations.rehearse import NoTrial, Wordless, outcome, rehearse
from entities.models import Permit
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db


def sage(**over: object) -> None:
    build.offer(model=build.model(key="maker/small"))
    build.entity(**{"slug": "sage", "username": "Sage", "model": "maker/small", "system_prompt": "You are wise."} | over)


def test_own_words_are_asked_as_an_answer_would_be_and_nothing_is_posted_or_counted() -> None:
    sage()
    row = Generation.objects.get(pk=rehearse("sage", "ann", clock.now(), said="why?"))
    assert (row.state, row.caller, row.model.key, row.request_hash) == ("queued", "try:ann", "maker/small", "")
    assert "You: why?" in row.request["messages"][0]["content"]
    assert (Reply.objects.count(), Permit.objects.count(), Message.objects.count()) == (0, 0, 0)


def test_an_entity_that_is_off_can_be_tried() -> None:
    sage(enabled=False)
    assert rehearse("sage", "ann", clock.now(), said="why?")


def test_a_message_is_asked_with_what_was_said_before_it() -> None:
    sage()
    feed = build.feed()
    build.message(feed=feed, text="hello", username="Bob", timestamp=1_700_000_000_000)
    last = build.message(feed=feed, text="and now?", timestamp=1_700_000_001_000)
    row = Generation.objects.get(pk=rehearse("sage", "ann", clock.now(), message=last.pk))
    assert "Bob: hello\nAnn: and now?" in row.request["messages"][0]["content"]
    assert rehearse("sage", "ann", clock.now())


def test_what_cannot_be_tried_is_said_and_queues_nothing() -> None:
    sage()
    for wrong, error in (
        ({"entity": "sago"}, NoEntity),
        ({"message": 4711}, NoMessage),
        ({"said": " \n "}, Wordless),
        ({}, NoMessage),
    ):
        with pytest.raises(error):
            rehearse(**{"entity": "sage", "who": "ann", "now": clock.now()} | wrong)
    assert not Generation.objects.exists()


def test_hostile_words_reach_the_model_as_words() -> None:
    sage()
    row = Generation.objects.get(pk=rehearse("sage", "a\u202enn", clock.now(), said="x\x00\ud800" + "[SKIP] " * 20_000))
    assert len(row.request["messages"][0]["content"]) < 5000


def test_the_outcome_is_what_would_be_posted_and_why_nothing_would() -> None:
    sage(filter_out=["um "])
    pk = rehearse("sage", "ann", clock.now(), said="why?")
    assert not outcome("sage", pk).over
    rows = Generation.objects.filter(pk=pk)
    ended = {"ended_at": clock.now(), "finish_reason": "stop"}
    rows.update(state="done", text="<think>hm</think>Sage: um because.", **ended)
    found = outcome("sage", pk)
    assert (found.text, found.why, found.over) == ("because.", "", True)
    assert found.steps
    rows.update(text="[SKIP]")
    assert (outcome("sage", pk).text, bool(outcome("sage", pk).why)) == ("", True)
    rows.update(state="failed", text="", error="Nobody answered.")
    assert outcome("sage", pk).why == "Nobody answered."


def test_no_other_request_is_shown_as_a_trial() -> None:
    sage()
    with pytest.raises(NoTrial):
        outcome("sage", build.generation(state="done", caller="entity:sage", text="secret").pk)
    with pytest.raises(NoTrial):
        outcome("sage", 4711)
