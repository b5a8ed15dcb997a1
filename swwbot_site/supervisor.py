"""Keeps a handful of programs running beside each other, passes on what they say, and ends them all.

Each child is a session of its own, so that Ctrl-C reaches only the supervisor, which then ends the children in order; and each is
leashed to it, so that none survives it.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from swwbot_site import processes

BACKOFF_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_S: Final = 60.0
"""A child that ran this long begins again with the shortest pause when it dies."""

TEND_S: Final = 2.0

LISTEN_S: Final = 20.0
"""How long the start of the next waits for a program to listen."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run.

    port: nothing after it starts before it listens there (at most LISTEN_S). rank: lower ones are ended first, equal ones together.
    patience_s: seconds it has to end politely.
    """

    name: str
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    rank: int = 0
    patience_s: float = 3.0


class Child:
    """One program, run again whenever it ends."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.began = 0.0
        self.due = 0.0
        self.mute = False
        self._rest = b""

    def start(self) -> None:
        environment = {**os.environ, **self.program.environment, processes.PARENT: str(os.getpid()), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            list(self.program.words),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.began = time.monotonic()
        self.mute = False

    def lines(self) -> list[str]:
        """What it has said since the last call, in whole lines."""
        if self.process is None or self.process.stdout is None or self.process.stdout.closed:
            return []
        data = self.process.stdout.read()
        *whole, self._rest = (self._rest + (data or b"")).split(b"\n")
        self.mute = data == b""
        if self.mute and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace").rstrip() for line in whole]

    def signal(self, number: signal.Signals) -> None:
        """Signal the program itself."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def remains(self) -> bool:
        """Whether anything of it still runs, its own children included."""
        if self.process is None:
            return False
        self.process.poll()
        return bool(processes.members(self.process.pid))

    def kill(self) -> None:
        """End whatever remains of it."""
        if self.process is None:
            return
        left = processes.members(self.process.pid)
        for pid in left:
            processes.send(pid, signal.SIGKILL)
        self.process.poll()
        processes.gone(left, 2)
        self.process.poll()

    def close(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


class Supervisor:
    """Runs `programs` until told to stop; `say` gets a line at a time, `tend` is called every TEND_S. Use it from the main thread."""

    def __init__(self, programs: Sequence[Program], say: Say, tend: Callable[[], None]) -> None:
        self._children = [Child(program) for program in programs]
        self._say = say
        self._tend = tend
        self._tended = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self.stopping = False
        self._hurry = False

    def run(self, ready: Callable[[], None]) -> None:
        """Start everything, call `ready`, keep it running until SIGINT, SIGTERM or SIGHUP, end everything. A second signal hurries."""
        kinds = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in kinds}
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            for child in self._children:
                self._begin(child)
                self._await(child)
            if not self.stopping:
                ready()
            while not self.stopping:
                self._listen(0.25)
                self._mend()
        finally:
            try:
                self._end()
            finally:
                signal.set_wakeup_fd(woken)
                for number, handler in before.items():
                    signal.signal(number, handler)
                self._selector.close()
                os.close(reader)
                os.close(writer)

    def _on_signal(self, number: int, frame: object) -> None:
        self._hurry = self.stopping
        self.stopping = True

    def _begin(self, child: Child) -> None:
        child.start()
        assert child.process is not None
        assert child.process.stdout is not None
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _await(self, child: Child) -> None:
        end = time.monotonic() + LISTEN_S
        port = child.program.port
        while port and not self.stopping and not processes.port_answers(port):
            if time.monotonic() > end or child.process is None or child.process.poll() is not None:
                self._say(f"[{child.program.name}] does not listen on port {port} yet")
                return
            self._listen(0.05)

    def _listen(self, seconds: float) -> None:
        """Pass on what the children say; wait at most `seconds` for the first word."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                os.read(key.fd, 4096)
                continue
            child = cast("Child", key.data)
            self._pass(child)
            if child.mute:
                self._selector.unregister(key.fileobj)

    def _pass(self, child: Child) -> None:
        for line in child.lines():
            self._say(f"[{child.program.name}] {line}")

    def _mend(self) -> None:
        """Start again what has ended, after a pause that grows while it keeps ending."""
        now = time.monotonic()
        if now - self._tended > TEND_S:
            self._tended = now
            self._tend()
        for child in self._children:
            if child.process is None:
                if now >= child.due:
                    self._begin(child)
            elif child.process.poll() is not None:
                self._bury(child, now)

    def _bury(self, child: Child, now: float) -> None:
        assert child.process is not None
        code = child.process.returncode
        child.kill()
        self._forget(child)
        child.failures = 1 if now - child.began > STEADY_S else child.failures + 1
        pause = BACKOFF_S[min(child.failures, len(BACKOFF_S)) - 1]
        child.due = now + pause
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._say(f"[{child.program.name}] {how}; it starts again in {pause:.0f} s")

    def _forget(self, child: Child) -> None:
        assert child.process is not None
        assert child.process.stdout is not None
        self._pass(child)
        if child.process.stdout in {key.fileobj for key in self._selector.get_map().values()}:
            self._selector.unregister(child.process.stdout)
        child.close()

    def _end(self) -> None:
        """End the children rank by rank: politely, then for good."""
        for rank in sorted({child.program.rank for child in self._children}):
            group = [child for child in self._children if child.program.rank == rank and child.process is not None]
            began = time.monotonic()
            for child in group:
                child.signal(signal.SIGTERM)
            waiting = group
            while waiting and not self._hurry:
                self._listen(0.05)
                spent = time.monotonic() - began
                waiting = [child for child in waiting if spent < child.program.patience_s and child.remains()]
            for child in group:
                if child.remains():
                    self._say(f"[{child.program.name}] did not end in time and was killed")
                child.kill()
                self._forget(child)


def python(*words: str) -> list[str]:
    """The words that run this same Python."""
    return [sys.executable, *words]
