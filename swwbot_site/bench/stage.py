"""A stage for a benchmark: an own PostgreSQL in a folder of its own, emulated servers, a worker. All gone afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from django.conf import settings
from django.core.management import call_command
from django.db import connection

from swwbot_site import postgres, processes
from swwbot_site.environment import database

T = TypeVar("T")


@contextmanager
def own_database() -> Iterator[dict[str, str]]:
    """A migrated PostgreSQL of this run, to which Django's default connection points. Yields the environment for our programs."""
    var = Path(tempfile.mkdtemp(prefix="swwbot-bench-"))
    server = postgres.Server(var=var)
    try:
        server.start()
        connection.close()
        connection.settings_dict.update(database("", var))
        call_command("migrate", verbosity=0)
        entry = connection.settings_dict
        yield {"VAR_DIR": str(var), "DATABASE_URL": f"postgresql://{entry['USER']}@/{entry['NAME']}?{urlencode({'host': entry['HOST']})}"}
    finally:
        connection.close()
        server.stop()
        shutil.rmtree(server.root, ignore_errors=True)
        shutil.rmtree(var, ignore_errors=True)


@contextmanager
def program(words: Sequence[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A management command that runs beside us, in a session of its own, until the block ends."""
    with running([sys.executable, str(settings.BASE_DIR / "manage.py"), *words], environment) as process:
        yield process


def web(port: int, environment: Mapping[str, str]) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """The web server, as `up` starts it."""
    words = [
        "uvicorn",
        "swwbot_site.asgi:application",
        "--port",
        str(port),
        "--log-level",
        "warning",
        "--no-access-log",
        "--lifespan",
        "on",
        "--http",
        "swwbot_site.protocol:Protocol",
    ]
    return running([sys.executable, "-m", *words], {"PYTHONPATH": str(settings.BASE_DIR), **environment})


@contextmanager
def running(words: Sequence[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A program that runs beside us, in a session of its own, until the block ends."""
    process = subprocess.Popen(
        words, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whoever of its session is left
        process.wait()


@contextmanager
def studios(n: int, *options: str) -> Iterator[list[str]]:
    """`n` emulated LM Studio servers; yields their addresses."""
    with served(n, *options) as running:
        yield [url for url, _ in running]


@contextmanager
def served(n: int, *options: str) -> Iterator[list[tuple[str, int]]]:
    """`n` emulated LM Studio servers, each a process of its own; yields their addresses and processes."""
    ports = [port for port in range(23400, 23999) if processes.port_is_free("127.0.0.1", port)][:n]
    with ExitStack() as stack:
        running = [stack.enter_context(program(["emulate", "lmstudio", "--port", str(port), *options], {})) for port in ports]
        for port in ports:
            until(lambda port=port: processes.port_answers(port), 30, f"the emulator on port {port}")  # type: ignore[misc]
        yield [(f"http://127.0.0.1:{port}", process.pid) for port, process in zip(ports, running, strict=True)]


def folder(environment: Mapping[str, str]) -> Path:
    """The folder of an own database, by the environment it gave."""
    return Path(environment["VAR_DIR"])


def until(true: Callable[[], T], seconds: float, what: str) -> T:
    """Wait until `true()` is truthy and return that. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := true():
            return result
        time.sleep(0.05)
    raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
