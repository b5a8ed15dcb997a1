"""The embedded PostgreSQL: start, stop, and every way to find it after something went wrong."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from swwbot_site import postgres, processes
from swwbot_site.postgres import PostgresFault, Server

HOLD = """
import sys, pathlib
from swwbot_site.postgres import borrowed
with borrowed(pathlib.Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server(run_folder: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    var = run_folder / "servers" / str(abs(hash(request.node.nodeid)) % 10**8)
    server = Server(var=var, durable=False)
    yield server
    server.stop()


def ask(server: Server, question: str) -> object:
    with psycopg.connect(host=str(server.host), user="postgres", dbname="swwbot", autocommit=True) as connection:
        row = connection.execute(question).fetchone()  # type: ignore[call-overload]
        return row and row[0]


def test_it_starts_makes_its_database_and_stops(server: Server) -> None:
    server.start()
    assert server.answers()
    assert ask(server, "SELECT current_database()") == "swwbot"
    server.stop()
    assert server.pid() is None
    assert not server.answers()


def test_it_keeps_the_data_and_listens_to_no_network(server: Server) -> None:
    server.start()
    assert ask(server, "SHOW listen_addresses") == ""
    with psycopg.connect(host=str(server.host), user="postgres", dbname="swwbot") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.start()
    assert ask(server, "SELECT answer FROM kept") == 42


def test_starting_twice_is_starting_once(server: Server) -> None:
    server.start()
    pid = server.pid()
    server.start()
    assert server.pid() == pid


def test_it_starts_again_after_it_was_killed(server: Server) -> None:
    server.start()
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert processes.gone([pid], 30) == []
    assert (server.data / "postmaster.pid").exists()
    server.start()
    assert server.answers()


def test_a_stale_pid_file_that_names_another_living_process_is_not_believed(server: Server) -> None:
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert server.pid() is None
    server.start()
    assert server.answers()


def test_a_path_too_long_for_a_socket_works(run_folder: Path) -> None:
    server = Server(var=run_folder / "servers" / ("long" * 30), durable=False)
    server.start()
    assert server.answers()
    assert server.host != server.root
    server.stop()
    assert not server.host.exists()


def test_an_interrupted_beginning_is_begun_again(server: Server) -> None:
    server.start()
    server.stop()
    server.data.rename(server.root / "draft")
    server.start()
    assert server.answers()


def test_what_the_server_says_is_in_the_error_when_it_cannot_start(server: Server) -> None:
    server.start()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(PostgresFault, match="no_such_setting"):
        server.start()


def test_borrowers_share_one_server_and_the_last_one_stops_it(server: Server) -> None:
    words = [sys.executable, "-c", HOLD, str(server.var)]
    holders = [subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for holder in holders:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
    holders[0].communicate(timeout=60)
    assert server.answers()
    holders[1].communicate(timeout=60)
    assert server.pid() is None


def test_a_borrower_uses_the_server_of_a_running_owner_and_leaves_it_alone(server: Server) -> None:
    server.start()
    with processes.Lock(server.var / "postgres.users") as users:
        assert users.take()
        with postgres.borrowed(server.var):
            assert server.answers()
        assert server.answers()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a server with the process that started it")
def test_the_server_ends_when_its_owner_is_killed(server: Server) -> None:
    script = "import sys, pathlib, time; from swwbot_site.postgres import Server; Server(var=pathlib.Path(sys.argv[1])).start(); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(server.var)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "1\n"
        pid = server.pid()
        assert pid is not None
        owner.kill()
    assert processes.gone([pid], 30) == []
