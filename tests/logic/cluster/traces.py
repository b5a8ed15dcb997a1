"""Traces for tests: lines as a file would have them."""

import json
import random
from collections.abc import Iterable
from typing import Any

from cluster.logic.simulation.run import Result, simulate
from cluster.logic.simulation.trace import parse
from cluster.logic.state import PlanPolicy


def meta(**over: Any) -> str:
    """One server of 128 GB and one model of 40, loaded in 20 s."""
    values = {
        "servers": 1,
        "memory_gb": 128,
        "slots": 4,
        "load_gbps": 2.0,
        "tok_per_s": 25,
        "patience_s": 120,
        "models": {"big": 40},
    } | over
    return json.dumps({"meta": {name: value for name, value in values.items() if value is not None}})


def asked(t: float, model: str = "big", **over: Any) -> str:
    """A request for an answer of 3 s."""
    return json.dumps({"t": t, "model": model, "conversation": 1, "tokens": 75, "entity": 1} | over)


def busy(seed: int, *, servers: int = 2, models: int = 8, rate: float = 3.0, seconds: float = 600.0, **over: Any) -> list[str]:
    """More than fits into memory: few models wanted often, many rarely, answers of about 3 s."""
    dice = random.Random(seed)
    names = [f"m{number}" for number in range(models)]
    sizes = {name: dice.choice((17, 20, 29, 40, 45)) for name in names}
    weights = [1 / (number + 1) for number in range(models)]
    lines = [meta(servers=servers, models=sizes, **over)]
    t = 0.0
    while (t := t + dice.expovariate(rate)) < seconds:
        model = dice.choices(names, weights)[0]
        tokens = max(1, round(dice.lognormvariate(4.1, 0.6)))
        lines.append(asked(round(t, 4), model, tokens=tokens, entity=f"{model}/{dice.randrange(5)}", priority=dice.choice((30, 50, 70))))
    return lines


def ran(lines: Iterable[str], *, shares: bool = False, **policy: Any) -> Result:
    """The result of a run of these lines; the planner's clock stands still."""
    return simulate(parse(lines), PlanPolicy(**policy), lambda: 0.0, shares=shares)
