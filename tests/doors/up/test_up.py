"""`manage.py up --demo`, from an empty folder to the first answer and to the end, and what it refuses."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from swwbot_site import demo, processes, startup
from swwbot_site.config.document import parse
from swwbot_site.postgres import Server

ROOT = Path(__file__).resolve().parents[3]
MANAGE = [sys.executable, str(ROOT / "manage.py")]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Up:
    """A running `up`, with what it has said."""

    def __init__(self, var: Path, *words: str) -> None:
        unwanted = ("DATABASE_URL", "CONFIG", "SECRET_KEY")
        self.environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.environment |= {"VAR_DIR": str(var), "DJANGO_SETTINGS_MODULE": "swwbot_site.settings"}
        self.var = var
        self.lines: list[str] = []
        self._more = threading.Condition()
        self.process = subprocess.Popen(
            [*MANAGE, "up", *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()

    def wait(self, part: str, seconds: float = 120) -> str:
        with self._more:
            assert self._more.wait_for(lambda: any(part in line for line in self.lines), seconds), "\n".join(self.lines)
            return next(line for line in self.lines if part in line)

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*MANAGE, *words], env=self.environment, capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)

    def processes(self) -> list[int]:
        """Everything that runs in this installation, by the folder in its environment or its words."""
        mark, found = str(self.var).encode(), []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except (FileNotFoundError, PermissionError, ProcessLookupError):
                continue
            if mark in told and processes.alive(int(entry.name)):
                found.append(int(entry.name))
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """End it; returns the seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(60)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return time.monotonic() - began


@pytest.fixture
def var(run_folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    folder = run_folder / "servers" / f"up-{abs(hash(request.node.nodeid)) % 10**8}"
    yield folder
    Server(var=folder).stop()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="counts processes by /proc")
def test_the_demo_answers_tells_the_password_once_leaves_nothing_running_and_is_switched_off_by_a_start_without_it(var: Path) -> None:
    port = free_port()
    up = Up(var, "--demo", "--port", str(port))
    try:
        password = up.wait("password").split()[2]
        up.wait("Running. Ctrl-C stops it.")
        up.wait(" answered ")
        assert not processes.port_is_free("127.0.0.1", port)
        assert "already running here" in up.manage("up").stderr
        assert up.manage("showmigrations", "cluster").returncode == 0
    finally:
        seconds = up.end(signal.SIGINT)
    assert up.process.returncode == 0
    assert seconds < 10
    assert up.processes() == []
    assert up.lines[-1] == "stopped"

    again = Up(var, "--demo", "--port", str(port))
    again.wait("Running. Ctrl-C stops it.")
    started = again.processes()
    assert len(started) > 6
    again.end(signal.SIGKILL)
    assert processes.gone(started, 60) == []
    assert not any("password" in line or password in line for line in again.lines)

    plain = Up(var, "--no-web", "--workers", "1")
    plain.wait("are switched off")
    plain.wait("Running. Ctrl-C stops it.")
    told = plain.manage("exportconfig")
    plain.end()
    assert told.returncode == 0, told.stderr
    assert '"enabled": true' not in told.stdout


def test_a_port_in_use_is_said_with_what_to_do(var: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        up = Up(var, "--demo", "--port", str(port))
        up.wait(f"port {port} is in use. Choose another: make demo PORT={port + 1}")
        assert up.process.wait(60) == 1
        up.end()


def test_the_demo_document_is_one_without_errors_or_warnings() -> None:
    document = parse(demo.arrange(MANAGE).document)
    assert document.problems == ()


def test_the_demo_takes_other_ports_when_the_usual_ones_are_taken() -> None:
    with socket.socket() as taken:
        taken.bind((demo.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert demo._port(port, set()) != port
    ports = [program.port for program in demo.arrange(MANAGE).programs]
    assert len(set(ports)) == 4


@pytest.mark.parametrize(("lines", "width"), [(["short", "a longer line"], 17), (["x"], 5)])
def test_a_box_fits_its_lines(lines: Sequence[str], width: int) -> None:
    assert {len(line) for line in startup._box(*lines).splitlines() if line} == {width}
