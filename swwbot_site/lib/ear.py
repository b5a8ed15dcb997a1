"""Hearing what is said in the database, on a connection of its own that also shows everybody who lives."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import psycopg
import structlog
from django.db import connection

from swwbot_site.lib.leases import SPACE
from swwbot_site.lib.wake import Channel

log = structlog.get_logger(__name__)

RETRY_S: Final = 1.0

ALIVE: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A network that drops the connection without a word is noticed within half a minute."""


async def hear(
    owner: int | None, registered: asyncio.Event, heard: Callable[[Channel | None], None], deaf: Callable[[], object] = lambda: None
) -> None:
    """Hold the lock of `owner`, if there is one, and tell `heard` each channel that is rung, for ever. None: anything may have been missed.

    `registered` is set while the connection stands; `deaf` is called whenever it is lost.
    """
    while True:
        try:
            ear = await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True)
            try:
                if owner is not None:
                    await ear.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, owner])
                for channel in Channel:
                    await ear.execute(f"LISTEN {channel.value}")
                registered.set()
                heard(None)
                while True:
                    async for notice in ear.notifies(timeout=0):
                        heard(Channel(notice.channel))
                    await _readable(ear.fileno())  # without a timeout, psycopg looks ten times a second
            finally:
                await ear.close()  # it waits for nothing: who is told twice to end leaves no connection either
        except psycopg.OperationalError as error:
            log.warning("database.deaf", error=str(error))
        if registered.is_set():
            registered.clear()
            deaf()
        await asyncio.sleep(RETRY_S)


async def _readable(descriptor: int) -> None:
    """Wait until there is something to be read, or the end."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(descriptor, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(descriptor)


def _parameters() -> dict[str, Any]:
    """How to reach the database, for a connection that is not Django's."""
    unknown = ("cursor_factory", "context", "prepare_threshold")
    return ALIVE | {key: value for key, value in connection.get_connection_params().items() if key not in unknown}
