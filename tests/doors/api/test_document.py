"""The OpenAPI document: valid, complete, true, and readable without another site."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.test import Client
from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

from swwbot_site.settings import BASE_DIR
from tests import build
from tests.doors.api.conftest import LISTS, THINGS

V1 = "/api/v1/"


@pytest.fixture
def document(browser: Client) -> dict[str, Any]:
    """The document as the web server gives it."""
    response = browser.get("/api/schema/", {"format": "json"})
    assert response.status_code == 200
    told: dict[str, Any] = response.json()
    return told


def test_it_is_valid_and_made_without_a_warning(tmp_path: Path) -> None:
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"), stdout=StringIO(), stderr=StringIO()
    )
    assert (tmp_path / "schema.yml").read_text().startswith("openapi: 3.1.0")


DEEDS = {
    "servers": "enable disable drain undrain probe",
    "models": "keep release swap undo",
    "placements": "unload pin unpin",
    "generations": "cancel progress raise again",
    "feeds": "enable disable",
    "entities": "enable disable clone limits versions versions/{version}/diff rollback",
    "limits": "reset",
    "replies": "approve edit reject requeue",
    "ensembles": "cancel",
    "tokens": "revoke",
    "webhooks": "renew",
    "deliveries": "resend",
}
WRITTEN = {
    "servers": "post patch delete",
    "models": "patch",
    "placements": "post",
    "generations": "post",
    "entities": "post patch delete",
    "limits": "post patch delete",
    "ensembles": "post",
    "feeds": "post patch",
    "tokens": "post",
    "webhooks": "post patch delete",
    "policy": "patch",
    "conversation-policy": "patch",
    "retention": "patch",
    "configuration": "post",
}


def test_it_names_every_address(document: dict[str, Any]) -> None:
    key = {name: "slug" if name == "entities" else "id" for name in LISTS}
    rows = {f"{V1}{name}/{{{key[name]}}}/" for name in LISTS}
    deeds = {f"{V1}{name}/{{{key[name]}}}/{deed}/" for name, all_of in DEEDS.items() for deed in all_of.split()}
    lists = {f"{V1}{name}/" for name in (*LISTS, *THINGS)}
    others = {f"{V1}limits/reset/", f"{V1}posting/stop/", f"{V1}posting/resume/", f"{V1}events/stream/"}
    assert set(document["paths"]) == rows | deeds | lists | others
    for name in (*LISTS, *THINGS):
        found = set(document["paths"][f"{V1}{name}/"]) | set(document["paths"].get(f"{V1}{name}/{{{key.get(name)}}}/", ()))
        assert found == {"get", *WRITTEN.get(name, "").split()}, name


def test_every_operation_says_who_may_and_how_it_refuses(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["security"] == [{"bearerAuth": []}, {"cookieAuth": []}], path
            assert operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")
            assert "A token needs the scope `" in operation["description"], (method, path)
            assert len(operation["responses"]) == 2, (method, path)


@pytest.mark.parametrize("empty", [True, False], ids=["with hardly a row", "with rows"])
def test_every_answer_is_as_it_says(browser: Client, document: dict[str, Any], empty: bool, request: pytest.FixtureRequest) -> None:
    if not empty:
        request.getfixturevalue("rows")
        server = build.server(state="unknown", state_since=None, seen_at=None, formats=["MLX"], preferred_models=["*"])
        build.placement(server=server, state="loading")
        build.generation()
        build.message(raw_id=17)
        build.limit(entity=None)
    asked = 0
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" not in content or "{version}" in path:
            continue
        for address in _addresses(browser, path):
            told = browser.get(address)
            assert told.status_code == 200, address
            schema = content["application/json"]["schema"]
            _check(document, schema, told.json(), address)
            asked += 1
    _check(document, {"$ref": "#/components/schemas/Problem"}, browser.get(f"{V1}servers/x/").json(), "a refusal")
    assert asked >= len(LISTS) + len(THINGS)


def _addresses(browser: Client, path: str) -> list[str]:
    """The path itself, or filled with every row of its list."""
    if "{" not in path:
        return [path]
    head, _, tail = path.partition("{")
    key, _, rest = tail.partition("}")
    return [f"{head}{row[key]}{rest}" for row in browser.get(head).json()["results"]]


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> None:
    whole = {**schema, "components": document["components"]}
    assert validator_for(whole, default=Draft202012Validator) is Draft202012Validator
    errors = [f"{where} {error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]
    assert not errors, "\n".join(errors)
    named = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2])
    if named and isinstance(value, dict):
        assert set(value) == set(named.get("required", named["properties"])) | set(value) & set(named["properties"]), where


def test_its_page_is_for_staff_and_takes_nothing_from_other_sites(browser: Client, client: Client) -> None:
    assert client.get("/api/docs/")["Location"].startswith("/admin/login/")
    page = browser.get("/api/docs/").content.decode()
    assert "swagger-ui" in page
    for source in [part.split('"')[0] for mark in ('src="', 'href="') for part in page.split(mark)[1:]]:
        assert source.startswith("/"), source
        if source.startswith("/static/"):
            assert finders.find(source.removeprefix("/static/")), source
    script = browser.get("/api/docs/", {"script": ""})
    assert script["Content-Type"].startswith("application/javascript")
    assert "/api/schema/" in script.content.decode()


def test_a_worker_does_not_load_the_api() -> None:
    """Its settings leave the API out, and so do the addresses that its checks look at, and everything that an engine runs."""
    code = (
        "import sys; sys.argv = ['manage.py', 'qcluster']; import django; django.setup();"
        "from django.core.checks import run_checks; from django.conf import settings; assert settings.LEAN;"
        "from conversations import engine; from swwbot_site.lib.hooks import load; load((*settings.ENGINE_PLUGINS, *settings.PLUGINS));"
        "run_checks(tags=['urls']); print([name for name in ('rest_framework', 'drf_spectacular', 'django_filters') if name in sys.modules])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    said = subprocess.run([sys.executable, "-c", code], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.strip()) == (0, "[]"), said.stderr
