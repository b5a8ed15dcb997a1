"""Emulated servers that remember: every chat with its text, whose memory was whose, and who unloaded a busy model.

What people do by hand comes with a header, so that it can be told from what the cluster does.
"""

import re
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from cluster.lmstudio.emulator.answering import Answering
from cluster.lmstudio.emulator.managing import Managing
from cluster.lmstudio.emulator.prediction import Prediction
from cluster.lmstudio.emulator.routes import routes
from cluster.lmstudio.emulator.server import Emulator
from cluster.lmstudio.emulator.work import Work

HAND: Final = {"X-By": "hand"}
MARK: Final = re.compile(r"No\. (\d+):")
"""How a request says which one it is."""

_by_hand: ContextVar[bool] = ContextVar("by_hand", default=False)


@dataclass(slots=True, kw_only=True)
class Call:
    """One chat, as its server saw it. Moments are of the monotonic clock; `text` is the answer, once all of it was written."""

    number: int
    server: str
    began: float
    ended: float | None = None
    completed: float | None = None
    text: str = ""


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the cluster did to one server's memory; what others did is left out. `peak` in bytes."""

    foreign: set[str] = field(default_factory=set)
    """Instances that the cluster did not load: by hand, or just in time for a request whose model was taken away."""
    peak: int = 0
    overbooked: list[str] = field(default_factory=list)
    """Loads that would not have fitted even without the foreign ones."""
    killed: list[str] = field(default_factory=list)
    """Unloads by the cluster that ended a running answer."""


class _Work(Work):
    """Watches the machine's events as they happen."""

    memory: Memory

    def note(self, event: str, **detail: object) -> None:
        super().note(event, **detail)
        machine, memory, name = self.machine, self.memory, str(detail.get("instance", ""))
        if event == "loading":
            (memory.foreign.add if _by_hand.get() or detail.get("jit") else memory.foreign.discard)(name)
        foreign = sum(one.memory for one in machine.instances.values() if one.id in memory.foreign)
        memory.peak = max(memory.peak, machine.used - foreign)
        if event == "guardrail" and not _by_hand.get() and machine.used - foreign + int(str(detail["need"])) > machine.budget:
            memory.overbooked.append(str(detail["model"]))
        if event == "unloaded" and detail["killed"] and not _by_hand.get():
            memory.killed.append(name)


class _Answering(Answering):
    """Keeps every chat."""

    def __init__(self, work: Work, seed: int, name: str, calls: list[Call]) -> None:
        super().__init__(work, seed)
        self._name = name
        self._calls = calls
        self._current: ContextVar[Call] = ContextVar("call")

    async def chat(self, request: web.Request, body: Any, *, v0: bool = False) -> web.StreamResponse:
        found = MARK.search(str(body.get("messages")))
        call = Call(number=int(found[1]) if found else -1, server=self._name, began=time.monotonic())
        self._calls.append(call)
        self._current.set(call)
        try:
            return await super().chat(request, body, v0=v0)
        finally:
            call.ended = time.monotonic()

    def _done(self, prediction: Prediction) -> None:
        call = self._current.get()
        call.text, call.completed = "".join(prediction.pieces), time.monotonic()
        super()._done(prediction)


class Witness(Emulator):
    """An emulated server that remembers."""

    def __init__(self, name: str, *args: Any, seed: int, **habits: Any) -> None:
        super().__init__(*args, seed=seed, **habits)
        self.name = name
        self.calls: list[Call] = []
        self.memory = Memory()
        before = self.work
        self.work = _Work(before.machine, before.habits, before.profile, time.monotonic)
        self.work.memory = self.memory
        self._managing = Managing(self.work)
        self._routes = routes(before.profile, self._managing, _Answering(self.work, seed, name, self.calls))

    async def _routed(self, request: web.Request, path: str) -> web.StreamResponse:
        _by_hand.set(request.headers.get("X-By") == HAND["X-By"])
        return await super()._routed(request, path)
