"""Whether the servers are enough: when to call for another one, and which could go. Pure; GB of memory and seconds.

More servers, for one model, in this order:

1. Nobody waits longer than the limit, nor will by what answers take here: no call (half the limit once it was called for).
2. Some server that could answer has a free slot, is loading the model, has room for it, or, unless requests really have waited so long already, room by
   evicting what is idle: no call, the planner will find it.
3. Every one is busy or full, or there is none: a call.

One server less, those of a pool first, then the longest idle:

1. Somebody calls for more: none.
2. It has been idle for the limit, and others remain.
3. What is asked for lately, and is on its disk, is on a disk of those that remain, on a server that is large enough.
4. What only it has in memory fits into the free memory of those that remain.

At most one new server a look, so that the next look sees what is left.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Final

SCALE_OUT: Final = "scale_out"
SCALE_IN: Final = "scale_in"

RELIEVED: Final = 0.5
"""A call stands until the wait is below this part of the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What waits for a model on any server."""

    model_id: int
    model: str
    need_gb: float
    waiting: int
    oldest_s: float
    """How long the first has waited."""
    answer_s: float
    """How long an answer takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A server. `gb` is what models may take, `held_gb` what they take, `idle_gb` the part of that which could be evicted."""

    name: str
    pool: str = ""
    """Whoever handed it out; empty: a person."""
    well: bool = True
    gb: float
    held_gb: float = 0.0
    idle_gb: float = 0.0
    loading: int | None = None
    """The model that it loads now."""
    loads: bool = True
    """It can be told to load a model."""
    idle_s: float = 0.0
    """How long nothing was asked of it; 0 while it works."""
    offers: frozenset[int] = frozenset()
    """The models on its disk."""
    free: Mapping[int, int] = field(default_factory=dict)
    """Free slots, by loaded model."""
    slots: Mapping[int, int] = field(default_factory=dict)
    """All slots, by loaded model."""
    held: Mapping[int, float] = field(default_factory=dict)
    """GB in memory, by model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call for more servers or for one less. `candidate`: it is about a server that somebody may take away."""

    event: str
    subject: str
    text: str
    reason: Mapping[str, Any]
    server: str = ""
    candidate: bool = True


def calls(
    wants: Sequence[Want],
    machines: Sequence[Machine],
    lately: Mapping[int, float],
    standing: Collection[tuple[str, str]],
    *,
    wait_s: float,
    idle_s: float,
) -> tuple[Call, ...]:
    """What is called for now. `lately`: need in GB of the models that somebody asks for; `standing`: event and subject of earlier calls."""
    more = [call for want in sorted(wants, key=lambda w: w.model_id) if (call := _more(want, machines, standing, wait_s))]
    return tuple(more) if more else tuple(_less(machines, lately, standing, idle_s))


def budget_for(need_gb: float) -> int:
    """GB that a server should have for models, so that one of `need_gb` fits beside the headroom (see `memory.headroom_gb`)."""
    return ceil(need_gb / 0.8 if need_gb < 8 else need_gb + 2 if need_gb < 18 else need_gb / 0.9)


def _more(want: Want, machines: Sequence[Machine], standing: Collection[tuple[str, str]], limit_s: float) -> Call | None:
    subject = f"model:{want.model}"
    limit = limit_s * RELIEVED if (SCALE_OUT, subject) in standing else limit_s
    well = [m for m in machines if m.well]
    slots = sum(m.slots.get(want.model_id, 0) for m in well)
    expected_s = want.waiting * want.answer_s / slots if slots else 0.0
    if max(want.oldest_s, expected_s) <= limit:
        return None
    able = [m for m in well if want.model_id in m.offers and m.gb >= want.need_gb]
    if any(_open(want, m, patient=want.oldest_s <= limit) for m in able):
        return None
    missing = max(1, ceil(want.waiting * want.answer_s / limit_s) - slots)
    room = max((m.gb - m.held_gb for m in able), default=0.0)
    reason = {
        "model": want.model,
        "waiting": want.waiting,
        "oldest_s": round(want.oldest_s, 1),
        "expected_s": round(expected_s, 1),
        "servers": len(able),
        "missing_slots": missing,
        "missing_gb": round(max(0.0, want.need_gb - room), 1),
        "memory_gb": budget_for(want.need_gb),
    }
    who = f"all {len(able)} servers that could answer are busy or full" if able else "no server that is well can answer"
    text = f"{want.waiting} requests wait for {want.model}, the first for {want.oldest_s:.0f} s, and {who}"
    return Call(
        event=SCALE_OUT, subject=subject, text=f"{text}; a server with {reason['memory_gb']} GB for models would help", reason=reason
    )


def _open(want: Want, machine: Machine, *, patient: bool) -> bool:
    if machine.free.get(want.model_id, 0) > 0 or machine.loading == want.model_id:
        return True
    room = machine.gb - machine.held_gb + (machine.idle_gb if patient else 0.0)
    return machine.loads and machine.loading is None and want.model_id not in machine.held and room >= want.need_gb


def _less(machines: Sequence[Machine], lately: Mapping[int, float], standing: Collection[tuple[str, str]], limit_s: float) -> list[Call]:
    left = {m.name: m for m in machines if m.well}

    def order(machine: Machine) -> tuple[bool, bool, float, str]:
        return ((SCALE_IN, f"server:{machine.name}") not in standing, not machine.pool, -machine.idle_s, machine.name)

    found: list[Call] = []
    for machine in sorted(left.values(), key=order):
        new = (SCALE_IN, f"server:{machine.name}") not in standing
        others = [m for m in left.values() if m is not machine]
        if machine.idle_s < limit_s or not others or not _spared(machine, others, lately):
            continue
        del left[machine.name]
        held = sum(machine.held.values())
        text = f"{machine.name} has been idle for {machine.idle_s / 60:.0f} min, and the other servers can do its work"
        reason = {"idle_s": round(machine.idle_s), "held_gb": round(held, 1), "budget_gb": round(machine.gb, 1), "pool": machine.pool}
        found.append(
            Call(
                event=SCALE_IN,
                subject=f"server:{machine.name}",
                text=text,
                reason=reason,
                server=machine.name,
                candidate=bool(machine.pool),
            )
        )
        if new:
            break
    return found


def _spared(machine: Machine, others: Sequence[Machine], lately: Mapping[int, float]) -> bool:
    """Whether the others can do its work."""
    for model_id in machine.offers & lately.keys():
        if not any(model_id in m.offers and m.gb >= lately[model_id] for m in others):
            return False
    free = {m.name: m.gb - m.held_gb for m in others}
    for model_id, gb in sorted(machine.held.items(), key=lambda held: (-held[1], held[0])):
        if any(model_id in m.held for m in others):
            continue
        fitting = [m.name for m in others if model_id in m.offers and m.loads and free[m.name] >= gb]
        if not fitting:
            return False
        free[max(fitting, key=lambda name: (free[name], name))] -= gb
    return True
