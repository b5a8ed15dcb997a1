"""The format of traces: JSON lines, first the meta, then one request each.

::

    {"meta": {"servers": 8, "memory_gb": 128, "slots": 4, "load_gbps": 2.0, "tok_per_s": 25, "patience_s": 120, "models": {"m0": 40}}}
    {"t": 0.8123, "model": "m0", "conversation": 17, "tokens": 75, "entity": 3, "priority": 50}

`servers` is a number, or a list of objects with `name` and whatever differs from the meta: `memory_gb`, `slots`, `load_gbps`, `tok_per_s`,
`region`, and `speeds` (tokens a second of single models). The meta may have `warm_s` and `region`, a request `pin` (a server's name);
`entity`, `priority` and `conversation` may be left out. Anything else is passed over.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard

from cluster.logic.simulation.values import Fleet, Machine, Request, Trace, TraceError

MOST_SERVERS: Final = 10_000
PRIORITY: Final = 50
LAST_PRIORITY: Final = 99


def parse(lines: Iterable[str]) -> Trace:
    """A trace from its lines. Raises TraceError with the number of the line that is wrong."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    number, first = next(numbered, (1, ""))
    if not first:
        raise TraceError('The trace is empty: its first line must be {"meta": {…}}.')
    fleet = _fleet(_object(first, number), number)
    models = {name: index for index, name in enumerate(fleet.models)}
    servers = {server.name for server in fleet.servers}
    requests: list[Request] = []
    last = -math.inf
    for number, line in numbered:
        request = _request(_object(line, number), models, servers, number)
        if request.t < last:
            raise _wrong(number, f"t goes back from {last:g} to {request.t:g}; sort the requests by t")
        last = request.t
        requests.append(request)
    if not requests:
        raise TraceError("The trace has a meta and no requests: nothing can be simulated.")
    return Trace(fleet=fleet, requests=requests)


def machines(given: Any, template: Machine, number: int = 1) -> tuple[Machine, ...]:
    """The servers from their number or from a list of objects; what an object leaves out is as in the template."""
    if isinstance(given, int) and not isinstance(given, bool):
        if not 1 <= given <= MOST_SERVERS:
            raise _wrong(number, f"servers is {given}; say 1 to {MOST_SERVERS}, or list them")
        return tuple(_renamed(template, f"server-{index}") for index in range(1, given + 1))
    if not isinstance(given, list) or not given:
        raise _wrong(number, "servers must be a number or a list of objects with name and memory_gb")
    found = tuple(_machine(one, index, template, number) for index, one in enumerate(given, 1))
    names = [machine.name for machine in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _wrong(number, f"two servers are called {twice!r}; give each a name of its own")
    return found


def _renamed(template: Machine, name: str) -> Machine:
    return Machine(
        name=name, memory_gb=template.memory_gb, load_gbps=template.load_gbps, tok_per_s=template.tok_per_s, slots=template.slots
    )


def _machine(one: Any, index: int, template: Machine, number: int) -> Machine:
    if not isinstance(one, dict):
        raise _wrong(number, f"server {index} of the list is no object with name and memory_gb")
    name = one.get("name", f"server-{index}")
    if not isinstance(name, str) or not name:
        raise _wrong(number, f"the name of server {index} is no text")
    speeds = one.get("speeds", {})
    if not isinstance(speeds, dict):
        raise _wrong(number, f"speeds of {name} must be an object of models and their tokens a second")
    return Machine(
        name=name,
        memory_gb=_positive(one, "memory_gb", number, template.memory_gb, f" of {name}"),
        load_gbps=_positive(one, "load_gbps", number, template.load_gbps, f" of {name}"),
        tok_per_s=_positive(one, "tok_per_s", number, template.tok_per_s, f" of {name}"),
        slots=_slots(one, number, template.slots, f" of {name}"),
        region=_text(one, "region", number),
        speeds={str(model): _positive(speeds, model, number, None, f" in the speeds of {name}") for model in speeds},
    )


def _fleet(document: Mapping[str, Any], number: int) -> Fleet:
    meta = document.get("meta")
    if not isinstance(meta, dict):
        raise _wrong(number, 'there is no meta; the first line must be {"meta": {"servers": …, "memory_gb": …, "models": {…}, …}}')
    for name in ("servers", "models"):
        if name not in meta:
            raise _wrong(number, f"the meta has no {name}")
    listed = meta["servers"] if isinstance(meta["servers"], list) else []
    # Where every server of a list says it itself, the meta need not.
    least = {
        name: min((one[name] for one in listed if isinstance(one, dict) and _number(one.get(name))), default=None)
        if listed and all(isinstance(one, dict) and name in one for one in listed)
        else None
        for name in ("memory_gb", "load_gbps", "tok_per_s", "slots")
    }
    template = Machine(
        name="",
        memory_gb=_positive(meta, "memory_gb", number, least["memory_gb"]),
        load_gbps=_positive(meta, "load_gbps", number, least["load_gbps"]),
        tok_per_s=_positive(meta, "tok_per_s", number, least["tok_per_s"]),
        slots=_slots(meta, number, least["slots"]),
    )
    models = meta["models"]
    if not isinstance(models, dict) or not models:
        raise _wrong(number, "models must be an object of names and sizes in GB")
    warm = meta.get("warm_s", 0.0)
    if not _number(warm) or warm < 0:
        raise _wrong(number, f"warm_s is {warm!r}; say how many seconds at the start are not counted")
    return Fleet(
        servers=machines(meta["servers"], template, number),
        models={name: _positive(models, name, number, None, " among the models") for name in models},
        patience_s=_positive(meta, "patience_s", number, None),
        warm_s=float(warm),
        region=_text(meta, "region", number),
        template=template,
    )


def _request(one: Mapping[str, Any], models: Mapping[str, int], servers: set[str], number: int) -> Request:
    model, t, tokens, priority = one.get("model"), one.get("t"), one.get("tokens"), one.get("priority", PRIORITY)
    if not isinstance(model, str) or model not in models:
        known = f"; it has {', '.join(list(models)[:5])}{', …' if len(models) > 5 else ''}"
        raise _wrong(number, f"the model {model!r} is not in the meta: add it to models with its size in GB{known}")
    if not _number(t):
        raise _wrong(number, f"t is {t!r}; say when the request came, in seconds since the start")
    if not _number(tokens) or tokens < 0:
        raise _wrong(number, f"tokens is {tokens!r}; say how many the answer has, 0 or more")
    if not isinstance(priority, int) or not 0 <= priority <= LAST_PRIORITY:
        raise _wrong(number, f"priority is {priority!r}; say a whole number from 0 (first) to {LAST_PRIORITY}")
    pin = _text(one, "pin", number)
    if pin and pin not in servers:
        raise _wrong(number, f"pin names the server {pin!r}, which the meta does not list")
    return Request(t=float(t), model=models[model], tokens=float(tokens), entity=str(one.get("entity", "")), priority=priority, pin=pin)


def _object(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as exc:
        raise _wrong(number, f"this is no JSON ({exc}); each line must be one object") from exc
    if not isinstance(found, dict):
        raise _wrong(number, "this is JSON, but no object: each line must be {…}")
    return found


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _positive(one: Mapping[str, Any], name: str, number: int, otherwise: float | None, where: str = "") -> float:
    value = one.get(name, otherwise)
    if value is None:
        raise _wrong(number, f"the meta has no {name}{where}")
    if not _number(value) or value <= 0:
        raise _wrong(number, f"{name}{where} is {value!r}; say a number above 0")
    return float(value)


def _slots(one: Mapping[str, Any], number: int, otherwise: float | None, where: str = "") -> int:
    value = one.get("slots", otherwise)
    if value is None:
        raise _wrong(number, "the meta has no slots: how many answers one loaded model gives at once")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(number, f"slots{where} is {value!r}; say a whole number from 1")
    return value


def _text(one: Mapping[str, Any], name: str, number: int) -> str:
    value = one.get(name) or ""
    if not isinstance(value, str):
        raise _wrong(number, f"{name} is {value!r}; say a text")
    return value


def _wrong(number: int, text: str) -> TraceError:
    return TraceError(f"Line {number}: {text}.")
