"""The KV backends' storage: one key per message and one shared list of recent ones, which concurrent writers overwrite."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.reply import Json

REBUILD = 1000
"""Keys a missing shared list is rebuilt from."""


class Shelf:
    """Keys and the shared list. Every change of the list is read, a pause, write: what others wrote in the pause is lost."""

    def __init__(self, *, size: int, by_time: bool, quirks: Quirks, dice: random.Random, now: Callable[[], int]) -> None:
        self.keys: dict[str, Json] = {}
        self.recent: list[Json] | None = None
        self._size = size
        self._by_time = by_time
        self._quirks = quirks
        self._dice = dice
        self._now = now
        self._written: deque[tuple[int, list[Json] | None]] = deque(maxlen=1000)

    def seen(self) -> list[Json] | None:
        """The shared list as readers see it, late by `propagation_ms`; None if it is missing."""
        if self._quirks.take("forget", "GET"):
            self.write(None)
        if self._quirks.propagation_ms <= 0:
            return self.recent
        horizon = self._now() - self._quirks.propagation_ms
        known: list[Json] | None = None
        for at, value in self._written:
            if at > horizon:
                break
            known = value
        return known

    def write(self, recent: list[Json] | None) -> None:
        """Replace the shared list."""
        self.recent = recent
        self._written.append((self._now(), recent))

    def rebuild(self) -> list[Json]:
        """The shared list made anew from the keys."""
        made = [self.keys[key] for key in sorted(self.keys)[-REBUILD:]][-self._size :]
        self.write(made)
        return made

    async def add(self, message: Json) -> None:
        """Keep a message under its key and put it on the shared list, unless a quirk loses it."""
        self.keys[key(message)] = message
        if self._quirks.take("lose", "POST"):
            return
        read = await self._read()
        if self._quirks.take("collapse", "POST"):
            read = []
        read.append(message)
        if self._by_time:
            read.sort(key=stamp)
        self.write(read[-self._size :])

    async def replace(self, message: Json) -> None:
        """Put a changed message in the place of its former self, key and list."""
        self.keys[key(message)] = message
        read = await self._read()
        self.write([message if one.get("id") == message["id"] else one for one in read])

    def find(self, message_id: object) -> Json | None:
        """The newest copy of a message, on the list or under a key."""
        copies = [one for one in (*self.keys.values(), *(self.recent or ())) if one.get("id") == message_id]
        return copies[-1] if copies else None

    async def _read(self) -> list[Json]:
        read = list(self.recent or ())
        if self._quirks.race_ms > 0:
            await asyncio.sleep(self._dice.random() * self._quirks.race_ms / 1000)
        return read


def key(message: Json) -> str:
    """The key a message is stored under."""
    return f"comment:{message['timestamp']}:{message['id']}"


def stamp(message: Json) -> float:
    """The timestamp to sort by; what is no number sorts first."""
    value = message.get("timestamp")
    return value if isinstance(value, int | float) else 0
