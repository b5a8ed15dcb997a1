"""Requests of clients on their way, with the rows slow at the wrong moment."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from django.db import connections

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

    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        name = function.__name__
        found = await self._rows(function, *args, **kwargs)
        self.reached[name].set()
        await self._gates[name].wait()
        return found

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

    def flight(self, placement: Placement) -> Flight:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task
        wanted = Wanted(
            model_id=placement.model_id,
            model=placement.model.key,
            caller="api:test",
            priority=50,
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

    asyncio.run(asyncio.wait_for(play(), 30))
    connections.close_all()


async def so(true: Callable[[], object]) -> None:
    """Wait until that is so."""
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
        await asyncio.wait_for(second.got, 5)
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
    waiting.update(not_before=clock.now().replace(year=2099))
    (block,) = held.hold(HOME, {placement.model_id: n}, clock.now(), Catalogue())
    Generation.objects.filter(pk__in=kept).update(not_before=None)
    return block


def _seat(pk: int, placement: Placement) -> None:
    now = clock.now()
    lease = {"lease_owner": HOME, "lease_until": now.replace(year=2099)}
    Generation.objects.filter(pk=pk).update(state="running", server=placement.server, placement=placement, seated_at=now, **lease)
    build.seat(generation=Generation.objects.get(pk=pk), placement=placement, **lease)


def _forget() -> None:
    Seat.objects.all().delete()


def _held() -> int:
    return Seat.objects.filter(generation=None).count()
