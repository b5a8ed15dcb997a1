"""Whoever is called by name will probably be asked soon: the cluster is told which models that concerns."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cluster.models import Generation, LanguageModel
from conversations import cycle
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.emulator.quirks import Quirks
from swwbot_site.lib import clock
from tests import build
from tests.verbs.conversations.desk import Desk, say

Feeds = Callable[..., Chat]


def expected() -> set[str]:
    return set(LanguageModel.objects.filter(expected_at__isnull=False).values_list("key", flat=True))


def test_who_is_called_by_name_is_expected_whether_or_not_it_answers(chat: Feeds, desk: Desk) -> None:
    feed = chat("do", quirks=Quirks(race_ms=0.0, rate_limit=False))
    people: dict[str, dict[str, Any]] = {
        "Plato": {},
        "Kant": {"responds_to_humans": False},
        "Hegel": {"enabled": False},
        "Hume": {},
        "Mach": {"aliases": ["the physicist"]},
    }
    for name, over in people.items():
        build.model(key=f"maker/{name.lower()}")
        build.entity(**{"username": name, "slug": name.lower(), "model": f"maker/{name.lower()}", "response_chance": 0.0} | over)
    say(feed, "Plato, what would Kant, Hegel and The Physicist say?")
    desk.listen()
    assert expected() == {"maker/plato", "maker/kant", "maker/mach"}
    assert {g.model.key for g in Generation.objects.select_related("model")} == {"maker/plato", "maker/mach"}


def test_a_mention_of_yesterday_is_no_news(transactional_db: None) -> None:
    model = build.model(key="maker/plato")
    build.entity(username="Plato", model="maker/plato")
    yesterday = clock.now() - timedelta(days=1)
    build.message(text="Ask Plato!", timestamp=clock.millis(yesterday), born_at=yesterday)
    cycle.judge(clock.now())
    model.refresh_from_db()
    assert model.expected_at is not None
    assert model.expected_at <= yesterday
