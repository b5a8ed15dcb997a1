"""Step 9: store what came of the asking, give the seats back, tell the health of the servers. Rows only, many outcomes at once.

A generation that was taken from us meanwhile (our lease was thought dead) is left alone: whoever has it now finishes it. Who waits
for a free seat is not woken here: the engine that finishes plans next, and knows whether it can take what waits.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from cluster import cache, health
from cluster.lmstudio.errors import Crowded, EngineLost, ModelCrashed
from cluster.logic.learning import blend, evidence, spread
from cluster.logic.lifecycle import GenerationState, PlacementState
from cluster.logic.order import Outcome
from cluster.logic.request import again_at
from cluster.models import ClusterPolicy, Generation, Offer, Placement, Seat, Server
from swwbot_site.lib import clock
from swwbot_site.lib.bulk import changes, update_each
from swwbot_site.lib.events import Level, say
from swwbot_site.lib.hooks import step
from swwbot_site.lib.leases import FREE, taken
from swwbot_site.lib.transitions import move, moved, moving
from swwbot_site.lib.written import Insert, Rows, Written, together

CRASHES: Final = (ModelCrashed.code, EngineLost.code, Crowded.code)
"""The failures in which an engine gave up all that it answered: its model answers one request at a time for a while."""

LEARNED: Final = ("tokens_per_s", "prefill_per_s", "answer_seconds", "answer_spread", "answers", "answered_at", "crashed_at")
"""What an offer learns from outcomes."""


def _placed(ids: list[int]) -> QuerySet[Placement, Any]:
    rows = Placement.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True, of=("self",))
    return rows.values_list("pk", "server_id", "model_id", "failures", "server__failures")


def _offered(ids: list[int]) -> QuerySet[Offer, Any]:
    placed = Placement.objects.filter(pk__in=ids, server=OuterRef("server"), model=OuterRef("model"))
    rows = Offer.objects.filter(Exists(placed)).order_by("pk").select_for_update(no_key=True, of=("self",))
    return rows.values_list("pk", "server_id", "model_id", *LEARNED)


def _followed(ids: list[int]) -> QuerySet[Generation, Any]:
    return Generation.objects.filter(leader__in=ids, state=GenerationState.QUEUED).order_by().values_list("pk")[:1]


PLACED: Final = Written(_placed, ids=list)
OFFERED: Final = Written(_offered, ids=list)
FOLLOWED: Final = Written(_followed, ids=list)

ORIGIN: Final = ("id", "state", "model", "caller", "priority", "request", "home", "queued_at", "share_at", "turn_at", "seated_at")
ASKED: Final = ("asked_at", "server", "placement", "decision")
TOLD: Final = ("attempts", "first_token_at", "ended_at", "text", "reasoning", "finish_reason", "prompt_tokens", "completion_tokens")
BEGUN: Final = Insert(Generation, *ORIGIN, *ASKED, "lease_owner", "lease_until")
DONE: Final = Insert(Generation, *ORIGIN, *ASKED, *TOLD)
"""The rows of requests that were asked before they were written down: while they are asked, and once they are answered."""


def begin(new: Mapping[int, Mapping[str, Any]], owner: int, now: datetime) -> None:
    """Write down requests that `owner` asks already on seats that it holds: columns by number, all but state and lease."""
    rows = [{"id": pk, "state": GenerationState.RUNNING, **values, **taken(owner, now)} for pk, values in new.items()]
    together(BEGUN.text(rows))


def finish(outcomes: Sequence[Outcome], owner: int, new: Mapping[int, Mapping[str, Any]] | None = None) -> int:
    """Settle `outcomes` of the engine `owner` in one transaction. Returns how many were still ours.

    `new` are the columns of those that were asked on seats that the owner holds, and are not written down yet.
    """
    step("finish.before")
    new = new or {}
    failed = sorted((o for o in outcomes if o.failure), key=lambda o: o.ticket.generation_id)
    asked = [*outcomes, *(o.beside for o in outcomes if o.beside)]
    ids = sorted({o.ticket.generation_id for o in outcomes})
    places = sorted({o.ticket.placement_id for o in asked})
    learning = sorted({o.ticket.placement_id for o in asked if _tells(o)})
    policy = ClusterPolicy.current() if failed else None
    with transaction.atomic():
        unwritten = {o.ticket.generation_id: new[o.ticket.generation_id] for o in failed if o.ticket.generation_id in new}
        if unwritten:
            begin(unwritten, owner, clock.now())
        settled = sum(_failed(outcome, owner, policy) for outcome in failed) if policy else 0
        done, followed, _, placed, _, _, fresh, offers = together(
            _done([o for o in outcomes if o.answer and o.ticket.generation_id not in new], owner),
            FOLLOWED.text(ids=ids),
            _left(ids, owner),
            PLACED.text(ids=places),  # one order of locks: placements, offers, servers
            *_used(asked),
            DONE.text([{"id": pk, **new[pk], **values} for pk, values in _answered(outcomes).items() if pk in new]),
            OFFERED.text(ids=learning),
        )
        if followed:  # hardly ever: somebody asked the same meanwhile
            cache.settle(clock.now(), ids)
        for outcome in asked:
            if outcome.gone and outcome.failure:
                _lost(outcome, outcome.failure.text)
        weak = any(failures or out for *_, failures, out in placed) or not all(o.answer for o in asked)
        policy = policy or (ClusterPolicy.current() if weak else None)
        told = health.rest(asked, policy) if policy else []
        _learn(asked, {pk: (server_id, model_id) for pk, server_id, model_id, *_ in placed}, offers)
        if policy:
            health.tell(asked, told, policy, max(o.ended_at for o in outcomes))
    step("finish.after")
    return settled + len(done) + len(fresh)


def _done(outcomes: Sequence[Outcome], owner: int) -> str:
    """The statement that stores the answers of those that are still ours."""
    ours = {"lease_owner": owner}
    each = {pk: {name: value for name, value in values.items() if name != "state"} for pk, values in _answered(outcomes).items()}
    return moving(Generation, GenerationState.RUNNING, GenerationState.DONE, each, guard=ours, error="", error_code="", **FREE)


def _answered(outcomes: Sequence[Outcome]) -> dict[int, dict[str, Any]]:
    """The columns that answers fill, by number."""
    each: dict[int, dict[str, Any]] = {}
    for outcome in outcomes:
        answer = outcome.answer
        if answer is None:
            continue
        each[outcome.ticket.generation_id] = {
            "state": GenerationState.DONE,
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
    return each


def _left(ids: Sequence[int], owner: int) -> str:
    """The statement that gives seats back."""
    numbers = ", ".join(map(str, ids)) or "NULL"
    return f"DELETE FROM {Seat._meta.db_table} WHERE generation_id IN ({numbers}) AND lease_owner = {owner:d}"  # noqa: S608 - numbers


def _used(outcomes: Sequence[Outcome]) -> tuple[str, str]:
    """The statements that note of placements that they were used, by answers or in vain."""
    each: dict[int, dict[str, Any]] = {}
    answered = {o.ticket.placement_id for o in outcomes if o.answer}
    for outcome in outcomes:
        pid = outcome.ticket.placement_id
        before: datetime = each.get(pid, {}).get("used_at", outcome.ended_at)
        each[pid] = {"used_at": max(before, outcome.ended_at)}
    well = changes(Placement, {pid: each[pid] for pid in answered}, common={"served": True})
    return well, changes(Placement, {pid: values for pid, values in each.items() if pid not in answered})


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


def _lost(outcome: Outcome, why: str) -> None:
    rows = Placement.objects.filter(pk=outcome.ticket.placement_id)
    if move(rows, PlacementState.LOADED, PlacementState.GONE, ended_at=outcome.ended_at, reason=why):
        say("placement.lost", f"{outcome.ticket.model} is gone from {outcome.ticket.server}: {why}", level=Level.WARNING)


def _tells(outcome: Outcome) -> bool:
    """Whether something is to be learned from it."""
    return bool(outcome.answer or (outcome.failure and outcome.failure.code in CRASHES))


def _learn(outcomes: Sequence[Outcome], pairs: Mapping[int, tuple[int, int]], rows: Rows) -> None:
    """Speed of each pair of server and model, recent answers counting more; and whose engine crashed. `rows` are those of `OFFERED`."""
    told: dict[tuple[int, int], list[Outcome]] = defaultdict(list)
    for outcome in sorted(outcomes, key=lambda o: o.ended_at):
        if _tells(outcome) and outcome.ticket.placement_id in pairs:
            told[pairs[outcome.ticket.placement_id]].append(outcome)
    each: dict[int, Mapping[str, Any]] = {}
    for pk, server_id, model_id, *learned in rows:
        offer = Offer(pk=pk, **dict(zip(LEARNED, learned, strict=True)))
        for outcome in told[server_id, model_id]:
            _add(offer, outcome)
        each[pk] = {name: getattr(offer, name) for name in LEARNED}
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
