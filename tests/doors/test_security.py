"""Nothing changes by being looked at, and no secret is ever shown."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import structlog
from django.conf import settings as project
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from cluster.lmstudio.errors import PeerError
from swwbot_site import environment
from swwbot_site.lib.events import Happening
from tests import build
from tests.doors import everything

MARK = "s3cr3t-"
SECRETS = {name: f"{MARK}{name}-0123456789abcdef" for name in ("server", "hook", "metrics", "signing", "database", "digest")}


def test_there_are_addresses_of_every_door(browser: Client) -> None:
    everything.scene("hello")
    found = everything.addresses()
    assert len(found) > 100
    for beginning in ("/admin/cluster/server/", "/api/v1/", "/status/", "/metrics", "/admin/auth/user/"):
        assert any(path.startswith(beginning) for path in found)


def test_logging_out_takes_a_post(browser: Client) -> None:
    assert browser.get("/admin/logout/").status_code == 405
    assert browser.get("/admin/").status_code == 200


def clean(text: str, where: str) -> None:
    at = text.find(MARK)
    assert at < 0, f"{where}: …{text[max(0, at - 80) : at + 60]}…"


@pytest.fixture
def secrets(settings: Settings, staff: User) -> None:
    """A secret in every place that has one."""
    settings.METRICS_TOKEN = SECRETS["metrics"]
    settings.SECRET_KEY = SECRETS["signing"]
    everything.scene("hello", secret=SECRETS["server"])
    row, _ = build.token(user=staff)
    row.digest = SECRETS["digest"]
    row.save()


def test_looking_changes_nothing_and_shows_no_secret_on_any_page_and_in_no_log(
    secrets: None, staff: User, heard: list[Happening], caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.force_login(staff)
    before = everything.fingerprint()
    with structlog.testing.capture_logs() as lines, caplog.at_level(logging.DEBUG):
        texts = {path: everything.seen(client, path) for path in everything.addresses() if "logout" not in path}
    assert everything.fingerprint() == before
    assert sum(bool(text) for text in texts.values()) > 100
    for path, text in texts.items():
        clean(text, path)
    clean(json.dumps(lines, default=str) + caplog.text, "the log")
    clean(" ".join(f"{one.text} {one.detail}" for one in heard), "what is said")


def test_a_wrong_password_is_in_no_log_and_no_event(staff: User, heard: list[Happening], caplog: pytest.LogCaptureFixture) -> None:
    with structlog.testing.capture_logs() as lines, caplog.at_level(logging.DEBUG):
        for _ in range(12):
            Client().post("/admin/login/", {"username": f"{MARK}name", "password": f"{MARK}password"})
    clean(json.dumps(lines, default=str) + caplog.text, "the log")
    clean(" ".join(f"{one.text} {one.subject} {one.detail}" for one in heard), "what is said")


def test_an_error_page_shows_no_secret(secrets: None, staff: User, caplog: pytest.LogCaptureFixture) -> None:
    def broken(*args: object) -> None:
        raise OperationalError(f"connection failed: {args[0]}"[:60])

    client = Client(raise_request_exception=False)
    client.force_login(staff)
    for path in ("/status/", "/admin/cluster/server/", "/api/v1/servers/", "/metrics", "/readyz"):
        with connection.execute_wrapper(broken):
            clean(client.get(path, HTTP_AUTHORIZATION="Bearer nothing").content.decode(), path)
    clean(caplog.text, "the log")


@pytest.mark.parametrize("command", [["exportconfig"], ["clusterstatus"], ["clusterstatus", "--json"], ["doctor"]])
def test_no_command_tells_a_secret(secrets: None, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    with contextlib.suppress(SystemExit, CommandError):
        call_command(*command, stdout=out)
    text = out.getvalue() + "".join(capsys.readouterr())
    assert text
    clean(text, " ".join(command))


@pytest.mark.parametrize("command", [["doctor"], ["clusterstatus"]])
def test_the_database_password_is_never_told(tmp_path: Path, command: list[str]) -> None:
    variables = {name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")} | {
        "DATABASE_URL": f"postgresql://swwbot:{SECRETS['database']}@127.0.0.1:1/none",
        "SECRET_KEY": SECRETS["signing"],
        "VAR_DIR": str(tmp_path),
        "LOG_LEVEL": "DEBUG",
    }
    manage = [sys.executable, str(Path(project.BASE_DIR) / "manage.py"), *command]
    done = subprocess.run(manage, check=False, env=variables, capture_output=True, text=True, timeout=60, cwd=project.BASE_DIR)
    assert done.stdout + done.stderr
    clean(done.stdout + done.stderr, " ".join(command))


@pytest.mark.parametrize("url", [f"mysql://root:{MARK}@db/none", f"{MARK}", f"postgresql://u:{MARK}@[db/none"])
def test_a_wrong_database_address_is_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(environment.EnvironmentFault) as fault:
        environment.database(url, tmp_path)
    told = "".join(traceback.format_exception(fault.value, chain=False))
    clean(told, "the fault")


def test_an_event_is_kept_without_the_token_of_a_peer_that_repeats_it(secrets: None) -> None:
    error = PeerError(f"401: wrong token {SECRETS['server']}").at("http://10.0.0.7:1234", SECRETS["server"])
    clean(str(error), "the error")
