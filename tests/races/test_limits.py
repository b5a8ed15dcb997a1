"""Eight workers at one moment never post more than the limits allow."""

from collections import Counter

import pytest

from entities import spend
from entities.models import Permit
from swwbot_site.lib import clock
from tests import build
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


@pytest.mark.parametrize(("own", "whole", "allowed"), [(10, None, 10), (None, 10, 10), (12, 5, 5), (3, 20, 6)])
def test_eight_workers_never_reserve_one_permit_too_many(own: int | None, whole: int | None, allowed: int) -> None:
    personas = [build.entity() for _ in range(2 if whole else 1)]
    if own:
        for who in personas:
            build.limit(entity=who, kind="minute", amount=own)
    if whole:
        build.limit(entity=None, kind="hour", amount=whole)

    def reserve(worker: int) -> int:
        turns = (personas[(worker + n) % len(personas)].pk for n in range(5))
        return sum(spend.reserve(who, clock.now()).permit_id is not None for who in turns)

    assert sum(at_once(WORKERS, reserve)) == allowed
    counts = Counter(Permit.objects.values_list("entity_id", flat=True))
    assert sum(counts.values()) == allowed
    assert not own or max(counts.values()) <= own


def test_a_gap_is_kept_by_eight_workers() -> None:
    who = build.entity()
    build.limit(entity=who, kind="gap", amount=60)

    def reserve(worker: int) -> bool:
        return spend.reserve(who.pk, clock.now()).permit_id is not None

    assert sum(at_once(WORKERS, reserve)) == 1


def test_a_permit_is_settled_once() -> None:
    who = build.entity()
    permit = spend.reserve(who.pk, clock.now()).permit_id
    assert permit is not None

    def settle(worker: int) -> bool:
        return (spend.refund if worker % 2 else spend.spend)(permit, clock.now())

    assert sum(at_once(WORKERS, settle)) == 1
