"""What answers tell browsers, and production settings without a finding."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as project
from django.test import Client

OURS = ("/status/", "/admin/login/", "/healthz", "/nowhere", "/static/swwbot/icon.svg")
PRODUCTION = Path(project.BASE_DIR) / "docs" / "settings.md"


def policy(response: object) -> dict[str, str]:
    """The directives of an answer's content security policy."""
    parts = str(response.headers["Content-Security-Policy"]).split("; ")  # type: ignore[attr-defined]
    return dict(part.split(" ", 1) for part in parts)


@pytest.mark.parametrize("path", OURS)
def test_every_answer_has_its_headers(browser: Client, path: str) -> None:
    response = browser.head(path)
    assert policy(response)["default-src"] == "'none'"
    assert policy(response)["frame-ancestors"] == "'none'"
    assert policy(response)["base-uri"] == "'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in response.headers["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/status/", "/nowhere", "/api/v1/", "/healthz"])
def test_nothing_inline_and_nothing_evaluated_on_our_own_pages(browser: Client, path: str) -> None:
    assert "unsafe" not in browser.get(path).headers["Content-Security-Policy"]


def test_the_admin_refuses_inline_scripts_and_foreign_sites(browser: Client) -> None:
    rules = policy(browser.get("/admin/"))
    assert rules["script-src"] == "'self' 'unsafe-eval'"
    assert rules["style-src"] == "'self' 'unsafe-inline'"
    assert not re.search(r"https?:|\*", " ".join(rules.values()))


def test_the_sessions_cookie_is_not_for_scripts_and_not_for_other_sites(client: Client, staff: object) -> None:
    response = client.post("/admin/login/", {"username": "admin", "password": "correct horse", "next": "/status/"})
    cookie = response.cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def documented() -> dict[str, str]:
    """The production settings, as the documentation has them."""
    block = PRODUCTION.read_text().partition("## In production")[2].partition("```")[2].partition("```")[0]
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def test_production_settings_as_documented_have_no_finding(tmp_path: Path) -> None:
    values = documented()
    assert {"SECRET_KEY", "HTTPS", "HSTS_SECONDS", "ALLOWED_HOSTS"} <= values.keys()
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "COVERAGE_PROCESS_START")}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "swwbot_site.settings",
        "VAR_DIR": str(tmp_path),
        "PYTHONPATH": str(project.BASE_DIR),
    } | values
    command = [sys.executable, str(Path(project.BASE_DIR) / "manage.py"), "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_a_wrong_list_of_networks_stops_the_start_with_its_name(tmp_path: Path) -> None:
    variables = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "ALLOWED_NETWORKS": "10.0.0.0/8,lan"}
    command = [sys.executable, str(Path(project.BASE_DIR) / "manage.py"), "check"]
    done = subprocess.run(command, check=False, env=variables, capture_output=True, text=True, timeout=60, cwd=project.BASE_DIR)
    assert done.returncode == 1
    assert "ALLOWED_NETWORKS" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_production_settings_are_those_that_are_explained() -> None:
    known = set(re.findall(r"`([A-Z][A-Z_]+)`", PRODUCTION.read_text()))
    assert documented().keys() <= known
