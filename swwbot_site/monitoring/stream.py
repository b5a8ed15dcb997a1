"""The status page's live stream: one look at the rows for everybody who watches, told to each as far as it is new to him.

One connection of the process listens to the database; what is said there is gathered, and the rows are looked at once, at most four times
a second and never for more than a quarter of the time. Not everything is said there, so they are looked at every second anyway. With
nobody watching nothing runs and no connection is open.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import structlog
from django.db import Error, connection

from swwbot_site.lib import clock, streams
from swwbot_site.lib.ear import hear
from swwbot_site.monitoring import board
from swwbot_site.monitoring.draw import Drawn, drawn, message

T = TypeVar("T")
log = structlog.get_logger(__name__)

TICK_S: Final = 1.0
"""The rows are looked at so often although nobody said anything."""

PACE_S: Final = 0.25
"""They are looked at no more often than this."""

SHARE: Final = 3.0
"""After a look that took long, so many times as long nothing is looked at."""

BEAT_S: Final = 10.0
"""Nothing is ever silent for longer: so a page knows that it is still connected."""

VIEWERS: Final = 100
"""More than this are told to ask for themselves."""

SLOW_S: Final = 5.0
"""A look that takes longer is told: what the page shows is old by then."""

LOST: Final = "The database does not answer."
SLOW: Final = "The database is slow."
BROKEN: Final = "The page could not be drawn anew; the web server's log says why."


class Hub:
    """What everybody in this process watches. `round` counts the changes; each item and each order knows its last one."""

    def __init__(self) -> None:
        self.viewers = 0
        self.round = 0
        self.trouble = ""
        self.closing = False
        self._items: dict[str, dict[str, tuple[int, str]]] = {}
        self._orders: dict[str, tuple[int, list[str]]] = {}
        self._news = asyncio.Event()
        self._bell = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._rows: ThreadPoolExecutor | None = None

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """One more watches. The first starts the looking, the last ends it."""
        self.viewers += 1
        if not self._tasks:
            self._rows = ThreadPoolExecutor(1, thread_name_prefix="status")
            self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._hear())]
        try:
            yield
        finally:
            self.viewers -= 1
            if not self.viewers:
                self._end()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self._items, self._orders, self.trouble = {}, {}, ""
        if self._rows:
            self._rows.submit(connection.close)
            self._rows.shutdown(wait=False)
        self._rows = None

    async def rows(self, function: Callable[..., T], /, *arguments: Any) -> T:
        """Run what touches rows, on the connection of this hub. Raises django.db.Error."""
        assert self._rows is not None
        return await asyncio.get_running_loop().run_in_executor(self._rows, _fresh, function, *arguments)

    async def news(self, seen: int, seconds: float) -> bool:
        """Wait until there is something after round `seen`, at most so long; returns whether there is."""
        waiting = self._news
        if self.round <= seen:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(waiting.wait(), seconds)
        return self.round > seen

    def since(self, seen: int) -> dict[str, Any]:
        """What is new after round `seen`: in each region what changed, and its order if that did."""
        found: dict[str, dict[str, Any]] = {}
        for name, items in self._items.items():
            changed = {key: html for key, (number, html) in items.items() if number > seen}
            number, order = self._orders[name]
            if changed or number > seen:
                found[name] = {"html": changed} | ({"order": order} if number > seen else {})
        return message(found, clock.now(), self.trouble)

    def take(self, now: Drawn) -> None:
        """Compare with what was, and tell everybody if something is new."""
        number, changed = self.round + 1, bool(self.trouble)
        self.trouble = ""
        for name, items in now.items():
            before, order = self._items.get(name, {}), list(items)
            known = self._orders.get(name)
            after = {key: before[key] if key in before and before[key][1] == html else (number, html) for key, html in items.items()}
            if known is None or known[1] != order:
                self._orders[name] = (number, order)
            changed = changed or after != before or known is None or known[1] != order
            self._items[name] = after
        if changed:
            self._tell()

    def close(self) -> None:
        """Send everybody away, now and for ever."""
        self.closing = True
        self._tell()

    def _ail(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._tell()

    def _tell(self) -> None:
        self.round += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._bell.clear()
            begun = loop.time()
            late = loop.call_later(SLOW_S, self._ail, SLOW)
            try:
                self.take(await self.rows(_read))
            except Error as error:
                log.warning("status.database_away", error=str(error))
                self._ail(LOST)
            except Exception:  # the outermost guard: one bad row must not end the stream of everybody
                log.exception("status.failed")
                self._ail(BROKEN)
            finally:
                late.cancel()
            took = loop.time() - begun
            await asyncio.sleep(max(PACE_S - took, SHARE * took))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), max(0.0, begun + TICK_S - loop.time()))

    async def _hear(self) -> None:
        """Ring whenever anybody says anything."""
        await hear(None, asyncio.Event(), lambda _: self._bell.set())


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


def close() -> None:
    """End every stream of this process, from whichever thread: a server that is told to stop waits for its answers."""
    streams.close()
    for loop, here in list(_hubs.items()):
        if not loop.is_closed():
            loop.call_soon_threadsafe(here.close)


async def follow(still: Callable[[], bool]) -> AsyncIterator[str]:
    """What one viewer is sent, as server-sent events, until he goes or `still` says that he may not look any more."""
    here = hub()
    if here.viewers >= VIEWERS:
        yield _event("full", {})
        return
    seen = 0
    with here.watched():
        while not here.closing:
            if await here.news(seen, BEAT_S):
                told, seen = here.since(seen), here.round
                yield _event("news", told)
                continue
            with contextlib.suppress(Error):  # who cannot be asked after is shown nothing new either
                if not await here.rows(still):
                    yield _event("bye", {})
                    return
            yield _event("beat", message({}, clock.now(), here.trouble))


def _event(name: str, value: object) -> str:
    return f"event: {name}\ndata: {json.dumps(value, ensure_ascii=False)}\n\n"


def _read() -> Drawn:
    return drawn(board.read(clock.now()))


def _fresh(function: Callable[..., T], *arguments: Any) -> T:
    try:
        return function(*arguments)
    except Error:
        connection.close()
        raise
