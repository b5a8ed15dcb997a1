"""What a new user meets first: the example of the README, a wrong name in the address bar, a reader that stops reading."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client


@pytest.mark.django_db
def test_the_readmes_configuration_is_taken_without_a_warning(tmp_path: Path) -> None:
    [example] = re.findall(r"```json\n(.*?)```", (settings.BASE_DIR / "README.md").read_text(), re.DOTALL)
    file = tmp_path / "config-aientities.json"
    file.write_text(example)
    said = io.StringIO()
    call_command("importconfig", str(file), "--dry-run", stdout=said, stderr=said)
    assert "1 entity added, 2 servers added, 1 feed added" in said.getvalue()
    assert "warning" not in said.getvalue()


def test_who_comes_by_a_name_that_is_not_allowed_is_told_the_setting() -> None:
    answer = Client().get("/status/", headers={"Host": "mac.elsewhere"})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.content.decode()
    assert "mac.elsewhere" not in answer.content.decode()


def test_a_reader_that_stops_reading_sees_no_trace() -> None:
    words = [sys.executable, str(settings.BASE_DIR / "manage.py"), "diffsettings", "--all"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        assert asked.stdout
        assert asked.stderr
        asked.stdout.close()
        assert b"Traceback" not in asked.stderr.read()
        assert asked.wait() == 141
