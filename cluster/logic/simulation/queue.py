"""What waits, as the planner sees it: aggregates per (model, pin), kept up to date one request at a time."""

from collections import defaultdict, deque
from collections.abc import Iterable
from heapq import heappop, heappush

from cluster.logic import fairness
from cluster.logic.state import Demand

AGEING_S = 3.0
"""What one step of priority weighs against waiting, as in the cluster's policy."""


class UnsoundPlanError(Exception):
    """The planner asked for what no server can do: a mistake in the planner, not in the trace."""


class Job:
    """One request on its way. `warm`: its model was in memory when it came."""

    __slots__ = ("begun", "entity", "model_id", "number", "pin_id", "priority", "share", "t", "tokens", "turn", "waiting", "warm")

    def __init__(self, *, number: int, t: float, model_id: int, tokens: float, entity: str, priority: int, pin_id: int | None) -> None:
        self.number, self.t, self.model_id, self.tokens = number, t, model_id, tokens
        self.entity, self.priority, self.pin_id = entity, priority, pin_id
        self.share = self.turn = self.begun = t
        self.waiting = self.warm = False


class Line:
    """Who waits for one model on one server or on any: first by turn, and known by age."""

    __slots__ = ("ages", "model_id", "pin_id", "priorities", "turns", "waiting")

    def __init__(self, model_id: int, pin_id: int | None) -> None:
        self.model_id, self.pin_id, self.waiting = model_id, pin_id, 0
        self.turns: list[tuple[float, int, Job]] = []
        self.ages: deque[Job] = deque()
        self.priorities: dict[int, int] = {}

    def add(self, job: Job) -> None:
        """One more waits."""
        job.waiting = True
        self.waiting += 1
        heappush(self.turns, (job.turn, job.number, job))
        self.ages.append(job)
        self.priorities[job.priority] = self.priorities.get(job.priority, 0) + 1

    def _leave(self, job: Job) -> Job:
        job.waiting = False
        self.waiting -= 1
        left = self.priorities[job.priority] - 1
        if left:
            self.priorities[job.priority] = left
        else:
            del self.priorities[job.priority]
        return job

    def pop(self) -> Job:
        """The one whose turn it is. Raises UnsoundPlanError if nobody waits."""
        while self.turns:
            job = heappop(self.turns)[2]
            if job.waiting:
                return self._leave(job)
        raise UnsoundPlanError("A seat for somebody who does not wait.")

    def clear(self) -> list[Job]:
        """All of them; they wait no longer."""
        return self.expired(float("inf"))

    def expired(self, limit: float) -> list[Job]:
        """Those that came before `limit`; they wait no longer."""
        gone = []
        while self.ages and (not self.ages[0].waiting or self.ages[0].t < limit):
            job = self.ages.popleft()
            if job.waiting:
                gone.append(self._leave(job))
        return gone

    def demand(self, patience_s: float) -> Demand:
        """The aggregate; somebody waits, and `expired` was asked before."""
        while not self.turns[0][2].waiting:
            heappop(self.turns)
        head, oldest = self.turns[0][2], self.ages[0].t
        return Demand(
            model_id=self.model_id,
            pin_id=self.pin_id,
            waiting=self.waiting,
            priority=min(self.priorities),
            turn=head.turn,
            oldest=oldest,
            deadline=oldest + patience_s,
            caller=head.entity,
        )


class Queue:
    """Every line, and with `shares` the fair shares of those who ask; without, turns go by arrival and priority alone."""

    def __init__(self, patience_s: float, *, shares: bool) -> None:
        self.patience_s, self.shares = patience_s, shares
        self.lines: dict[int, dict[int | None, Line]] = defaultdict(dict)
        self.charged: dict[str, float] = {}
        self._queued: defaultdict[str, deque[Job]] = defaultdict(deque)

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return any(line.waiting for lines in self.lines.values() for line in lines.values())

    def waits(self, model_id: int) -> bool:
        """Whether anybody waits for a model."""
        return any(line.waiting for line in self.lines[model_id].values())

    def line(self, model_id: int, pin_id: int | None) -> Line:
        """The line of a (model, pin)."""
        lines = self.lines[model_id]
        if pin_id not in lines:
            lines[pin_id] = Line(model_id, pin_id)
        return lines[pin_id]

    def add(self, job: Job, answer_s: float) -> Line:
        """Give a request its turn and its place. `answer_s`: what its answer is taken to cost."""
        if self.shares:
            queued, limit = self._queued[job.entity], job.t - self.patience_s
            while queued and not (queued[-1].waiting and queued[-1].t >= limit):
                queued.pop()
            backlog = queued[-1].share if queued else None
            job.share = fairness.share(job.t, backlog, self.charged.get(job.entity), answer_s, 1.0)
            queued.append(job)
        job.turn = fairness.turn(job.share, job.priority, AGEING_S)
        line = self.line(job.model_id, job.pin_id)
        line.add(job)
        return line

    def charge(self, entity: str, now: float, seconds: float) -> None:
        """Put a load on the account of the one it is done for."""
        self.charged[entity] = fairness.charge(now, self.charged.get(entity), seconds, 1.0)

    def expired(self, now: float, models: Iterable[int] | None = None) -> list[Job]:
        """Those who have waited too long for these models (None: for any); they wait no longer."""
        limit = now - self.patience_s
        chosen = self.lines.values() if models is None else [self.lines[model_id] for model_id in models]
        return [job for lines in chosen for line in lines.values() for job in line.expired(limit)]

    def demand(self, models: Iterable[int] | None = None) -> list[Demand]:
        """What waits for these models (None: for any)."""
        chosen = self.lines.values() if models is None else [self.lines[model_id] for model_id in models]
        return [line.demand(self.patience_s) for lines in chosen for line in lines.values() if line.waiting]
