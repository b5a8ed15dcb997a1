"""The embedded database: a real PostgreSQL from a wheel, for those who have no server of their own.

::

    var/postgres/        belongs to the user the server runs as, closed to everybody else
        data/            the database files
        log              what the server says
        .s.PGSQL.5432    the only door: a Unix socket (under /tmp if the path is too long for one)
    var/postgres.start   lock: somebody starts or stops the server
    var/postgres.users   lock: shared by commands that use it for their own duration, exclusive for `up`

PostgreSQL refuses to run as root, so root starts it as the user that owns the data, `postgres` or `nobody`. Where that user
cannot come (a checkout under /root), `var/postgres` becomes a link to a folder under /var/lib/swwbot.
"""

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from swwbot_site import environment, processes, wheel
from swwbot_site.lib.errors import BotError, Fault

VERSION: Final = 16
"""The PostgreSQL of a new installation; existing data keep theirs."""

DATABASE: Final = "swwbot"
ROLE: Final = "postgres"
FOREIGN: Final = Path("/var/lib/swwbot")
START_S: Final = 60.0
"""Seconds a start may take; recovery after a crash of the machine replays the log first."""

COMMON: Final = {"listen_addresses": "", "unix_socket_permissions": "0700", "max_connections": "200", "log_checkpoints": "off"}
FLEETING: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
"""For data that nobody will miss: a test database."""


class PostgresFault(BotError):
    """The embedded PostgreSQL cannot run; the text says why and what to do."""

    code = "postgres"
    fault = Fault.OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The embedded PostgreSQL under `var`. `durable=False` trades safety for speed; `leashed` ends it when this process ends."""

    var: Path
    durable: bool = True
    leashed: bool = True

    @property
    def root(self) -> Path:
        return self.var / "postgres"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def host(self) -> Path:
        return environment.socket_folder(self.var)

    def start(self) -> None:
        """Make the server run and answer, with the database made; a server that runs already is taken as it is.

        Raises PostgresFault with the server's own last words.
        """
        if self.pid() is None:
            account = self._account()
            self._prepare(account)
            self._launch(account)
        self._create()

    def stop(self) -> None:
        """End the server, at first politely; returns when it is gone. Does nothing when it does not run."""
        pid = self.pid()
        for number, patience in ((signal.SIGINT, 6.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0)):
            if pid is None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            processes.gone([pid], patience)
            pid = self.pid()
        if self.host != self.root:
            shutil.rmtree(self.host, ignore_errors=True)

    def pid(self) -> int | None:
        """The server's process, or None when none runs on these data (whatever an old postmaster.pid may say)."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        except PermissionError as exc:
            raise PostgresFault(f"{self.root} belongs to another user: start as that user") from exc
        return pid if processes.is_at(pid, "postgres", self.data.resolve()) else None

    def answers(self) -> bool:
        """Whether the database can be reached at this moment."""
        try:
            psycopg.connect(host=str(self.host), user=ROLE, dbname=DATABASE, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def _account(self) -> pwd.struct_passwd | None:
        """The user to run as; None for ourselves."""
        owner = self.data.stat().st_uid if self.data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise PostgresFault(f"{self.root} belongs to user {owner}: start as that user, or remove the folder to begin anew")
            return None
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                return pwd.getpwuid(owner) if owner else pwd.getpwnam(name)
        raise PostgresFault(
            "PostgreSQL does not run as root, and there is no user postgres or nobody: start as an ordinary user or set DATABASE_URL"
        )

    def _prepare(self, account: pwd.struct_passwd | None) -> None:
        """The folders with their owners, and the data when there are none."""
        self.var.mkdir(parents=True, exist_ok=True)
        root = self.root
        reachable = not account or processes.run(account, ["test", "-x", str(self.var)]).returncode == 0
        if not reachable and not root.is_symlink():
            if root.exists() and account:
                raise PostgresFault(
                    f"{account.pw_name}, as whom root runs PostgreSQL, cannot reach {root}: move that folder away, or open its parents"
                )
            root.symlink_to(FOREIGN / environment.digest(self.var))
        real = root.resolve()
        real.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in {real, self.host.resolve()}:
            folder.mkdir(mode=0o700, exist_ok=True)
            if account:
                os.chown(folder, account.pw_uid, account.pw_gid)
            mode = folder.lstat()
            if not stat.S_ISDIR(mode.st_mode) or mode.st_uid != (account.pw_uid if account else os.geteuid()):
                raise PostgresFault(f"{folder} is not ours: remove it and start again")
            folder.chmod(0o700)
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        draft = real / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        options = ["--auth=trust", f"--username={ROLE}", "--encoding=UTF8", "--locale=C", "--pgdata", str(draft)]
        done = processes.run(account, [str(self._programs(account) / "initdb"), *options, *([] if self.durable else ["--no-sync"])])
        if done.returncode != 0:
            raise PostgresFault(f"initdb could not make a database in {real}: {done.stderr.strip() or done.stdout.strip()}")
        draft.rename(self.data)

    def _programs(self, account: pwd.struct_passwd | None) -> Path:
        version = self.data / "PG_VERSION"
        number = int(version.read_text()) if version.exists() else VERSION
        found = wheel.programs(number, account, self.root.resolve())
        if found is None:
            raise PostgresFault(f"no PostgreSQL {number} is installed here: install requirements/base.txt or set DATABASE_URL")
        return found

    def _launch(self, account: pwd.struct_passwd | None) -> None:
        settings = COMMON if self.durable else COMMON | FLEETING
        words = [str(self._programs(account) / "postgres"), "-D", str(self.data.resolve()), "-k", str(self.host.resolve())]
        words += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        for stale in (self.data / "postmaster.pid", self.host / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)  # no server runs here; the process whose number they name may be any other, or not yet buried
        leash = processes.leash(signal.SIGINT if self.durable else signal.SIGQUIT) if self.leashed else None
        log = self.root.resolve() / "log"
        with log.open("w") as sink:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd="/",
                start_new_session=True,
                preexec_fn=leash,  # noqa: PLW1509 - the first thing that is started; there are no threads yet
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
        end = time.monotonic() + START_S
        while not self._ready():
            if child.poll() is not None or time.monotonic() > end:
                said = " / ".join(log.read_text(errors="replace").strip().splitlines()[-4:])
                raise PostgresFault(f"PostgreSQL did not start on {self.data}: {said or 'it said nothing'} (see {log})")
            time.sleep(0.02)
        # The server outlives this object; its end is watched through its pid, so the handle may go.
        child.returncode = 0

    def _ready(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (self.data / "postmaster.pid").read_text().strip().endswith("ready")
        return False

    def _create(self) -> None:
        try:
            with psycopg.connect(host=str(self.host), user=ROLE, dbname="postgres", autocommit=True, connect_timeout=10) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                    connection.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg.OperationalError as exc:
            raise PostgresFault(f"PostgreSQL runs on {self.data} but does not answer at {self.host}: {exc}") from exc


@contextlib.contextmanager
def borrowed(var: Path) -> Iterator[None]:
    """The embedded database for the duration of one command: the running one, or one that the last borrower stops again."""
    server = Server(var=var, leashed=False)
    var.mkdir(parents=True, exist_ok=True)
    with processes.Lock(var / "postgres.users") as users:
        if not users.take(shared=True):
            _await(server)
            yield
            return
        with processes.Lock(var / "postgres.start") as starting:
            starting.take(wait_s=START_S)
            server.start()
        try:
            yield
        finally:
            with processes.Lock(var / "postgres.start") as starting:
                starting.take(wait_s=START_S)
                if users.take():
                    server.stop()


def _await(server: Server) -> None:
    """Wait for the server that a starting `up` is about to give us."""
    end = time.monotonic() + START_S
    while not server.answers():
        if time.monotonic() > end:
            raise PostgresFault(f"the database of {server.var} is held by another process but does not answer; see {server.root}/log")
        time.sleep(0.1)
