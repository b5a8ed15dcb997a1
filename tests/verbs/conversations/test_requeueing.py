"""A person wants an answer again: once, within the limits, never doubled."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings

from conversations import admit
from conversations.logic.cadence import ATTEMPTS
from conversations.logic.lifecycle import ReplyState
from conversations.models import Reply
from conversations.requeue import Refused, requeue
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.races.hands import at_once
from tests.verbs.conversations.desk import Desk
from tests.verbs.conversations.hostile import Hostile, refuses, says

pytestmark = pytest.mark.django_db(transaction=True)


def ended(state: str = "failed", **over: Any) -> Reply:
    who = over.pop("entity", None) or build.entity(slug="ping", model="maker/small")
    feed = over.pop("feed", None) or build.feed()
    message = build.message(feed=feed, decided_at=clock.now())
    values = {"state": state, "message": message, "entity": who, "reason": "It went wrong.", "deadline": clock.now() - timedelta(days=1)}
    return build.reply(**values | {"permit": build.permit(entity=who, state="refunded")} | over)


def test_a_dead_letter_goes_again_under_its_id_and_time_with_a_new_permit(hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do")
    reply = ended("ready", feed=feed, text="Hello.", deadline=clock.now() + timedelta(minutes=5))
    hostile.answers = [refuses(500)] * ATTEMPTS
    for _ in range(ATTEMPTS):
        desk.post()
    reply.refresh_from_db()
    assert (reply.state, reply.attempts) == ("failed", ATTEMPTS)
    assert requeue(reply.pk, "ann") is ReplyState.READY
    assert desk.post() == [None]
    assert desk.confirm() == 1
    assert len(set(hostile.posts())) == 1
    assert [one["id"] for one in hostile.kept] == [reply.outgoing_id]
    reply.refresh_from_db()
    assert (reply.state, reply.judged_by, reply.reason, reply.permit and reply.permit.state) == ("posted", "ann", "", "spent")
    assert sorted(Permit.objects.values_list("state", flat=True)) == ["refunded", "spent"]
    assert Event.objects.filter(kind="reply.requeued").count() == 1


@pytest.mark.parametrize("generation", ["kv", "kv-patch", "kv-queue", "do"])
def test_a_dead_letter_that_had_arrived_after_all_is_found_and_not_doubled(generation: str, hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected=generation, lost_after_s=0.1)
    reply = ended("ready", feed=feed, text="Hello.", deadline=clock.now() + timedelta(minutes=5), attempts=ATTEMPTS - 1)
    hostile.answers = [says(500, "it is stored all the same")]
    desk.post()
    Reply.objects.filter(pk=reply.pk, state="posting").update(state="failed", ended_at=clock.now(), accepted_at=None)
    requeue(reply.pk, "ann")
    assert desk.post() == [None]
    assert desk.confirm() == 1
    assert len(hostile.posts()) == len(hostile.kept) == 1


def test_an_answer_without_a_text_is_generated_again_with_its_request(hostile: Hostile) -> None:
    request = {"messages": [{"role": "user", "content": "Hello?"}], "sampling": {"temperature": 0.6}, "max_tokens": 9, "stop": ["x"]}
    old = build.generation(state="expired", model=build.model(key="maker/small"), request=request, priority=7)
    reply = ended("dropped", generation=old, reason="Too late.")
    assert requeue(reply.pk, "ann") is ReplyState.WAITING
    assert admit.admit(clock.now()) == 1
    reply.refresh_from_db()
    new = reply.generation
    assert new is not None
    assert new.pk != old.pk
    assert (new.request, new.priority, new.state, new.model) == (request, 7, "queued", old.model)
    assert (reply.state, reply.permit and reply.permit.state) == ("waiting", "reserved")
    assert reply.deadline > clock.now()
    assert reply.drafts == [{"generation": old.pk, "text": "", "why": "Too late."}]


def test_what_the_limits_refused_until_it_was_too_late_is_asked_with_the_request_that_was_prepared() -> None:
    prepared = {
        "model": "maker/small",
        "priority": None,
        "request": {"messages": [{"role": "user", "content": "x"}], "sampling": {}, "max_tokens": None, "stop": []},
    }
    reply = ended("waiting", prepared=prepared, permit=None, permit_at=clock.now())
    assert admit.admit(clock.now()) == 0
    reply.refresh_from_db()
    assert (reply.state, reply.reason) == ("dropped", "its limits refused it until it was too late")
    assert requeue(reply.pk, "ann") is ReplyState.WAITING
    assert admit.admit(clock.now()) == 1


def test_a_requeued_answer_obeys_the_limits() -> None:
    who = build.entity(slug="ping", model="maker/small")
    build.limit(entity=who, kind="minute", amount=1)
    build.permit(entity=who, state="spent")
    written = ended(entity=who, text="Hello.")
    with pytest.raises(Refused, match="limits of ping do not allow it now"):
        requeue(written.pk, "ann")
    written.refresh_from_db()
    assert (written.state, written.reason) == ("failed", "It went wrong.")
    unwritten = ended(entity=who, generation=build.generation(state="failed"))
    assert requeue(unwritten.pk, "ann") is ReplyState.WAITING
    assert admit.admit(clock.now()) == 0
    unwritten.refresh_from_db()
    assert unwritten.permit_at is not None
    assert unwritten.permit_at > clock.now()


@pytest.mark.parametrize("state", ["waiting", "ready", "held", "posting", "posted"])
def test_what_is_on_its_way_or_there_is_refused(state: str) -> None:
    reply = ended(state)
    with pytest.raises(Refused, match="posted already" if state == "posted" else "on its way already"):
        requeue(reply.pk, "ann")
    reply.refresh_from_db()
    assert reply.state == state


def test_where_nothing_may_be_posted_nothing_is_requeued() -> None:
    reply = ended(text="Hello.")
    feed = reply.message.feed
    with override_settings(DRY_RUN=True), pytest.raises(Refused, match="dry run"):
        requeue(reply.pk, "ann")
    feed.dry_run, feed.enabled = True, False
    feed.save()
    with pytest.raises(Refused, match="dry run"):
        requeue(reply.pk, "ann")
    feed.dry_run = False
    feed.save()
    with pytest.raises(Refused, match="is switched off"):
        requeue(reply.pk, "ann")
    feed.enabled = True
    feed.save()
    Entity.objects.update(enabled=False)
    with pytest.raises(Refused, match="ping is switched off"):
        requeue(reply.pk, "ann")
    with pytest.raises(Refused, match="no reply 99999"):
        requeue(99_999, "ann")


def test_an_answer_whose_request_is_gone_is_refused_with_the_reason() -> None:
    reply = ended("dropped", generation=None)
    with pytest.raises(Refused, match="not kept any more"):
        requeue(reply.pk, "ann")


@pytest.mark.parametrize("text", ["Hello.", ""])
def test_of_eight_people_who_want_it_again_one_gets_it(text: str) -> None:
    reply = ended(text=text, generation=build.generation(state="failed"))

    def want(person: int) -> int:
        try:
            requeue(reply.pk, f"person {person}")
        except Refused:
            return 0
        return 1

    assert sum(at_once(8, want)) == 1
    assert Permit.objects.filter(state="reserved").count() == bool(text)
