"""A real HTTP server that behaves as the message backends do, bad habits included.

It was built from what was measured on the real ones, generation by generation: `kv` stores and loses as the KV backends do,
`durable` as the newest does, `quirks` are the habits that can be switched at run time. Everything under `/api` is the
backend's; `/chat` (a page to watch and to type into) and `/emulator/state|quirks|restart|reset` are ours.
"""

from conversations.feed.emulator.command import add_arguments, handle
from conversations.feed.emulator.quirks import Quirks
from conversations.feed.emulator.server import Emulator

__all__ = ["Emulator", "Quirks", "add_arguments", "handle"]
