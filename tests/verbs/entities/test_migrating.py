"""What the migrations do to rows that are there."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from entities import read, spend
from entities.models import Permit, RateLimit
from swwbot_site.lib import clock

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = ("entities", "0002_cache_answers")


@pytest.fixture
def before() -> Iterator[Any]:
    """The personas' tables as they were before limits of feeds, and their models; everything is brought forward again."""
    goals = MigrationExecutor(connection).loader.graph.leaf_nodes()
    executor = MigrationExecutor(connection)
    executor.migrate([BEFORE])
    try:
        yield executor.loader.project_state([BEFORE]).apps
    finally:
        MigrationExecutor(connection).migrate(goals)


def test_no_limit_and_no_permit_is_lost(before: Any) -> None:
    past, now = before, clock.now()
    who = past.get_model("entities", "Entity").objects.create(slug="owl", username="Owl", color="1", system_prompt="x")
    for kind, amount in (("gap", 45), ("minute", 1), ("hour", 20), ("day", 100)):
        past.get_model("entities", "RateLimit").objects.create(entity=who, kind=kind, amount=amount)
    past.get_model("entities", "RateLimit").objects.create(entity=None, kind="minute", amount=5)
    for state, settled in (("reserved", None), ("spent", now), ("refunded", now)):
        past.get_model("entities", "Permit").objects.create(entity=who, state=state, reserved_at=now, settled_at=settled)
    MigrationExecutor(connection).migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert list(RateLimit.objects.order_by("pk").values_list("kind", "amount", "every")) == [
        ("gap", 45, 1),
        ("minute", 1, 1),
        ("hour", 20, 1),
        ("day", 100, 1),
        ("minute", 5, 1),
    ]
    assert list(Permit.objects.order_by("pk").values_list("state", flat=True)) == ["reserved", "spent", "refunded"]
    assert not RateLimit.objects.filter(feed__isnull=False).exists()
    assert not Permit.objects.filter(feed__isnull=False).exists()
    (persona,) = read.personas()
    left = {str(one.rule): one.remaining for one in spend.measure(persona.id, now).left}
    assert left == {
        "45 s between posts": 0,
        "1 a minute": 0,
        "20 an hour": 18,
        "100 a day": 98,
        "5 a minute, all entities together": 3,
    }
