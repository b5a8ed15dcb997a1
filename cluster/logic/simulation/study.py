"""Several runs of one trace, to be compared: each strategy, and each with the fleet as it is and as it could be."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from cluster.logic import balancing
from cluster.logic.simulation.changes import change
from cluster.logic.simulation.run import Result, simulate
from cluster.logic.simulation.values import Fleet, Trace, TraceError
from cluster.logic.state import PlanPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: the strategy, whether the fleet was changed, and what came of it."""

    strategy: str
    case: Literal["base", "changed"]
    fleet: Fleet
    result: Result


def study(
    trace: Trace, strategies: Sequence[str], what_if: Sequence[str], clock: Callable[[], float], *, shares: bool = False
) -> list[Run]:
    """All runs: strategy by strategy, the base before the changed. Raises TraceError for a strategy or a change that makes no sense."""
    for name in strategies:
        try:
            balancing.find(name)
        except KeyError as exc:
            raise TraceError(str(exc.args[0])) from exc
    cases: list[tuple[Literal["base", "changed"], Fleet]] = [("base", trace.fleet)]
    if what_if:
        cases.append(("changed", change(trace.fleet, what_if)))
    return [
        Run(
            strategy=name,
            case=case,
            fleet=fleet,
            result=simulate(replace(trace, fleet=fleet), PlanPolicy(strategy=name), clock, shares=shares),
        )
        for name in strategies
        for case, fleet in cases
    ]


def document(name: str, trace: Trace, runs: Sequence[Run], what_if: Sequence[str], *, shares: bool) -> dict[str, Any]:
    """The JSON of a study. What differs from machine to machine stands alone, under `timing`."""
    return {
        "trace": {
            "name": name,
            "requests": len(trace.requests),
            "seconds": round(trace.requests[-1].t - trace.requests[0].t, 3),
            "warm_s": trace.fleet.warm_s,
            "servers": len(trace.fleet.servers),
            "models": len(trace.fleet.models),
        },
        "shares": shares,
        "what_if": list(what_if),
        "runs": [{"case": run.case, "servers": len(run.fleet.servers), **asdict(run.result.figures)} for run in runs],
        "timing": [{"strategy": run.strategy, "case": run.case, "planner_ms": asdict(run.result.timing.ms)} for run in runs],
    }
