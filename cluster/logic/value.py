"""What a load is worth and what an eviction costs, counted in requests: how many would be served sooner, how many later.

A load earns the requests that wait (each the more the longer it has waited) and those that will come soon after; an eviction costs the
requests that will come for what goes. A load is made when it earns clearly more than it costs. The busier the disks are, the more
"clearly" asks for: then many requests share one load. Times are seconds, sizes GB, rates requests per second.
"""

from dataclasses import dataclass
from math import fsum, sqrt
from typing import Final

from cluster.logic.board import NOTHING, Board, Pressure
from cluster.logic.state import ModelView


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The constants, found by simulation over many workloads."""

    horizon_s: float = 60.0
    """A load is credited with the arrivals of so many seconds after it."""
    keep_s: float = 98.0
    """An eviction is charged the arrivals of so many seconds after it."""
    theta: float = 3.0
    """How many times its cost a load must earn while the disks are busy; 1 when they are idle."""
    age_s: float = 57.0
    """The wait at which a request counts double; its square law makes it five times at twice that."""
    late: float = 4.0
    """Extra weight just before the deadline, where the disks have all the time they need."""
    lost: float = 4.0
    """It is gone where they would need so many times the time there is."""
    price: float = 1.2
    """What a GB from a busy disk must earn when it displaces something."""
    price_copy: float = 0.4
    """The same for one more copy for a queue that will pass."""
    price_free: float = 0.2
    """The same where nothing of worth goes, and for a copy that is needed for good."""
    spare: float = 0.05
    """What costs less is nothing of worth."""
    quiet: float = 3.0
    """What nobody has asked for since t seconds is believed to be asked for at most so many times in the next t."""
    usual_gb_per_s: float = 2.0
    """The speed of loading at which the prices and the worth of what goes are meant; where loads are quicker, a mistake costs less."""
    usual_rate: float = 1.0
    """The requests a second of each server from which on they are meant: a busy disk keeps so many others waiting while it loads."""
    target: float = 1.0
    """Occupancy of all slots above which one more copy is worth displacing something."""
    air: float = 0.2
    """How much less than that a single copy should be occupied; two copies half as much less, and so on."""
    target_free: float = 0.9
    """The same where nothing of worth goes."""
    backlog: float = 0.4
    """One more copy only if the queue lasts longer than this part of its load."""
    absorb: float = 0.3
    """The part of the load's duration in which the copies there are believed to work the queue off."""
    disk_low: float = 0.02
    """Up to this share of their time the disks count as idle."""
    disk_high: float = 0.15
    """From this share on they count as busy."""
    disk_calm: float = 0.05
    """From this share on, nothing is evicted that is worth nearly as much."""
    lasting: float = 0.5
    """From this part of a copy on, long-run work counts as needing it for good."""


KNOBS: Final = Knobs()
TOP: Final = 8
"""So many wishes are weighed in one plan, the best first; the next plan sees the rest."""
CHANCE: Final = 4.0
"""The square of how many standard deviations a queue must be above what chance makes of it to prove something."""


def strain(disk: float, knobs: Knobs) -> float:
    """How scarce the disks are, 0 … 1, from the share of their time that they were loading."""
    return min(1.0, max(0.0, (disk - knobs.disk_low) / (knobs.disk_high - knobs.disk_low)))


def reluctance(disk: float, knobs: Knobs) -> float:
    """How many times its cost an eviction must earn: 1 while the disks are idle, soon more, or models would go to and fro."""
    return 1.0 + (knobs.theta - 1.0) * min(1.0, disk / knobs.disk_calm)


def crowd(board: Board, knobs: Knobs) -> float:
    """How much a busy disk keeps from others, 0 … 1: where few requests come, hardly anybody waits behind a load."""
    if board.crowd is None:
        servers = sum(1 for server in board.state.servers.values() if server.well)
        board.crowd = sum(model.rate for model in board.state.models.values()) / max(1, servers)
    return min(1.0, board.crowd / knobs.usual_rate)


def cycle(board: Board, knobs: Knobs) -> float:
    """How long, in seconds, the disks would take to load all that is nowhere, as far as it will soon be asked for."""
    if board.cycle is None:
        pace = sum([server.gb_per_s for server in board.state.servers.values() if server.well])
        away = [(m.rate * knobs.keep_s, m.need_gb) for m in board.state.models.values() if not board.there(m.id)]
        board.cycle = fsum([gb * min(1.0, soon) for soon, gb in away]) / pace if pace else 0.0
    return board.cycle


def mercy(debt: float, knobs: Knobs) -> float:
    """The extra weight just before the deadline. `debt`: the part of the time until then that it takes to load what everybody waits for.

    The more of them miss it whatever is loaded, the less it matters who does: then what serves most for each GB comes first.
    """
    return knobs.late * max(0.0, 1.0 - debt / knobs.lost)


def toil(gb_per_s: float, knobs: Knobs) -> float:
    """How much a load costs on a server of such a speed, against the usual one."""
    return min(1.0, knobs.usual_gb_per_s / gb_per_s)


def weight(priority: int) -> float:
    """How much a request of a priority counts: 4 for 0, 1 for 50, a quarter for 99."""
    return float(2.0 ** ((50 - priority) / 25))


def first(model: ModelView, pressure: Pressure, load_s: float, now: float, cycle_s: float, knobs: Knobs) -> float:
    """What the first instance earns: who waits and will still be there when it is loaded, who comes meanwhile and soon after."""
    queue = float(pressure.waiting)
    if not queue:
        return 0.0
    oldest = max(0.0, now - pressure.oldest)
    patience = pressure.deadline - pressure.oldest
    if now + load_s > pressure.deadline:
        queue -= pressure.timed * (1.0 - _saved(pressure, now + load_s, now))
        if queue <= 0:
            return 0.0
    soon = min(patience, oldest + load_s)
    urgency = (
        1.0 + (soon / knobs.age_s) ** 2 + mercy(cycle_s / max(patience, 1.0), knobs) * (soon / patience if soon < patience else 1.0) ** 8
    )
    return (queue + model.rate * (load_s + knobs.horizon_s)) * urgency * weight(pressure.priority)


def _saved(pressure: Pressure, then: float, now: float) -> float:
    """Which part, 0 … 1, of those with a deadline is still there `then`: deadlines are spread evenly from the soonest to the last."""
    latest = pressure.latest or now + pressure.deadline - pressure.oldest
    if pressure.waiting == 1 or latest <= then:
        return 0.0
    return (latest - then) / (latest - pressure.deadline)


def proven(model: ModelView, pressure: Pressure, now: float) -> float:
    """Requests a second of a model, where what was learned lags behind: all who wait have come since the oldest of them came.

    Less what chance may add to that, two standard deviations; and not over less time than two answers take, or a few at once would be many.
    """
    if pressure.waiting <= CHANCE:
        return model.rate
    since = max(now - pressure.oldest, 2.0 * model.answer_s)
    return max(model.rate, (pressure.waiting - sqrt(CHANCE * pressure.waiting)) / since)


def wanted(model: ModelView, copies: int, target: float, knobs: Knobs, rate: float | None = None) -> float:
    """How many copies the long-run work of a model asks for that has so many: few slots need more air than many, or a queue forms."""
    return (model.rate if rate is None else rate) * model.answer_s / model.slots / (target * (1.0 - knobs.air / max(1, copies)))


def spare(model: ModelView, copies: int, target: float, knobs: Knobs) -> int:
    """How many of its copies a model could do without for long, and still have half a copy more than it needs."""
    work, left = model.rate * model.answer_s / model.slots, copies
    while left > 1 and work / (target * (1.0 - knobs.air / (left - 1))) <= left - 1.5:  # the same as `wanted`
        left -= 1
    return copies - left


def more(model: ModelView, copies: int, pressure: Pressure, load_s: float, now: float, knobs: Knobs, target: float) -> float:
    """What one more copy earns: the long-run work that the others cannot carry, and the queue they cannot work off before it is there."""
    rate = proven(model, pressure, now)
    want = wanted(model, copies, target, knobs, rate)
    pace = copies * model.slots / model.answer_s
    if pressure.waiting <= knobs.backlog * load_s * pace and want <= copies:
        return 0.0
    if not pressure.waiting and want - copies < knobs.lasting:
        return 0.0
    short = min(1.0, max(0.0, want - copies))
    left = max(0.0, pressure.waiting - pace * load_s * knobs.absorb)
    oldest = max(0.0, now - pressure.oldest) if pressure.waiting else 0.0
    earned = short * rate * knobs.horizon_s / (copies + 1) + left
    return earned * (1.0 + (oldest / knobs.age_s) ** 2) * weight(pressure.priority if pressure.waiting else 50)


def worth(board: Board, model_id: int, knobs: Knobs) -> float:
    """What is lost when one copy of a model goes: all soon arrivals for the last one, next to nothing for one too many."""
    known = board.worths.get(model_id)
    if known is None:
        waiting = board.pressure.get(model_id, NOTHING).waiting
        known = board.worths[model_id] = _worth(board.state.models[model_id], board.copies(model_id), waiting, knobs)
    return known


def _worth(model: ModelView, copies: int, waiting: int, knobs: Knobs) -> float:
    soon = (model.rate + model.mention) * knobs.keep_s
    if copies <= 1:
        return soon + waiting
    short = wanted(model, copies - 1, knobs.target, knobs) - (copies - 1)
    if short <= 0 and not waiting:
        return 1e-3 + 1e-3 * model.rate
    return min(1.0, max(short, 0.0)) * soon / copies + waiting


def loss(board: Board, model_id: int, room_gb: float, elsewhere: int, knobs: Knobs) -> float:
    """What is lost when a copy of a model goes, and so much room is elsewhere: its worth, or less where the last one only has to move there."""
    value, model = worth(board, model_id, knobs), board.state.models[model_id]
    if model.need_gb > room_gb or value <= 1.0 or board.copies(model_id) > 1 or elsewhere not in board.state.offers.get(model_id, ()):
        return value
    return min(value, moved(board, model, knobs))


def moved(board: Board, model: ModelView, knobs: Knobs) -> float:
    """What is lost when a model is loaded on another server instead: who comes meanwhile, and the work of that disk."""
    load_s = model.need_gb / knobs.usual_gb_per_s
    dear = knobs.price * strain(board.state.disk, knobs) * crowd(board, knobs) * model.need_gb
    return 1.0 + (model.rate + model.mention) * load_s + dear + board.pressure.get(model.id, NOTHING).waiting
