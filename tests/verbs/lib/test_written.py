"""Queries that are written once, and several that go to the database at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, DataError, transaction

from cluster.models import Generation, LanguageModel, Placement, Seat
from swwbot_site.lib import clock
from swwbot_site.lib.leases import taken
from swwbot_site.lib.written import Insert, Written, filled, together
from tests import build
from tests.build import OWNER

pytestmark = pytest.mark.django_db

NAMED = Written(lambda key: LanguageModel.objects.filter(key=key).values_list("pk", "key"), key=str)
NUMBERED = Written(lambda ids: LanguageModel.objects.filter(pk__in=ids).order_by("key").values_list("key"), ids=list)


@pytest.mark.parametrize("key", ["maker/model", "it 'said' {so}, 100 % %s", 'a "b" \\ c', "日本語; DROP TABLE x; --"])
def test_what_is_filled_in_is_a_value_whatever_it_looks_like(key: str) -> None:
    model = build.model(key=key)
    build.model(key="another")
    assert NAMED.rows(key=key) == [(model.pk, key)]


def test_a_list_may_be_of_any_length() -> None:
    ids = [build.model(key=f"maker/{n}").pk for n in range(3)]
    assert [NUMBERED.rows(ids=ids[:n]) for n in range(4)] == [[(f"maker/{m}",) for m in range(n)] for n in range(4)]


def test_a_value_that_occurs_several_times_and_constants_beside_it_are_kept_apart() -> None:
    now, model = clock.now(), build.model()
    early, late = (build.generation(model=model, not_before=now + timedelta(seconds=s)) for s in (-1, 1))
    build.generation(model=model, state="done", ended_at=now)
    ripe = Written(lambda now: Generation.objects.filter(Generation.ripe(now)).values_list("pk"), now=type(now))
    assert ripe.rows(now=now) == [(early.pk,)]
    assert sorted(ripe.rows(now=now + timedelta(seconds=2))) == [(early.pk,), (late.pk,)]


def test_several_statements_are_one_way_there_and_back_and_each_has_its_rows(django_assert_num_queries: Any) -> None:
    model = build.model(key="maker/model")
    with django_assert_num_queries(1):
        found = together(NAMED.text(key="maker/model"), "", "NOTIFY sww_test", NUMBERED.text(ids=[model.pk]))
    assert found == [[(model.pk, "maker/model")], [], [], [("maker/model",)]]


def test_no_statements_are_no_way_there_and_back(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert together("", "") == [[], []]


def test_an_error_in_one_statement_undoes_those_before_it() -> None:
    model = build.model(key="maker/model")
    change = filled("UPDATE cluster_languagemodel SET key = %s WHERE id = %s", ["changed", model.pk])
    with pytest.raises(DatabaseError), transaction.atomic():
        together(change, "SELECT 1/0")
    assert NAMED.rows(key="maker/model")


def test_what_no_text_can_hold_is_refused_as_the_database_would() -> None:
    with pytest.raises(DataError):
        NAMED.text(key="\0")


def test_a_new_row_has_its_values_and_the_defaults_of_its_model() -> None:
    now, place = clock.now(), build.placement()
    rows = [build.generation(state="running", model=place.model, **taken(OWNER, now)) for _ in range(2)]
    new = Insert(Seat, "generation", "placement", "taken_at", "lease_owner", "lease_until")
    ids = together(new.text([{"generation": g.pk, "placement": place.pk, "taken_at": now, **taken(OWNER, now)} for g in rows]))[0]
    seats = {seat.pk: (seat.generation, seat.placement, seat.taken_at, seat.hedge, seat.lease_owner) for seat in Seat.objects.all()}
    assert seats == {pk: (row, place, now, False, OWNER) for (pk,), row in zip(ids, rows, strict=True)}
    assert Placement.objects.get() == place


def test_a_document_is_stored_as_one_and_a_default_of_the_database_is_its_own() -> None:
    model, now = build.model(), clock.now()
    new = Insert(Generation, "model", "caller", "request", "queued_at")
    together(new.text([{"model": model.pk, "caller": "test", "request": {"a": ["'", None, 1.5]}, "queued_at": now}]))
    row = Generation.objects.get()
    assert (row.request, row.tried, row.decision, row.state, row.pin) == ({"a": ["'", None, 1.5]}, [], {}, "queued", None)
    assert row.turn_at is not None
