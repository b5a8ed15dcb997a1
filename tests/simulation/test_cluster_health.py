"""Health under real traffic: who is looked at when, what rests, who is asked twice, and servers that change while work runs."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.wake import Channel, wake
from swwbot_site.models import Event
from tests import build
from tests.harness import Background, engines, until
from tests.simulation.cluster import MEDIUM, SMALL, ask, count, done, loaded, online, release, unharmed
from tests.workers import Workers

Start = Callable[..., Studio]

WARM = {"models": [SMALL], "loaded": ["maker/small"]}


def named(name: str) -> Server:
    return Server.objects.get(name=name)


def servers(answers: list[Generation]) -> Counter[str]:
    return Counter(g.server.name for g in answers if g.server)


def change(name: str, **values: object) -> None:
    """What the admin does with a server."""
    server = named(name)
    for column, value in values.items():
        setattr(server, column, value)
    server.save(update_fields=values)
    wake(Channel.SETTINGS)


def running(emulator: Studio, n: int) -> None:
    until(lambda: emulator.work.machine.running == n, what=f"{n} answers under way")


# --- who is looked at --------------------------------------------------------------------------------------------
def test_a_healthy_server_gets_the_requests_and_nothing_else(studio: Start) -> None:
    build.policy(reconcile_interval_s=3600)
    emulator = studio(**WARM)
    with engines(2):
        online()
        loaded("maker/small")
        before = count(emulator, "requests")
        done(ask("maker/small", 12))
        assert count(emulator, "requests") - before == 12


def test_with_the_monitor_on_health_shows_without_any_request(studio: Start, background: Background) -> None:
    build.policy(monitor=True, health_check_interval_s=0.1, reconcile_interval_s=3600, breaker_pause_s=0.1)
    emulator = studio(**WARM)
    with engines():
        online()
        before = count(emulator, "requests")
        until(lambda: count(emulator, "requests") >= before + 5, what="five looks")
        background.run(emulator.stop())
        until(lambda: named("studio-1").state == "offline", what="detection")
        background.run(emulator.start())
        online()
    assert not Generation.objects.exists()
    assert named("studio-1").returned_at is not None


def test_with_the_monitor_off_a_request_shows_it_and_loses_nothing(studio: Start, background: Background) -> None:
    build.policy(reconcile_interval_s=3600, breaker_pause_s=60, connect_timeout_s=1)
    first = studio(**WARM)
    studio(**WARM, row={"draining": True})
    with engines():
        online(2)
        loaded("maker/small", 2)
        background.run(first.stop())
        ids = ask("maker/small")
        until(lambda: named("studio-1").state == "offline", what="detection")
        change("studio-2", draining=False)
        (met,) = done(ids)
        assert [a["code"] for a in met.tried] == ["unreachable"]
        after = done(ask("maker/small", 10))
    assert {(g.server.name, g.attempts) for g in after if g.server} == {("studio-2", 1)}


def test_a_server_that_asks_for_silence_gets_it_and_comes_back(studio: Start) -> None:
    build.policy(reconcile_interval_s=3600, return_s=0)
    first = studio(**WARM, fault="rate-limit", retry_after="600")
    studio(**WARM, row={"draining": True})
    with engines():
        online(2)
        loaded("maker/small", 2)
        ids = ask("maker/small")
        until(lambda: named("studio-1").state == "rate-limited", what="the refusal")
        server = named("studio-1")
        assert server.retry_at is not None
        assert 590 < (server.retry_at - clock.now()).total_seconds() <= 600
        assert "Too many requests" in server.state_reason
        before = count(first, "requests")
        change("studio-2", draining=False)
        assert servers(done([*ids, *ask("maker/small", 8)])) == {"studio-2": 9}
        assert count(first, "requests") == before
        first.set(fault="")
        Server.objects.filter(name="studio-1").update(retry_at=clock.now())
        online(2)
        assert servers(done(ask("maker/small", 2, pin="studio-1"))) == {"studio-1": 2}


def test_a_token_that_is_withdrawn_takes_a_server_out_and_nobody_notices(studio: Start) -> None:
    build.policy(reconcile_interval_s=3600)
    first = studio(**WARM)
    studio(**WARM, row={"draining": True})
    with engines():
        online(2)
        loaded("maker/small", 2)
        first.set(auth=True, token="sk-new")
        ids = ask("maker/small")
        until(lambda: named("studio-1").state == "misconfigured", what="the refusal")
        change("studio-2", draining=False)
        assert servers(done(ids)) == {"studio-2": 1}


# --- the breaker of a placement ----------------------------------------------------------------------------------
def test_a_model_that_hangs_rests_and_its_server_goes_on_with_the_other(studio: Start) -> None:
    build.policy(first_token_timeout_s=1.0, breaker_failures=2, breaker_pause_s=60, reconcile_interval_s=3600)
    emulator = studio(models=[SMALL, MEDIUM], loaded=["maker/small", "maker/medium"], fault="hang", fault_model="maker/small", parallel=1)
    with engines():
        online()
        ids = ask("maker/small")
        until(lambda: Placement.objects.filter(rest_until__isnull=False).exists(), what="the rest")
        stuck = Placement.objects.get(rest_until__isnull=False)
        done(ask("maker/medium", 5))
        assert (stuck.failures, named("studio-1").state) == (2, "online")
        assert count(emulator, "fault") == 2
        emulator.set(fault="")
        Placement.objects.filter(pk=stuck.pk).update(rest_until=clock.now())
        wake(Channel.SERVE)
        done(ids)
    row = Placement.objects.get(pk=stuck.pk)
    assert (row.failures, row.rest_until) == (0, None)
    kinds = set(Event.objects.filter(kind__startswith="placement.re").values_list("kind", flat=True))
    assert kinds == {"placement.resting", "placement.recovered"}


def test_after_a_rest_one_request_is_let_in_and_the_others_follow_its_answer(studio: Start) -> None:
    emulator = studio(**WARM, tokens_per_s=1.0)
    with engines(2):
        online()
        (row,) = loaded("maker/small")
        Placement.objects.filter(pk=row.pk).update(failures=3, rest_until=clock.now())
        ids = ask("maker/small", 5)
        running(emulator, 1)
        emulator.set(tokens_per_s=0.0)
        done(ids)
    first, *others = Generation.objects.order_by("asked_at")
    assert first.ended_at is not None
    assert all(one.asked_at and one.asked_at > first.ended_at for one in others)


def test_a_server_that_comes_back_gets_its_full_share_only_after_a_while(studio: Start) -> None:
    build.policy(return_s=3600)
    emulator = studio(**WARM, tokens_per_s=1.0, parallel=3, row={"returned_at": clock.now()})
    with engines(2):
        online()
        ids = ask("maker/small", 3)
        running(emulator, 1)
        assert Seat.objects.count() == 1
        build.policy(return_s=0)
        wake(Channel.SERVE)
        running(emulator, 3)
        emulator.set(tokens_per_s=0.0)
        done(ids)


# --- asked twice -------------------------------------------------------------------------------------------------
def hedged(studio: Start, slow: dict[str, object], quick: dict[str, object] | None = None) -> tuple[Studio, Studio]:
    """Two warm servers; only the first is open until `hedging` opens the second."""
    return studio(**WARM, **slow), studio(**WARM, **(quick or {}), row={"draining": True})


def seated(first: Studio) -> list[int]:
    """One request that the first server has and does not answer; then the second server opens."""
    online(2)
    loaded("maker/small", 2)
    ids = ask("maker/small")
    running(first, 1)
    change("studio-2", draining=False)
    return ids


def test_a_late_first_token_is_asked_for_elsewhere_too_and_the_quicker_answer_counts(studio: Start) -> None:
    build.policy(hedge_after_s=0.05)
    first, second = hedged(studio, {"first_token_s": 600.0})
    with engines():
        (answer,) = done(seated(first))
        running(first, 0)
        until(lambda: not Seat.objects.exists(), what="free seats")
    assert answer.server is not None
    assert answer.placement is not None
    assert (answer.server.name, answer.placement.server_id) == ("studio-2", answer.server_id)
    assert (answer.attempts, answer.tried) == (1, [])
    told = answer.decision["hedged"]
    assert (told["server"], told["answers"], told["why"]) == ("studio-2", "studio-2", "no token from studio-1 by then")
    assert (count(first, "answered"), count(second, "answered")) == (0, 1)
    assert count(first, "disconnected") == 1
    assert {s.state for s in Server.objects.all()} == {"online"}
    unharmed(first, second)


def test_when_the_slow_one_is_first_after_all_the_second_is_let_go(studio: Start, background: Background) -> None:
    build.policy(hedge_after_s=0.05, idle_timeout_s=1.0)
    first, second = hedged(studio, {"fault": "stall", "fault_times": 1, "first_token_s": 600.0}, {"first_token_s": 600.0})
    with engines():
        ids = seated(first)
        running(second, 1)
        (job,) = first.work.machine.instances["maker/small"].running
        for step in (job.lost.set, job.lost.clear):  # its first token comes now; what stalls after it goes on stalling
            background.loop.call_soon_threadsafe(step)
        running(second, 0)  # the first one has its token
        second.set(first_token_s=0.0)
        first.set(first_token_s=0.0)
        (answer,) = done(ids)  # it stalled after its token: that is a failure like any other
    assert [a["code"] for a in answer.tried] == ["idle-timeout"]
    assert answer.tried[0]["server"] == "studio-1"
    assert count(second, "disconnected") == 1
    assert not Seat.objects.exists()


def test_when_the_slow_one_dies_the_second_goes_on_alone(studio: Start, background: Background) -> None:
    build.policy(hedge_after_s=0.05)
    first, second = hedged(studio, {"first_token_s": 600.0}, {"first_token_s": 2.0})
    with engines():
        ids = seated(first)
        running(second, 1)
        background.run(first.stop())
        (answer,) = done(ids)
    assert servers([answer]) == {"studio-2": 1}
    assert (answer.attempts, answer.tried) == (1, [])
    assert not Seat.objects.exists()


def test_without_the_policy_nobody_is_asked_twice(studio: Start) -> None:
    first, second = hedged(studio, {"first_token_s": 0.5})
    with engines():
        (answer,) = done(seated(first))
    assert servers([answer]) == {"studio-1": 1}
    assert count(second, "answered") == 0


def test_an_engine_killed_with_two_seats_of_one_request_leaves_none(studio: Start, engine_database_url: str, tmp_path: Path) -> None:
    build.policy(hedge_after_s=0.05)
    first, second = hedged(studio, {"first_token_s": 600.0}, {"first_token_s": 600.0})
    workers = Workers(engine_database_url, tmp_path / "one")
    try:
        ids = seated(first)
        running(second, 1)
        assert Seat.objects.count() == 2
    finally:
        workers.kill()
    first.set(first_token_s=0.0)
    second.set(first_token_s=0.0)
    build.policy(hedge_after_s=0.0)
    with engines():
        (answer,) = done(ids)
        assert not Seat.objects.exists()
    assert (answer.attempts, answer.tried) == (1, [])
    assert count(first, "answered") + count(second, "answered") == 1


# --- servers that change while work runs -------------------------------------------------------------------------
def _drained(_: Studio) -> None:
    change("studio-1", draining=True)


def _disabled(_: Studio) -> None:
    change("studio-1", enabled=False)


def _removed(_: Studio) -> None:
    named("studio-1").delete()
    wake(Channel.SETTINGS)


def _moved(other: Studio) -> None:
    """It is reached at another address from now on."""
    Server.objects.get(url=other.url).delete()
    change("studio-1", url=other.url)


@pytest.mark.parametrize("act", [_drained, _disabled, _removed, _moved])
def test_when_a_server_is_changed_its_work_goes_on_and_nothing_fails(studio: Start, act: Callable[[Studio], None]) -> None:
    emulators = [studio(**WARM, first_token_s=0.05, parallel=2) for _ in range(2)]
    spare = studio(**WARM, first_token_s=0.05, parallel=2, row={"enabled": False})
    with engines(2):
        online(2)
        loaded("maker/small", 2)
        ids = ask("maker/small", 60)
        until(lambda: count(emulators[0], "answered") >= 5, what="some answers of the first")
        act(spare)
        late = ask("maker/small", 20)
        answers = done([*ids, *late])
    assert {g.attempts for g in answers} == {1} or act is _moved
    assert not Generation.objects.exclude(state="done").exists()
    asked = [*emulators, spare]
    assert sum(count(e, "answered") for e in asked) == 80
    assert count(emulators[1], "answered") > 20
    assert (count(spare, "answered") > 0) is (act is _moved)
    assert not Seat.objects.exists()
    unharmed(*asked)


def test_a_server_that_is_added_takes_its_part_of_what_waits(studio: Start, background: Background) -> None:
    first = studio(**WARM, first_token_s=600.0, parallel=1)
    with engines(2):
        online()
        ids = ask("maker/small", 40)
        running(first, 1)
        second = studio(**WARM, first_token_s=0.05, parallel=1)
        wake(Channel.SETTINGS)
        until(lambda: count(second, "answered") >= 5, what="some answers of the new one")
        release(background, first)
        answers = done(ids)
    assert {g.attempts for g in answers} == {1}
    assert count(first, "answered") >= 1
    assert count(first, "answered") + count(second, "answered") == 40
