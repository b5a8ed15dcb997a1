"""What every test may ask for: a real PostgreSQL of this run, its address, and the emulated peers."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from hypothesis import settings as examples
from pytest_django import DjangoDbBlocker

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.values import Generation
from swwbot_site import postgres, processes
from swwbot_site.lib import leases
from tests import build, emptying
from tests.harness import Background

# The suite tries the same examples in every run, so a change is judged by what it changed; `make explore` tries ever new ones.
examples.register_profile("same", derandomize=True, deadline=None)
examples.register_profile("new", max_examples=2000, deadline=None)
examples.load_profile(os.environ.get("EXAMPLES", "same"))


def remove(folder: Path) -> None:
    """Remove the folder of a run with every server in it, also those whose files had to be put elsewhere."""
    for root in [path for path in folder.rglob("postgres") if path.is_dir() and (path / "data").exists()]:
        postgres.Server(var=root.parent).stop()
        shutil.rmtree(root.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder of all runs: two that begin or end together would remove what the other has just made."""
    folder.mkdir(parents=True, exist_ok=True)
    with processes.Lock(folder.with_suffix(".lock")) as lock:
        assert lock.take(wait_s=120), f"another run has held {folder} for two minutes"
        yield


def sweep(folder: Path) -> None:
    """Remove what earlier runs left that were killed: folders whose lock nobody holds."""
    for left in folder.iterdir():
        with processes.Lock(left / "lock") as lock:
            if lock.take():
                remove(left)


@pytest.fixture(scope="session", autouse=True)
def run_folder() -> Iterator[Path]:
    """The folder of this run, removed at its end."""
    var: Path = settings.VAR_DIR
    with ExitStack() as held:
        with alone(var.parent):
            var.mkdir(exist_ok=True)
            lock = held.enter_context(processes.Lock(var / "lock"))
            lock.take()
            sweep(var.parent)
        yield var
        with alone(var.parent):
            remove(var)


@pytest.fixture(scope="session")
def database_server(run_folder: Path) -> Iterator[None]:
    """The run's own PostgreSQL, without the safety that real data need; with DATABASE_URL set, that server is used instead."""
    if os.environ.get("DATABASE_URL"):
        yield
        return
    server = postgres.Server(var=run_folder, durable=False)
    server.start()
    yield
    server.stop()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None, database_server: None) -> None:
    """Django makes its test database on the run's own server."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database, emptied quickly after each test that commits."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        emptying.remember()
        # A database that has just started is not believed about who is gone: tests of that need an older one.
        cursor.execute("SELECT pg_sleep_until(pg_postmaster_start_time() + make_interval(secs => %s))", [leases.WAKING.total_seconds()])
        connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The run's own server goes with its databases; on a borrowed one Django cleans up."""
    return not os.environ.get("DATABASE_URL")


@pytest.fixture
def engine_database_url(transactional_db: None) -> str:
    """The test database's address, for `DATABASE_URL` of a process that the test starts."""
    entry = connection.settings_dict
    options = {"host": entry["HOST"], **entry.get("OPTIONS", {})}
    user = quote(entry["USER"], safe="") + (":" + quote(entry["PASSWORD"], safe="") if entry.get("PASSWORD") else "")
    if entry.get("PORT"):
        options["port"] = str(entry["PORT"])
    return f"postgresql://{user}@/{entry['NAME']}?{urlencode({name: value for name, value in options.items() if value})}"


@pytest.fixture
def background() -> Iterator[Background]:
    """The loop that the emulators live on."""
    one = Background()
    yield one
    one.close()


@pytest.fixture
def studio(background: Background, transactional_db: None) -> Iterator[Callable[..., Studio]]:
    """Starts an emulated LM Studio server and makes its row; keywords are the emulator's."""
    started: list[Studio] = []

    def start(name: str = "", *, budget_gb: float = 64.0, row: dict[str, Any] | None = None, **habits: Any) -> Studio:
        emulator = Studio(**({"memory_gb": budget_gb} | habits))
        background.run(emulator.start())
        started.append(emulator)
        values = {"name": name or f"studio-{len(started)}", "url": emulator.url, "budget_gb": budget_gb}
        values |= {"state": "unknown", "detected": "", "seen_at": None, "listed_at": None, "state_since": None}
        build.server(**values | (row or {}))
        return emulator

    yield start
    for emulator in started:
        background.run(emulator.stop())


@pytest.fixture
def chat(background: Background, transactional_db: None) -> Iterator[Callable[..., Chat]]:
    """Starts an emulated feed and makes its row."""
    started: list[Chat] = []

    def start(generation: str = "do", *, row: dict[str, Any] | None = None, **options: Any) -> Chat:
        emulator = Chat(Generation(generation), **options)
        background.run(emulator.start())
        started.append(emulator)
        values = {"url": emulator.url, "detected": "", "poll_interval_s": 0.2, "post_interval_s": 0.02, "max_text": 240}
        build.feed(**values | (row or {}))
        return emulator

    yield start
    for emulator in started:
        background.run(emulator.stop())
