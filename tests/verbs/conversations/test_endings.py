"""However an answer ends, its permit is settled, and nothing waits for what is not there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cluster.models import Generation
from conversations import admit, approve, clean, ensemble, expire, reap
from conversations.models import Feed, Reply
from entities.models import Permit
from swwbot_site.lib import clock
from tests import build
from tests.verbs.conversations.desk import Desk

pytestmark = pytest.mark.django_db(transaction=True)

PREPARED: dict[str, Any] = {
    "model": "maker/small",
    "priority": None,
    "request": {"messages": [{"role": "user", "content": "x"}], "sampling": {}, "max_tokens": None, "stop": []},
}


def made(state: str = "waiting", **over: Any) -> Reply:
    """An answer with a permit, of an entity that may post once in 30 s."""
    who = build.entity(model="maker/small")
    build.limit(entity=who, kind="gap", amount=30)
    values = {"entity": who, "state": state, "permit": build.permit(entity=who)}
    return build.reply(**values | over)


def silent(state: str, **over: Any) -> Reply:
    return made(generation=build.generation(state=state, **over))


def later(**by: float) -> None:
    """All that looks after answers, at that time."""
    now = clock.now() + timedelta(**by)
    clean.clean(now)
    ensemble.advance(now)
    expire.expire(now)
    admit.admit(now)
    reap.reap(now)


def removed() -> Reply:
    one = silent("queued")
    Generation.objects.filter(reply=one).delete()
    return one


def off(reply: Reply) -> Reply:
    Feed.objects.update(enabled=False)
    return reply


def judged(reply: Reply) -> Reply:
    assert approve.reject([reply.pk], "ann") == 1
    return reply


ENDS: dict[str, Callable[[], Reply]] = {
    "failed": lambda: silent("failed"),
    "expired": lambda: silent("expired"),
    "cancelled": lambda: silent("cancelled"),
    "said nothing, and no time is left": lambda: made(generation=build.generation(state="done", text=""), deadline=clock.now()),
    "chose silence": lambda: silent("done", text="[SKIP]"),
    "its generation was removed": removed,
    "rejected": lambda: judged(made("held")),
    "ready, and its feed is off": lambda: off(made("ready")),
    "being posted, and its feed is off": lambda: off(made("posting", attempts=0)),
    "in line until it is too late": lambda: made(permit=None, prepared=PREPARED, permit_at=clock.now(), deadline=clock.now()),
}


@pytest.mark.parametrize("name", ENDS)
def test_whatever_ends_without_a_post_gives_its_permit_back(name: str) -> None:
    reply = ENDS[name]()
    later(days=1)
    reply.refresh_from_db()
    assert reply.state in ("dropped", "failed"), reply.state
    assert reply.reason
    assert reply.ended_at
    assert set(Permit.objects.values_list("state", flat=True)) <= {"refunded"}


def test_a_post_that_its_feed_took_and_was_switched_off_is_not_waited_for_and_counts_as_posted() -> None:
    reply = off(made("posting", accepted_at=clock.now(), attempt_at=clock.now()))
    later(minutes=5)
    reply.refresh_from_db()
    assert reply.state == "posting", "its feed may come back"
    later(days=1)
    reply.refresh_from_db()
    assert (reply.state, reply.permit and reply.permit.state) == ("failed", "spent")


def test_the_permit_of_an_answer_that_is_deleted_with_its_message_comes_back() -> None:
    kept, gone = silent("queued"), silent("running")
    gone.message.feed.delete()
    later()
    assert Permit.objects.filter(state="reserved").count() == 2, "too young to be sure"
    later(minutes=2)
    assert list(Permit.objects.filter(state="reserved")) == [kept.permit]
    assert Permit.objects.get(entity=gone.entity).state == "refunded"


def test_what_we_post_is_no_human_s_word_whatever_the_feed_makes_of_it(desk: Desk, chat: Any) -> None:
    feed = chat("kv", row={"detected": "kv"})
    build.reply(message=build.message(feed=Feed.objects.get(), decided_at=clock.now()), state="posting", outgoing_id="ours-1")
    httpx.post(
        f"{feed.url}/comments", json={"id": "ours-1", "text": "Hello."}, timeout=10, trust_env=False, verify=False
    ).raise_for_status()
    assert desk.poll() == 1
    row = Feed.objects.get().messages.get(remote_id="ours-1")
    assert (row.own, row.kind) == (True, "AI")
