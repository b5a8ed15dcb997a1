"""The same message, the same reply, the same feed in many hands at one moment."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cluster.models import Generation
from conversations import admit, clean, confirm, cycle, ingest, poll, post, settle
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Feed, Message, Reply
from entities.models import Permit
from swwbot_site.lib import clock
from swwbot_site.lib.leases import taken
from swwbot_site.models import Event
from tests import build
from tests.harness import Background
from tests.races.hands import at_once
from tests.verbs.conversations.desk import Desk, answers, say

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


def test_a_message_that_eight_workers_decide_gets_one_reply_per_entity() -> None:
    for n in range(3):
        build.entity(slug=f"e{n}", username=f"Name{n}", model="maker/small")
    feed = build.feed()
    for _ in range(4):
        build.message(feed=feed, text="Name0, Name1, Name2?")

    def judge(worker: int) -> None:
        cycle.judge(clock.now())

    at_once(WORKERS, judge)
    assert Message.objects.filter(decided_at__isnull=False).count() == 4
    assert Reply.objects.count() == Generation.objects.count() == Permit.objects.count() == 12
    assert Generation.objects.values("model").distinct().count() == 1


def test_deciding_for_several_entities_at_once_never_waits_in_a_circle() -> None:
    names = [f"Name{n}" for n in range(4)]
    for name in names:
        build.entity(slug=name.lower(), username=name, model="maker/small", response_chance=1.0)
    build.limit(entity=None, kind="day", amount=1000)
    for n in range(24):
        build.message(feed=build.feed(max_repliers=4), text=names[n % 4] if n % 2 else f"number {n}")

    def judge(worker: int) -> None:
        cycle.judge(clock.now())

    at_once(WORKERS, judge)
    assert Message.objects.filter(decided_at__isnull=False).count() == 24
    assert Reply.objects.count() == Permit.objects.count() == 12 * 4 + 12


@pytest.mark.parametrize("generation", ["kv", "do"])
def test_a_reply_that_eight_engines_post_is_posted_once(generation: str, chat: Callable[..., Chat], background: Background) -> None:
    feed = chat(generation, quirks=Quirks(race_ms=0.0, rate_limit=False), row={"detected": generation, "post_interval_s": 0.0})
    who = build.entity()
    for _ in range(6):
        message = build.message(feed=Feed.objects.get(), decided_at=clock.now())
        build.reply(message=message, entity=who, state="ready", permit=build.permit(entity=who))
    desks = [Desk(background) for _ in range(WORKERS)]

    def deliver(worker: int) -> int:
        return sum(len(desks[worker].post()) + 0 * desks[worker].confirm() for _ in range(6))

    try:
        assert sum(at_once(WORKERS, deliver)) == 6
        desks[0].confirm()
    finally:
        for desk in desks:
            desk.close()
    assert set(Reply.objects.values_list("state", flat=True)) == {"posted"}
    assert len(answers(feed)) == 6
    assert feed.counts["POST /api/comments 200"] == 6
    assert set(Permit.objects.values_list("state", flat=True)) == {"spent"}


def test_of_many_pollers_one_gets_the_lease_and_of_many_lookers_one_looks() -> None:
    feed = build.feed(detected="kv")
    build.reply(message=build.message(feed=feed), state="posting", accepted_at=clock.now(), attempt_at=clock.now())
    build.message(feed=feed, decided_at=clock.now(), state="owed", settle_at=clock.now())

    def look(worker: int) -> tuple[int, int, int]:
        now = clock.now()
        return len(poll.due(worker + 1, now)), len(confirm.due(worker + 1, now)), len(settle.due(now))

    found = at_once(WORKERS, look)
    assert [sum(column) for column in zip(*found, strict=True)] == [1, 1, 1]


def test_a_haul_that_two_engines_bring_is_kept_once(chat: Callable[..., Chat], background: Background) -> None:
    feed = chat("do")
    for n in range(20):
        say(feed, f"number {n}", id=f"m-{n}")
    desk = Desk(background)
    try:
        (target,) = poll.due(desk.owner, clock.now())
        haul = desk.fetch(target)
    finally:
        desk.close()

    def keep(worker: int) -> int:
        return ingest.ingest(haul, clock.now())

    assert sum(at_once(WORKERS, keep)) == 20
    assert Message.objects.count() == 20


def test_a_finished_generation_is_taken_once() -> None:
    who, feed = build.entity(), build.feed()
    for _ in range(20):
        message = build.message(feed=feed, decided_at=clock.now())
        build.reply(message=message, entity=who, generation=build.generation(state="done", text="Hello."), permit=build.permit(entity=who))

    def tidy(worker: int) -> int:
        return clean.clean(clock.now())

    at_once(WORKERS, tidy)
    assert Event.objects.filter(kind="reply.ready").count() == 20
    assert set(Reply.objects.values_list("state", flat=True)) == {"ready"}


def test_an_admitted_reply_is_admitted_once() -> None:
    who = build.entity(model="maker/small")
    now = clock.now()
    prepared = {
        "model": "maker/small",
        "priority": None,
        "request": {"messages": [{"role": "user", "content": "x"}], "sampling": {}, "max_tokens": None, "stop": []},
    }
    build.reply(entity=who, prepared=prepared, permit_at=now)

    def one(worker: int) -> int:
        return admit.admit(now)

    assert sum(at_once(WORKERS, one)) == 1
    assert Generation.objects.count() == Permit.objects.count() == 1


def test_a_post_of_a_dead_engine_is_taken_over_by_one() -> None:
    feed = build.feed(detected="do")
    lost = clock.now() - timedelta(minutes=1)
    build.reply(message=build.message(feed=feed), state="posting", **taken(99, lost))

    def take(worker: int) -> int:
        return len(post.claim(worker + 1, clock.now()))

    assert sum(at_once(WORKERS, take)) == 1
