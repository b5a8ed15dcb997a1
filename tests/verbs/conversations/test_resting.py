"""What an engine asks while nothing happens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from cluster import serve
from conversations import cycle, poll, roster
from conversations.cycle import Listen
from conversations.models import Engine
from swwbot_site.lib import clock
from swwbot_site.lib.leases import EVERYBODY, SPACE, living, taken
from swwbot_site.webhooks import sending
from tests import build
from tests.harness import until

OWNER = 7
Most = Callable[[int], AbstractContextManager[Any]]

pytestmark = pytest.mark.django_db


@pytest.fixture
def alive() -> Iterator[None]:
    """An engine that lives, and a database that knows who does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, OWNER])
        until(lambda: living() != EVERYBODY, what="a database that has been up for a while")
        yield
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [SPACE, OWNER])


def test_a_heart_that_has_nothing_to_renew_and_nothing_to_take_back_beats_with_four_questions(
    alive: None, django_assert_num_queries: Most
) -> None:
    before = build.engine(owner=OWNER).beat_at
    loops = [*cycle.loops(), serve.loop(), *sending.engine_loops()]
    roster.heartbeat(OWNER, loops)  # what is done every half minute is done now
    with django_assert_num_queries(4):
        roster.heartbeat(OWNER, loops)
    assert Engine.objects.get(owner=OWNER).beat_at > before


def test_between_two_polls_listening_asks_twice(django_assert_num_queries: Most) -> None:
    now = clock.now()
    build.feed(poll_at=now + timedelta(seconds=5), **taken(OWNER, now))
    with django_assert_num_queries(2):
        assert poll.due(OWNER, now) == []
        assert Listen()._work(OWNER) == now + timedelta(seconds=5)


def test_delivering_asks_once(django_assert_num_queries: Most) -> None:
    with django_assert_num_queries(1):
        assert not cycle.settle.anything()
