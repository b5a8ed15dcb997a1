"""Many engines judge what bots say at one moment: together they answer no more than one would."""

import pytest

from conversations import cycle
from conversations.models import Message, Reply
from swwbot_site.lib import clock
from tests import build
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


@pytest.mark.parametrize("text", ["I am a bot.", "Name0, Name1, Name2 and Name3!"])
def test_eight_engines_never_answer_bots_past_the_cap(text: str) -> None:
    feed = build.feed(max_bot_run=16, bot_decay=1.0, max_repliers=4)
    for n in range(4):
        build.entity(slug=f"e{n}", username=f"Name{n}", model="maker/small", responds_to_all_ai=True)
    now = clock.now()
    build.message(feed=feed, decided_at=now, received_at=now)
    for n in range(8):
        build.message(feed=feed, kind="AI", username=f"Stranger{n}", text=text, received_at=now)
    at_once(WORKERS, lambda worker: cycle.judge(clock.now()))
    assert Message.objects.filter(decided_at__isnull=True).count() == 0
    asked = 8 if text.startswith("Name") else 4  # by chance each answers one of those that came together
    assert Reply.objects.count() == asked


def test_eight_engines_let_each_answer_by_chance_one_of_the_messages_that_came_together() -> None:
    feed = build.feed(max_repliers=4)
    for n in range(4):
        build.entity(slug=f"e{n}", username=f"Name{n}", model="maker/small", response_chance=1.0)
    now = clock.now()
    for _ in range(16):
        build.message(feed=feed, text="Nice weather.", received_at=now)
    at_once(WORKERS, lambda worker: cycle.judge(clock.now()))
    assert sorted(Reply.objects.values_list("entity__slug", flat=True)) == ["e0", "e1", "e2", "e3"]
