"""The end of web servers, well or badly, and of the database."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from django.db import connection

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Seat
from tests.doors.gateway.conftest import CHAT, HELLO, MODEL, Gateway, free
from tests.harness import PATIENCE_S, until
from tests.simulation.cluster import ask, count, done
from tests.workers import ROOT

Cluster = Callable[..., list[Emulator]]


class Web:
    """The whole web server, as `up` starts it."""

    def __init__(self, database_url: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        words = ["-m", "uvicorn", "swwbot_site.asgi:application", "--port", str(port), "--log-level", "warning", "--no-access-log"]
        kept = {name: value for name, value in os.environ.items() if name not in ("CONFIG", "LM_STUDIO_URL", "FEED_URL", "VAR_DIR")}
        own = {"DJANGO_SETTINGS_MODULE": "swwbot_site.settings", "DATABASE_URL": database_url, "VAR_DIR": str(folder)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words, "--lifespan", "on", "--timeout-graceful-shutdown", "8", "--http", "swwbot_site.protocol:Protocol"],
                env=kept | own,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until it answers."""
        until(lambda: self._there() or self.process.poll() is not None, what="a web server")
        assert self.process.poll() is None, self.log.read_text()

    def _there(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v1/models").status_code == 401
        except httpx.HTTPError:
            return False

    def client(self, secret: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=secret, max_retries=0, timeout=PATIENCE_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@pytest.fixture
def web(engine_database_url: str, tmp_path: Path) -> Iterator[Callable[[], Web]]:
    """Starts web servers."""
    running: list[Web] = []

    def start() -> Web:
        running.append(Web(engine_database_url, tmp_path / str(len(running))))
        running[-1].wait()
        return running[-1]

    yield start
    for one in running:
        one.kill()


def test_a_web_server_that_is_told_to_end_finishes_its_answers_and_leaves_no_seat(
    web: Callable[[], Web], secret: str, cluster: Cluster
) -> None:
    (emulator,) = cluster(loaded=["maker/small"], tokens_per_s=1.0, parallel=2)
    one = web()
    with one.client(secret) as client:
        stream = iter(client.chat.completions.create(**HELLO, stream=True))
        next(stream)
        with ThreadPoolExecutor(1) as pool:
            whole = pool.submit(client.chat.completions.create, **HELLO)
            until(lambda: Generation.objects.filter(state="running").count() == 2, what="two who are asked")
            one.process.send_signal(signal.SIGTERM)
            emulator.work.habits = emulator.work.habits.changed({"tokens_per_s": 20.0})
            assert list(stream)[-1].choices[0].finish_reason
            assert whole.result().choices[0].message.content
    assert one.process.wait(PATIENCE_S) in (0, -signal.SIGTERM), one.log.read_text()
    assert not Seat.objects.exists()
    assert list(Generation.objects.values_list("state", flat=True)) == ["done", "done"]
    assert one.log.read_text() == ""


def test_a_web_server_that_is_killed_is_cleared_up_after(web: Callable[[], Web], secret: str, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], tokens_per_s=0.5, parallel=2)
    one = web()
    broken = []

    def client_of_the_dead() -> None:
        with one.client(secret) as client, pytest.raises(openai.APIConnectionError) as error:
            client.chat.completions.create(**HELLO)
        broken.append(error)

    threads = [threading.Thread(target=client_of_the_dead) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(
        lambda: set(Generation.objects.values_list("state", flat=True)) == {"running", "queued"}, what="some who are asked, some who wait"
    )
    assert Seat.objects.filter(generation__isnull=True).exists()
    one.kill()
    for thread in threads:
        thread.join()
    assert len(broken) == 4
    until(lambda: set(Generation.objects.values_list("state", flat=True)) == {"cancelled"}, what="an end of the rows")
    free()
    assert set(Generation.objects.values_list("error_code", flat=True)) == {"cancelled"}
    emulator.work.habits = emulator.work.habits.changed({"tokens_per_s": 0})
    done(ask(MODEL))


def test_two_web_servers_never_take_more_seats_than_there_are_and_share_them(
    web: Callable[[], Web], gateway: Gateway, secret: str, cluster: Cluster
) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=3, tokens_per_s=1000.0)
    other = web()
    seen: list[int] = []
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0, timeout=PATIENCE_S) as first,
        other.client(secret) as second,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = [pool.submit((first, second)[n % 2].chat.completions.create, **HELLO) for n in range(60)]
        while wait(answers, 0.01).not_done or not seen:
            seen.append(Seat.objects.count())
        assert all(one.result().choices[0].message.content for one in answers)
    assert max(seen) <= 3
    assert count(emulator, "queued") == 0
    assert count(emulator, "answered") == 60
    until(lambda: Generation.objects.filter(state="done").count() == 60, what="60 rows")
    assert Generation.objects.values("home").distinct().count() == 2
    free()


def test_a_database_that_hangs_up_on_everybody_costs_no_answer_and_no_seat(http: httpx.Client, gateway: Gateway, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=2, tokens_per_s=20.0)
    with ThreadPoolExecutor(4) as pool:
        said: list[Any] = [pool.submit(http.post, CHAT, json=HELLO) for _ in range(4)]
        until(lambda: emulator.work.machine.running == 2, what="two who are asked")
        for _ in range(3):
            with connection.cursor() as cursor:
                mine = "datname = current_database() AND pid <> pg_backend_pid()"
                cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")
        emulator.work.habits = emulator.work.habits.changed({"tokens_per_s": 200.0})
        answers = [one.result() for one in said]
    assert [one.status_code for one in answers] == [200] * 4
    until(lambda: Generation.objects.filter(state="done").count() == 4, what="four rows")
    free()
    assert http.post(CHAT, json=HELLO).status_code == 200
    assert count(emulator, "queued") == 0
    free()
