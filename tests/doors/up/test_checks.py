"""The system checks: wrong settings are loud."""

import re
from pathlib import Path

import pytest
from pytest_django import Settings

from swwbot_site import checks

ROOT = Path(__file__).resolve().parents[3]


def found(settings: Settings) -> list[str]:
    return [str(message.id) for message in checks.check_settings()]


def test_the_defaults_are_well(settings: Settings) -> None:
    assert found(settings) == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SHIFT_SECONDS", 5, "sww.E001"),
        ("WORKERS", 0, "sww.E002"),
        ("CONFIG", "no/such/file.json", "sww.E003"),
        ("POLLING_INTERVAL", 0, "sww.E004"),
        ("LM_STUDIO_URL", "10.0.0.102:1234", "sww.E005"),
        ("LM_STUDIO_URL", "http://[half", "sww.E005"),
        ("FEED_URL", "ftp://chat.example", "sww.E006"),
        ("PLUGINS", ["no.such.module"], "sww.E007"),
        ("ENGINE_IN_FLIGHT", 0, "sww.E009"),
        ("SECRET_KEY", "short", "sww.E010"),
        ("ALLOWED_HOSTS", ["*"], "sww.W001"),
        ("SECURE_HSTS_SECONDS", 60, "sww.W002"),
    ],
)
def test_a_wrong_setting_is_named(settings: Settings, name: str, value: object, expected: str) -> None:
    setattr(settings, name, value)
    assert found(settings) == [expected]


def test_debug_in_public_is_an_error(settings: Settings) -> None:
    settings.DEBUG = settings.HTTPS = True
    assert found(settings) == ["sww.E008"]


def test_every_check_is_documented() -> None:
    ids = set(re.findall(r"sww\.[EW]\d+", (ROOT / "swwbot_site" / "checks.py").read_text()))
    assert ids == set(re.findall(r"sww\.[EW]\d+", (ROOT / "docs" / "operating.md").read_text()))


def test_every_setting_from_the_environment_is_in_the_table() -> None:
    source = (ROOT / "swwbot_site" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source)) | set(re.findall(r'confidential\(os\.environ, "([A-Z_]+)"', source))
    table = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    assert len(read) > 20
    assert table - {"PORT"} == read
