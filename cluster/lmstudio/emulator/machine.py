"""The emulated machine: which models it has, which instances are in memory, what would fit. No clock, no network."""

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self

from cluster.lmstudio.names import canonical

GB = 2**30
_KV_BYTES = ((4, 144), (9, 128), (15, 192), (35, 256))
"""KiB of cache per token by billions of parameters (section 9)."""
_KV_LARGE = 320


class Trouble(Exception):
    """A refusal: a status, and a body that is a JSON value or, as text, HTML. `headers` go with it."""

    def __init__(self, status: int, body: object, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A downloaded model."""

    key: str
    size_bytes: int
    format: str = "gguf"
    max_context: int = 131_072

    @classmethod
    def parse(cls, spec: str) -> Self:
        """A model from `key:sizeGB[:format]`. Raises ValueError."""
        head, _, last = spec.rpartition(":")
        form = "gguf"
        if last.lower() in ("gguf", "mlx"):
            form = last.lower()
            head, _, last = head.rpartition(":")
        try:
            size = float(last)
        except ValueError:
            size = 0.0
        if not head or size <= 0:
            raise ValueError(f"{spec!r} is no model: write key:sizeGB or key:sizeGB:format, for instance google/gemma-3-4b:3.3:mlx")
        return cls(key=head, size_bytes=round(size * GB), format=form)

    @property
    def kind(self) -> str:
        """`llm` or `embedding`."""
        return "embedding" if "embed" in self.key.lower() else "llm"

    @property
    def billions(self) -> int:
        """Parameters, guessed from the size of a 4-bit file."""
        return max(1, round(self.size_bytes / GB * 1.7))

    def need(self, context: int) -> int:
        """Bytes of memory with that context length: weights, cache, engine (section 9)."""
        kib = next((kib for limit, kib in _KV_BYTES if self.billions <= limit), _KV_LARGE)
        return int(self.size_bytes * 1.05 + context * kib * 1024 + GB / 2)


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """One prediction; `lost` is set with `trouble` when its instance goes away under it."""

    lost: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Trouble | None = None

    def end(self, trouble: Trouble) -> None:
        """Tells the job that it will not be finished."""
        self.trouble = trouble
        self.lost.set()


@dataclass(eq=False, slots=True, kw_only=True)
class Instance:
    """One copy of a model in memory, or on its way there (`loaded` False)."""

    id: str
    model: Model
    context: int
    parallel: int
    memory: int
    ttl_s: int | None = None
    asked_context: int | None = None
    loaded: bool = False
    last_used: float = 0.0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    trouble: Trouble | None = None
    running: set[Job] = field(default_factory=set)
    waiting: deque["asyncio.Future[Job]"] = field(default_factory=deque)

    def abort(self, trouble: Trouble) -> None:
        """Ends everything that runs on it."""
        for job in self.running:
            job.end(trouble)

    def lose(self, trouble: Trouble) -> int:
        """Ends everything that waits for it or runs on it. Returns how many predictions were running."""
        killed = len(self.running)
        self.trouble = trouble
        self.ready.set()
        self.abort(trouble)
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_exception(trouble)
        self.waiting.clear()
        return killed


@dataclass(slots=True, kw_only=True)
class Machine:
    """Everything in memory and on disk. `budget` in bytes. `at` is told by who knows the time, in seconds since the start."""

    budget: int
    models: dict[str, Model] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    counters: Counter[str] = field(default_factory=Counter)
    events: deque[dict[str, object]] = field(default_factory=lambda: deque(maxlen=500))

    @property
    def used(self) -> int:
        """Bytes taken by instances, those that are still loading included."""
        return sum(instance.memory for instance in self.instances.values())

    @property
    def running(self) -> int:
        """Predictions under way on the whole machine."""
        return sum(len(instance.running) for instance in self.instances.values())

    def note(self, at: float, event: str, **detail: object) -> None:
        """Writes the log and counts."""
        self.counters[event] += 1
        self.events.append({"at": round(at, 3), "event": event, **detail})

    def model(self, name: str) -> Model | None:
        """The downloaded model of that key or variant."""
        return self.models.get(name) or next((model for key, model in self.models.items() if canonical(key) == canonical(name)), None)

    def copies(self, model: Model) -> list[Instance]:
        """The model's instances, those in memory first, the least busy first."""
        mine = [instance for instance in self.instances.values() if instance.model is model]
        return sorted(mine, key=lambda one: (not one.loaded, len(one.running) + len(one.waiting)))

    def idle(self) -> Instance | None:
        """The instance that has been idle longest, None while all are at work or loading."""
        free = [one for one in self.loaded() if not one.running and not one.waiting]
        return min(free, key=lambda one: one.last_used, default=None)

    def loaded(self) -> Iterator[Instance]:
        """All instances in memory."""
        return (instance for instance in self.instances.values() if instance.loaded)

    def name(self, model: Model) -> str:
        """The next free instance id: the key, then `key:2`, `key:3`."""
        if model.key not in self.instances:
            return model.key
        number = 2
        while f"{model.key}:{number}" in self.instances:
            number += 1
        return f"{model.key}:{number}"

    def expired(self, at: float) -> Iterable[Instance]:
        """Idle JIT instances whose time is over."""
        return [
            one
            for one in self.instances.values()
            if one.loaded and one.ttl_s is not None and not one.running and not one.waiting and at - one.last_used > one.ttl_s
        ]
