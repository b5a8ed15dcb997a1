"""Eight engines that post as fast as they can while somebody stops everything: not one post begins after the stop, none is doubled."""

import itertools
import threading

import httpx
import pytest
from django.db import connection

from conversations.models import Feed, Reply
from conversations.stop import resume, stop
from swwbot_site.lib import clock
from tests import build
from tests.harness import PATIENCE_S, Background, until
from tests.verbs.conversations.desk import Desk
from tests.verbs.conversations.hostile import Hostile

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8
LETTERS = 60
MORE = 10
"""Letters that are written while all posting is stopped."""


class Crew:
    """Engines' hands in threads; `rounds` counts what each has finished."""

    def __init__(self, background: Background) -> None:
        self.rounds = [0] * WORKERS
        self.failed: list[BaseException] = []
        self._over = threading.Event()
        self._desks = [Desk(background) for _ in range(WORKERS)]
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(WORKERS)]
        for one in self._threads:
            one.start()

    def _work(self, number: int) -> None:
        try:
            while not self._over.is_set():
                self._desks[number].post(anew=False)
                self._desks[number].confirm()
                self.rounds[number] += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.failed.append(error)
        finally:
            connection.close()

    def finish(self, more: int) -> None:
        """Wait until everybody has finished the round that is running, and `more` after it."""
        before = list(self.rounds)
        until(lambda: self.failed or all(now > then + more for now, then in zip(self.rounds, before, strict=True)), what="some rounds")
        assert self.failed == []

    def close(self) -> None:
        self._over.set()
        for one in self._threads:
            one.join(PATIENCE_S)
        for desk in self._desks:
            desk.close()


@pytest.mark.parametrize("generation", ["kv", "do"])
def test_after_a_stop_no_post_begins_and_after_the_end_of_it_each_goes_once(
    generation: str, hostile: Hostile, background: Background
) -> None:
    feed = build.feed(url=hostile.url, detected=generation, post_interval_s=0.0, lost_after_s=60.0)
    who = build.entity()

    def letters(n: int) -> None:
        for _ in range(n):
            build.reply(state="ready", entity=who, message=build.message(feed=feed, decided_at=clock.now()))

    letters(LETTERS)
    crew = Crew(background)
    try:
        for number, wanted in enumerate((8, 25)):
            until(lambda many=wanted: crew.failed or len(hostile.posts()) >= many, what=f"{wanted} posts")
            assert stop("ann")
            crew.finish(0)
            letters(MORE)
            httpx.get(f"{hostile.url}/marker/{number}", timeout=10, trust_env=False, verify=False).raise_for_status()
            crew.finish(3)
            tail = itertools.dropwhile(lambda one, n=number: one != f"GET /api/marker/{n}", list(hostile.seen))
            assert [one for one in tail if one.startswith("POST")] == []
            assert Reply.objects.filter(state="ready").count() >= MORE
            resume("ann")
        until(lambda: crew.failed or not Reply.objects.exclude(state="posted").exists(), what="all posts")
    finally:
        crew.close()
    assert crew.failed == []
    assert len(hostile.posts()) == len(set(hostile.posts())) == LETTERS + 2 * MORE
    assert Feed.objects.get().failures == 0
