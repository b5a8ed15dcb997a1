"""What every test may ask for: a real PostgreSQL of this run, its address, and the emulated peers."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from django.conf import settings
from django.db import connection

from swwbot_site import postgres, processes


def remove(folder: Path) -> None:
    """Remove the folder of a run with every server in it, also those whose files had to be put elsewhere."""
    for root in [path for path in folder.rglob("postgres") if path.is_dir() and (path / "data").exists()]:
        postgres.Server(var=root.parent).stop()
        shutil.rmtree(root.resolve(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


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
    var.mkdir(parents=True, exist_ok=True)
    with processes.Lock(var / "lock") as lock:
        lock.take()
        sweep(var.parent)
        yield var
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
