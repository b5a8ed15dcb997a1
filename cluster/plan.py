"""Step 5: read what waits and what is loaded, and let the planner decide. Reads rows, writes nothing."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Count, Min, Q

from cluster.logic.decision import Plan
from cluster.logic.lifecycle import HELD, GenerationState, PlacementState, ServerState
from cluster.logic.memory import headroom_gb
from cluster.logic.placement import plan
from cluster.logic.state import ClusterState, Demand, ModelView, OfferView, PlacementView, PlanPolicy, ServerView
from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server


def demand(now: datetime) -> list[Demand]:
    """What waits, per (model, pin, server to avoid): one row each, however many users there are."""
    rows = (
        Generation.objects.filter(Q(not_before__isnull=True) | Q(not_before__lte=now), state=GenerationState.QUEUED)
        .order_by()
        .values("model_id", "pin_id", "avoid_id")
        .annotate(waiting=Count("id"), best=Min("priority"), oldest=Min("queued_at"), soonest=Min("deadline"))
    )
    return [
        Demand(
            model_id=row["model_id"],
            pin_id=row["pin_id"],
            avoid_id=row["avoid_id"],
            waiting=row["waiting"],
            priority=row["best"],
            oldest=row["oldest"],
            deadline=row["soonest"],
        )
        for row in rows
    ]


def view(server: Server) -> ServerView:
    """A server as the planner sees it."""
    usable = server.enabled and not server.draining
    why = "is disabled" if not server.enabled else "is draining" if server.draining else f"is {server.state} ({server.state_reason})"
    return ServerView(
        id=server.pk,
        name=server.name,
        budget_gb=server.budget_gb - headroom_gb(server.budget_gb),
        well=usable and server.state == ServerState.ONLINE,
        usable=usable,
        draining=server.enabled and server.draining,
        why_not=why,
        max_models=server.max_models or (1 if server.spoken == Server.Dialect.LMSTUDIO_V0 else None),  # loads on demand evict each other
        formats=tuple(server.formats),
        preferred=tuple(str(m).lower() for m in server.preferred_models),
        weight=server.weight,
    )


def read(wanted: Iterable[int]) -> ClusterState:
    """The cluster's rows at this moment, as the planner's values; of what servers have on their disks only the wanted models."""
    placements = Placement.objects.filter(state__in=HELD).select_related("server").annotate(in_flight=Count("seats"))
    return ClusterState(
        servers=[view(server) for server in Server.objects.all()],
        models={m.pk: ModelView(id=m.pk, key=m.key, need_gb=m.size_gb) for m in LanguageModel.objects.only("key", "size_gb")},
        placements=[
            PlacementView(
                id=p.pk,
                server_id=p.server_id,
                model_id=p.model_id,
                state=PlacementState(p.state),
                gb=p.gb,
                slots=p.slots,
                in_flight=p.in_flight,
                pinned=p.pinned or p.server.spoken == Server.Dialect.OPENAI,  # such a server has nothing to unload
                since=p.loaded_at or p.created_at,
                used_at=p.used_at,
            )
            for p in placements
        ],
        offers=[
            OfferView(
                server_id=o.server_id,
                model_id=o.model_id,
                format=o.format,
                load_seconds=o.load_seconds,
                answer_seconds=o.answer_seconds,
                cooldown_until=o.cooldown_until,
                cooldown_reason=o.cooldown_reason,
            )
            for o in Offer.objects.filter(model_id__in=set(wanted))
        ],
    )


def policy_view(policy: ClusterPolicy) -> PlanPolicy:
    """The part of the policy that plans depend on."""
    return PlanPolicy(
        strategy=policy.strategy,
        min_residency_s=policy.min_residency_s,
        unload_delay_s=policy.unload_delay_s,
        keep_models_loaded=policy.keep_models_loaded,
    )


def decide(policy: ClusterPolicy, now: datetime) -> Plan:
    """The plan for this moment."""
    needs = demand(now)
    return plan(read(need.model_id for need in needs), needs, policy_view(policy), now)
