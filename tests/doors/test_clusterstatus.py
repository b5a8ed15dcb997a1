"""`manage.py clusterstatus`, also while somebody watches and in narrow terminals."""

import io
import json
import os
import signal
import threading
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from rich.console import Console

from cluster.read import overview
from swwbot_site.lib import clock
from swwbot_site.management import clusterview
from tests import build

pytestmark = pytest.mark.django_db


def loading() -> None:
    offer = build.offer(server=build.server(name="Attic"), model=build.model(key="maker/big"), load_seconds=100.0)
    build.placement(server=offer.server, model=offer.model, state="loading", created_at=clock.now() - timedelta(seconds=25))
    build.generation(model=offer.model)


@pytest.mark.parametrize("width", [30, 60, 200])
def test_it_fits_the_terminal_and_says_how_long_a_load_still_takes(width: int) -> None:
    loading()
    out = io.StringIO()
    clusterview.show(Console(file=out, width=width), overview(), None, None, clock.now())
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    flat = " ".join(out.getvalue().split())
    assert "25%" in flat
    assert "75 s" in flat


def test_a_load_that_takes_longer_than_usual_says_so() -> None:
    offer = build.offer(load_seconds=10.0)
    build.placement(server=offer.server, model=offer.model, state="loading", created_at=clock.now() - timedelta(seconds=30))
    [server] = overview().servers
    assert clusterview.left(server.held[0], clock.now()) == "20 s longer than usual"


class Interrupting(io.StringIO):
    """Somebody presses Ctrl-C after the second picture."""

    written = 0

    def write(self, text: str) -> int:
        self.written += "{" in text[:1] or "Queue" in text
        if self.written == 2:
            self.written += 1
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["drawn", "json"])
def test_watching_ends_with_ctrl_c_as_it_should(form: list[str]) -> None:
    assert threading.current_thread() is threading.main_thread()
    loading()
    out, before = Interrupting(), signal.getsignal(signal.SIGINT)
    call_command("clusterstatus", "--watch", "0.1", *form, stdout=out)
    assert signal.getsignal(signal.SIGINT) is before
    if form:
        assert [json.loads(line)["servers"][0]["name"] for line in out.getvalue().splitlines()] == ["Attic", "Attic"]


@pytest.mark.parametrize("interval", ["0", "-1", "soon", "nan", "1e9"])
def test_what_is_no_interval_is_refused(interval: str) -> None:
    with pytest.raises(CommandError):
        call_command("clusterstatus", f"--watch={interval}")
