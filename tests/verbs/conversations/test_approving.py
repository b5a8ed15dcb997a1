"""Answers on hold and what a person says of them."""

from datetime import timedelta
from typing import Any

import pytest

from conversations import clean, settle
from conversations.approve import Unfit, approve, edit, reject
from conversations.models import Reply
from conversations.post import claim
from conversations.requeue import requeue
from conversations.stop import resume, stop
from entities.models import Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.races.hands import at_once
from tests.verbs.conversations.desk import Desk
from tests.verbs.conversations.hostile import Hostile

pytestmark = pytest.mark.django_db(transaction=True)


def held(**over: Any) -> Reply:
    who = build.entity(hold=True)
    feed = over.pop("feed", None) or build.feed()
    message = build.message(feed=feed, decided_at=clock.now())
    return build.reply(**{"state": "held", "message": message, "entity": who, "permit": build.permit(entity=who)} | over)


def test_an_approved_answer_is_posted_once_as_it_is(hostile: Hostile, desk: Desk) -> None:
    reply = held(feed=build.feed(url=hostile.url, detected="do"))
    assert desk.post() == []
    assert approve([reply.pk, reply.pk, 99_999], "ann") == 1
    assert approve([reply.pk], "bob") == 0
    assert desk.post() == [None]
    assert desk.confirm() == 1
    reply.refresh_from_db()
    assert (reply.state, reply.judged_by, reply.original, reply.permit and reply.permit.state) == ("posted", "ann", "", "spent")
    assert len(hostile.posts()) == 1
    assert Event.objects.filter(kind="reply.approved").count() == 1


def test_an_edited_answer_is_posted_as_edited_and_keeps_what_the_persona_wrote(hostile: Hostile, desk: Desk) -> None:
    reply = held(feed=build.feed(url=hostile.url, detected="do"), text="It is rubbish.")
    assert edit(reply.pk, "  It is\x00 fine \ud83d.  ", "ann")
    desk.post()
    reply.refresh_from_db()
    assert (reply.text, reply.original) == ("It is fine \ufffd.", "It is rubbish.")
    assert [one["text"] for one in hostile.kept] == ["It is fine \ufffd."]


def test_an_edit_that_changes_nothing_is_an_approval() -> None:
    reply = held(text="Yes.")
    assert edit(reply.pk, "Yes.", "ann")
    reply.refresh_from_db()
    assert (reply.state, reply.original) == ("ready", "")


@pytest.mark.parametrize(
    ("text", "said"), [("", "no text left"), (" \n", "no text left"), ("x" * 241, "241 characters"), ("😀" * 121, "242 ")]
)
def test_a_text_that_the_feed_would_not_take_is_refused_and_stays_on_hold(text: str, said: str) -> None:
    reply = held()
    with pytest.raises(Unfit, match=said):
        edit(reply.pk, text, "ann")
    reply.refresh_from_db()
    assert (reply.state, reply.judged_by) == ("held", "")


def test_a_rejected_answer_gives_its_permit_back_and_says_who_and_why() -> None:
    reply = held()
    assert reject([reply.pk], "ann", "too rude") == 1
    assert reject([reply.pk], "bob") == 0
    assert approve([reply.pk], "bob") == 0
    assert not edit(reply.pk, "x", "bob")
    reply.refresh_from_db()
    assert (reply.state, reply.reason, reply.judged_by) == ("dropped", "rejected by ann: too rude", "ann")
    assert Permit.objects.get().state == "refunded"


@pytest.mark.parametrize("state", ["waiting", "ready", "posting", "posted", "dropped", "failed"])
def test_only_what_is_on_hold_is_judged(state: str) -> None:
    reply = held(state=state)
    assert approve([reply.pk], "ann") == reject([reply.pk], "ann") == 0
    assert not edit(reply.pk, "Yes.", "ann")
    reply.refresh_from_db()
    assert reply.state == state


def test_a_late_answer_stays_on_hold_and_has_time_again_once_it_is_approved(hostile: Hostile, desk: Desk) -> None:
    reply = held(feed=build.feed(url=hostile.url, detected="do"), deadline=clock.now() - timedelta(days=1))
    assert desk.post() == []
    reply.refresh_from_db()
    assert reply.state == "held"
    approve([reply.pk], "ann")
    assert desk.post() == [None]


def test_an_approval_does_not_go_past_the_global_stop(hostile: Hostile, desk: Desk) -> None:
    reply = held(feed=build.feed(url=hostile.url, detected="do"))
    stop("ann")
    approve([reply.pk], "bob")
    assert desk.post() == []
    resume("ann")
    assert desk.post() == [None]


def test_of_eight_people_who_judge_at_one_moment_one_is_obeyed() -> None:
    reply = held()

    def judge(person: int) -> int:
        who = f"person {person}"
        verbs = (lambda: approve([reply.pk], who), lambda: edit(reply.pk, f"Edited by {who}.", who), lambda: reject([reply.pk], who))
        return int(verbs[person % 3]())

    outcomes = at_once(8, judge)
    assert sum(outcomes) == 1
    reply.refresh_from_db()
    assert reply.judged_by == f"person {outcomes.index(1)}"
    assert Permit.objects.get().state == ("refunded" if reply.state == "dropped" else "reserved")


def test_a_rejected_answer_may_be_wanted_again_with_the_text_that_was_last() -> None:
    reply = held()
    reject([reply.pk], "ann")
    assert requeue(reply.pk, "bob") == "ready"
    assert len(claim(1, clock.now())) == 1


def test_an_answer_of_an_entity_on_hold_waits_for_a_person() -> None:
    who = build.entity(hold=True)
    feed = build.feed()
    generation = build.generation(state="done", text="Hello.")
    message = build.message(feed=feed, decided_at=clock.now())
    build.reply(message=message, entity=who, permit=build.permit(entity=who), generation=generation)
    clean.clean(clock.now())
    assert Reply.objects.get().state == "held"
    assert claim(1, clock.now()) == []


def test_what_waits_for_a_person_keeps_no_engine_busy() -> None:
    reply = held()
    assert not settle.anything()
    approve([reply.pk], "ann")
    assert settle.anything()
