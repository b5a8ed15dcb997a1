"""What-if: a fleet with something changed.

::

    add server 192GB        one more server, otherwise like the others
    remove NAME             without this server
    memory NAME 96          this server with so many GB for models
    move MODEL NAME         this model on this server and nowhere else
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cluster.logic.simulation.values import Fleet, Machine, TraceError

FORMS: Final = "'add server 192GB', 'remove NAME', 'memory NAME 96' or 'move MODEL NAME'"
_GB: Final = r"(\d+(?:\.\d+)?)\s*(?:gb)?"
_ADD: Final = re.compile(rf"add\s+server\s+{_GB}", re.IGNORECASE)
_REMOVE: Final = re.compile(r"remove\s+(.+)", re.IGNORECASE)
_MEMORY: Final = re.compile(rf"memory\s+(.+?)\s+{_GB}", re.IGNORECASE)
_MOVE: Final = re.compile(r"move\s+(\S+)\s+(.+)", re.IGNORECASE)


def change(fleet: Fleet, sentences: Sequence[str]) -> Fleet:
    """The fleet after all changes, in their order. Raises TraceError for one that makes no sense here."""
    for sentence in sentences:
        fleet = _one(fleet, sentence.strip())
    return fleet


def _one(fleet: Fleet, text: str) -> Fleet:
    if found := _ADD.fullmatch(text):
        return replace(fleet, servers=(*fleet.servers, _another(fleet, _gb(found[1], text))))
    if found := _REMOVE.fullmatch(text):
        gone = _server(fleet, found[1], text)
        if len(fleet.servers) == 1:
            raise TraceError(f"{text!r}: it is the last server; nothing would be left to simulate.")
        return replace(fleet, servers=tuple(one for one in fleet.servers if one is not gone))
    if found := _MEMORY.fullmatch(text):
        old = _server(fleet, found[1], text)
        new = replace(old, memory_gb=_gb(found[2], text))
        return replace(fleet, servers=tuple(new if one is old else one for one in fleet.servers))
    if found := _MOVE.fullmatch(text):
        if found[1] not in fleet.models:
            raise TraceError(f"{text!r}: there is no model {found[1]!r} in the trace; it has {', '.join(fleet.models)}.")
        return replace(fleet, homes={**fleet.homes, found[1]: _server(fleet, found[2], text).name})
    raise TraceError(f"{text!r} is no change that is understood; say {FORMS}.")


def _gb(text: str, sentence: str) -> float:
    if float(text) <= 0:
        raise TraceError(f"{sentence!r}: a server has more than 0 GB.")
    return float(text)


def _server(fleet: Fleet, name: str, sentence: str) -> Machine:
    for one in fleet.servers:
        if one.name == name:
            return one
    raise TraceError(f"{sentence!r}: there is no server {name!r}; there are {', '.join(one.name for one in fleet.servers)}.")


def _another(fleet: Fleet, gb: float) -> Machine:
    """A server as the meta describes them; a model runs there as fast as it does on average elsewhere."""
    known: dict[str, list[float]] = {}
    for one in fleet.servers:
        for model, speed in one.speeds.items():
            known.setdefault(model, []).append(speed)
    taken = {one.name for one in fleet.servers}
    name = next(name for index in range(1, len(taken) + 2) if (name := f"added-{index}") not in taken)
    speeds = {model: sum(each) / len(each) for model, each in known.items()}
    return replace(fleet.template, name=name, memory_gb=gb, region=fleet.region, speeds=speeds)
