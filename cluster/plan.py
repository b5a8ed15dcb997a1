"""Step 5: read what waits and what is loaded, and let the planner decide. Reads rows, writes nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from cluster import sight
from cluster.catalogue import Catalogue
from cluster.lmstudio.dialects import at_most, fixed
from cluster.logic import breaker, preload
from cluster.logic.decision import Plan
from cluster.logic.learning import corrected
from cluster.logic.lifecycle import PlacementState, ServerState
from cluster.logic.memory import headroom_gb
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, ModelView, PlacementView, PlanPolicy, ServerView
from cluster.models import ClusterPolicy, Server
from cluster.sight import WAITING, Sight
from swwbot_site.lib.written import Rows

USUAL_SLOTS = 4
"""Answers at once that a model is believed to allow before it was ever loaded: the default of LM Studio 0.4."""

REST = timedelta(seconds=8)
"""While nothing waits, a plan is made so often, for what is to be loaded early or to leave; and whenever PLAN rings."""


def rests(planned_at: datetime | None, now: datetime) -> bool:
    """Whether some engine has made a plan so lately that none is needed while nothing waits."""
    return planned_at is not None and timedelta() <= now - planned_at < REST


def demand(now: datetime, found: Rows | None = None) -> list[Demand]:
    """What waits, per (model, pin, server to avoid): one row each, however many users there are."""
    return [
        Demand(
            model_id=model,
            pin_id=pin,
            avoid_id=avoid,
            waiting=n,
            priority=best,
            turn=turn.timestamp(),
            oldest=oldest.timestamp(),
            deadline=_at(soonest),
            latest=_at(latest),
            timed=timed,
        )
        for model, pin, avoid, n, best, turn, oldest, soonest, latest, timed in (WAITING.rows(now=now) if found is None else found)
    ]


def view(server: Server, policy: ClusterPolicy, spent: float = 0.0, gb_per_s: float | None = None) -> ServerView:
    """A server as the planner sees it. `spent` is what its answers have cost today."""
    poor = server.daily_budget is not None and spent >= server.daily_budget
    usable = server.enabled and not server.draining
    known: dict[str, Any] = {} if gb_per_s is None else {"gb_per_s": gb_per_s}
    return ServerView(
        id=server.pk,
        name=server.name,
        budget_gb=server.budget_gb - headroom_gb(server.budget_gb),
        well=usable and server.state == ServerState.ONLINE and not poor,
        usable=usable,
        draining=server.enabled and server.draining,
        why_not=_why_not(server, poor, spent),
        max_models=server.max_models or at_most(server.spoken),  # beyond that it would evict by itself
        formats=tuple(server.formats),
        preferred=tuple(str(m).lower() for m in server.preferred_models),
        weight=server.weight,
        far=bool(policy.region) and server.region != policy.region,
        **known,
    )


def _why_not(server: Server, poor: bool, spent: float) -> str:
    if not server.enabled:
        return "is disabled"
    if server.draining:
        return "is draining"
    if poor:
        return f"has spent its budget of the day ({spent:.2f} of {server.daily_budget:.2f})"
    return f"is {server.state} ({server.state_reason})"


def read(now: datetime, policy: ClusterPolicy, catalogue: Catalogue, found: Sight | None = None) -> ClusterState:
    """The cluster's rows as the planner's values: as they were `found`, otherwise as they are."""
    seen = found or sight.look(now)
    servers = catalogue.known(seen.servers)
    slots: defaultdict[int, int] = defaultdict(int)
    placements = _placements(now, policy, servers, catalogue, slots, seen.placed)
    return ClusterState(
        servers=[view(s, policy, catalogue.spent.get(s.pk, 0.0), catalogue.gb_per_s.get(s.pk)) for s in servers.values()],
        models=_models(now, policy, slots, catalogue, seen.models),
        placements=placements,
        offers=catalogue.offers,
        disk=policy.disk_busy,
    )


def _models(now: datetime, policy: ClusterPolicy, slots: dict[int, int], catalogue: Catalogue, rows: Rows) -> dict[int, ModelView]:
    counted = policy.rates_at or now
    age = (counted - policy.rates_since).total_seconds() if policy.rates_since else 0.0
    moment = now.timestamp()
    awaited = {row[6]: _at(row[7]) for row in rows if row[6] and not row[8]}
    return {
        pk: ModelView(
            id=pk,
            key=key,
            need_gb=size,
            slots=slots.get(pk) or USUAL_SLOTS,
            rate=corrected(rate, age) if rate else 0.0,
            usual=usual,
            mention=preload.mention(expected.timestamp() if expected else None, moment),
            successor_id=successor if replaced else None,
            wanted_since=awaited.get(pk),
            **({"answer_s": answer} if (answer := catalogue.answer_s.get(pk)) else {}),
        )
        for pk, key, size, rate, usual, expected, successor, _, replaced in rows
    }


def _placements(
    now: datetime, policy: ClusterPolicy, servers: dict[int, Server], catalogue: Catalogue, most: defaultdict[int, int], rows: Rows
) -> list[PlacementView]:
    """What is in memory, or on its way in or out; in `most`, by model, the slots of an instance, also while not all of them are open."""
    moment = now.timestamp()
    found = []
    for pk, server_id, model_id, state, gb, slots, pinned, served, failures, dismissed, n, since, used, rest in rows:
        server = servers.get(server_id)
        if server is None:
            continue  # removed between two queries
        most[model_id] = max(most[model_id], slots)
        some = breaker.ramp(slots, _at(server.returned_at), moment, policy.return_s)
        some = breaker.crashed(some, catalogue.crashed.get((server_id, model_id)), moment)
        found.append(
            PlacementView(
                id=pk,
                server_id=server_id,
                model_id=model_id,
                state=PlacementState(state),
                gb=gb,
                slots=breaker.open_slots(some, failures, rest, moment, n),
                in_flight=n,
                pinned=pinned or (server_id, model_id) in catalogue.kept or fixed(server.spoken),  # such a server has nothing to unload
                since=since,
                used_at=used,
                served=served,
                dismissed=dismissed,
            )
        )
    return found


def _at(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


def swapped(waiting: Iterable[Demand], state: ClusterState) -> list[Demand]:
    """The demand without what waits for a replaced model: it is about to wait for the successor, unless only one server may answer it."""
    return [need for need in waiting if need.pin_id is not None or state.models[need.model_id].successor_id is None]


def awaited(state: ClusterState) -> list[Demand]:
    """A demand for each model that is to take another's place and is nowhere yet: as if one request had waited for it since the swap."""
    return [
        Demand(model_id=model.id, waiting=1, turn=model.wanted_since, oldest=model.wanted_since, caller="swap")
        for model in state.models.values()
        if model.wanted_since is not None and not any(state.servers[p.server_id].well for p in state.by_model.get(model.id, ()))
    ]


def policy_view(policy: ClusterPolicy) -> PlanPolicy:
    """The part of the policy that plans depend on."""
    return PlanPolicy(
        strategy=policy.strategy,
        min_residency_s=policy.min_residency_s,
        unload_delay_s=policy.unload_delay_s,
        keep_models_loaded=policy.keep_models_loaded,
        overdue_s=policy.overdue_s,
        preload=policy.preload,
    )


def propose(wants: Mapping[int, int], policy: ClusterPolicy, now: datetime, catalogue: Catalogue, seen: Sight) -> Plan:
    """The plan as if `wants` waited as well, behind everybody: so many requests by model, none of which others wait for.

    What it says of others, and of loads, is not for whoever only wants seats.
    """
    catalogue.refresh(now, seen.cooling)
    state = read(now, policy, catalogue, seen)
    moment = now.timestamp()
    needs = [Demand(model_id=model, waiting=n, turn=moment, oldest=moment) for model, n in wants.items() if model in state.models]
    waiting = [*demand(now, seen.waiting), *needs]
    return plan(state, swapped(waiting, state), policy_view(policy), moment, None, catalogue.strategies)


def decide(
    policy: ClusterPolicy, now: datetime, capacity: int | None = None, catalogue: Catalogue | None = None, found: Sight | None = None
) -> Plan:
    """The plan for this moment. `catalogue` is what an engine remembers of the offers; what it says is impossible is read anew."""
    known, seen = catalogue or Catalogue(), found or sight.look(now)
    known.refresh(now, seen.cooling)
    state = read(now, policy, known, seen)
    needs = [*swapped(demand(now, seen.waiting), state), *awaited(state)]
    decision = plan(state, needs, policy_view(policy), now.timestamp(), capacity, known.strategies)
    if decision.impossible and catalogue is not None and known.read_at != now:
        known.forget()
        return decide(policy, now, capacity, catalogue)
    return decision
