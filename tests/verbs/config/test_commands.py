"""The two commands, as somebody at a terminal meets them."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from cluster.models import Server
from entities.models import Entity
from swwbot_site.config import sheaf, watch

DATA = Path(__file__).parents[2] / "data" / "config"
Run = Callable[..., str]


@pytest.fixture
def run(db: None, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command; returns what it printed, also if it failed."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str, fails: str = "") -> str:
        out = io.StringIO()
        if not fails:
            call_command(*words, stdout=out)
            return out.getvalue()
        with pytest.raises(CommandError, match=fails) as caught:
            call_command(*words, stdout=out)
        assert caught.value.returncode == 1
        return out.getvalue()

    return run


def test_an_import_prints_warnings_changes_and_a_summary(run: Run) -> None:
    printed = run("importconfig", str(DATA / "september.json"))
    assert "$.entities[0].traits.style" in printed
    assert "KeeperOfTheLight" in printed
    assert "server Mac Studio 1" in printed
    assert printed.endswith("september.json: 2 entities added, 2 servers added, 1 cluster policy changed\n")


def test_a_second_import_prints_that_nothing_changed(run: Run) -> None:
    run("importconfig", str(DATA / "design.json"))
    assert run("importconfig", str(DATA / "design.json")).endswith("design.json: nothing changed\n")


def test_a_change_is_printed_with_before_and_after(run: Run, tmp_path: Path) -> None:
    run("importconfig", str(DATA / "design.json"))
    changed = tmp_path / "design.json"
    changed.write_text((DATA / "design.json").read_text().replace("10.0.0.100", "10.0.0.101"))
    assert "url: http://10.0.0.100:1234 → http://10.0.0.101:1234" in run("importconfig", str(changed))


def test_a_dry_run_says_so_and_writes_nothing(run: Run) -> None:
    assert "(dry run: nothing is written)" in run("importconfig", str(DATA / "design.json"), "--dry-run")
    assert not Server.objects.exists()


def test_errors_are_printed_with_their_paths_and_fail(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"entities": [{"id": "a", "topP": 9}, {"id": "b", "color": 1, "nmo": 2}]}))
    printed = run("importconfig", str(bad), fails="nothing has changed")
    assert "$.entities[0].topP" in printed
    assert "$.entities[1].color" in printed
    assert "$.entities[1].nmo" in printed
    assert not Entity.objects.exists()


def test_a_file_that_is_not_there_is_a_plain_error(run: Run, tmp_path: Path) -> None:
    run("importconfig", str(tmp_path / "none.json"), fails="cannot be read: No such file")


def test_an_import_only_if_changed_leaves_a_known_file_alone(run: Run) -> None:
    path = str(DATA / "design.json")
    assert "2 servers added" in run("importconfig", path, "--if-changed")
    assert "nothing to do" in run("importconfig", path, "--if-changed")
    run("importconfig", "-", "--if-changed", fails="needs a FILE")


def test_a_file_that_the_watch_rejected_still_fails(run: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"entities": 1}')
    observer = watch.Watch(path=bad)
    for _ in range(2):
        observer.look(sheaf.stamp(bad))
    run("importconfig", str(bad), "--if-changed", fails="must be a list")


def test_standard_input_is_a_file_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((DATA / "design.json").read_bytes())))
    assert "stdin: 1 entity added, 2 servers added" in run("importconfig", "-")


def test_an_export_goes_to_a_file_or_to_the_terminal(run: Run, tmp_path: Path) -> None:
    run("importconfig", str(DATA / "full.json"))
    printed = run("exportconfig")
    assert json.loads(printed)["version"] == "7"
    path = tmp_path / "out.json"
    assert run("exportconfig", str(path)) == f"{path} written\n"
    assert path.read_text() == printed
    assert [each.name for each in tmp_path.iterdir()] == ["out.json"]
    run("exportconfig", str(tmp_path / "no" / "out.json"), fails="cannot be written: No such file")
