"""Servers that fail: loads that do not work, answers that break off, servers that go and come back."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, LanguageModel, Offer, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event
from tests import build
from tests.harness import Background, engines, until
from tests.simulation.cluster import SMALL, ask, count, done, loaded, online, unharmed

Start = Callable[..., Studio]

FAVOURITE = {"weight": 9.0}
"""The server that is chosen first while it is well."""


def servers(answers: list[Generation]) -> set[str]:
    return {g.server.name for g in answers if g.server}


# --- loads that fail ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("error", ["memory", "sigabrt", "format", "observer", "canceled", "missing"])
def test_a_load_that_fails_is_not_repeated_there_and_happens_elsewhere(studio: Start, error: str) -> None:
    bad, good = studio(models=[SMALL], load_error=error, row=FAVOURITE), studio(models=[SMALL])
    with engines():
        online(2)
        assert servers(done(ask("maker/small", 3))) == {"studio-2"}
    failed = Placement.objects.get(server__name="studio-1")
    assert failed.state == "failed"
    assert failed.reason
    assert (count(bad, "loaded"), count(good, "loaded")) == (0, 1)
    assert all(g.attempts == 1 for g in Generation.objects.all())
    unharmed(good)


def test_what_the_guardrail_says_is_learned_and_the_model_goes_where_that_fits(studio: Start) -> None:
    small = studio(models=[SMALL], budget_gb=16, estimate_factor=3.8, guardrail_names_gb=True, row=FAVOURITE)
    large = studio(models=[SMALL], budget_gb=64)
    with engines():
        online(2)
        assert servers(done(ask("maker/small"))) == {"studio-2"}
    model = LanguageModel.objects.get()
    assert model.size_source == "guardrail"
    assert 16 < model.size_gb < 24
    assert (count(small, "guardrail"), count(large, "guardrail")) == (1, 0)
    assert Placement.objects.get(state="loaded").gb == model.size_gb


def test_what_fits_nowhere_fails_with_a_sentence_that_helps(studio: Start) -> None:
    studio(models=[SMALL], budget_gb=16, estimate_factor=3.8, guardrail_names_gb=True)
    with engines():
        ask("maker/small")
        failed = until(lambda: Generation.objects.filter(state="failed").first(), what="the end")
    assert "maker/small needs" in failed.error
    assert "studio-1, the largest server that has it, can give 14.0 GB" in failed.error


def test_a_model_that_nobody_has_fails_with_a_sentence_that_helps(studio: Start) -> None:
    studio(models=[SMALL])
    with engines():
        ask("maker/unknown")
        failed = until(lambda: Generation.objects.filter(state="failed").first(), what="the end")
    assert failed.error.startswith("No server has the model maker/unknown. Download it on one of studio-1")


def test_after_its_cool_down_a_load_is_tried_again(studio: Start) -> None:
    emulator = studio(models=[SMALL], load_error="memory", load_error_times=1)
    with engines():
        ids = ask("maker/small")
        until(lambda: "failed to load it" in Generation.objects.get().decision.get("waits", ""), what="the wait")
        assert count(emulator, "loading") == 0
        Offer.objects.update(cooldown_until=clock.now() - timedelta(seconds=1))
        done(ids)
    assert count(emulator, "loading") == 1


# --- answers that fail -------------------------------------------------------------------------------------------
FAULTS = {
    "reset": "dropped",
    "cut": "truncated",
    "silent-cut": "truncated",
    "proxy-error": "dropped",
    "hang": "first-token-timeout",
    "stall": "idle-timeout",
    "unavailable": "unavailable",
    "html500": "hiccup",
    "fetch-failed": "engine-lost",
    "link": "link-lost",
    "channel": "channel-error",
    "loading": "still-loading",
    "no-models": "nothing-loaded",
    "wrong-model": "wrong-model",
    "crash": "model-crashed",
    "unload": "model-unloaded",
    "rate-limit": "rate-limited",
}
"""What a server does to one answer → what is kept of that attempt."""


def test_an_answer_that_fails_in_whatever_way_is_given_again(studio: Start) -> None:
    build.policy(first_token_timeout_s=1.5, idle_timeout_s=1.5, breaker_failures=1000, breaker_pause_s=0.1)
    bad = studio(models=[SMALL], retry_after="0", row=FAVOURITE)
    studio(models=[SMALL], loaded=["maker/small"])
    seen: dict[str, Any] = {}
    with engines():
        for fault in FAULTS:
            until(_warm, what="the model on the first server")
            bad.set(fault=fault, fault_times=1)
            (answer,) = done(ask("maker/small"))
            seen[fault] = (answer.attempts, *[(a["server"], a["code"]) for a in answer.tried])
    assert seen == {fault: (2, ("studio-1", code)) for fault, code in FAULTS.items()}


def _warm() -> bool:
    """Whether the first server is ready and nobody waits; if it lost the model, somebody asks for it there."""
    if Generation.objects.filter(state__in=["queued", "running"]).exists():
        return False
    if Placement.objects.filter(server__name="studio-1", state="loaded", server__state="online").exists():
        return True
    ask("maker/small", pin="studio-1")
    return False


@pytest.mark.parametrize("fault", ["hang", "crash"])
def test_a_request_that_always_fails_ends_after_its_attempts(studio: Start, fault: str) -> None:
    build.policy(max_attempts=2, first_token_timeout_s=0.2, breaker_failures=1000)
    studio(models=[SMALL], fault=fault)
    with engines():
        ask("maker/small")
        failed = until(lambda: Generation.objects.filter(state="failed").first(), what="the end")
    assert (failed.attempts, len(failed.tried)) == (2, 2)
    assert not Seat.objects.exists()


def test_a_prompt_that_is_too_long_fails_at_once_everywhere(studio: Start) -> None:
    emulator = studio(models=[SMALL], loaded=["maker/small"], fault="overflow")
    with engines():
        ask("maker/small")
        failed = until(lambda: Generation.objects.filter(state="failed").first(), what="the end")
    assert (failed.attempts, failed.error_code) == (1, "context-overflow")
    assert count(emulator, "fault") == 1
    assert Server.objects.get().state == "online"


# --- servers that go and come back -------------------------------------------------------------------------------
def test_redistributes_what_a_server_was_answering_when_it_went(studio: Start, background: Background) -> None:
    build.policy(breaker_pause_s=60)
    dying = studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=1.0, row=FAVOURITE)
    other = studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        online(2)
        loaded("maker/small", 2)
        ids = ask("maker/small", 3)
        until(lambda: dying.work.machine.running == 3, what="three answers under way")
        background.run(dying.stop())
        answers = done(ids)
    assert servers(answers) == {"studio-2"}
    assert all([a["server"] for a in g.tried] == ["studio-1"] for g in answers)
    assert count(other, "answered") == 3


def test_a_server_that_is_off_is_not_asked_and_is_used_again_when_it_is_back(studio: Start, background: Background) -> None:
    """While it is out, answers take the same steps as if it did not exist: no attempt and no wait is spent on it."""
    build.policy(breaker_pause_s=0.2)
    first = studio(models=[SMALL], loaded=["maker/small"])
    studio(models=[SMALL], loaded=["maker/small"], row={"draining": True})
    second = Server.objects.filter(name="studio-2")
    with engines():
        online(2)
        assert servers(done(ask("maker/small", 2))) == {"studio-1"}
        background.run(first.stop())
        met = ask("maker/small", 2)
        until(lambda: Server.objects.get(name="studio-1").state == "offline", what="detection")
        second.update(draining=False)
        assert servers(done([*met, *(out := ask("maker/small", 8))])) == {"studio-2"}
        assert [(g.attempts, g.tried) for g in Generation.objects.filter(pk__in=out)] == [(1, [])] * 8
        background.run(first.start())
        until(lambda: Server.objects.get(name="studio-1").state == "online", what="its return")
        second.update(draining=True)
        assert servers(done(ask("maker/small", 2))) == {"studio-1"}
    kinds = Counter(Event.objects.filter(kind__startswith="server.", subject="server:studio-1").values_list("kind", flat=True))
    assert kinds == {"server.online": 2, "server.offline": 1}


def test_a_load_that_dies_with_its_server_is_done_elsewhere(studio: Start, background: Background) -> None:
    build.policy(load_poll_interval_s=0.1)
    dying, other = studio(models=[SMALL], load_seconds=600.0, row=FAVOURITE), studio(models=[SMALL])
    with engines():
        online(2)
        ids = ask("maker/small")
        until(lambda: count(dying, "loading") == 1, what="the load")
        background.run(dying.stop())
        assert servers(done(ids)) == {"studio-2"}
    assert count(other, "loaded") == 1


def test_adds_a_server_at_run_time_and_takes_a_disabled_one_out(studio: Start) -> None:
    first = studio(models=[SMALL])
    with engines():
        assert servers(done(ask("maker/small"))) == {"studio-1"}
        second = studio(models=[SMALL])
        wake(Channel.SETTINGS)
        online(2)
        Server.objects.filter(name="studio-1").update(enabled=False)
        wake(Channel.SETTINGS)
        assert servers(done(ask("maker/small", 5))) == {"studio-2"}
    assert (count(first, "answered"), count(second, "answered")) == (1, 5)
    assert Server.objects.get(name="studio-1").state == "online"


def test_a_server_that_is_drained_finishes_what_it_has(studio: Start) -> None:
    first = studio(models=[SMALL], loaded=["maker/small"], tokens_per_s=1.0, row=FAVOURITE)
    studio(models=[SMALL], loaded=["maker/small"])
    with engines():
        online(2)
        loaded("maker/small", 2)
        begun = ask("maker/small", 2)
        until(lambda: first.work.machine.running == 2, what="two answers under way")
        Server.objects.filter(name="studio-1").update(draining=True)
        assert servers(done(ask("maker/small", 3))) == {"studio-2"}
        first.set(tokens_per_s=0.0)
        assert servers(done(begun)) == {"studio-1"}
    assert all(g.attempts == 1 for g in Generation.objects.all())


def test_a_wrong_token_is_a_wrong_configuration_and_the_right_one_works_at_once(studio: Start) -> None:
    studio(models=[SMALL], auth=True, token="sk-right", row={"token": "sk-wrong"})
    with engines():
        until(lambda: Server.objects.get().state == "misconfigured", what="the refusal")
        server = Server.objects.get()
        assert "refuses our API token" in server.state_reason
        assert "sk-wrong" not in server.state_reason
        server.token = "sk-right"
        server.save(update_fields=["token"])
        wake(Channel.SETTINGS)
        online()
        done(ask("maker/small"))


def test_a_hanging_list_takes_a_server_out_without_holding_up_the_others(studio: Start) -> None:
    build.policy(probe_timeout_s=0.2, breaker_pause_s=0.2)
    stuck = studio(models=[SMALL], list_fault="hang", row=FAVOURITE)
    studio(models=[SMALL])
    with engines():
        assert servers(done(ask("maker/small", 3))) == {"studio-2"}
        until(lambda: Server.objects.get(name="studio-1").state == "offline", what="detection")
        stuck.set(list_fault="")
        online(2)
