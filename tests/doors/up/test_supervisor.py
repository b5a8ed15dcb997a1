"""The supervisor: what it starts, starts again and ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from swwbot_site import processes
from swwbot_site.supervisor import Program, Supervisor, python

CHILD = "import time; print('hello', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('stubborn', flush=True); time.sleep(60)"
PARENT = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('child', p.pid, flush=True); time.sleep(60)"


class Ear:
    """Hears the lines and lets a test wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._more = threading.Condition()

    def __call__(self, text: str) -> None:
        with self._more:
            self.lines.append(text)
            self._more.notify_all()

    def wait(self, part: str, seconds: float = 60) -> str:
        with self._more:
            assert self._more.wait_for(lambda: any(part in line for line in self.lines), seconds), self.lines
            return next(line for line in self.lines if part in line)


def run(programs: list[Program], meanwhile: Callable[[Ear], None]) -> tuple[Ear, float]:
    """Supervise `programs` in this thread while `meanwhile` runs in another, then stop. Returns what was said and the end's seconds."""
    ear = Ear()
    supervisor = Supervisor(programs, ear, lambda: None)
    failures: list[BaseException] = []
    stopped: list[float] = []

    def act() -> None:
        try:
            meanwhile(ear)
        except BaseException as exc:  # noqa: BLE001 - raised again below, in the test's own thread
            failures.append(exc)
        stopped.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=act)
    supervisor.run(thread.start)
    thread.join()
    if failures:
        raise failures[0]
    return ear, time.monotonic() - stopped[0]


def test_it_passes_on_what_a_child_says_and_ends_it() -> None:
    ear, _ = run([Program(name="one", words=python("-c", CHILD))], lambda ear: ear.wait("[one] hello") and None)
    assert ear.lines == ["[one] hello"]


def test_a_child_that_dies_is_started_again_and_a_line_says_so() -> None:
    def meanwhile(ear: Ear) -> None:
        ear.wait("ended with code 3; it starts again in 1 s")
        ear.wait("it starts again in 2 s")

    words = python("-c", "print('last words'); raise SystemExit(3)")
    ear, _ = run([Program(name="one", words=words)], meanwhile)
    assert ear.lines.count("[one] last words") >= 2


def test_a_child_that_does_not_listen_to_reason_is_killed_in_its_time() -> None:
    program = Program(name="one", words=python("-c", STUBBORN), patience_s=0.3)
    ear, seconds = run([program], lambda ear: ear.wait("stubborn") and None)
    assert ear.lines[-1] == "[one] did not end in time and was killed"
    assert seconds < 5


def test_what_a_child_started_ends_with_it() -> None:
    pids: list[int] = []

    def meanwhile(ear: Ear) -> None:
        pids.append(int(ear.wait("child").split()[-1]))
        assert processes.alive(pids[0])

    run([Program(name="one", words=python("-c", PARENT), patience_s=0.3)], meanwhile)
    assert processes.gone(pids, 30) == []


def test_the_lower_rank_ends_first() -> None:
    script = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit())); print('up', flush=True); time.sleep(60)"
    programs = [Program(name=name, words=python("-c", script), rank=rank) for name, rank in (("last", 2), ("first", 0), ("middle", 1))]

    def meanwhile(ear: Ear) -> None:
        for name in ("last", "first", "middle"):
            ear.wait(f"[{name}] up")

    ear, _ = run(programs, meanwhile)
    assert [line for line in ear.lines if "bye" in line] == ["[first] bye", "[middle] bye", "[last] bye"]


def test_the_next_program_waits_until_the_one_before_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    slow = f"import socket, time; time.sleep(0.5); s = socket.create_server(('127.0.0.1', {port})); print('listens', flush=True); time.sleep(60)"
    programs = [Program(name="server", words=python("-c", slow), port=port), Program(name="client", words=python("-c", CHILD))]

    def meanwhile(ear: Ear) -> None:
        ear.wait("[client] hello")
        ear.wait("[server] listens")

    ear, _ = run(programs, meanwhile)
    assert ear.lines.index("[server] listens") < ear.lines.index("[client] hello")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere children look after their parent every second")
def test_a_child_of_ours_ends_when_its_supervisor_is_killed(tmp_path: Path) -> None:
    child = "from swwbot_site import processes; import os, time; processes.follow_parent(); print(os.getpid(), flush=True); time.sleep(60)"
    parent = (
        "import sys; from swwbot_site.supervisor import Program, Supervisor, python;"
        "Supervisor([Program(name='one', words=python('-c', sys.argv[1]))], lambda line: print(line, flush=True), lambda: None).run(lambda: None)"
    )
    with subprocess.Popen([sys.executable, "-c", parent, child], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline().split()[-1])
        supervisor.kill()
    assert processes.gone([pid], 30) == []


def test_a_lock_is_free_when_its_holder_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = "import sys, time; from pathlib import Path; from swwbot_site.processes import Lock\nwith Lock(Path(sys.argv[1])) as lock:\n    print(lock.take(), flush=True); time.sleep(60)"
    with (
        processes.Lock(path) as mine,
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as holder,
    ):
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert not mine.take()
        holder.kill()
        assert mine.take(wait_s=30)
