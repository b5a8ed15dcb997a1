"""The doors of the personas: reading, switching, posting rights."""

from datetime import timedelta

import pytest

from entities import read, spend, switch
from entities.models import Entity, Permit
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_persona_is_read_with_what_its_row_says_and_without_what_it_leaves_open() -> None:
    row = build.entity(slug="b", temperature=0.7, top_k=None, frequency_penalty=0.0, aliases=["Bee"], stop=["</s>"], hold=True)
    build.entity(slug="a", enabled=False, disabled_reason="resting")
    first, second = read.personas()
    assert (first.slug, first.enabled, first.disabled_reason) == ("a", False, "resting")
    assert second == read.one(row.pk)
    assert (second.aliases, second.stop, second.hold) == (("Bee",), ("</s>",), True)
    assert second.sampling == {"temperature": 0.7, "frequency_penalty": 0.0, "presence_penalty": 0.3}
    assert read.one(0) is None


def test_switching_tells_once_keeps_a_version_and_counts_what_changed() -> None:
    one, two = build.entity(enabled=False, disabled_reason="x"), build.entity()
    assert switch.enable([one.pk, two.pk]) == 1
    assert switch.enable([one.pk, two.pk]) == 0
    assert switch.disable([one.pk], "too loud") == 1
    one.refresh_from_db()
    assert (one.enabled, one.disabled_reason) == (False, "too loud")
    assert [version.enabled for version in Entity.history.filter(id=one.pk).order_by("history_id")] == [False, True, False]
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == ["entity.enabled", "entity.disabled"]


def test_what_is_left_is_read_without_reserving() -> None:
    who = build.entity()
    build.limit(entity=who, kind="minute", amount=3)
    build.limit(entity=None, kind="gap", amount=5)
    now = clock.now()
    permit = spend.reserve(who.pk, now - timedelta(seconds=4)).permit_id
    assert permit is not None
    spend.spend(permit, now - timedelta(seconds=4))
    state = read.limits(who.pk, now)
    assert {str(left.rule): left.remaining for left in state.left} == {
        "3 a minute": 2,
        "5 s between posts, all entities together": 0,
    }
    assert state.free_at == now + timedelta(seconds=1)
    assert Permit.objects.count() == 1


def test_nobody_reserves_for_an_entity_that_is_gone() -> None:
    with pytest.raises(Entity.DoesNotExist):
        spend.reserve(0, clock.now())


def test_a_ledger_is_counted_by_settled_time_and_a_refund_counts_for_nothing() -> None:
    who = build.entity()
    build.limit(entity=who, kind="minute", amount=2)
    now = clock.now()
    build.permit(entity=who, state="spent", settled_at=now - timedelta(seconds=61))
    build.permit(entity=who, state="refunded", settled_at=now)
    build.permit(entity=who, state="spent", settled_at=now - timedelta(seconds=59))
    build.permit(state="spent")
    (left,) = spend.measure(who.pk, now).left
    assert left.remaining == 1
