"""`up`: everything the bot needs on this machine, started in order, kept running, and ended together."""

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from conversations.portable import feeds
from swwbot_site import demo, firstrun, postgres, processes
from swwbot_site.config import watch
from swwbot_site.lib.errors import BotError, Fault
from swwbot_site.monitoring import console
from swwbot_site.supervisor import Program, Supervisor, python

ANYWHERE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, never listened on

BORROWED_S: Final = 30.0
"""How long to wait for a command that uses the embedded database for its own duration."""

ARENAS: Final = {"MALLOC_ARENA_MAX": "2"}

Say = Callable[[str], None]


class StartFault(BotError):
    """It cannot start here; the text says why and what to do."""

    code = "start"
    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What to run. config: path of a configuration file, or "". workers: None for the setting's number."""

    demo: bool = False
    config: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    web: bool = True
    workers: int | None = None
    colour: bool = False


def run(wishes: Wishes, say: Say) -> None:
    """Start everything, keep it running until a signal, end everything. Raises BotError when it cannot start."""
    with _only_one(settings.VAR_DIR, wishes):
        if wishes.web and not processes.port_is_free(wishes.host, wishes.port):
            raise StartFault(f"port {wishes.port} is in use. Choose another: make {'demo' if wishes.demo else 'up'} PORT={wishes.port + 1}")
        with _database(settings.VAR_DIR, say):
            try:
                played = _prepare(wishes, say)
                _keep(wishes, played, say)
            finally:
                connections.close_all()


@contextlib.contextmanager
def _only_one(var: Path, wishes: Wishes) -> Iterator[None]:
    """One `up` per installation."""
    var.mkdir(parents=True, exist_ok=True)
    with processes.Lock(var / "up.lock") as lock:
        if not lock.take():
            raise StartFault(f"it is already running here ({lock.holder()}). Stop that one with Ctrl-C, or use a second checkout")
        lock.sign(f"process {os.getpid()}, port {wishes.port}")
        yield


@contextlib.contextmanager
def _database(var: Path, say: Say) -> Iterator[None]:
    """The embedded PostgreSQL while we run; nothing to do when there is one of your own."""
    if not settings.EMBEDDED:
        yield
        return
    server = postgres.Server(var=var)
    with processes.Lock(var / "postgres.users") as users, processes.Lock(var / "postgres.start") as starting:
        if not users.take():
            say("another command uses the database; waiting for it to end")
            if not users.take(wait_s=BORROWED_S):
                raise StartFault(f"another command still uses the database of {var}: end it first")
        starting.take(wait_s=BORROWED_S)
        server.start()
        say(f"database: PostgreSQL under {server.root}")
        try:
            yield
        finally:
            server.stop()


def _prepare(wishes: Wishes, say: Say) -> demo.Demo | None:
    """Tables, administrator, configuration. Returns the demo to play, if any."""
    with firstrun.alone():
        if applied := firstrun.migrate():
            say(f"database: {applied} migrations applied")
        if password := firstrun.administrator():
            say(
                _box("The first administrator", "user      admin", f"password  {password}", "Shown only this once. Change it in the admin.")
            )
    if wishes.demo:
        return _arrange()
    _put_demo_away(say)
    if wishes.config:
        call_command("importconfig", wishes.config, "--if-changed")
    for made in watch.seed_from_environment():
        say(made)
    return None


def _arrange() -> demo.Demo:
    """The demo, with its rows imported when they are new or its addresses have changed; what you edited since stays."""
    played = demo.arrange(_manage())
    mine = [feed["name"] for feed in feeds() if feed["enabled"] and feed["name"] != demo.CHAT]
    if mine:
        raise StartFault(
            f"this installation reads a feed of yours ({', '.join(mine)}), and the demo's personas would post there. "
            "Switch it off in the admin, or give the demo a place of its own: VAR_DIR=var/playground make demo"
        )
    _import_demo(played.document)
    return played


def _put_demo_away(say: Say) -> None:
    """Switch off what an earlier demo left: its servers and its chat do not run now."""
    if (settings.VAR_DIR / "demo" / demo.DOCUMENT.name).exists() and _import_demo(demo.AWAY):
        say("the demo's servers, chat and personas are switched off; `make demo` switches them on again")


def _import_demo(document: str) -> bool:
    """Bring the demo's rows to `document`; returns whether it was not so before."""
    path: Path = settings.VAR_DIR / "demo" / demo.DOCUMENT.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document)
    said = io.StringIO()
    call_command("importconfig", str(path), "--if-changed", stdout=said)
    return "nothing to do" not in said.getvalue()


def _keep(wishes: Wishes, played: demo.Demo | None, say: Say) -> None:
    stop = threading.Event()
    follower = threading.Thread(target=console.follow, args=(stop, say), kwargs={"colour": wishes.colour}, name="console", daemon=True)
    follower.start()
    try:
        Supervisor(list(_programs(wishes, played)), say, lambda: _tend(say)).run(lambda: say(_addresses(wishes, played)))
    finally:
        stop.set()
        follower.join(2)
        say("stopped")


def _tend(say: Say) -> None:
    """Start the embedded database again if it died."""
    server = postgres.Server(var=settings.VAR_DIR, leashed=False)
    if settings.EMBEDDED and server.pid() is None:
        say("database: PostgreSQL has ended by itself and is started again")
        server.start()


def _programs(wishes: Wishes, played: demo.Demo | None) -> Iterator[Program]:
    if played:
        yield from played.programs
    environment = {"CONFIG": str(Path(wishes.config).resolve()) if wishes.config else ""}
    if played:
        environment |= {"LM_STUDIO_URL": "", "FEED_URL": ""}
    if wishes.workers is not None:
        environment["WORKERS"] = str(wishes.workers)
    if wishes.web:
        words = ["-m", "uvicorn", "swwbot_site.asgi:application", "--host", wishes.host, "--port", str(wishes.port)]
        words += ["--log-level", "warning", "--no-access-log", "--lifespan", "on", "--timeout-graceful-shutdown", "2"]
        words += ["--http", "swwbot_site.protocol:Protocol"]
        where = {"PYTHONPATH": str(settings.BASE_DIR), **environment}
        yield Program(name="web", words=python(*words), environment=where, port=wishes.port, patience_s=4)
    # Fewer memory arenas: an engine's threads would otherwise keep one each.
    yield Program(name="workers", words=[*_manage(), "qcluster", "--skip-checks"], environment=environment | ARENAS, patience_s=7.5)


def _manage() -> list[str]:
    return python(str(settings.BASE_DIR / "manage.py"))


def _addresses(wishes: Wishes, played: demo.Demo | None) -> str:
    lines = []
    if wishes.web:
        base = f"http://{'127.0.0.1' if wishes.host in ANYWHERE else wishes.host}:{wishes.port}"
        lines += [
            f"status    {base}/status/",
            f"admin     {base}/admin/",
            f"gateway   {base}/v1/ (for OpenAI's clients; see docs/gateway.md)",
        ]
    if played:
        lines += [f"chat      {played.chat}", f"to add    {played.spare} (an emulated server nobody uses yet: Cluster, Servers)"]
    return _box("Running. Ctrl-C stops it.", *lines)


def _box(*lines: str) -> str:
    width = max(map(len, lines))
    middle = (f"│ {line:<{width}} │" for line in lines)
    return "\n".join(("", f"┌{'─' * (width + 2)}┐", *middle, f"└{'─' * (width + 2)}┘", ""))


def writer() -> Say:
    """A `Say` that writes whole lines to standard output, from any thread; a terminal that is gone silences it."""
    lock = threading.Lock()

    def say(text: str) -> None:
        with lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    return say
