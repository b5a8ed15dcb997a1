"""Events and plugins: each hears what was said, none can break the speaker, none can go on for ever."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from swwbot_site.lib import events
from swwbot_site.lib.events import Happening
from swwbot_site.lib.hooks import hookimpl, manager


class Ear:
    """Hears everything; `then` is what it does about it."""

    def __init__(self, then: Callable[[Happening], None] = lambda _: None) -> None:
        self.heard: list[str] = []
        self.then = then

    @hookimpl
    def on_event(self, event: Happening) -> None:
        self.heard.append(event.kind)
        self.then(event)


@pytest.fixture
def plug() -> Iterator[Callable[[Ear], Ear]]:
    plugged: list[Ear] = []

    def plug(ear: Ear) -> Ear:
        manager.register(ear, name=f"ear-{len(plugged)}")
        plugged.append(ear)
        return ear

    yield plug
    for ear in plugged:
        manager.unregister(ear)


def test_plugins_hear_what_was_committed_and_nothing_else(transactional_db: None, plug: Any) -> None:
    ear = plug(Ear())
    events.say("a.said", "At once.")
    with transaction.atomic():
        events.say("b.said", "Later.")
        assert ear.heard == ["a.said"]
    with transaction.atomic():
        events.say("c.said", "Never.")
        transaction.set_rollback(True)
    assert ear.heard == ["a.said", "b.said"]


def test_a_plugin_that_raises_is_logged_and_the_others_hear_on(transactional_db: None, plug: Any, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Happening) -> None:
        raise ValueError("I am broken")

    ears = [plug(Ear()), plug(Ear(fail)), plug(Ear())]
    with transaction.atomic():
        events.say("a.said", "Text.")
    assert [ear.heard for ear in ears] == [["a.said"]] * 3
    assert "plugin.failed" in caplog.text
    assert "ear-1" in caplog.text


def test_two_plugins_that_answer_each_other_do_not_go_on_for_ever(transactional_db: None, plug: Any) -> None:
    def answer(event: Happening) -> None:
        with transaction.atomic():
            events.say("echo.said", f"I heard {event.kind}.")

    ears = [plug(Ear(answer)), plug(Ear(answer))]
    told: list[str] = []
    listener = events.listen(lambda happening: told.append(happening.kind))
    try:
        events.say("a.said", "Text.")
        events.say("b.said", "Text.")
    finally:
        events._listeners.remove(listener)
    assert [ear.heard for ear in ears] == [["a.said", "b.said"]] * 2
    assert told == ["a.said", "echo.said", "echo.said", "b.said", "echo.said", "echo.said"]


def test_a_plugin_that_is_not_there_breaks_nobody(transactional_db: None, settings: Any) -> None:
    settings.PLUGINS = ["no.such.module"]
    told: list[str] = []
    listener = events.listen(lambda happening: told.append(happening.kind))
    try:
        events.say("a.said", "Text.")
    finally:
        events._listeners.remove(listener)
    assert told == ["a.said"]
