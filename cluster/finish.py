"""Step 9: store what came of the asking, give the seats back, tell the health of the servers. Rows only, many outcomes at once.

A generation that was taken from us meanwhile (our lease was thought dead) is left alone: whoever has it now finishes it.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet

from cluster.health import note
from cluster.logic.health import Fault
from cluster.logic.learning import blend
from cluster.logic.lifecycle import GenerationState, PlacementState, ServerState
from cluster.logic.order import Outcome
from cluster.logic.request import again_at
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat, Server
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.transitions import move, moved
from swwbot_site.lib.wake import Channel, wake


def finish(outcomes: Sequence[Outcome], owner: int) -> int:
    """Settle `outcomes` of the engine `owner` in one transaction. Returns how many were still ours."""
    step("finish.before")
    policy = ClusterPolicy.current()
    settled = 0
    with transaction.atomic():
        for outcome in sorted(outcomes, key=lambda o: o.ticket.generation_id):
            ours = _done(outcome, owner) if outcome.answer else _failed(outcome, owner, policy)
            settled += ours
        Seat.objects.filter(generation_id__in=[o.ticket.generation_id for o in outcomes], lease_owner=owner).delete()
        _placements(outcomes)
        _learn(outcomes)
        _health(outcomes, policy)
        wake(Channel.SERVE, Channel.DELIVER)
    step("finish.after")
    return settled


def _mine(outcome: Outcome, owner: int) -> QuerySet[Generation]:
    return Generation.objects.filter(pk=outcome.ticket.generation_id, lease_owner=owner)


def _done(outcome: Outcome, owner: int) -> int:
    answer = outcome.answer
    assert answer is not None
    return move(
        _mine(outcome, owner),
        GenerationState.RUNNING,
        GenerationState.DONE,
        attempts=F("attempts") + 1,
        asked_at=outcome.asked_at,
        first_token_at=outcome.first_token_at,
        ended_at=outcome.ended_at,
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        error="",
        error_code="",
        **FREE,
    )


def _failed(outcome: Outcome, owner: int, policy: ClusterPolicy) -> int:
    failure = outcome.failure
    assert failure is not None
    row = _mine(outcome, owner).select_for_update(no_key=True, of=("self",)).first()
    if row is None:
        return 0
    attempts = row.attempts + 1
    told = {
        "attempts": attempts,
        "asked_at": outcome.asked_at,
        "tried": [*row.tried, failure.document()],
        "error_code": failure.code,
        "error": failure.text,
        **FREE,
    }
    again = again_at(failure, attempts, policy.max_attempts)
    if again is None:
        say("generation.failed", f"{row.caller}: {failure.text}", subject=f"generation:{row.pk}", level=Level.ERROR, code=failure.code)
        return moved(row, GenerationState.RUNNING, GenerationState.FAILED, ended_at=outcome.ended_at, **told)
    say("generation.retried", f"{row.caller}: {failure.text}", subject=f"generation:{row.pk}", level=Level.WARNING, code=failure.code)
    avoid = Server.objects.filter(pk=outcome.ticket.server_id).first() if failure.retry == "elsewhere" else None
    return moved(row, GenerationState.RUNNING, GenerationState.QUEUED, not_before=again, avoid=avoid, **told)


def _placements(outcomes: Sequence[Outcome]) -> None:
    """Used now; or, where the server said so, not there any more."""
    used: dict[int, datetime] = {}
    for outcome in sorted(outcomes, key=lambda o: o.ticket.placement_id):  # one order of locks: placements, then their servers
        pid = outcome.ticket.placement_id
        used[pid] = max(outcome.ended_at, used.get(pid, outcome.ended_at))
        if outcome.gone and outcome.failure:
            rows = Placement.objects.filter(pk=pid)
            if move(rows, PlacementState.LOADED, PlacementState.GONE, ended_at=outcome.ended_at, reason=outcome.failure.text):
                say(
                    "placement.lost",
                    f"{outcome.ticket.model} is gone from {outcome.ticket.server}: {outcome.failure.text}",
                    level=Level.WARNING,
                )
    for pid in sorted(used):
        Placement.objects.filter(pk=pid).update(used_at=used[pid])
    for server_id in sorted({o.ticket.server_id for o in outcomes if o.gone}):
        Server.objects.filter(pk=server_id).update(listed_at=None)


def _health(outcomes: Sequence[Outcome], policy: ClusterPolicy) -> None:
    """One verdict per server: any success among the newest outcomes shows that it is well."""
    faults: dict[int, list[Fault | None]] = defaultdict(list)
    for outcome in sorted(outcomes, key=lambda o: o.ended_at):
        faults[outcome.ticket.server_id].append(outcome.fault)
    for server_id in sorted(faults):
        if any(faults[server_id]):
            for fault in faults[server_id]:
                note(server_id, fault, policy, max(o.ended_at for o in outcomes))
        else:
            Server.objects.filter(pk=server_id, failures__gt=0, state=ServerState.ONLINE).update(failures=0)


def _learn(outcomes: Sequence[Outcome]) -> None:
    """Speed of each pair of server and model, recent answers counting more."""
    pairs: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
    models = dict(Placement.objects.filter(pk__in={o.ticket.placement_id for o in outcomes}).values_list("pk", "model_id"))
    for outcome in outcomes:
        if outcome.answer and outcome.ticket.placement_id in models:
            pairs[outcome.ticket.server_id, models[outcome.ticket.placement_id]].append(outcome)
    for (server_id, model_id), done in sorted(pairs.items()):
        offer = Offer.objects.select_for_update(no_key=True).filter(server_id=server_id, model_id=model_id).first()
        if offer is None:
            continue
        for outcome in done:
            answer = outcome.answer
            assert answer is not None
            offer.answer_seconds = blend(offer.answer_seconds, answer.total_s)
            if answer.tokens_per_s:
                offer.tokens_per_s = blend(offer.tokens_per_s, answer.tokens_per_s)
        offer.save(update_fields=["answer_seconds", "tokens_per_s"])
