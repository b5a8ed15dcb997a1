"""What outcomes leave in the rows of placements and servers."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from cluster import health
from cluster.finish import finish
from cluster.lmstudio import errors
from cluster.lmstudio.errors import PeerError
from cluster.logic.health import Fault
from cluster.models import ClusterPolicy, Placement, Server
from swwbot_site.lib import clock
from tests import build
from tests.build import OWNER
from tests.verbs.cluster.helpers import answered, refused, running, ticket

pytestmark = pytest.mark.django_db

NOW = clock.now()
OLD = NOW - timedelta(minutes=2)
SILENT = errors.IdleTimeout("silence")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def fail(placement: Placement, error: PeerError, times: int = 1, at: datetime = NOW) -> None:
    """So many requests fail on a placement, in one batch."""
    finish([refused(running(placement), error, at + timedelta(milliseconds=n)) for n in range(times)], OWNER)


def only_server() -> Server:
    return Server.objects.get()


def only_placement() -> Placement:
    return Placement.objects.get()


# --- placements --------------------------------------------------------------------------------------------------
OWN = {
    "cut": errors.Dropped("cut"),
    "hung before the first token": errors.FirstTokenTimeout("nothing"),
    "hung after it": SILENT,
    "5xx": errors.Unavailable("500"),
    "a page of HTML": errors.Hiccup("500"),
    "no shape we know": errors.Malformed("?"),
    "no end": errors.Truncated("no end"),
    "the engine's pipe": errors.ChannelError("Channel Error"),
}


@pytest.mark.parametrize("error", OWN.values(), ids=OWN.keys())
def test_failures_of_its_own_make_a_placement_rest_and_leave_its_server_in(error: PeerError) -> None:
    placement = build.placement(slots=9)
    fail(placement, error, 2)
    assert (only_placement().failures, only_placement().rest_until) == (2, None)
    fail(placement, error)
    row, server = only_placement(), only_server()
    assert row.failures == 3
    assert row.rest_until is not None
    assert 4 <= (row.rest_until - NOW).total_seconds() <= 6.1
    assert (server.state, server.failures) == ("online", int(error.harms_server))


OTHERS = {
    "the caller's": errors.ContextOverflow("too long"),
    "the caller's, unknown": errors.Refused("no"),
    "the server's address": errors.Unreachable("refused"),
    "the server's token": errors.Misconfigured("no"),
    "the server's limit": errors.RateLimited("too many", retry_after_s=3),
    "the server's link": errors.LinkLost("gone"),
    "slow, but never silent": errors.TotalTimeout("too long"),
}


@pytest.mark.parametrize("error", OTHERS.values(), ids=OTHERS.keys())
def test_failures_of_somebody_else_are_not_held_against_a_placement(error: PeerError) -> None:
    fail(build.placement(slots=9), error, 5)
    assert (only_placement().failures, only_placement().rest_until) == (0, None)


def test_an_answer_forgets_failures_and_ends_a_rest() -> None:
    placement = build.placement(slots=9)
    fail(placement, SILENT, 2)
    finish([answered(running(placement))], OWNER)
    assert only_placement().failures == 0
    fail(placement, SILENT, 3)
    finish([answered(running(placement))], OWNER)
    assert (only_placement().failures, only_placement().rest_until) == (0, None)


def test_what_was_in_flight_when_the_rest_began_does_not_make_it_longer() -> None:
    placement = build.placement(slots=99)
    fail(placement, SILENT, 3)
    until = only_placement().rest_until
    fail(placement, SILENT, 40, later(1))
    assert (only_placement().failures, only_placement().rest_until) == (3, until)
    assert only_server().failures == 1


def test_a_placement_that_rests_again_and_again_takes_its_server_out() -> None:
    placement = build.placement(slots=9)
    fail(placement, SILENT, 3)
    for n in (100, 200):
        assert only_server().state == "online"
        fail(placement, SILENT, 1, later(n))
    assert (only_placement().failures, only_server().state) == (5, "offline")


def test_of_two_models_the_one_that_answers_keeps_their_server_in() -> None:
    server = build.server()
    stuck, well = build.placement(server=server, slots=9), build.placement(server=server, slots=9)
    fail(stuck, SILENT, 3)
    for n in range(5):
        finish([answered(running(well))], OWNER)
        fail(stuck, SILENT, 1, later(100 + 100 * n))
    assert only_server().state == "online"
    assert list(Placement.objects.order_by("pk").values_list("failures", flat=True)) == [8, 0]


def test_one_tries_a_placement_whose_rest_is_over_and_nobody_else() -> None:
    policy = ClusterPolicy.current()
    mine = build.placement(failures=3, rest_until=NOW)
    theirs = Placement.objects.get(pk=mine.pk)
    assert not health.trial(mine, policy, later(-1))
    assert health.trial(mine, policy, NOW)
    assert not health.trial(theirs, policy, NOW)
    assert only_placement().rest_until == later(5)
    assert not health.trial(only_placement(), policy, later(4))
    assert health.trial(only_placement(), policy, later(5))  # whoever tried it is gone


@pytest.mark.parametrize(("answers", "failures", "rests"), [(True, 0, False), (False, 4, True)])
def test_a_trial_decides_although_the_rest_was_put_off_for_it(answers: bool, failures: int, rests: bool) -> None:
    placement = build.placement(failures=3, rest_until=later(5))
    seat = running(placement)
    outcome = answered(seat) if answers else refused(seat, SILENT, NOW)
    finish([replace(outcome, ticket=replace(ticket(seat), trial=True))], OWNER)
    row = only_placement()
    assert (row.failures, row.rest_until is not None) == (failures, rests)
    if row.rest_until:
        assert row.rest_until > later(7.9)


def test_what_failed_beside_an_answer_is_told_to_its_own_server() -> None:
    slow, quick = build.placement(), build.placement()
    seat, beside = running(quick), running(slow)
    finish([replace(answered(seat), beside=refused(beside, errors.Unreachable("refused")))], OWNER)
    assert {s.pk: s.state for s in Server.objects.all()} == {slow.server_id: "offline", quick.server_id: "online"}


# --- servers -----------------------------------------------------------------------------------------------------
def test_a_change_is_timed_and_no_change_is_not() -> None:
    server = build.server(state_since=OLD)
    policy = ClusterPolicy.current()
    health.note(server.pk, None, policy, NOW)
    server.refresh_from_db()
    assert server.state_since == OLD
    health.note(server.pk, Fault(text="refused", harms=True, fatal=True), policy, NOW)
    server.refresh_from_db()
    assert (server.state, server.state_since, server.state_reason) == ("offline", NOW, "refused")
    health.note(server.pk, None, policy, later(9))
    server.refresh_from_db()
    assert (server.state, server.retry_at, server.state_reason, server.failures) == ("online", None, "", 0)


@pytest.mark.parametrize(
    ("state", "back"), [("offline", True), ("misconfigured", True), ("rate-limited", True), ("unknown", False), ("online", False)]
)
def test_a_server_that_was_out_is_back_since_now(state: str, back: bool) -> None:
    server = build.server(state=state)
    health.note(server.pk, None, ClusterPolicy.current(), NOW)
    assert only_server().returned_at == (NOW if back else None)


def test_a_request_that_was_wrong_does_not_cut_short_the_silence_that_a_server_asked_for() -> None:
    server = build.server()
    policy = ClusterPolicy.current()
    health.note(server.pk, health.fault(errors.RateLimited("too many", retry_after_s=20)), policy, NOW)
    health.note(server.pk, health.fault(errors.BadRequest("no")), policy, NOW)
    server.refresh_from_db()
    assert (server.state, server.retry_at, server.state_reason) == ("rate-limited", later(20), "too many")


def test_answers_that_were_begun_before_do_not_cut_that_silence_short_either() -> None:
    placement = build.placement(slots=9)
    fail(placement, errors.RateLimited("too many", retry_after_s=20))
    finish([answered(running(placement)), refused(running(placement), errors.LinkLost("gone"), later(1))], OWNER)
    assert (only_server().state, only_server().retry_at) == ("rate-limited", later(20))


def test_the_longest_silence_of_several_counts() -> None:
    placement = build.placement(slots=9)
    for seconds in (5, 20, 10):
        fail(placement, errors.RateLimited("too many", retry_after_s=seconds))
    assert (only_server().state, only_server().retry_at) == ("rate-limited", later(20))


def test_many_requests_that_meet_one_outage_are_one_failure() -> None:
    placement = build.placement(slots=99)
    fail(placement, errors.Unreachable("refused"), 50)
    server = only_server()
    assert (server.state, server.failures) == ("offline", 1)
    assert server.retry_at is not None
    assert (server.retry_at - NOW).total_seconds() < 7


def test_a_server_whose_connection_was_cut_is_looked_at() -> None:
    fail(build.placement(), errors.Dropped("cut"))
    server = only_server()
    assert (server.state, server.listed_at) == ("online", None)


def test_three_failures_of_the_server_in_a_row_take_it_out_and_a_success_forgets_them() -> None:
    placement = build.placement(slots=9)
    lost = errors.LinkLost("gone")
    fail(placement, lost, 2)
    assert (only_server().state, only_server().failures) == ("online", 2)
    finish([answered(running(placement))], OWNER)
    assert only_server().failures == 0
    fail(placement, lost, 3)
    assert (only_server().state, only_server().failures) == ("offline", 3)
    assert only_server().retry_at is not None


def test_a_success_among_the_newest_outcomes_keeps_a_server_in() -> None:
    placement = build.placement(slots=9)
    lost = errors.LinkLost("gone")
    outcomes = [refused(running(placement), lost, later(-n)) for n in (9, 8)] + [answered(running(placement))]
    finish(outcomes, OWNER)
    assert (only_server().state, only_server().failures) == ("online", 0)


def test_a_server_that_was_deleted_is_nobodys_business() -> None:
    health.note(4711, None, ClusterPolicy.current(), NOW)
