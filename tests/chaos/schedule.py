"""What goes wrong, when and where, in one chaos run: a pure function of the seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

SERVERS: Final = 6
MACHINES: Final = 2
"""Clusters of workers, each as on a machine of its own."""

TROUBLED: Final = 3
"""So many servers have a lasting trouble at once, at most: the other half goes on."""

FIRST_S: Final = 1.0
"""The first trouble comes so long after the first request."""


class Kind(StrEnum):
    """What can happen. Those of a moment say so; all others last until they are mended."""

    STOP = "a server is switched off, and on again at the same address"
    HANG = "a server takes requests and never begins to answer them"
    STUCK = "a server does not answer whoever asks what it has"
    REFUSE = "a server wants another token; later its operator enters it"
    SLOW = "a server's disk gets slow"
    DRAIN = "an operator drains a server"
    CRASH = "the engine of a model crashes under the next answer (a moment)"
    GLITCH = "the next answers break off, each in one of many ways (a moment)"
    CANCEL = "the next load is cancelled by the server (a moment)"
    LOAD = "somebody else loads a model by hand (a moment)"
    UNLOAD = "somebody else unloads a model by hand, busy or not (a moment)"
    WORKER = "a worker is killed, and its cluster starts another (a moment)"
    MACHINE = "all processes of a cluster are killed, and a supervisor starts it anew"
    POSTGRES = "the database ends, by a crash or in order, and is started again"


OF_SERVERS: Final = (Kind.STOP, Kind.HANG, Kind.STUCK, Kind.REFUSE, Kind.SLOW, Kind.DRAIN)
OF_MOMENTS: Final = (Kind.CRASH, Kind.GLITCH, Kind.CANCEL, Kind.LOAD, Kind.UNLOAD)
OF_MACHINES: Final = (Kind.WORKER, Kind.MACHINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How long a run is and how much happens in it. Seconds; requests a second."""

    seconds: float
    gap_s: float
    """Between two troubles, on average."""
    lasts_s: float
    """A lasting trouble, on average."""
    rate: float
    calm_s: float
    """Within so long after the last trouble everything must be answered and well again."""


SIZES: Final[Mapping[str, Size]] = {
    "short": Size(seconds=14.0, gap_s=0.7, lasts_s=2.5, rate=10.0, calm_s=90.0),
    "small": Size(seconds=60.0, gap_s=1.0, lasts_s=4.0, rate=10.0, calm_s=120.0),
    "night": Size(seconds=7200.0, gap_s=2.0, lasts_s=8.0, rate=12.0, calm_s=180.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong `at` seconds after the start, for `lasts` seconds (0: a moment).

    `target` is the number of the server or machine; `choice` (0 … 1) decides what is left open, such as which model.
    """

    at: float
    kind: Kind
    target: int
    lasts: float
    choice: float

    @property
    def ends(self) -> float:
        return self.at + self.lasts

    def __str__(self) -> str:
        where = "" if self.kind is Kind.POSTGRES else f" {'machine' if self.kind in OF_MACHINES else 'server'} {self.target}"
        return f"{self.at:6.1f} s{where}: {self.kind}" + (f", for {self.lasts:.1f} s" if self.lasts else "")


def schedule(seed: int, size: Size) -> tuple[Trouble, ...]:
    """The troubles of a run in the order of their beginning; all of them have ended by `size.seconds`.

    Kinds are dealt from shuffled decks, so that each has come before any comes again; the database goes down once.
    """
    dice = Random(seed)
    deck: list[Kind] = []
    busy: dict[int, float] = {}
    down = 0.0
    found = [_outage(dice, size)]
    at = FIRST_S
    while at < size.seconds:
        if not deck:
            deck = [*OF_SERVERS, *OF_MOMENTS, *OF_MACHINES]
            dice.shuffle(deck)
        kind = deck.pop()
        lasts = min(size.lasts_s * dice.uniform(0.5, 1.5), size.seconds - at)
        target = dice.randrange(SERVERS)
        if kind in OF_SERVERS:
            troubled = [server for server, until in busy.items() if until > at]
            free = [server for server in range(SERVERS) if server not in troubled]
            if len(troubled) >= TROUBLED:
                deck.insert(0, kind)
                kind = dice.choice((Kind.GLITCH, Kind.LOAD, Kind.UNLOAD))
                lasts = 0.0
            else:
                target = dice.choice(free)
                busy[target] = at + lasts
        elif kind in OF_MACHINES:
            target = dice.randrange(MACHINES)
            if kind is Kind.MACHINE and at < down:
                kind = Kind.WORKER
            if kind is Kind.MACHINE:
                down = at + lasts
            else:
                lasts = 0.0
        else:
            lasts = 0.0
        found.append(Trouble(at=round(at, 3), kind=kind, target=target, lasts=round(lasts, 3), choice=dice.random()))
        at += size.gap_s * dice.uniform(0.5, 1.5)
    return tuple(sorted(found, key=lambda trouble: trouble.at))


def _outage(dice: Random, size: Size) -> Trouble:
    """The one time that the database is away: in the middle of everything."""
    at = size.seconds * dice.uniform(0.4, 0.6)
    return Trouble(at=round(at, 3), kind=Kind.POSTGRES, target=0, lasts=1.0, choice=dice.random())
