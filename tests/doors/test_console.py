"""The console: a line for each event, whoever said it, and nothing that steers a terminal."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Self

import psycopg
import pytest
from django.db import connection
from pytest_django import DjangoCaptureOnCommitCallbacks

from swwbot_site.lib import events
from swwbot_site.lib.events import Happening, Level, say
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event
from swwbot_site.monitoring import console
from tests import build
from tests.harness import PATIENCE_S

NOON = datetime(2025, 9, 27, 12, 0, 0, tzinfo=UTC)
LINES = [
    ("engine.started", "info", "", "Engine 7 runs", "[STARTUP]  Engine 7 runs"),
    ("engine.ended", "info", "", "Engine 7 ends", "[SHUTDOWN] Engine 7 ends"),
    ("feed.polled", "info", "", "2 new", "[POLL]     2 new"),
    ("message.decided", "info", "", "philosopher answers Ann", "[QUEUE]    philosopher answers Ann"),
    ("placement.loaded", "info", "server:Mac", "gemma is loaded on Mac", "[CLUSTER]  gemma is loaded on Mac"),
    ("reply.posted", "info", "", "Sage answered Ann", "[POST]     Sage answered Ann"),
    ("reply.queued", "info", "reply:1", "Sage will answer Ann", "[QUEUE]    Sage will answer Ann"),
    ("reply.ready", "info", "reply:1", "Sage says: hello", "[DONE]     Sage says: hello"),
    ("config.imported", "info", "", "2 entities", "[CONFIG]   2 entities"),
    ("plugin.sang", "info", "", "la", "[PLUGIN]   la"),
    ("server.offline", "error", "server:Mac", "refused", "[ERROR]    server:Mac: refused"),
    ("server.offline", "error", "server:Mac", "Mac refused", "[ERROR]    Mac refused"),
    ("reply.dropped", "warning", "", "empty", "[WARNING]  empty"),
    ("message.decided", "info", "", "says\n\x1b[2J\x07hi", "[QUEUE]    says [2J hi"),
]


@pytest.mark.parametrize(("kind", "level", "subject", "text", "expected"), LINES)
def test_an_event_is_one_line(kind: str, level: str, subject: str, text: str, expected: str) -> None:
    happening = Happening(kind=kind, level=Level(level), subject=subject, text=text)
    assert console.line(happening, NOON)[9:] == expected


def test_a_post_names_both_messages() -> None:
    happening = Happening(kind="reply.posted", text="Sage answered Ann after 2.1 s: hello", detail={"outgoing": "o-1", "to": "m-1"})
    assert console.line(happening, NOON).endswith("Sage answered Ann after 2.1 s: hello (POSTED o-1 -> m-1)")


def test_a_line_begins_with_the_local_time() -> None:
    assert console.line(Happening(kind="a.b", text="c"), NOON).startswith(f"{NOON.astimezone():%H:%M:%S} [")


def test_colours_are_only_for_terminals() -> None:
    happening = Happening(kind="reply.posted", text="x")
    assert "\x1b" not in console.line(happening, NOON)
    assert "\x1b[1;32m[POST]" in console.line(happening, NOON, colour=True)


def test_a_reporter_writes_what_this_process_says(db: None, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks) -> None:
    written: list[str] = []
    listener = events.listen(console.reporter(written.append))
    try:
        with django_capture_on_commit_callbacks(execute=True):
            say("reply.posted", "POSTED a -> b")
    finally:
        events._listeners.remove(listener)
    assert written[0].endswith("POSTED a -> b")


@pytest.mark.django_db(transaction=True)
def test_what_is_said_becomes_a_row() -> None:
    say("server.offline", "Mac is away", subject="server:Mac", level=Level.ERROR, seconds=3)
    event = Event.objects.get(kind="server.offline")
    assert (event.level, event.subject, event.text, event.detail) == ("error", "server:Mac", "Mac is away", {"seconds": 3})


@pytest.fixture
def followed(transactional_db: None) -> "Iterator[Follower]":
    with Follower() as follower:
        yield follower


class Follower:
    """`console.follow` in a thread; `next()` waits for its next line."""

    def __init__(self) -> None:
        self.lines: Queue[str] = Queue()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=console.follow, args=(self.stop, self.lines.put))

    def __enter__(self) -> Self:
        build.event(kind="old.news", text="from yesterday")
        self.thread.start()
        self._wait_until_it_listens()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop.set()
        wake(Channel.EVENTS)
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def next(self) -> str:
        return self.lines.get(timeout=PATIENCE_S)[9:]

    def _wait_until_it_listens(self) -> None:
        """Say "ping" until it comes back: what follows is heard."""
        eventually(lambda: say("test.ping", "ping"), self.lines)
        say("test.ping", "last")
        while not self.lines.get(timeout=PATIENCE_S).endswith("last"):
            pass


def test_a_follower_tells_what_others_say_each_once(followed: Follower) -> None:
    for text in ("one", "two", "three"):
        say("reply.posted", text)
    assert [followed.next() for _ in range(3)] == ["[POST]     one", "[POST]     two", "[POST]     three"]
    assert followed.lines.empty()


def test_a_follower_outlives_a_restart_of_the_database(followed: Follower) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    wake(Channel.EVENTS)
    assert followed.next().startswith("[ERROR]    The events cannot be read")
    say("reply.posted", "after")
    assert followed.next() == "[POST]     after"


def test_a_follower_sees_an_event_whose_number_is_lower_than_one_it_has_seen(followed: Follower) -> None:
    settings = connection.get_connection_params() | {"autocommit": False}
    settings.pop("cursor_factory", None)
    settings.pop("context", None)
    with psycopg.connect(**settings) as slow:
        slow.execute(
            "INSERT INTO swwbot_site_event (at, kind, level, subject, text, detail) VALUES (now(), 'reply.posted', 'info', '', 'slow', '{}')"
        )
        say("reply.posted", "fast")
        assert followed.next() == "[POST]     fast"
        slow.commit()
        wake(Channel.EVENTS)
        assert followed.next() == "[POST]     slow"


def test_the_command_follows_until_it_is_told_to_stop(engine_database_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": engine_database_url, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "manage.py", "console"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        heard: Queue[str] = Queue()
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: [heard.put(line) for line in process.stdout or ()])
        reader.start()
        try:
            assert eventually(lambda: say("test.ping", "ping"), heard).endswith("[TEST]     ping\n")
        finally:
            process.send_signal(signal.SIGTERM)
            reader.join(PATIENCE_S)
        assert process.wait(PATIENCE_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def eventually(act: Callable[[], object], heard: "Queue[str]") -> str:
    """Act again and again until something is heard."""
    for _ in range(int(PATIENCE_S / 0.2)):
        act()
        with contextlib.suppress(Empty):
            return heard.get(timeout=0.2)
    pytest.fail("nothing was heard")
