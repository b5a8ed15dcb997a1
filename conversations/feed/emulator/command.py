"""The emulator as a command: its arguments, and running until it is told to stop."""

import argparse
import asyncio
import json
import signal
from collections.abc import Callable, Mapping
from typing import Any

from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.server import Emulator
from conversations.feed.values import Generation

PORT = 8787


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `manage.py emulate feed`."""
    parser.add_argument("--generation", choices=[str(one) for one in Generation], default=str(Generation.DO), help="which backend to be")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on, 0 for a free one")
    parser.add_argument("--chatter", action=argparse.BooleanOptionalAction, default=True, help="whether sample people chat")
    parser.add_argument("--every", type=float, default=6.0, metavar="SECONDS", help="time between two lines of the chatter")
    parser.add_argument("--mention", nargs="*", default=[], metavar="NAME", help="persona names the chatter calls")
    parser.add_argument("--entity", nargs="*", default=[], metavar="ID", help="persona ids the chatter writes to directly")
    parser.add_argument("--seed", type=int, default=1, help="the same seed, the same chat")
    parser.add_argument("--keepalive", type=float, default=5.0, metavar="SECONDS", help="when idle connections are closed")
    parser.add_argument("--quirk", action="append", default=[], metavar="NAME=VALUE", help="switch a bad habit, e.g. race_ms=200")


def handle(options: Mapping[str, Any], write: Callable[[str], object] = print) -> None:
    """Run until SIGTERM or SIGINT. Raises ValueError for an unknown quirk, OSError if the port is taken."""
    quirks = Quirks()
    quirks.change(dict(_pair(one) for one in options["quirk"]))
    asyncio.run(_serve(options, quirks, write))


async def _serve(options: Mapping[str, Any], quirks: Quirks, write: Callable[[str], object]) -> None:
    emulator = Emulator(
        Generation(options["generation"]),
        quirks=quirks,
        seed=options["seed"],
        keepalive_s=options["keepalive"],
        chatter=options["chatter"],
        every_s=options["every"],
        mentions=options["mention"],
        entities=options["entity"],
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await emulator.start(options["port"], options["host"])
    try:
        root = emulator.url.removesuffix("/api")
        write(f"feed ({emulator.generation}) at {emulator.url}, to watch at {root}/chat, its state at {root}/emulator/state")
        await stop.wait()
    finally:
        await emulator.stop()


def _pair(text: str) -> tuple[str, object]:
    """`name=value`, the value as JSON, or as text if it is none."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
