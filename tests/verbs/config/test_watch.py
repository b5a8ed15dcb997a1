"""The watched file and the environment: when something is imported, and what is said."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connection

from cluster.models import Server
from conversations.models import Feed
from entities.models import Entity
from swwbot_site.config import ledger, sheaf, watch
from swwbot_site.config.problems import DocumentError
from swwbot_site.lib.events import Happening
from swwbot_site.lib.loops import Context
from swwbot_site.models import ConfigImport

OWL = {"id": "owl", "username": "Owl", "color": "001002003", "systemPrompt": "Who?", "rateLimits": {"maxPostsPerHour": 5}}


def named(name: str) -> str:
    return json.dumps({"entities": [{**OWL, "username": name}]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def look(db: None, file: Path, heard: list[Happening], django_capture_on_commit_callbacks: Callable[..., Any]) -> Callable[..., list[str]]:
    """Let a watch (a new one, unless given) look at the file; returns the kinds of what was said."""

    def look(observer: watch.Watch | None = None) -> list[str]:
        heard.clear()
        seen = observer or watch.Watch(path=file)
        with django_capture_on_commit_callbacks(execute=True):
            seen.look(sheaf.stamp(file))
        return [happening.kind for happening in heard]

    return look


def on_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From here on this is another machine."""
    monkeypatch.setattr("socket.gethostname", lambda: name)


def test_a_change_of_the_file_is_imported_and_an_unchanged_file_is_not(look: Callable[..., list[str]], file: Path) -> None:
    file.write_text(named("Owl"))
    observer = watch.Watch(path=file)
    assert look(observer) == ["config.imported"]
    file.write_text(named("Uhu"))
    assert look(observer) == ["config.imported"]
    assert Entity.objects.get().username == "Uhu"
    os.utime(file, ns=(1, 1))
    assert look(observer) == []


def test_a_worker_that_starts_does_not_undo_what_people_did(look: Callable[..., list[str]], file: Path) -> None:
    file.write_text(named("Owl"))
    look()
    Entity.objects.update(username="By hand")
    assert look() == []
    assert Entity.objects.get().username == "By hand"


def test_going_back_to_an_older_content_is_a_change(look: Callable[..., list[str]], file: Path) -> None:
    for name in ("Owl", "Uhu", "Owl"):
        file.write_text(named(name))
        assert look() == ["config.imported"]
    assert Entity.objects.get().username == "Owl"


def test_a_bad_content_is_rejected_once_and_the_last_state_stays(
    look: Callable[..., list[str]], file: Path, heard: list[Happening]
) -> None:
    file.write_text(named("Owl"))
    look()
    file.write_text('{"entities": [{"id": "owl", "topP": 9}]}')
    observer = watch.Watch(path=file)
    assert look(observer) == []
    assert look(observer) == ["config.rejected"]
    assert "$.entities[0].topP is 9" in heard[0].text
    assert observer.seen == sheaf.stamp(file)
    another = watch.Watch(path=file)
    assert (look(another), look(another)) == ([], [])
    assert Entity.objects.get().username == "Owl"
    file.write_text(named("Uhu"))
    assert look(another) == ["config.imported"]


def test_a_half_written_file_is_not_rejected(look: Callable[..., list[str]], file: Path) -> None:
    observer = watch.Watch(path=file)
    file.write_text(named("Owl")[:20])
    assert look(observer) == []
    file.write_text(named("Owl"))
    assert look(observer) == ["config.imported"]


def test_a_file_that_vanished_is_told_and_changes_nothing(look: Callable[..., list[str]], file: Path) -> None:
    file.write_text(named("Owl"))
    observer = watch.Watch(path=file)
    look(observer)
    file.unlink()
    assert (look(observer), look(observer)) == ([], ["config.rejected"])
    assert Entity.objects.get().enabled


def test_a_machine_with_an_older_copy_does_not_bring_it_back(
    look: Callable[..., list[str]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_machine(monkeypatch, "first")
    file.write_text(named("Owl"))
    look()
    file.write_text(named("Uhu"))
    look()
    on_machine(monkeypatch, "second")
    file.write_text(named("Owl"))
    assert look() == ["config.stale"]
    assert look() == []
    assert Entity.objects.get().username == "Uhu"
    on_machine(monkeypatch, "first")
    file.write_text(named("Uhu"))
    assert look() == []
    on_machine(monkeypatch, "second")
    file.write_text(named("Kauz"))
    assert look() == ["config.imported"]


def test_a_machine_that_comes_new_with_the_same_copy_imports_nothing(
    look: Callable[..., list[str]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(named("Owl"))
    look()
    Entity.objects.update(username="By hand")
    on_machine(monkeypatch, "second")
    assert (look(), look()) == ([], [])
    assert Entity.objects.get().username == "By hand"
    file.write_text('{"entities": []}')
    assert look() == ["config.imported"]
    assert Entity.objects.get().enabled is False


async def test_the_loop_imports_a_change_in_an_engines_thread(transactional_db: None, file: Path) -> None:
    def rows(function: Callable[..., Any], *args: Any) -> Any:
        try:
            return function(*args)
        finally:
            connection.close()

    async def threads(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return await asyncio.to_thread(rows, function, *args)

    def username() -> str:
        return Entity.objects.get().username

    def spawn(work: Any, name: str) -> asyncio.Task[None]:
        return asyncio.create_task(work, name=name)

    observer = watch.Watch(path=file)
    async with httpx.AsyncClient() as client:
        context = Context(owner=1, rows=threads, http=client, stopping=asyncio.Event(), spawn=spawn)
        for name in ("Owl", "Uhu"):
            await asyncio.to_thread(file.write_text, named(name))
            assert await observer.turn(context) == watch.EVERY_S
            assert await threads(username) == name
    assert await threads(ConfigImport.objects.count) == 2


def test_the_engine_watches_only_if_there_is_a_file(settings: Any, file: Path) -> None:
    settings.CONFIG = ""
    assert watch.engine_loops() == ()
    settings.CONFIG = str(file)
    assert [loop.name for loop in watch.engine_loops()] == ["settings"]


def test_the_environment_makes_one_server_and_one_feed_once(db: None, settings: Any) -> None:
    settings.LM_STUDIO_URL = "http://localhost:1234/v1"
    settings.FEED_URL = "https://chat.example/api/"
    settings.FEED_GENERATION = "do"
    assert len(watch.seed_from_environment()) == 2
    assert watch.seed_from_environment() == ()
    server, feed = Server.objects.get(), Feed.objects.get()
    assert (server.name, server.url, server.budget_gb, server.enabled) == ("localhost:1234", "http://localhost:1234", 32.0, True)
    assert (feed.name, feed.url, feed.generation) == ("chat.example", "https://chat.example/api", "do")


def test_the_environment_leaves_a_server_alone_that_has_the_address(db: None, settings: Any) -> None:
    settings.LM_STUDIO_URL, settings.FEED_URL = "http://10.0.0.1:1234", ""
    Server.objects.create(name="mac", url="http://10.0.0.1:1234", budget_gb=96)
    assert watch.seed_from_environment() == ()
    assert Server.objects.get().budget_gb == 96


def test_an_address_in_the_environment_that_is_none_is_an_error(db: None, settings: Any) -> None:
    settings.LM_STUDIO_URL, settings.FEED_URL = "localhost:1234", ""
    with pytest.raises(DocumentError, match="must be a URL"):
        watch.seed_from_environment()


def test_imports_wait_for_each_other(db: None) -> None:
    ledger.hold()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted")
        assert cursor.fetchone() == (1,)
