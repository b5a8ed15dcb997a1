"""A message whose row went is never new again, whatever its feed shows."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from cluster.models import Generation
from conversations import cycle
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from conversations.models import Feed, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.harness import Background
from tests.verbs.conversations.desk import Desk, say
from tests.verbs.retention.ages import ago, whole

pytestmark = pytest.mark.django_db(transaction=True)
LONG = timedelta(days=120)


@pytest.fixture
def desk(background: Background) -> Iterator[Desk]:
    one = Desk(background)
    yield one
    one.close()


def aged() -> None:
    """As if everything had happened a hundred days ago; the cursor has come here since."""
    at = ago()
    Message.objects.update(received_at=at, born_at=at, decided_at=at)
    Reply.objects.update(state="posted", decided_at=at, ended_at=at, outgoing_timestamp=clock.millis(at))
    Generation.objects.update(state="done", queued_at=at, ended_at=at)
    Feed.objects.update(cursor=clock.millis(clock.now()))


def replied(desk: Desk) -> int:
    """How many are new and how many answers they get."""
    Feed.objects.update(claim_at=None)
    desk.poll()
    cycle.judge(clock.now())
    return Reply.objects.count()


@pytest.mark.parametrize("generation", ["kv", "kv-patch", "kv-queue", "do"])
def test_a_feed_that_shows_everything_again_gets_no_second_answer(generation: str, chat: Callable[..., Chat], desk: Desk) -> None:
    who = build.entity(slug="owl", username="Owl", model="maker/small", max_age_s=10**9)
    feed = chat(generation, quirks=Quirks(race_ms=0.0, rate_limit=False), row={"cursor": clock.millis(ago(130))})
    ids = {say(feed, "Owl, are you there?", timestamp=clock.millis(ago(100 + n)), id=f"{n}-abc") for n in range(3)}
    assert replied(desk) == 3
    for n, reply in enumerate(Reply.objects.order_by("pk")):
        Reply.objects.filter(pk=reply.pk).update(outgoing_id=f"o-{n}", entity=who)
    aged()
    assert whole()["messages"] == 3
    Feed.objects.update(overlap_s=LONG.total_seconds())  # every poll shows them
    assert replied(desk) == 0
    assert not Message.objects.filter(remote_id__in=ids).exists()
    say(feed, "Owl, and now?", id="9-new")
    assert replied(desk) == 1
    assert Message.objects.get().remote_id == "9-new"


def test_what_the_feeds_queue_hands_out_again_is_settled_and_not_answered(chat: Callable[..., Chat], desk: Desk) -> None:
    build.entity(slug="owl", username="Owl", model="maker/small", max_age_s=10**9)
    feed = chat("do", row={"forgotten": clock.millis(ago(50)), "cursor": clock.millis(clock.now()), "polled_at": clock.now()})
    params = {"entity": "owl", "priority": 5}
    say(feed, "Are you there?", timestamp=clock.millis(ago(60)), id="1-old", botParams=params)
    say(feed, "Are you there?", id="2-new", botParams=params)
    for _ in range(3):
        replied(desk)
    assert {reply.message.remote_id for reply in Reply.objects.all()} == {"2-new"}
    old = Message.objects.get(remote_id="1-old")
    assert (old.state, old.verdict["why"]) == ("owed", "it is older than what is kept of this feed, and may have been answered")
    assert desk.settle() == 1
    old.refresh_from_db()
    assert old.state == "settled"
    assert not Event.objects.filter(level="error").exists()
