"""doctor, trace and clusterstatus, as people call them."""

import contextlib
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from conversations.models import Engine, Room
from swwbot_site.lib import clock
from swwbot_site.monitoring import doctor, health
from tests import build
from tests.doors.conftest import Aside


def run(name: str, *args: str) -> str:
    out = io.StringIO()
    call_command(name, *args, stdout=out)
    return out.getvalue()


def told(*args: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the doctor says of each part, by (part, name)."""
    out = io.StringIO()
    with contextlib.suppress(CommandError):
        call_command("doctor", "--json", *args, stdout=out)
    answer = json.loads(out.getvalue())
    assert answer["well"] == all(part["verdict"] != "fault" for part in answer["parts"])
    return {(part["part"], part["name"]): part for part in answer["parts"]}


@pytest.fixture(autouse=True)
def migrated(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """The test database may be made without migrations; the migrations' own check is tested elsewhere."""
    health._newest.cache_clear()
    applied = {(app, name) for app, name in health._newest()} - {tuple(one.split(".", 1)) for one in health.missing()}
    monkeypatch.setattr(health, "_newest", lambda: tuple(sorted(applied)))


# --- doctor ------------------------------------------------------------------------------------------------------
def test_a_doctor_finds_everything_well(aside: Aside, living_engine: Engine) -> None:
    server = aside.lmstudio()
    build.server(name="Mac", url=server.url, detected="")
    build.feed(name="chat", url=aside.feed().url, detected="do")
    build.entity(model="google/gemma-3-27b", preferred_server="Mac")
    out = run("doctor")
    assert "All is well" in out
    assert "FAULT" not in out
    parts = told()
    assert "lmstudio-v1" in parts["server", "Mac"]["text"]
    assert "Durable Object" in parts["feed", "chat"]["text"]
    assert "on Mac" in parts["model", "google/gemma-3-27b"]["text"]


def test_a_doctor_of_an_empty_house_says_what_to_add() -> None:
    parts = told()
    assert parts["engine", ""]["verdict"] == "fault"
    assert "FEED_URL" in parts["feed", ""]["advice"]
    assert "LM_STUDIO_URL" in parts["server", ""]["advice"]
    assert parts["entity", ""]["verdict"] == "warning"
    with pytest.raises(CommandError, match="3 parts are not well"):
        run("doctor")


def test_a_doctor_says_which_strategies_there_are_when_the_policys_one_is_missing() -> None:
    assert ("policy", "strategy") not in told()
    build.policy(strategy="moon-phase")
    part = told()["policy", "strategy"]
    assert part["verdict"] == "fault"
    assert "'moon-phase'" in part["text"]
    assert "expected-time, least-loaded" in part["advice"]
    assert "PLUGINS" in part["advice"]


def test_a_doctor_says_where_a_reply_strategy_is_missing() -> None:
    feed = build.feed(name="the chat")
    Room.objects.create(feed=feed, domain="library.example", strategy="loudest")
    part = told()["feed", "the chat, library.example"]
    assert part["verdict"] == "fault"
    assert "'loudest'" in part["text"]
    assert "least-recent, natural" in part["advice"]


def test_a_doctor_finds_dead_peers_in_one_time_out() -> None:
    for port in (1, 2, 3):
        build.server(url=f"http://127.0.0.1:{port}", detected="lmstudio-v1", name=f"Mac {port}")
    build.feed(name="chat", url="http://127.0.0.1:4/api")
    parts = told()
    for port in (1, 2, 3):
        assert parts["server", f"Mac {port}"]["verdict"] == "fault"
        assert "Start LM Studio" in parts["server", f"Mac {port}"]["advice"]
    assert "no connection" in parts["feed", "chat"]["text"]


def test_a_doctor_does_not_ask_what_is_switched_off(aside: Aside) -> None:
    build.server(name="Mac", url="http://127.0.0.1:1", enabled=False)
    build.feed(name="chat", url="http://127.0.0.1:1/api", enabled=False)
    parts = told()
    assert parts["server", "Mac"]["text"] == "switched off"
    assert parts["feed", "chat"]["text"] == "switched off"


def test_a_doctor_asks_for_the_token_that_is_missing(aside: Aside) -> None:
    server = aside.lmstudio(auth=True)
    build.server(name="Mac", url=server.url, token="sk-wrong")
    parts = told()
    assert parts["server", "Mac"]["verdict"] == "fault"
    assert "token" in parts["server", "Mac"]["advice"]
    assert "sk-wrong" not in json.dumps(list(parts.values()))


def test_a_doctor_sees_that_the_feed_has_become_another(aside: Aside) -> None:
    build.feed(name="chat", url=aside.feed().url, generation="kv")
    part = told()["feed", "chat"]
    assert part["verdict"] == "warning"
    assert "spoken to as kv" in part["text"]


@pytest.mark.parametrize(("seconds", "verdict"), [(10.0, "well"), (30.0, "warning")])
def test_a_doctor_warns_of_a_feed_that_forgets_between_two_polls(aside: Aside, seconds: float, verdict: str) -> None:
    build.feed(name="chat", url=aside.feed().url, poll_interval_s=seconds)
    part = told()["feed", "chat"]
    assert (part["verdict"], "forget everything" in part["text"]) == (verdict, verdict == "warning")


def test_a_doctor_finds_entities_that_nobody_can_answer_for(aside: Aside) -> None:
    build.server(name="Mac", url=aside.lmstudio().url)
    build.server(name="Old Mac", url="http://127.0.0.1:1", enabled=False)
    build.entity(slug="lost", model="nobody/has-this")
    build.entity(slug="mute")
    build.entity(slug="pinned", model="google/gemma-3-27b", preferred_server="Atlantis")
    build.entity(slug="parked", model="google/gemma-3-27b", preferred_server="Old Mac")
    build.entity(slug="tied", model="nobody/has-this", preferred_server="Mac")
    build.entity(slug="asleep", model="nor/this", enabled=False)
    parts = told()
    assert "no server has it" in parts["model", "nobody/has-this"]["text"]
    assert "lost" in parts["model", "nobody/has-this"]["text"]
    assert "no default" in parts["entity", "mute"]["text"]
    assert "Atlantis" in parts["entity", "pinned"]["text"]
    assert "switched off" in parts["entity", "parked"]["text"]
    assert "does not have nobody/has-this" in parts["entity", "tied"]["text"]
    assert ("model", "nor/this") not in parts
    assert parts["model", "google/gemma-3-27b"]["verdict"] == "well"


def test_a_doctor_knows_aliases_and_the_default_model(aside: Aside) -> None:
    build.server(name="Mac", url=aside.lmstudio().url)
    build.model(key="google/gemma-3-27b", aliases=["gemma"])
    build.policy(default_model="gemma")
    build.entity(slug="mute")
    assert told()["model", "gemma"]["verdict"] == "well"


def test_a_doctor_warns_of_requests_that_wait_too_long() -> None:
    build.generation(queued_at=clock.now() - timedelta(minutes=5))
    assert "1 wait longer" in told()["queue", ""]["text"]


def test_a_doctor_reads_the_configuration_file(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    settings.CONFIG = str(file)
    assert told()["settings", "CONFIG"]["verdict"] == "fault"
    file.write_text("{")
    assert told()["settings", "CONFIG"]["verdict"] == "fault"
    file.write_text('{"entities": [], "moonPhase": 3}')
    assert told()["settings", "CONFIG"]["verdict"] == "warning"
    file.write_text('{"entities": []}')
    assert told()["settings", "CONFIG"]["verdict"] == "well"


def test_a_doctor_says_that_nothing_is_posted_in_a_dry_run(settings: Settings, aside: Aside) -> None:
    settings.DRY_RUN = True
    build.feed(name="chat", url=aside.feed().url, dry_run=True)
    parts = told()
    assert parts["settings", "DRY_RUN"]["verdict"] == "warning"
    assert "dry run" in parts["feed", "chat"]["text"]


def test_a_doctor_without_a_database_still_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = health.Check(name="database", well=False, text="refused", advice="Start it.")
    monkeypatch.setattr(doctor.health, "readiness", lambda: (lost,))
    parts = told()
    assert parts["database", ""]["verdict"] == "fault"
    assert not any(part == "server" for part, _ in parts)


# --- clusterstatus -----------------------------------------------------------------------------------------------
def test_clusterstatus_shows_servers_memory_and_queue() -> None:
    server, model = build.server(name="Mac [1]"), build.model(key="google/gemma-3-27b")
    build.seat(placement=build.placement(server=server, model=model, gb=48))
    build.placement(server=server, gb=20, state="loading")
    build.server(name="Mac 2", state="offline", state_reason="refused", retry_at=clock.now() + timedelta(seconds=30))
    build.server(name="Mac 3", enabled=False)
    build.generation(model=model, priority=3, queued_at=clock.now() - timedelta(seconds=90))
    out = run("clusterstatus")
    for text in (
        "Mac [1]",
        "68/96 GB",
        "1/4",
        "google/gemma-3-27b",
        "loading",
        "offline",
        "refused",
        "switched off",
        "critical 1",
        "90 s",
        "1 wait, 1 are",
    ):
        assert text in out
    assert "█" * 12 in out


def test_clusterstatus_says_what_rests_and_why_somebody_waits() -> None:
    server = build.server(name="Mac", budget_gb=200)
    build.placement(server=server, failures=3, rest_until=clock.now() + timedelta(seconds=30.5))
    waiting = build.generation(decision={"waits": "it is loading on Mac"})
    out = " ".join(run("clusterstatus").split())
    assert "failed too often, asked again in 30 s" in out
    assert "it is loading on Mac" in out
    told = json.loads(run("clusterstatus", "--json"))
    assert [(one["model"], one["why"]) for one in told["queue"]] == [(waiting.model.key, "it is loading on Mac")]


def test_clusterstatus_of_nothing_says_what_to_add() -> None:
    assert "No server yet" in run("clusterstatus")


def test_clusterstatus_for_machines() -> None:
    build.placement(server=build.server(name="Mac", token="sk-secret"))
    out = run("clusterstatus", "--json")
    assert json.loads(out)["servers"][0]["name"] == "Mac"
    assert "sk-secret" not in out


# --- trace -------------------------------------------------------------------------------------------------------
def story() -> Any:
    now = clock.now()
    generation = build.generation(
        state="done",
        text="Everything flows.",
        server=build.server(name="Mac"),
        attempts=2,
        tried=[{"server": "Old Mac", "code": "unreachable", "text": "Nobody listens.", "retry": "elsewhere", "at": now.isoformat()}],
        decision={"why": "warm and free"},
        seated_at=now,
        asked_at=now,
        first_token_at=now,
    )
    entity = build.entity(slug="philosopher", username="Sage")
    message = build.message(
        remote_id="m-17", text="What [is] all this?", decided_at=now, verdict={"why": "mention", "yes": ["philosopher"]}
    )
    permit = build.permit(entity=entity, state="spent")
    build.event(kind="reply.posted", subject="reply:0", text="not ours")
    reply = build.reply(
        state="posted",
        message=message,
        entity=entity,
        generation=generation,
        permit=permit,
        outgoing_id="out-99",
        verdict={"rules": ["mention"]},
    )
    build.event(kind="reply.queued", subject=f"reply:{reply.pk}", text="Sage will answer")
    return reply


def test_trace_shows_every_stage_and_attempt() -> None:
    story()
    out = run("trace", "m-17")
    for stage in (
        "said",
        "received",
        "decided",
        "permit",
        "queued",
        "seated",
        "asked",
        "first token",
        "done",
        "cleaned",
        "posted",
        "confirmed",
    ):
        assert f"● {stage}" in out, stage
    for text in (
        "What [is] all this?",
        "Sage",
        "mention",
        "Old Mac",
        "unreachable",
        "warm and free",
        "out-99",
        "Everything flows.",
        "Sage will answer",
    ):
        assert text in out
    assert "not ours" not in out


def test_trace_tells_why_it_ran_there_and_what_its_model_was_loaded_for() -> None:
    reply, now = story(), clock.now()
    asked = reply.generation
    placement = build.placement(
        server=asked.server,
        model=asked.model,
        reason="Mac has room",
        scores={"gain": 9.5, "cost": 0.0, "bar": 1.2},
        caused_by="entity:sage",
    )
    build.placement(
        server=asked.server,
        model=build.model(key="maker/old"),
        state="gone",
        ended_at=now - timedelta(seconds=3),
        departure={"why": "makes room", "for": asked.model.key, "gain": 9.5, "cost": 0.7, "bar": 2.1},
    )
    score = [0.0, 0.25, 2, 0, now.timestamp()]
    asked.placement, asked.decision = (
        placement,
        {
            "why": "best of 2 by expected-time",
            "server": "Mac",
            "strategy": "expected-time",
            "candidates": [{"server": name, "expected_s": 4.2, "in_flight": 1, "score": score} for name in ("Mac", "Mac 2")],
            "waited": "room is being made on Mac",
        },
    )
    asked.save()
    out = " ".join(run("trace", "m-17").split())
    for text in (
        "room is being made on Mac",
        "best of 2 by expected-time",
        "chosen Mac: 4.2 s expected",
        "instead of Mac 2",
        "part of the slots taken 0.25",
        "for entity:sage: Mac has room",
        "gain 9.5, cost 0, bar 1.2",
        "maker/old, 17.0 GB: gain 9.5, cost 0.7, bar 2.1",
    ):
        assert text in out, text
    (told,) = json.loads(run("trace", "m-17", "--json"))[0]["cluster"]
    assert [one["chosen"] for one in told["contenders"]] == [True, False]
    assert (told["loaded"]["worth"], told["loaded"]["gone"][0]["model"]) == ({"gain": 9.5, "cost": 0.0, "bar": 1.2}, "maker/old")


@pytest.mark.parametrize("name", ["m-17", "out-99", "message:{message}", "reply:{reply}", "{message}"])
def test_trace_finds_a_message_by_any_of_its_names(name: str) -> None:
    reply = story()
    told = json.loads(run("trace", name.format(message=reply.message_id, reply=reply.pk), "--json"))
    assert [one["message"] for one in told] == [reply.message_id]
    assert told[0]["ways"][0]["outgoing_id"] == "out-99"
    assert told[0]["events"][0]["kind"] == "reply.queued"


def test_trace_of_a_message_that_nobody_answers() -> None:
    build.message(remote_id="m-1", decided_at=clock.now(), verdict={"why": "too old"})
    out = run("trace", "m-1")
    assert "nobody answers" in out
    assert "too old" in out


def test_trace_of_a_message_on_its_way() -> None:
    build.reply(message=build.message(remote_id="m-1"), generation=None)
    build.reply(message=build.message(remote_id="m-2"), generation=build.generation())
    build.reply(
        message=build.message(remote_id="m-3"), state="failed", reason="nobody has the model", generation=build.generation(state="failed")
    )
    assert "○ queued" in run("trace", "m-1")
    assert "● queued" in run("trace", "m-2")
    assert "nobody has the model" in run("trace", "m-3")


def test_trace_of_nothing_says_where_to_look() -> None:
    with pytest.raises(CommandError, match="no message or answer 'nix'"):
        run("trace", "nix")
