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


async def hear(owner: int, registered: asyncio.Event, heard: Callable[[Channel | None], None], deaf: Callable[[], object]) -> None:
    """Hold the lock of `owner`, and tell `heard` each channel that is rung, for ever. None: anything may have been missed.

    `registered` is set while the lock is held; `deaf` is called whenever it is lost.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(**_parameters(), autocommit=True) as ear:
                await ear.execute("SELECT pg_advisory_lock(%s, %s)", [SPACE, owner])
                for channel in Channel:
                    await ear.execute(f"LISTEN {channel.value}")
                registered.set()
                heard(None)
                async for notice in ear.notifies():
                    heard(Channel(notice.channel))
        except psycopg.OperationalError as error:
            log.warning("database.deaf", error=str(error))
        if registered.is_set():
            registered.clear()
            deaf()
        await asyncio.sleep(RETRY_S)


def _parameters() -> dict[str, Any]:
    """How to reach the database, for a connection that is not Django's."""
    unknown = ("cursor_factory", "context", "prepare_threshold")
    return {key: value for key, value in connection.get_connection_params().items() if key not in unknown}
