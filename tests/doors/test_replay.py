"""manage.py replay, as people call it."""

import json
import re
import shlex
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from conversations.models import Feed, Message
from swwbot_site.lib import clock
from swwbot_site.management.commands.replay import Command
from tests import build
from tests.architecture.source import ROOT

pytestmark = pytest.mark.django_db

PAGE = ROOT / "docs" / "replay.md"


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("replay", *arguments, stdout=out)
    return out.getvalue()


def told(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(run("--json", *arguments)))


@pytest.fixture
def feed() -> Feed:
    """Three messages of the last hour that nobody answered, in front of an owl that never speaks by chance."""
    feed = build.feed(name="chat", url="http://chat.example/api")
    build.entity(slug="owl", username="Owl", response_chance=0.0)
    for minutes, text in ((50, "Nice weather."), (30, "What is time?"), (10, "Owl, [/red] are you there?")):
        at = clock.now() - timedelta(minutes=minutes)
        values = {"received_at": at, "born_at": at, "decided_at": at, "timestamp": clock.millis(at), "verdict": {"why": "it was off"}}
        build.message(feed=feed, text=text, **values)
    return feed


def test_it_shows_who_would_answer_and_why(feed: Feed) -> None:
    out = run()
    assert "owl: mention of Owl" in out
    assert "[/red]" in out
    assert "chat: 3 messages; answers then 0, now 1 (1 new, 2 silent)." in out
    assert "difference: 1 messages" in out
    assert "difference: none" in run("--set", "owl.enabled=false")


def test_single_settings_change_it_by_key_or_column(feed: Feed) -> None:
    assert told("--set", "owl.responseChance=1")["now"] == {"owl": 3}
    assert told("--set", "*.response_chance=1", "--set", "owl.limits.hour=1", "--limit", "2")["now"] == {"owl": 1}
    for wrong, why in (
        ("owl.responseChance=2", "it must be a number from 0 to 1"),
        ("owl.chance=1", "names no setting"),
        ("crow.responseChance=1", "There is no entity 'crow'. Known: owl."),
        ("owl.responseChance", "sets nothing"),
    ):
        with pytest.raises(CommandError, match=re.escape(why)):
            run("--set", wrong)


def test_a_configuration_takes_part_or_the_place_of_the_rows(feed: Feed, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    crow = {"id": "crow", "username": "Crow", "color": "128000255", "systemPrompt": "You are a crow.", "responseChance": 1.0}
    feeds = [{"name": "chat", "url": feed.url, "maxRepliers": 1}]
    path.write_text(json.dumps({"entities": [crow], "feeds": feeds}))
    assert told("--config", str(path))["now"] == {"crow": 2, "owl": 1}
    assert told("--personas", str(path))["now"] == {"crow": 3}
    assert told("--config", str(path), "--set", "owl.responseChance=1", "--strategy", "round-robin")["now"] == {"crow": 1, "owl": 2}
    path.write_text('{"entities": [{"id": "crow", "responseChance": 7}]}')
    with pytest.raises(CommandError, match=r"\$\.entities\[0\]\.responseChance"):
        run("--config", str(path))
    with pytest.raises(CommandError, match="Either --config"):
        run("--config", str(path), "--personas", str(path))


def test_a_recording_is_replayed_from_its_file_alone(feed: Feed, tmp_path: Path) -> None:
    path = str(tmp_path / "stretch.jsonl")
    assert "3 messages of chat" in run("--record", path)
    before = told("--set", "owl.responseChance=0.5")
    Message.objects.all().delete()
    Feed.objects.all().delete()
    assert told("--file", path, "--set", "owl.responseChance=0.5") == before
    assert told("--file", path, "--limit", "1")["decided"] == 1


def test_since_and_until_bound_it(feed: Feed) -> None:
    assert told("--since", "40min")["decided"] == 2
    assert told("--since", "40min", "--until", "20min")["decided"] == 1
    assert told("--since", (clock.now() - timedelta(minutes=20)).isoformat())["decided"] == 1
    for arguments, why in (
        (["--since", "yesterday"], "--since is 'yesterday'"),
        (["--since", "1s"], "There is no message in chat then."),
        (["--feed", "another"], "There is no feed 'another'. There are: chat."),
        (["--file", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
        (["--file", "x", "--since", "1h"], "--file is a stretch of its own"),
        (["--strategy", "alphabetical"], "There is no reply strategy"),
    ):
        with pytest.raises(CommandError, match=re.escape(why)):
            run(*arguments)
    build.feed(name="second")
    with pytest.raises(CommandError, match=r"Which feed\? Name it with --feed. There are: chat, second."):
        run()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2 is not JSON"),
        ("[]", "line 2 is a list; it must be an object"),
        ('{"text": "Hi."}', "line 2.at is absent"),
        ('{"at": "noon", "text": "Hi."}', 'line 2.at is "noon"; it must be a time'),
        ('{"at": 1e99}', "line 2.at is 1e+99"),
        ('{"at": 5, "text": "Hi.", "colour": 1}', "line 2.colour is unknown"),
        ('{"at": 5, "text": 7}', "line 2.text is 7"),
        ('{"at": 5, "kind": "cat"}', 'line 2.kind is "cat"; it must be one of human, AI'),
        ('{"answer": {"slug": "owl"}}', "line 2.answer.message is absent"),
        ('{"feed": []}', "line 2.feed is a list"),
        ("[" * 100_000, "line 2 is not JSON"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_line(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(f'{{"at": 1, "text": "Fine."}}\n{line}\n')
    with pytest.raises(CommandError, match=re.escape(why)):
        run("--file", str(path))


def test_hostile_text_does_no_harm(tmp_path: Path) -> None:
    build.entity(slug="owl", username="Owl", response_chance=1.0, responds_to_all_ai=True)
    texts = ["\\u0000\\ud800 Owl?", "\\u202e[bold]Owl", "Owl " * 20_000, "", "https://x.example/" + "a" * 5000]
    path = tmp_path / "hostile.jsonl"
    path.write_text("".join(f'{{"at": {1000 * n}, "text": "{text}", "params": {{"nom": [1]}}}}\n' for n, text in enumerate(texts)))
    assert "difference:" in run("--file", str(path), "--all")
    assert told("--file", str(path))["decided"] >= 5


def test_the_page_of_the_command_tells_the_truth(feed: Feed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its examples can be called, its options are all there are, and its lines can be replayed."""
    text = PAGE.read_text()
    parser = Command().create_parser("manage.py", "replay")
    examples = re.findall(r"^manage\.py replay (.*?)(?:\s{3,}.*)?$", text, re.MULTILINE)
    assert len(examples) >= 8
    for example in examples:
        parser.parse_args(shlex.split(example))
    own = {option for action in parser._actions for option in action.option_strings if option.startswith("--")}
    usual = {
        "--help",
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
        "--skip-checks",
    }
    assert own - usual == set(re.findall(r"--[a-z]+", text)) - usual
    lines = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert lines
    path = tmp_path / "page.jsonl"
    path.write_text(lines[1])
    assert told("--file", str(path))["now"] == {"owl": 1}
