"""Step 9: store what came of the asking, give the seats back, tell the health of the servers. Rows only, many outcomes at once.

A generation that was taken from us meanwhile (our lease was thought dead) is left alone: whoever has it now finishes it. Who waits
for a free seat is not woken here: the engine that finishes plans next, and knows whether it can take what waits.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from cluster import cache, health
from cluster.lmstudio.errors import EngineLost, ModelCrashed
from cluster.logic.learning import blend, evidence, spread
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.order import Outcome
from cluster.logic.request import again_at
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.bulk import update_each
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE
from swwbot_site.lib.transitions import move, move_each, moved

CRASHES: Final = (ModelCrashed.code, EngineLost.code)
"""The failures in which the engine of a model ended under it."""

LEARNED: Final = ("tokens_per_s", "prefill_per_s", "answer_seconds", "answer_spread", "answers", "answered_at", "crashed_at")
"""What an offer learns from outcomes."""


def finish(outcomes: Sequence[Outcome], owner: int) -> int:
    """Settle `outcomes` of the engine `owner` in one transaction. Returns how many were still ours."""
    step("finish.before")
    policy = ClusterPolicy.current()
    with transaction.atomic():
        settled = _done([o for o in outcomes if o.answer], owner)
        for outcome in sorted((o for o in outcomes if o.failure), key=lambda o: o.ticket.generation_id):
            settled += _failed(outcome, owner, policy)
        cache.settle(clock.now(), [o.ticket.generation_id for o in outcomes])
        Seat.objects.filter(generation_id__in=[o.ticket.generation_id for o in outcomes], lease_owner=owner).delete()
        asked = [*outcomes, *(o.beside for o in outcomes if o.beside)]
        _placements(asked)
        told = health.rest(asked, policy)
        _learn(asked)
        health.tell(asked, told, policy, max(o.ended_at for o in outcomes))
    step("finish.after")
    return settled


def _done(outcomes: Sequence[Outcome], owner: int) -> int:
    """Store the answers of those that are still ours, with one statement."""
    each: dict[int, dict[str, Any]] = {}
    for outcome in outcomes:
        answer = outcome.answer
        assert answer is not None
        each[outcome.ticket.generation_id] = {
            "attempts": outcome.ticket.attempt,
            "asked_at": outcome.asked_at,
            "first_token_at": outcome.first_token_at,
            "ended_at": outcome.ended_at,
            "text": answer.text,
            "reasoning": answer.reasoning,
            "finish_reason": answer.finish_reason,
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
        }
    ours = {"lease_owner": owner}
    done = move_each(Generation, GenerationState.RUNNING, GenerationState.DONE, each, guard=ours, error="", error_code="", **FREE)
    return len(done)


def _failed(outcome: Outcome, owner: int, policy: ClusterPolicy) -> int:
    failure = outcome.failure
    assert failure is not None
    mine = Generation.objects.filter(pk=outcome.ticket.generation_id, lease_owner=owner)
    row = mine.select_for_update(no_key=True, of=("self",)).first()
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
    """Used now, by answers or in vain; or, where the server said so, not there any more."""
    each: dict[int, dict[str, Any]] = {}
    answered = {o.ticket.placement_id for o in outcomes if o.answer}
    for outcome in outcomes:
        pid = outcome.ticket.placement_id
        before: datetime = each.get(pid, {}).get("used_at", outcome.ended_at)
        each[pid] = {"used_at": max(before, outcome.ended_at)}
    ids = sorted(each)
    if len(ids) > 1:  # one order of locks
        list(Placement.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk"))
    update_each(Placement, {pid: each[pid] for pid in answered}, common={"served": True})
    update_each(Placement, {pid: each[pid] for pid in ids if pid not in answered})
    for outcome in outcomes:
        if outcome.gone and outcome.failure:
            _lost(outcome, outcome.failure.text)


def _lost(outcome: Outcome, why: str) -> None:
    rows = Placement.objects.filter(pk=outcome.ticket.placement_id)
    if move(rows, PlacementState.LOADED, PlacementState.GONE, ended_at=outcome.ended_at, reason=why):
        say("placement.lost", f"{outcome.ticket.model} is gone from {outcome.ticket.server}: {why}", level=Level.WARNING)


def _learn(outcomes: Sequence[Outcome]) -> None:
    """Speed of each pair of server and model, recent answers counting more; and whose engine crashed."""
    asked: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in sorted(outcomes, key=lambda o: o.ended_at):
        if outcome.answer or (outcome.failure and outcome.failure.code in CRASHES):
            asked[outcome.ticket.placement_id].append(outcome)
    if not asked:
        return
    told: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
    for pid, server_id, model_id in Placement.objects.filter(pk__in=asked).order_by("pk").values_list("pk", "server_id", "model_id"):
        told[server_id, model_id] += asked[pid]
    offers = Offer.objects.filter(server_id__in={s for s, _ in told}, model_id__in={m for _, m in told})
    each: dict[int, Mapping[str, Any]] = {}
    for offer in offers.only("server_id", "model_id", *LEARNED).order_by("pk").select_for_update(no_key=True, of=("self",)):
        if outcomes_here := told.get((offer.server_id, offer.model_id)):
            for outcome in outcomes_here:
                _add(offer, outcome)
            each[offer.pk] = {name: getattr(offer, name) for name in LEARNED}
    update_each(Offer, each)


def _add(offer: Offer, outcome: Outcome) -> None:
    """Let an offer learn from one outcome."""
    answer = outcome.answer
    if answer is None:
        offer.crashed_at = outcome.ended_at
        return
    offer.answer_spread = spread(offer.answer_spread, answer.total_s, offer.answer_seconds or answer.total_s)
    offer.answer_seconds = blend(offer.answer_seconds, answer.total_s)
    if answer.tokens_per_s:
        offer.tokens_per_s = blend(offer.tokens_per_s, answer.tokens_per_s)
    if answer.prompt_tokens and answer.first_token_s:
        offer.prefill_per_s = blend(offer.prefill_per_s, answer.prompt_tokens / answer.first_token_s)
    age = (outcome.ended_at - offer.answered_at).total_seconds() if offer.answered_at else 0.0
    offer.answers = evidence(offer.answers, age) + 1
    offer.answered_at = max(outcome.ended_at, offer.answered_at or outcome.ended_at)
