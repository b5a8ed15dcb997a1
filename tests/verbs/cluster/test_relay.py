"""Requests of clients on their way, with the rows slow at the wrong moment."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connections

from cluster.catalogue import Catalogue
from cluster.lmstudio.values import ChatRequest
from cluster.logic.request import Request
from cluster.models import Generation, Placement, Seat
from cluster.relay import Wanted, held
from cluster.relay.flight import Flight
from cluster.relay.seating import Seating
from cluster.relay.storing import Storing
from swwbot_site.lib import clock, http
from swwbot_site.lib.loops import Context
from swwbot_site.lib.threads import Threads
from tests import build

HOME = 4001


class Slow:
    """Rows in threads, each function only when it may: `hold` those of a name, `let` them on."""

    def __init__(self) -> None:
        self._rows = Threads(asyncio.Event())
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(_open)
        self.reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._failures: dict[str, Exception] = {}

    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        name = function.__name__
        if error := self._failures.pop(name, None):
            raise error
        found = await self._rows(function, *args, **kwargs)
        self.reached[name].set()
        await self._gates[name].wait()
        return found

    def fail(self, name: str, error: Exception) -> None:
        """This function fails once."""
        self._failures[name] = error

    def hold(self, name: str) -> None:
        """What this function found is not heard of for a while."""
        self.reached[name].clear()
        self._gates[name].clear()

    def let(self, name: str) -> None:
        self._gates[name].set()

    def close(self) -> None:
        self._rows.close()


def _open() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class Stage:
    """One process's seating and storing, in the running loop."""

    def __init__(self) -> None:
        self.rows = Slow()
        self.tasks: set[asyncio.Task[None]] = set()
        self.context = Context(owner=HOME, rows=self.rows, http=http.client(), stopping=asyncio.Event(), spawn=self._spawn)
        self.storing = Storing(self.context)
        self.seating = Seating(self.context, self.storing, asyncio.Event())
        self._spawn(self.storing.run(), "store")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def flight(self, placement: Placement, priority: int = 50) -> Flight:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task
        wanted = Wanted(
            model_id=placement.model_id,
            model=placement.model.key,
            caller="api:test",
            priority=priority,
            document=Request(messages=[{"role": "user", "content": "Hello?"}]),
            request=lambda ticket: ChatRequest(model=ticket.names[0], messages=()),
        )
        line = self.seating.line(placement.model_id)
        return Flight(wanted=wanted, line=line, task=task, queued_at=clock.now(), began=loop.time(), got=loop.create_future())

    def call_off(self, flight: Flight) -> None:
        """As its client's leaving does."""
        flight.over = True
        self.seating.withdraw(flight)
        flight.got.cancel()
        if flight.row or flight.ticket:
            self.storing.keep(flight, None)
        self.seating.leave(flight)

    async def end(self) -> None:
        await self.storing.quiet()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.context.http.aclose()
        await asyncio.to_thread(self.rows.close)


def run(work: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def play() -> None:
        stage = Stage()
        try:
            await work(stage)
        finally:
            await stage.end()

    asyncio.run(asyncio.wait_for(play(), 60))
    connections.close_all()


def test_a_claim_that_fails_leaves_who_waits_where_he_was_and_the_seat_free(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        flight = stage.flight(placement)
        stage.seating.enter(flight)
        await stage.seating.queue_up(flight)
        line = stage.seating.line(placement.model_id)
        line.add(placement.pk, 1, await stage.rows(_hold, placement, 1))
        stage.rows.fail("claim", OperationalError("the database is away"))
        stage.seating._pump(line)
        failing = [task for task in stage.tasks if task.get_name() == "claim"]
        assert [type(error) for error in await asyncio.gather(*failing, return_exceptions=True)] == [OperationalError]
        assert not flight.got.done()
        assert (list(line.rows), line.free) == ([flight.pk], 1)
        stage.seating._pump(line)
        await asyncio.wait_for(flight.got, 30)
        stage.seating.withdraw(flight)
        flight.ticket = flight.got.result()
        stage.call_off(flight)
        await quiet(stage)

    run(work)
    assert states() == ["cancelled"]


def test_who_is_urgent_comes_first_also_in_the_first_second_and_becomes_a_row_where_others_are_rows(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        seating, line = stage.seating, stage.seating.line(placement.model_id)
        seating._numbers = await stage.rows(held.numbers)
        usual, late, soon = (stage.flight(placement, priority) for priority in (50, 90, 5))
        for flight in (usual, late, soon):
            assert not seating.enter(flight)
        line.add(placement.pk, 1, await stage.rows(_hold, placement, 1))
        seating._pump(line)
        assert soon.got.done()
        assert not usual.got.done()
        for flight in (usual, late):
            await seating.queue_up(flight)
        equal, urgent = (stage.flight(placement, priority) for priority in (90, 5))
        for flight in (equal, urgent):
            assert not seating.enter(flight)
        await so(lambda: urgent.row)
        assert list(line.waiting) == [equal]
        assert set(line.rows) == {usual.pk, late.pk, urgent.pk}
        await seating.turn()
        assert min(line.rows.values(), key=lambda flight: flight.turn or clock.now()) is urgent
        for flight in (usual, late, equal, urgent, soon):
            flight.ticket = flight.ticket or (flight.got.result() if flight.got.done() and not flight.got.cancelled() else None)
            stage.call_off(flight)
        await quiet(stage)

    run(work)
    assert set(states()) == {"cancelled"}


async def so(true: Callable[[], object]) -> None:
    """Wait until that is so."""
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nobody rings for everything that is waited for here
            await asyncio.sleep(0.01)


async def quiet(stage: Stage) -> None:
    """Wait until nothing but the storing goes on."""
    await so(lambda: len(stage.tasks) == 1 and not stage.storing.busy)


@pytest.fixture
def placement(transactional_db: None) -> Placement:
    """A model in memory with two slots."""
    found = build.placement(slots=2)
    build.offer(server=found.server, model=found.model)
    return found


def states() -> list[str]:
    return list(Generation.objects.order_by("pk").values_list("state", flat=True))


def test_whoever_goes_away_while_his_row_is_made_leaves_none_that_waits(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        flight = stage.flight(placement)
        assert not stage.seating.enter(flight)
        stage.rows.hold("queue_up")
        waiting = asyncio.create_task(stage.seating.queue_up(flight))
        await stage.rows.reached["queue_up"].wait()
        waiting.cancel()
        await asyncio.wait([waiting])
        stage.call_off(flight)
        stage.rows.let("queue_up")
        await quiet(stage)

    run(work)
    assert states() == ["cancelled"]


def test_whoever_goes_away_while_he_is_claimed_leaves_the_seat_to_the_next(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        first, second = stage.flight(placement), stage.flight(placement)
        for flight in (first, second):
            stage.seating.enter(flight)
            await stage.seating.queue_up(flight)
        rows = await stage.rows(_hold, placement, 1)
        line = stage.seating.line(placement.model_id)
        line.add(placement.pk, 1, rows)
        stage.rows.hold("claim")
        stage.seating._pump(line)
        await stage.rows.reached["claim"].wait()
        stage.call_off(first)
        stage.rows.let("claim")
        await stage.seating.turn()
        await asyncio.wait_for(second.got, 30)
        assert line.rows == {}
        stage.seating.withdraw(second)
        second.ticket = second.got.result()
        stage.call_off(second)
        await quiet(stage)

    run(work)
    assert states() == ["cancelled", "cancelled"]


def test_a_request_that_is_handed_a_seat_while_it_is_claimed_stands_in_no_line(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        flight = stage.flight(placement)
        stage.seating.enter(flight)
        await stage.seating.queue_up(flight)
        line = stage.seating.line(placement.model_id)
        line.add(placement.pk, 1, await stage.rows(_hold, placement, 1))
        await stage.rows(_seat, flight.pk, placement)
        stage.rows.hold("look")
        looking = asyncio.create_task(stage.seating._look())
        await stage.rows.reached["look"].wait()
        stage.seating._pump(line)  # it is claimed while it is found seated
        stage.rows.let("look")
        await looking
        await so(lambda: len(stage.tasks) == 1)
        assert flight.got.result().placement_id == placement.pk
        assert (line.rows, line.free) == ({}, 1)
        stage.seating.withdraw(flight)
        flight.ticket = flight.got.result()
        stage.call_off(flight)
        await quiet(stage)

    run(work)
    assert states() == ["cancelled"]


def test_an_old_look_does_not_end_a_request_that_waits_again(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        flight = stage.flight(placement)
        stage.seating.enter(flight)
        await stage.seating.queue_up(flight)
        stage.seating.withdraw(flight)
        stage.storing.asking.add(flight)  # it is asked, as far as this process knows, and waits again, as its row says
        stage.rows.hold("look")
        looking = asyncio.create_task(stage.seating._look())
        await stage.rows.reached["look"].wait()
        stage.storing.asking.discard(flight)
        stage.seating.enter(flight)
        stage.rows.let("look")
        await looking
        assert not flight.got.done()
        assert flight.taken is None
        stage.call_off(flight)
        await quiet(stage)

    run(work)
    assert states() == ["cancelled"]


def test_one_row_that_cannot_be_written_spoils_no_other(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        block = await stage.rows(_hold, placement, 2)
        line = stage.seating.line(placement.model_id)
        stage.seating._numbers = [501, 502]
        line.add(placement.pk, 2, block)
        good, bad = stage.flight(placement), stage.flight(placement)
        for flight in (good, bad):
            assert stage.seating.enter(flight)
            flight.ticket, flight.asked_at = flight.got.result(), clock.now()
        bad.block = None  # nobody knows where it sat
        for flight in (bad, good):
            stage.storing.keep(flight, None)
        await stage.storing.quiet()

    run(work)
    assert states() == ["cancelled"]


def test_what_is_held_is_counted_again_after_the_database_was_away(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        block = await stage.rows(_hold, placement, 2)
        line = stage.seating.line(placement.model_id)
        line.add(placement.pk, 2, block)
        stage.seating._numbers = [501]
        flight = stage.flight(placement)
        assert stage.seating.enter(flight)
        await stage.rows(_forget)
        stage.seating.forget()
        await stage.seating.turn()
        assert await stage.rows(_held) == 1
        stage.seating.leave(flight)
        await so(lambda: len(stage.tasks) == 1)
        assert await stage.rows(_held) == 0

    run(work)


def test_a_process_that_stops_keeps_the_seats_of_those_who_sit_until_they_leave(placement: Placement) -> None:
    async def work(stage: Stage) -> None:
        line = stage.seating.line(placement.model_id)
        line.add(placement.pk, 2, await stage.rows(_hold, placement, 2))
        stage.seating._numbers = [501]
        flight, late = stage.flight(placement), stage.flight(placement)
        assert stage.seating.enter(flight)
        stage.context.stopping.set()
        stage.seating.stop()
        await so(lambda: len(stage.tasks) == 1)
        assert await stage.rows(_held) == 1
        assert not stage.seating.enter(late)
        await stage.seating.turn()
        await so(lambda: late.row)
        stage.seating.leave(flight)
        stage.call_off(late)
        await quiet(stage)
        assert await stage.rows(_held) == 0

    run(work)
    assert states() == ["cancelled"]


def _hold(placement: Placement, n: int) -> Any:
    waiting = Generation.objects.filter(state="queued")
    kept = list(waiting.values_list("pk", flat=True))
    waiting.update(not_before=clock.now() + timedelta(days=365))
    (block,) = held.hold(HOME, {placement.model_id: n}, clock.now(), Catalogue())
    Generation.objects.filter(pk__in=kept).update(not_before=None)
    return block


def _seat(pk: int, placement: Placement) -> None:
    now = clock.now()
    lease = {"lease_owner": HOME, "lease_until": now + timedelta(days=365)}
    Generation.objects.filter(pk=pk).update(state="running", server=placement.server, placement=placement, seated_at=now, **lease)
    build.seat(generation=Generation.objects.get(pk=pk), placement=placement, **lease)


def _forget() -> None:
    Seat.objects.all().delete()


def _held() -> int:
    return Seat.objects.filter(generation=None).count()
