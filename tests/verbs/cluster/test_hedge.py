"""Asking twice: who gets a second seat, who wins, and what stays in the rows."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cluster import hedge
from cluster.lmstudio import errors
from cluster.logic.order import Outcome, Ticket
from cluster.models import Generation, Placement, Seat
from swwbot_site.lib import clock
from tests import build
from tests.build import OWNER
from tests.verbs.cluster.helpers import answered, refused, running, ticket

pytestmark = pytest.mark.django_db


def late(**over: Any) -> Seat:
    """A request whose first token is late, on a model's first copy."""
    return running(build.placement(server=build.server(name="slow"), **over))


def copy(seat: Seat, *, row: dict[str, Any] | None = None, **over: Any) -> Placement:
    """Another copy of the same model, on a server of its own."""
    return build.placement(model=seat.placement.model, server=build.server(**{"name": "quick"} | (row or {})), **over)


def take(seat: Seat) -> Ticket | None:
    return hedge.take(replace(ticket(seat), hedge_after_s=0.5), OWNER)


# --- the second seat ---------------------------------------------------------------------------------------------
def test_an_idle_copy_gives_a_second_seat_and_the_generation_says_so() -> None:
    seat = late()
    other = copy(seat)
    build.offer(server=other.server, model=other.model, key="Maker/Model-As-It-Spells-It")
    second = take(seat)
    assert second is not None
    assert (second.placement_id, second.server, second.hedge, second.instance_id) == (other.pk, "quick", True, other.instance_id)
    assert second.names[:2] == ("Maker/Model-As-It-Spells-It", other.model.key)
    assert set(Seat.objects.values_list("placement_id", "hedge", "lease_owner")) == {
        (seat.placement_id, False, OWNER),
        (other.pk, True, OWNER),
    }
    row = Generation.objects.get()
    assert row.decision["hedged"] == {"server": "quick", "after_s": 0.5, "why": "no token from slow by then"}
    assert row.server == seat.placement.server


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "it is full": ({}, {"slots": 0}),
    "it is leaving": ({}, {"state": "unloading"}),
    "it rests": ({}, {"failures": 3, "rest_until": clock.now() - timedelta(seconds=1)}),
    "its server is out": ({"state": "offline"}, {}),
    "its server asked for silence": ({"state": "rate-limited"}, {}),
    "its server is disabled": ({"enabled": False}, {}),
    "its server drains": ({"draining": True}, {}),
}


@pytest.mark.parametrize(("row", "over"), REFUSED.values(), ids=REFUSED.keys())
def test_a_second_copy_is_not_asked_if(row: dict[str, Any], over: dict[str, Any]) -> None:
    seat = late()
    full = over.pop("slots", None) == 0
    other = copy(seat, row=row, **over, **({"slots": 1} if full else {}))
    if full:
        running(other)
    assert take(seat) is None
    assert not Seat.objects.filter(hedge=True).exists()


def test_what_somebody_waits_for_is_not_asked_twice() -> None:
    seat = late()
    copy(seat)
    build.generation(model=seat.placement.model)
    assert take(seat) is None


def test_a_model_that_is_warm_once_is_not_asked_twice() -> None:
    seat = late(slots=9)
    build.placement(server=build.server())
    assert take(seat) is None


def test_a_request_for_one_server_is_not_asked_elsewhere() -> None:
    seat = late()
    copy(seat)
    Generation.objects.update(pin=seat.placement.server)
    assert take(seat) is None


def test_a_server_that_has_just_come_back_and_a_model_that_has_crashed_count_as_one_seat() -> None:
    seat, now = late(), clock.now()
    back = copy(seat, row={"name": "back", "returned_at": now}, slots=8)
    crashed = copy(seat, row={"name": "crashed"}, slots=8)
    build.offer(server=crashed.server, model=crashed.model, crashed_at=now)
    running(back)
    running(crashed)
    assert take(seat) is None


def test_what_was_taken_from_us_is_not_asked_twice() -> None:
    seat = late()
    copy(seat)
    assert hedge.take(ticket(seat), 999) is None
    Generation.objects.update(state="queued", lease_owner=None, lease_until=None)
    assert take(seat) is None


def test_of_several_copies_the_one_with_most_seats_on_another_server_is_asked() -> None:
    seat = late()
    build.placement(server=seat.placement.server, model=seat.placement.model, slots=99, instance_id="same:2")
    copy(seat, slots=2)
    best = copy(seat, row={"name": "best"}, slots=5)
    second = take(seat)
    assert second is not None
    assert second.placement_id == best.pk


@pytest.mark.parametrize("second_wins", [True, False])
def test_the_loser_gives_its_seat_back_and_the_generation_names_the_winner(second_wins: bool) -> None:
    seat = late()
    other = copy(seat)
    first, second = ticket(seat), take(seat)
    assert second is not None
    winner, loser = (second, first) if second_wins else (first, second)
    hedge.settle(winner, loser, OWNER)
    left = Seat.objects.get()
    row = Generation.objects.get()
    assert (left.placement_id, left.hedge) == (winner.placement_id, second_wins)
    assert (row.placement_id, row.server_id) == (winner.placement_id, winner.server_id)
    assert row.decision["hedged"]["answers"] == ("quick" if second_wins else "slow")
    assert row.state == "running"
    assert other.server.name == "quick"


def test_what_was_called_off_meanwhile_is_left_alone() -> None:
    seat = late()
    copy(seat)
    second = take(seat)
    assert second is not None
    Generation.objects.update(state="cancelled", lease_owner=None, lease_until=None, ended_at=clock.now())
    hedge.settle(second, ticket(seat), OWNER)
    assert Generation.objects.get().server == seat.placement.server


# --- the race ----------------------------------------------------------------------------------------------------
class Script:
    """Two who are asked, each with what it does: a token, an answer, a failure, or only to be asked."""

    def __init__(self, seat: Seat, other: Ticket | None) -> None:
        self.other = other
        self.answer, self.failure = answered(seat), refused(seat, errors.Dropped("cut"))
        self.first = replace(ticket(seat), hedge_after_s=0.001)
        self.acts: dict[bool, asyncio.Queue[str]] = {False: asyncio.Queue(), True: asyncio.Queue()}
        self.asked = {False: asyncio.Event(), True: asyncio.Event()}
        self.cut: list[bool] = []
        self.settled: list[tuple[bool, bool]] = []

    async def ask(self, one: Ticket, begun: Callable[[], None]) -> Outcome:
        self.asked[one.hedge].set()
        while True:
            try:
                act = await self.acts[one.hedge].get()
            except asyncio.CancelledError:
                self.cut.append(one.hedge)
                raise
            if act == "token":
                begun()
            else:
                return replace(self.answer if act == "answer" else self.failure, ticket=one)

    async def rows(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if function is hedge.take:
            return self.other
        assert function is hedge.settle
        winner, loser, owner = args
        assert owner == OWNER
        assert loser.hedge in self.cut or self.acts[loser.hedge].empty()
        self.settled.append((winner.hedge, loser.hedge))
        return None

    def play(self, *acts: tuple[bool, str]) -> Outcome:
        """The outcome when the two do this, one after another."""

        async def whole() -> Outcome:
            race = asyncio.create_task(hedge.race(self.first, self.ask, self.rows, OWNER))
            for who, act in acts:
                await self.asked[who].wait()
                if act:
                    self.acts[who].put_nowait(act)
                for _ in range(10):
                    await asyncio.sleep(0)
            return await race

        return asyncio.run(asyncio.wait_for(whole(), 60))


@pytest.fixture
def script() -> Script:
    seat = late()
    return Script(seat, replace(ticket(seat), hedge=True, server="quick"))


FIRST, SECOND = False, True
RACES: dict[str, tuple[list[tuple[bool, str]], bool, bool, list[bool], str]] = {
    "the second has a token first": ([(SECOND, "token"), (SECOND, "answer")], SECOND, True, [FIRST], ""),
    "the first has a token after all": ([(SECOND, ""), (FIRST, "token"), (FIRST, "answer")], FIRST, True, [SECOND], ""),
    "the second answers at once": ([(SECOND, "answer")], SECOND, True, [FIRST], ""),
    "the first fails, the second goes on": ([(SECOND, ""), (FIRST, "fail"), (SECOND, "answer")], SECOND, True, [], "first"),
    "the second fails, the first goes on": ([(SECOND, "fail"), (FIRST, "answer")], FIRST, True, [], "second"),
    "both fail": ([(SECOND, "fail"), (FIRST, "fail")], FIRST, False, [], "second"),
    "the winner fails after its token": ([(SECOND, "token"), (SECOND, "fail")], SECOND, False, [FIRST], ""),
}


@pytest.mark.parametrize(("acts", "who", "answers", "cut", "beside"), RACES.values(), ids=RACES.keys())
def test_one_result_comes_of_it(
    script: Script, acts: list[tuple[bool, str]], who: bool, answers: bool, cut: list[bool], beside: str
) -> None:
    outcome = script.play(*acts)
    assert (outcome.ticket.hedge, outcome.answer is not None) == (who, answers)
    assert script.cut == cut
    assert script.settled == [(who, not who)]
    assert (outcome.beside is not None) is bool(beside)
    if outcome.beside:
        assert outcome.beside.ticket.hedge is (beside == "second")


def test_without_a_second_copy_the_first_goes_on(script: Script) -> None:
    script.other = None
    assert script.play((FIRST, "token"), (FIRST, "answer")).answer
    assert (script.settled, script.cut) == ([], [])


def test_a_second_copy_that_is_idle_only_later_is_asked_then(script: Script) -> None:
    other, script.other = script.other, None
    tries = script.rows

    async def rows(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        found = await tries(function, *args, **kwargs)
        script.other = other
        return found

    script.rows = rows  # type: ignore[method-assign]
    assert script.play((SECOND, "answer")).ticket.hedge


@pytest.mark.parametrize("last", ["answer", "fail"])
def test_what_begins_in_time_is_not_asked_twice(script: Script, last: str) -> None:
    script.first = replace(script.first, hedge_after_s=60.0)
    assert (script.play((FIRST, "token"), (FIRST, last)).answer is not None) is (last == "answer")
    assert not script.asked[SECOND].is_set()


def test_an_engine_that_stops_closes_both_connections(script: Script) -> None:
    async def whole() -> None:
        race = asyncio.create_task(hedge.race(script.first, script.ask, script.rows, OWNER))
        await script.asked[SECOND].wait()
        race.cancel()
        await asyncio.wait([race])
        assert race.cancelled()

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert sorted(script.cut) == [FIRST, SECOND]
