"""Where the emulator listens, and how it stops without leaving anybody between the door and the house."""

import asyncio
import socket

from aiohttp import web

_ROUNDS = 5
"""Of the event loop, until a connection that was accepted has its handler."""


async def opened(runner: web.AppRunner, host: str, port: int) -> socket.socket:
    """Listens; port 0 takes a free one. Raises OSError if the port is taken."""
    door = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
    door.setblocking(False)
    await web.SockSite(runner, door).start()
    return door


async def closed(runner: web.AppRunner, door: socket.socket) -> None:
    """Stops listening and hangs up on everybody.

    Nobody is let in any more before the server ends: asyncio forgets a connection that it has accepted for a server that is closed by then,
    and its client would wait for ever.
    """
    asyncio.get_running_loop().remove_reader(door)
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
    await runner.cleanup()
