"""Many rows changed, or moved, by one statement."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DataError

from cluster.models import Generation, Offer, Placement
from swwbot_site.lib import clock
from swwbot_site.lib.bulk import update_each
from swwbot_site.lib.leases import FREE, taken
from swwbot_site.lib.transitions import IllegalMove, move_each
from tests import build
from tests.build import OWNER

pytestmark = pytest.mark.django_db


def test_each_row_gets_its_own_values_and_all_get_the_common_ones(django_assert_num_queries: Any) -> None:
    one, two, other = (build.offer() for _ in range(3))
    moment = clock.now() - timedelta(minutes=3)
    each = {
        one.pk: {"tokens_per_s": 12.5, "answered_at": moment, "cooldown_reason": "it 'said' {so}, 100 %"},
        two.pk: {"tokens_per_s": None, "answered_at": None, "cooldown_reason": ""},
    }
    with django_assert_num_queries(1):
        assert update_each(Offer, each, common={"answers": 4.0}) == {one.pk, two.pk}
    rows = {o.pk: (o.tokens_per_s, o.answered_at, o.cooldown_reason, o.answers) for o in Offer.objects.all()}
    assert rows == {
        one.pk: (12.5, moment, "it 'said' {so}, 100 %", 4.0),
        two.pk: (None, None, "", 4.0),
        other.pk: (None, None, "", 0.0),
    }


def test_documents_and_references_are_stored_like_any_other_value() -> None:
    rows, server = [build.generation() for _ in range(2)], build.server()
    update_each(
        Generation, {row.pk: {"decision": {"why": f"no. {n}", "list": [1, None]}, "server": server.pk} for n, row in enumerate(rows)}
    )
    for n, row in enumerate(rows):
        row.refresh_from_db()
        assert (row.decision, row.server) == ({"why": f"no. {n}", "list": [1, None]}, server)


def test_rows_whose_columns_differ_from_the_guard_are_left_alone() -> None:
    mine, theirs = build.placement(slots=2), build.placement(slots=3)
    assert update_each(Placement, {p.pk: {"gb": 1.0} for p in (mine, theirs)}, guard={"slots": 2}) == {mine.pk}
    assert dict(Placement.objects.values_list("pk", "gb")) == {mine.pk: 1.0, theirs.pk: 17.0}


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert update_each(Offer, {}) == frozenset()


def test_what_is_too_long_for_its_column_is_refused_and_not_cut() -> None:
    row = build.generation()
    with pytest.raises(DataError):
        update_each(Generation, {row.pk: {"finish_reason": "x" * 31}})


def test_only_rows_in_the_old_state_and_of_the_same_owner_move() -> None:
    mine, done = build.generation(state="running"), build.generation(state="done")
    theirs = build.generation(state="running", **taken(999, clock.now()))
    each = {row.pk: {"text": f"no. {row.pk}", "ended_at": clock.now()} for row in (mine, done, theirs)}
    assert move_each(Generation, "running", "done", each, guard={"lease_owner": OWNER}, error="", **FREE) == {mine.pk}
    mine.refresh_from_db()
    assert (mine.state, mine.text, mine.lease_owner) == ("done", f"no. {mine.pk}", None)
    theirs.refresh_from_db()
    assert (theirs.state, theirs.text) == ("running", "")


def test_a_move_that_no_table_knows_is_refused() -> None:
    row = build.generation(state="done")
    with pytest.raises(IllegalMove, match="done → queued"):
        move_each(Generation, "done", "queued", {row.pk: {"text": ""}}, guard={})
