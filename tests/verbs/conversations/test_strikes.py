"""An entity that fails again and again by its own fault is switched off, and nothing else switches it off."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conversations import strikes
from conversations.models import Reply
from entities import switch
from entities.models import Entity
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build


def failed(entity: Entity, code: str = "model-missing", *, params: dict[str, Any] | None = None, **over: Any) -> Reply:
    """An answer whose generation failed."""
    message = over.pop("message", None) or build.message(bot_params=params)
    generation = build.generation(state="failed", error_code=code, error="nobody has it")
    return build.reply(entity=entity, state="failed", message=message, **{"generation": generation, "reason": "nobody has it"} | over)


def answered(entity: Entity, state: str = "posted") -> Reply:
    return build.reply(entity=entity, state=state, generation=build.generation(state="done"), reason="nothing was left of it")


def test_as_many_failures_in_a_row_as_it_may_have_switch_it_off_with_the_reason(transactional_db: None, settings: Any) -> None:
    entity = build.entity(slug="owl", username="Owl", max_failures=3)
    for _ in range(2):
        failed(entity)
        assert not strikes.count(entity.pk)
    failed(entity, reason="No server\nhas it.")
    assert strikes.count(entity.pk)
    entity.refresh_from_db()
    assert (entity.enabled, entity.disabled_reason) == (False, "3 answers in a row failed; the last: No server has it.")
    told = Event.objects.get(kind="entity.disabled")
    assert (told.level, told.subject) == ("warning", "entity:owl")
    assert "No server has it." in told.text
    assert not strikes.count(entity.pk)
    assert Event.objects.filter(kind="entity.disabled").count() == 1


@pytest.mark.parametrize(
    ("between", "off"),
    [
        (answered, False),
        (lambda entity: answered(entity, "dropped"), False),
        (lambda entity: build.reply(entity=entity, state="dropped", reason="too late"), True),
        (lambda entity: failed(entity, "unreachable"), True),
        (lambda entity: answered(entity, "failed"), True),
        (lambda entity: None, True),
    ],
    ids=["posted", "silent", "late", "an outage", "its plugin", "nothing"],
)
def test_only_what_was_answered_begins_the_count_anew(db: None, between: Callable[[Entity], Any], off: bool) -> None:
    entity = build.entity(max_failures=2)
    failed(entity)
    between(entity)
    failed(entity)
    assert strikes.count(entity.pk) is off


@pytest.mark.parametrize("code", ["unreachable", "hung", "deadline", "cancelled", "busy", "context-overflow", "rate-limited"])
def test_servers_that_were_away_switch_nobody_off(db: None, code: str) -> None:
    entity = build.entity(max_failures=1)
    for _ in range(3):
        failed(entity, code)
    assert not strikes.count(entity.pk)


@pytest.mark.parametrize("params", [{"model": "no-such"}, {"nom": "ALL"}, {"ais": ":"}])
def test_nobody_in_the_chat_can_switch_an_entity_off(db: None, params: dict[str, Any]) -> None:
    entity = build.entity(max_failures=1)
    failed(entity, generation=None, params=params)
    failed(entity, generation=None, message=build.message(text="x" * 1001))
    if "ais" not in params:
        failed(entity, params=params)
    assert not strikes.count(entity.pk)


def test_a_message_for_the_entity_itself_counts(db: None) -> None:
    entity = build.entity(max_failures=2)
    failed(entity, generation=None, params={"entity": entity.slug})
    failed(entity, generation=None, params=None)
    assert strikes.count(entity.pk)


def test_a_post_that_the_feed_refuses_is_not_the_entitys_fault(db: None) -> None:
    entity = build.entity(max_failures=1)
    build.reply(entity=entity, state="failed", generation=build.generation(state="done"), outgoing_id="x", outgoing_timestamp=1)
    assert not strikes.count(entity.pk)


def test_failures_before_it_was_switched_on_are_forgiven(db: None) -> None:
    entity = build.entity(max_failures=1)
    failed(entity)
    assert strikes.count(entity.pk)
    switch.enable([entity.pk], "ann")
    assert not strikes.count(entity.pk)
    failed(entity, decided_at=clock.now() - timedelta(seconds=1), ended_at=clock.now() + timedelta(seconds=1))
    assert not strikes.count(entity.pk)
    failed(entity, decided_at=clock.now() + timedelta(seconds=1))
    assert strikes.count(entity.pk)


def test_zero_means_never_and_others_do_not_count(db: None) -> None:
    never, other = build.entity(max_failures=0), build.entity(max_failures=1)
    for _ in range(9):
        failed(never)
    assert not strikes.count(never.pk)
    assert not strikes.count(other.pk)
    assert not strikes.count(0)


def test_it_is_counted_when_the_transaction_is_over(db: None, django_capture_on_commit_callbacks: Callable[..., Any]) -> None:
    entity = build.entity(max_failures=1)
    with django_capture_on_commit_callbacks(execute=True):
        strikes.struck(entity.pk)
        failed(entity)
    entity.refresh_from_db()
    assert entity.disabled_reason == "its answer failed: nobody has it"
