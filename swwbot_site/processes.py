"""Processes and locks of one machine, as the operating system knows them."""

import contextlib
import ctypes
import fcntl
import functools
import os
import platform
import pwd
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PARENT: Final = "SWWBOT_PARENT"
"""The environment variable in which a supervisor tells its children who their parent is."""

LINUX: Final = platform.system() == "Linux"
PR_SET_PDEATHSIG: Final = 1
LIBC: Final = ctypes.CDLL(None) if LINUX else None


def leash(number: signal.Signals) -> Callable[[], None] | None:
    """What a child that is no program of ours does first, so that the kernel signals it when this process dies (Linux only).

    Start such children from the main thread, before there are others: the kernel means the thread that forked.
    """
    if LIBC is None:
        return None
    return functools.partial(_bind, LIBC.prctl, os.getpid(), number)


def _bind(prctl: Callable[[int, int], int], parent: int, number: signal.Signals) -> None:
    prctl(PR_SET_PDEATHSIG, int(number))
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def follow_parent() -> None:
    """Called once at the start of a program: when a supervisor started it, SIGTERM comes when that supervisor is gone."""
    parent = int(os.environ.pop(PARENT, "0"))
    if not parent:
        return
    if LIBC is not None:
        _bind(LIBC.prctl, parent, signal.SIGTERM)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def alive(pid: int) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    if LINUX:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def members(session: int) -> list[int]:
    """The living processes of a session (or process group) that `session` leads."""
    if LINUX:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                state, _, group, leader = path.read_text().rpartition(")")[2].split()[:4]
                if session in (int(group), int(leader)) and state not in "ZX":
                    found.append(int(path.parent.name))
        return found
    said = subprocess.run(["ps", "-axo", "pid=,pgid=,stat="], capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in said.splitlines()]
    return [int(pid) for pid, group, state in rows if int(group) == session and not state.startswith("Z")]


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process; one that has just ended is none the worse."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def port_answers(port: int) -> bool:
    """Whether a server of this machine listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def is_at(pid: int, name: str, folder: Path) -> bool:
    """Whether `pid` is a living `name` whose working folder is `folder` (outside Linux: only the name can be asked)."""
    if not alive(pid):
        return False
    if LINUX:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            return Path(f"/proc/{pid}/comm").read_text().strip() == name and Path(f"/proc/{pid}/cwd").readlink() == folder
        return False
    said = subprocess.run(["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.strip()
    return Path(said).name.rstrip(":") == name


def gone(pids: Iterable[int], patience_s: float) -> list[int]:
    """Wait until the processes have ended, at most `patience_s` seconds. Returns those that have not. Reaps our own children."""
    end = time.monotonic() + patience_s
    left = list(pids)
    while left:
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        left = [pid for pid in left if alive(pid)]
        if not left or time.monotonic() > end:
            break
        time.sleep(0.02)
    return left


def run(account: pwd.struct_passwd | None, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as `account` (None: as ourselves), without our groups; code 126 if it may not be run."""
    uid, gid = (account.pw_uid, account.pw_gid) if account else (None, None)
    try:
        return subprocess.run(
            list(words), capture_output=True, text=True, cwd="/", check=False, user=uid, group=gid, extra_groups=[] if account else None
        )
    except PermissionError as exc:
        return subprocess.CompletedProcess(list(words), 126, "", str(exc))


class Lock:
    """A lock on a file: it holds until it is released or the process ends, however it ends.

    The holder may write a line about itself into the file, for others to read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> Self:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def take(self, *, shared: bool = False, wait_s: float = 0) -> bool:
        """Take it, alone or shared; returns whether it was free within `wait_s` seconds."""
        assert self._file is not None, "enter the lock before taking it"
        end = time.monotonic() + wait_s
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)

    def sign(self, line: str) -> None:
        """Write who holds it."""
        assert self._file is not None, "enter the lock before signing it"
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, line.encode(), 0)

    def holder(self) -> str:
        """What the last holder wrote."""
        return self._path.read_text().strip()
