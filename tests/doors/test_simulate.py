"""simulate and record-trace, as people call them."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.management import CommandError, call_command

from cluster.history import history
from cluster.logic.simulation.trace import parse
from cluster.models import Generation, Server
from swwbot_site.lib import clock
from swwbot_site.management import drawing
from tests import build
from tests.architecture.source import ROOT
from tests.logic.cluster.traces import asked, busy, meta

Write = Callable[..., str]


def run(name: str, *args: str) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def manage(*args: str, **environment: str) -> str:
    """What `manage.py` prints, in a process of its own."""
    kept = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run([sys.executable, ROOT / "manage.py", *args], env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a trace."""

    def write(lines: list[str], name: str = "trace.jsonl") -> str:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return write


# --- simulate ----------------------------------------------------------------------------------------------------
def test_a_table_has_every_figure_of_every_strategy_and_case(write: Write) -> None:
    trace = write([meta(servers=2, warm_s=1), *(asked(t, priority=10 if t % 2 else 60) for t in range(60))])
    out = run(
        "simulate", trace, "--strategy", "expected-time,least-loaded", "--what-if", "memory server-1 48", "--what-if", "remove server-2"
    )
    assert "expected-time, base  expected-time, changed  least-loaded, base" in out
    assert "Requests of the first 1 s are not counted" in out
    assert out.count("changed: ") == 2
    names = (
        "started",
        "finished",
        "rejected",
        "response p99",
        "loads per 1000",
        "GB loaded per 1000",
        "evictions",
        "model in memory",
        "Jain",
    )
    for name in (*names, "longest wait, priority 10", "longest wait, priority 60", "planner p50 / p99"):
        assert name in out
    assert all(len(line) <= 121 for line in out.splitlines())


def test_many_priorities_are_shown_in_bands(write: Write) -> None:
    out = run("simulate", write([meta(), *(asked(t, priority=t) for t in range(100))]))
    assert "longest wait, critical (priority 0–10), s" in out
    assert "longest wait, background (priority 91–99), s" in out


def test_json_has_one_object_whose_times_stand_apart(write: Write) -> None:
    told = json.loads(run("simulate", write(busy(1, seconds=60)), "--json", "--what-if", "add server 64GB"))
    assert told["trace"]["servers"] == 2
    base, changed = told["runs"]
    assert (base["case"], changed["case"], changed["servers"]) == ("base", "changed", 3)
    assert {"p50", "p95", "p99"} == set(base["response_s"])
    assert base["started"] + base["rejected"] == base["requests"] == told["trace"]["requests"]
    assert set(base["priorities"]) == {"30", "50", "70"}
    assert [one["case"] for one in told["timing"]] == ["base", "changed"]


def test_manage_py_simulates_without_a_database_and_alike_whatever_the_hash_seed(write: Write) -> None:
    trace = write(busy(3, seconds=200))
    told = [
        json.loads(manage("simulate", trace, "--json", PYTHONHASHSEED=seed, DATABASE_URL="postgres://nobody@127.0.0.1:1/none"))
        for seed in "12"
    ]
    for one in told:
        one.pop("timing")
    assert told[0] == told[1]
    assert told[0]["runs"][0]["loads"] > 3


def test_servers_may_be_another_number_or_a_file(write: Write, tmp_path: Path) -> None:
    trace = write([meta(), asked(0)])
    assert json.loads(run("simulate", trace, "--json", "--servers", "5"))["runs"][0]["servers"] == 5
    listed = tmp_path / "servers.json"
    listed.write_text('[{"name": "a", "memory_gb": 20}, {"name": "b", "memory_gb": 30}]')
    told = json.loads(run("simulate", trace, "--json", "--servers", str(listed)))
    assert told["runs"][0]["rejected"] == 1
    assert "30.0 GB" in told["runs"][0]["impossible"]["big"]
    assert "never served" in run("simulate", trace, "--servers", str(listed))


def test_a_trace_may_come_on_the_standard_input(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(meta() + "\n" + asked(0) + "\n"))
    assert json.loads(run("simulate", "-", "--json"))["runs"][0]["finished"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--strategy", "luck"), "There is no strategy 'luck'"),
        (("--what-if", "buy one"), "no change that is understood"),
        (("--what-if", "remove Max"), "there is no server 'Max'; there are server-1"),
        (("--servers", "0"), "servers is 0"),
        (("--servers", "nothing.json"), "a number, or a JSON file"),
        (("--plot", "picture.gif"), "ends in .svg or .png"),
        (("--plot", "no/such/folder.svg"), "there is no folder"),
    ],
)
def test_what_cannot_be_simulated_is_said(write: Write, options: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("simulate", write([meta(), asked(0)]), *options)


def test_a_wrong_trace_is_said_with_its_line(write: Write) -> None:
    with pytest.raises(CommandError, match="Line 3: the model 'small'"):
        run("simulate", write([meta(), asked(0), asked(1, "small")]))
    with pytest.raises(CommandError, match="cannot be read"):
        run("simulate", "no-such-trace.jsonl")


def test_a_plot_shows_every_server_and_every_load(write: Write, tmp_path: Path) -> None:
    trace = write([meta(servers=[{"name": "Mac <1>"}, {"name": "Mac 2"}]), asked(0), asked(60)])
    run("simulate", trace, "--plot", str(tmp_path / "memory.svg"))
    tree = ET.parse(tmp_path / "memory.svg")
    texts = [one.text for one in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Mac <1>", "Mac 2", "128 GB", "big", "free", "pale: loading"} <= set(texts)
    colours = [one.get("fill") for one in tree.iter("{http://www.w3.org/2000/svg}rect")]
    assert colours.count("#4e79a7") >= 2  # loaded, and in the legend


def test_each_of_several_runs_has_its_own_plot(write: Write, tmp_path: Path) -> None:
    told = json.loads(
        run("simulate", write([meta(), asked(0)]), "--json", "--plot", str(tmp_path / "m.svg"), "--what-if", "add server 64GB")
    )
    assert [Path(path).name for path in told["plots"]] == ["m-expected-time-base.svg", "m-expected-time-changed.svg"]
    assert all(Path(path).exists() for path in told["plots"])


def test_a_plot_may_have_pixels(write: Write, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    run("simulate", write([meta(), asked(0), asked(60)]), "--plot", str(tmp_path / "memory.png"))
    data = (tmp_path / "memory.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == 2400


def test_pixels_without_what_draws_them_say_what_to_install(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "LIBRARY", "no_such_library")
    with pytest.raises(CommandError, match="pip install pillow"):
        run("simulate", write([meta(), asked(0)]), "--plot", "memory.png")


# --- record-trace ------------------------------------------------------------------------------------------------
def past() -> tuple[Server, Server]:
    """Two servers, and an hour in which they answered."""
    now = clock.now().replace(microsecond=0) - timedelta(minutes=30)
    one = build.server(name="Mac 1", budget_gb=128, region="home", slots=2)
    two = build.server(name="Mac 2", budget_gb=20)
    build.server(name="old", enabled=False)
    big, small = build.model(key="maker/big", size_gb=40), build.model(key="maker/small", size_gb=4)
    build.offer(server=one, model=big, load_seconds=20)
    for second, (model, server, tokens) in enumerate([(big, one, 80), (small, two, 100), (big, one, 40)]):
        at = now + timedelta(seconds=second)
        values: dict[str, Any] = {"model": model, "server": server, "queued_at": at, "asked_at": at, "deadline": at + timedelta(seconds=90)}
        build.generation(state="done", completion_tokens=tokens, ended_at=at + timedelta(seconds=4), caller=f"entity:{second}", **values)
    late = now + timedelta(seconds=9)
    build.generation(state="failed", model=big, queued_at=late, priority=10, pin=two)
    build.generation(state="done", model=big, queued_at=late, cached=True)
    build.generation(state="cancelled", model=big, queued_at=late)
    return one, two


def test_the_own_history_is_a_trace_that_can_be_simulated(db: None, tmp_path: Path) -> None:
    past()
    out = tmp_path / "own.jsonl"
    assert "4 requests, 2 models, 2 servers" in run("record-trace", "--since", "2h", str(out))
    lines = out.read_text().splitlines()
    assert json.loads(lines[1]) == {"t": 0, "model": "maker/big", "conversation": 1, "tokens": 80, "entity": "entity:0", "priority": 50}
    assert json.loads(lines[4]) == {
        "t": 9,
        "model": "maker/big",
        "conversation": 4,
        "tokens": 60,  # never answered: the mean of its model
        "entity": "test",
        "priority": 10,
        "pin": "Mac 2",
    }
    fleet = parse(lines).fleet
    one, two = fleet.servers
    assert (one.name, one.memory_gb, one.slots, one.load_gbps, one.region) == ("Mac 1", 115.2, 2, 2.0, "home")
    assert (one.tok_per_s, dict(one.speeds), dict(two.speeds)) == (15, {"maker/big": 15}, {"maker/small": 25})
    assert (fleet.patience_s, dict(fleet.models)) == (90, {"maker/big": 40, "maker/small": 4})
    told = json.loads(run("simulate", str(out), "--json"))["runs"][0]
    assert told["finished"] == 3
    assert told["rejected"] == 1  # Mac 2 is too small for what is pinned to it
    assert not list(tmp_path.glob("*.part"))


def test_a_history_is_read_while_it_is_written(db: None) -> None:
    past()
    found = history(clock.now() - timedelta(hours=2), clock.now())
    Generation.objects.filter(priority=10).delete()
    assert found.count == 4
    assert len(list(found.requests)) == 3


def test_a_recorded_trace_goes_to_the_standard_output_unless_a_file_is_named(db: None) -> None:
    past()
    lines = run("record-trace", "--since", "2h", "--patience", "30").splitlines()
    assert parse(lines).fleet.patience_s == 30
    day = (clock.now() - timedelta(days=1)).date().isoformat()
    assert len(run("record-trace", "--since", day, "--until", "10min").splitlines()) == 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--since", "yesterday"), "neither a span .* nor a date"),
        (("--since", "2026-13-01"), "no such day"),
        (("--since", "1h", "--until", "2h"), "nothing lies between"),
        (("--since", "1s"), "Nothing was asked of a server between"),
        (("--since", "2h", "--patience", "0"), "above 0"),
        (("--since", "2h", "no/such/folder.jsonl"), "cannot be written"),
    ],
)
def test_what_cannot_be_recorded_is_said(db: None, options: tuple[str, ...], said: str) -> None:
    past()
    with pytest.raises(CommandError, match=said):
        run("record-trace", *options)


def test_what_no_row_tells_has_to_be_said(db: None) -> None:
    past()
    Generation.objects.update(deadline=None)
    with pytest.raises(CommandError, match="--patience"):
        run("record-trace", "--since", "2h")
    Generation.objects.filter(state="done").delete()
    with pytest.raises(CommandError, match="how long answers take"):
        run("record-trace", "--since", "2h", "--patience", "60")
    Server.objects.update(enabled=False)
    with pytest.raises(CommandError, match="No server is enabled"):
        run("record-trace", "--since", "2h", "--patience", "60")


def test_manage_py_records_a_trace(engine_database_url: str) -> None:
    past()
    lines = manage("record-trace", "--since", "2h", DATABASE_URL=engine_database_url).splitlines()
    assert len(parse(lines).requests) == 4
