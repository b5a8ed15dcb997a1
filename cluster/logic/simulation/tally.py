"""The figures of a run. Times are seconds; counted are the requests that came after the fleet's `warm_s`, loads over the whole run."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cluster.logic import fairness
from cluster.logic.simulation.queue import Job

LEAST_ANSWERS = 5
"""An entity with fewer answers says nothing about fairness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Half, 95 and 99 of a hundred values are at most so large; None without values."""

    p50: float | None
    p95: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """What became of the requests of one priority."""

    started: int
    rejected: int
    longest_wait_s: float
    """Of those that were started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of one run. `warm_percent`: requests whose model was in memory when they came; `fairness`: Jain's index over the mean
    response times of entities, 1 is equal; `served_least_percent`: the part that was served of the entity that was served least."""

    strategy: str
    requests: int
    started: int
    finished: int
    rejected: int
    rejected_percent: float
    response_s: Spread
    wait_s: Spread
    loads: int
    loads_per_1000: float
    gb_loaded: float
    gb_per_1000: float
    evictions: int
    unloads: int
    warm_percent: float
    fairness: float
    served_least_percent: float
    priorities: Mapping[int, Class]
    impossible: Mapping[str, str]
    """Models that no server could ever serve, and why."""
    planner_calls: int


@dataclass(slots=True)
class Tally:
    """The counts of a run while it runs."""

    warm_s: float
    all: int = 0
    finished: int = 0
    warm: int = 0
    loads: int = 0
    gb: float = 0.0
    evictions: int = 0
    unloads: int = 0
    responses: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    by_entity: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    """Seconds of response, answers, rejections."""
    by_priority: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0, 0.0]))
    """Started, rejected, the longest wait."""
    impossible: dict[str, str] = field(default_factory=dict)

    def arrived(self, job: Job) -> None:
        """One more request."""
        self.all += 1
        self.warm += job.warm and job.t >= self.warm_s

    def started(self, job: Job, now: float) -> None:
        """A request has begun."""
        if job.t >= self.warm_s:
            wait = now - job.t
            self.waits.append(wait)
            band = self.by_priority[job.priority]
            band[0] += 1
            band[2] = max(band[2], wait)

    def ended(self, job: Job, now: float) -> None:
        """A request is answered."""
        if job.t >= self.warm_s:
            self.responses.append(now - job.t)
            entity = self.by_entity[job.entity]
            entity[0] += now - job.t
            entity[1] += 1

    def rejected(self, job: Job) -> None:
        """A request was not begun in time, or can never be."""
        if job.t >= self.warm_s:
            self.by_entity[job.entity][2] += 1
            self.by_priority[job.priority][1] += 1

    def figures(self, strategy: str, calls: int) -> Figures:
        """The sum of it all."""
        started, rejected = len(self.waits), int(sum(band[1] for band in self.by_priority.values()))
        counted = started + rejected
        known = [(spent / answers, answers, lost) for spent, answers, lost in self.by_entity.values() if answers >= LEAST_ANSWERS]
        served = [answers / (answers + lost) for _, answers, lost in self.by_entity.values() if answers + lost >= LEAST_ANSWERS]
        return Figures(
            strategy=strategy,
            requests=counted,
            started=started,
            finished=len(self.responses),
            rejected=rejected,
            rejected_percent=_percent(rejected, counted),
            response_s=spread(self.responses),
            wait_s=spread(self.waits),
            loads=self.loads,
            loads_per_1000=round(1000 * self.loads / max(1, self.all), 3),
            gb_loaded=round(self.gb, 1),
            gb_per_1000=round(1000 * self.gb / max(1, self.all), 2),
            evictions=self.evictions,
            unloads=self.unloads,
            warm_percent=_percent(self.warm, counted),
            fairness=round(fairness.jain([mean for mean, _, _ in known]), 4),
            served_least_percent=_percent(min(served, default=1.0), 1),
            priorities={
                priority: Class(started=int(band[0]), rejected=int(band[1]), longest_wait_s=round(band[2], 3))
                for priority, band in sorted(self.by_priority.items())
            },
            impossible=dict(sorted(self.impossible.items())),
            planner_calls=calls,
        )


def spread(values: Sequence[float]) -> Spread:
    """The percentiles of values in any order."""
    ordered = sorted(values)

    def at(part: float) -> float | None:
        return round(ordered[min(len(ordered) - 1, int(part * len(ordered)))], 3) if ordered else None

    return Spread(p50=at(0.5), p95=at(0.95), p99=at(0.99))


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 3) if whole else 0.0
