"""Storing what came of the asking."""

from datetime import timedelta
from typing import Any

import pytest

from cluster.finish import finish
from cluster.lmstudio import errors
from cluster.models import Generation, Offer, Placement, Seat, Server
from swwbot_site.lib import clock, leases
from tests import build
from tests.build import OWNER
from tests.verbs.cluster.helpers import answered, refused, running

pytestmark = pytest.mark.django_db


def test_an_answer_is_stored_and_its_seat_given_back() -> None:
    seat = running()
    build.offer(server=seat.placement.server, model=seat.placement.model)
    assert finish([answered(seat, "Well said.")], OWNER) == 1
    row = Generation.objects.get()
    assert (row.state, row.text, row.finish_reason, row.attempts, row.lease_owner) == ("done", "Well said.", "stop", 1, None)
    assert (row.prompt_tokens, row.completion_tokens) == (20, 30)
    assert row.asked_at is not None
    assert row.ended_at is not None
    assert row.asked_at < row.ended_at
    assert not Seat.objects.exists()
    offer = Offer.objects.get()
    assert (offer.answer_seconds, offer.tokens_per_s) == (2.0, 15.0)
    assert Placement.objects.get().used_at == row.ended_at


def test_a_failure_waits_again_for_another_server() -> None:
    seat = running()
    assert finish([refused(seat, errors.Truncated("it broke off"))], OWNER) == 1
    row = Generation.objects.get()
    assert (row.state, row.attempts, row.avoid, row.error_code) == ("queued", 1, seat.placement.server, "truncated")
    assert row.not_before is not None
    assert row.tried[0]["server"] == seat.placement.server.name
    assert not Seat.objects.exists()


def test_a_failure_that_may_be_repeated_there_avoids_nobody() -> None:
    finish([refused(running(), errors.ChannelError("once more"))], OWNER)
    row = Generation.objects.get()
    assert (row.state, row.avoid) == ("queued", None)


def test_a_request_that_is_wrong_everywhere_fails_at_once_and_harms_nobody() -> None:
    seat = running()
    finish([refused(seat, errors.ContextOverflow("too long", n_prompt=5000, n_ctx=4096))], OWNER)
    row = Generation.objects.get()
    assert (row.state, row.error_code) == ("failed", "context-overflow")
    assert "Shorten the prompt" in row.error
    assert Server.objects.get().failures == 0


def test_the_last_attempt_fails_for_good_and_keeps_all_of_them() -> None:
    build.policy(max_attempts=3)
    seat = running(attempts=2, tried=[{"code": "dropped"}, {"code": "dropped"}])
    finish([refused(seat, errors.Dropped("cut"))], OWNER)
    row = Generation.objects.get()
    assert (row.state, row.attempts, len(row.tried)) == ("failed", 3, 3)
    assert row.ended_at is not None


def test_what_was_taken_from_us_meanwhile_is_left_to_whoever_has_it() -> None:
    seat = running()
    theirs = leases.taken(999, clock.now())
    Generation.objects.update(**theirs)
    Seat.objects.update(**theirs)
    assert finish([answered(seat)], OWNER) == 0
    assert finish([refused(seat, errors.Dropped("cut"))], OWNER) == 0
    row = Generation.objects.get()
    assert (row.state, row.lease_owner, row.attempts, row.text) == ("running", 999, 0, "")
    assert Seat.objects.count() == 1


@pytest.mark.parametrize("state", ["cancelled", "queued"])
def test_what_is_not_running_any_more_stays_as_it_is(state: str) -> None:
    seat = running()
    Generation.objects.update(state=state, lease_owner=None, lease_until=None, ended_at=clock.now() if state == "cancelled" else None)
    assert finish([answered(seat)], OWNER) == 0
    assert Generation.objects.get().state == state


def test_many_outcomes_are_one_step() -> None:
    placement = build.placement(slots=9)
    seats = [running(placement) for _ in range(6)]
    outcomes = [answered(s) for s in seats[:3]] + [refused(s, errors.Dropped("cut")) for s in seats[3:]]
    assert finish(outcomes[::-1], OWNER) == 6
    assert sorted(Generation.objects.values_list("state", flat=True)) == ["done"] * 3 + ["queued"] * 3


def test_an_instance_that_is_gone_is_noted_and_its_server_looked_at() -> None:
    seat = running()
    finish([refused(seat, errors.ModelUnloaded("Model unloaded."))], OWNER)
    placement = Placement.objects.get()
    assert placement.state == "gone"
    assert "Auto-Evict" in placement.reason
    assert Server.objects.get().listed_at is None


def test_a_refused_connection_takes_a_server_out_at_once() -> None:
    finish([refused(running(), errors.Unreachable("refused"))], OWNER)
    server = Server.objects.get()
    assert server.state == "offline"
    assert "refused" in server.state_reason


def test_a_server_that_was_deleted_meanwhile_holds_up_nobody() -> None:
    gone, here = running(), running()
    outcomes = [refused(gone, errors.Dropped("cut")), answered(here)]
    gone.placement.server.delete()
    assert finish(outcomes, OWNER) == 2
    assert sorted(Generation.objects.values_list("state", flat=True)) == ["done", "queued"]


def test_recent_answers_count_more_than_old_ones() -> None:
    seat = running()
    build.offer(server=seat.placement.server, model=seat.placement.model, answer_seconds=10.0, tokens_per_s=None)
    finish([answered(seat, tokens_per_s=None)], OWNER)
    offer = Offer.objects.get()
    assert (offer.answer_seconds, offer.tokens_per_s) == (pytest.approx(8.4), None)


def test_a_pair_learns_how_long_answers_take_how_far_they_stray_and_how_fast_prompts_are_read() -> None:
    placement = build.placement(slots=9)
    build.offer(server=placement.server, model=placement.model)
    for total in (2.0, 7.0):
        finish([answered(running(placement), total_s=total, first_token_s=0.5, prompt_tokens=50)], OWNER)
    offer = Offer.objects.get()
    assert (offer.answer_seconds, offer.answer_spread, offer.prefill_per_s) == (pytest.approx(3.0), pytest.approx(1.0), 100.0)
    assert offer.answers == pytest.approx(2.0, abs=0.01)
    assert offer.answered_at is not None


def test_evidence_halves_in_ten_minutes() -> None:
    placement, now = build.placement(), clock.now()
    build.offer(server=placement.server, model=placement.model, answers=8.0, answered_at=now - timedelta(minutes=10), answer_seconds=2.0)
    finish([answered(running(placement))], OWNER)
    assert Offer.objects.get().answers == pytest.approx(5.0, abs=0.01)


def test_two_copies_on_one_server_teach_the_same_pair() -> None:
    first = build.placement()
    second = build.placement(server=first.server, model=first.model, instance_id="second:2")
    build.offer(server=first.server, model=first.model)
    finish([answered(running(first)), answered(running(second))], OWNER)
    assert Offer.objects.get().answers == pytest.approx(2.0, abs=0.01)


def test_a_placement_has_served_once_it_has_answered() -> None:
    good, bad = build.placement(), build.placement()
    finish([answered(running(good)), refused(running(bad), errors.ChannelError("once more"))], OWNER)
    assert dict(Placement.objects.values_list("pk", "served")) == {good.pk: True, bad.pk: False}
    assert not Placement.objects.filter(used_at__isnull=True).exists()


@pytest.mark.parametrize("error", [errors.ModelCrashed("exit code 11"), errors.Crowded("Context size has been exceeded.")])
def test_a_crash_is_remembered_of_its_pair(error: errors.PeerError) -> None:
    placement = build.placement()
    build.offer(server=placement.server, model=placement.model)
    finish([refused(running(placement), error)], OWNER)
    assert Offer.objects.get().crashed_at is not None
    assert Generation.objects.get().state == "queued"
    assert Server.objects.get().failures == error.harms_server


def test_a_batch_of_answers_takes_no_more_statements_than_one(django_assert_max_num_queries: Any) -> None:
    placement = build.placement(slots=99)
    build.offer(server=placement.server, model=placement.model)
    outcomes = [answered(running(placement)) for _ in range(40)]
    with django_assert_max_num_queries(7):
        assert finish(outcomes, OWNER) == 40
