"""The REST API read by staff: every address answers, shows what it should, keeps secrets and stays fast."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from cluster.models import ClusterPolicy
from conversations.models import Engine
from entities.models import Entity
from swwbot_site.lib import clock
from tests import build
from tests.doors.api.conftest import LISTS, NASTY, THINGS, town

V1 = "/api/v1/"


def get(browser: Client, address: str, **parameters: object) -> Any:
    """The JSON of an address that answers."""
    response = browser.get(f"{V1}{address}", parameters)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    return response.json()


def ids(found: Any) -> list[Any]:
    return [row["id"] for row in found["results"]]


def one(name: str, row: Any) -> str:
    """The address of one row of a list."""
    return f"{name}/{row['slug'] if name == 'entities' else row['id']}/"


def test_the_root_names_everything(browser: Client) -> None:
    assert set(get(browser, "")) == {*LISTS, *THINGS}


@pytest.mark.parametrize("name", LISTS)
def test_every_list_and_every_row_of_it_opens(browser: Client, rows: None, name: str) -> None:
    found = get(browser, f"{name}/")
    assert len(found["results"]) >= (1 if name == "feeds" else 3)
    for row in found["results"]:
        alone = get(browser, one(name, row))
        assert {key: alone[key] for key in row} == row


@pytest.mark.parametrize("name", LISTS)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(browser: Client, name: str) -> None:
    town(2)
    get(browser, f"{name}/")
    with CaptureQueriesContext(connection) as few:
        get(browser, f"{name}/")
    town(10)
    with CaptureQueriesContext(connection) as many:
        get(browser, f"{name}/")
    assert len(many) == len(few) == (5 if name == "limits" else 3)  # the session, its user, the rows; what they leave


def test_the_queries_of_one_row_do_not_grow_with_what_belongs_to_it(browser: Client) -> None:
    model, entity, message = build.model(), build.entity(), build.message()
    addresses = [f"models/{model.pk}/", f"entities/{entity.slug}/limits/", f"messages/{message.pk}/", "status/"]

    def grow() -> None:
        build.offer(model=model)
        build.permit(entity=entity, state="spent")
        build.reply(message=message)
        build.seat(placement=build.placement(model=model))

    def count(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            get(browser, address)
        return len(queries)

    build.limit(entity=entity)
    grow()
    few = [count(address) for address in addresses]
    grow()
    grow()
    assert [count(address) for address in addresses] == few


def test_a_token_is_shown_nowhere_and_not_even_read(browser: Client, rows: None) -> None:
    server = build.server(token="sk-secret-1")
    for address in [*(f"{name}/" for name in (*LISTS, *THINGS)), f"servers/{server.pk}/"]:
        with CaptureQueriesContext(connection) as queries:
            assert b"sk-secret" not in browser.get(f"{V1}{address}").content
        if address.startswith("servers/"):
            assert not any('"token"' in query["sql"] for query in queries)
    assert not any("token" in key and "tokens" not in key for key in get(browser, f"servers/{server.pk}/"))


def test_names_are_shown_where_rows_refer_to_rows(browser: Client, rows: None) -> None:
    done = build.reply(state="posted", generation=build.generation(state="done", server=build.server(name="Studio")))
    reply = get(browser, f"replies/{done.pk}/")
    generation = get(browser, f"generations/{reply['generation']}/")
    assert (reply["entity"], reply["message"]) == (done.entity.slug, done.message_id)
    assert (generation["server"], generation["model"], generation["pin"]) == ("Studio", done.generation.model.key, None)
    assert generation["request"] == done.generation.request
    assert get(browser, f"messages/{reply['message']}/")["replies"] == [done.pk]


def test_one_row_shows_more_than_a_list_does(browser: Client, rows: None) -> None:
    for name, more in [("generations", "request"), ("messages", "verdict"), ("replies", "verdict"), ("entities", "system_prompt")]:
        row = get(browser, f"{name}/")["results"][0]
        assert more not in row
        assert get(browser, one(name, row))[more]


def test_hostile_text_comes_back_as_it_was_and_never_as_a_page(browser: Client) -> None:
    reply = build.reply(message=build.message(text=NASTY, username=NASTY), text=NASTY, reason=NASTY)
    build.event(text=NASTY, detail={NASTY: NASTY})
    build.generation(state="failed", error=NASTY)
    assert get(browser, f"messages/{reply.message_id}/")["text"] == NASTY
    assert get(browser, f"replies/{reply.pk}/")["text"] == NASTY
    assert get(browser, "events/")["results"][0]["detail"] == {NASTY: NASTY}
    response = browser.get(f"{V1}messages/", headers={"Accept": "text/html"})
    assert response.status_code == 406
    assert response["Content-Type"] == "application/json"
    assert browser.get(f"{V1}messages/")["X-Content-Type-Options"] == "nosniff"


def test_the_policy_is_shown_before_anybody_made_it_and_looking_makes_none(browser: Client) -> None:
    assert get(browser, "policy/")["strategy"] == "expected-time"
    assert not ClusterPolicy.objects.exists()
    build.policy(strategy="round-robin")
    assert get(browser, "policy/")["strategy"] == "round-robin"


def test_the_limits_say_what_is_left_and_when_it_is_free_again(browser: Client) -> None:
    entity = build.entity()
    build.limit(entity=entity, kind="hour", amount=2)
    build.limit(entity=None, kind="day", amount=100)
    free = get(browser, f"entities/{entity.slug}/limits/")
    assert (free["allowed"], free["why"], free["free_at"]) == (True, "", None)
    assert [(one["kind"], one["amount"], one["shared"], one["remaining"]) for one in free["limits"]] == [
        ("hour", 2, False, 2),
        ("day", 100, True, 100),
    ]
    first = clock.now() - timedelta(minutes=30)
    build.permit(entity=entity, state="spent", settled_at=first)
    build.permit(entity=entity, state="spent")
    full = get(browser, f"entities/{entity.slug}/limits/")
    assert not full["allowed"]
    assert "2 an hour" in full["why"]
    assert datetime.fromisoformat(full["free_at"]) == first + timedelta(hours=1)
    assert full["limits"][0]["remaining"] == 0
    assert full["limits"][0]["free_at"] == full["free_at"]


@pytest.mark.parametrize("slug", ["a.b", "Löwe 7", "x:y-z"])
def test_an_entity_is_found_by_its_id_whatever_that_is(browser: Client, slug: str) -> None:
    build.entity(slug=slug)
    assert get(browser, f"entities/{slug}/")["slug"] == slug
    assert get(browser, f"entities/{slug}/limits/")["allowed"]


def test_the_status_shows_the_cluster_the_engines_the_feeds_and_the_pace(browser: Client, living_engine: Engine) -> None:
    seat = build.seat()
    build.generation(model=seat.placement.model, priority=5)
    feed = build.feed()
    build.message(feed=feed)
    build.reply(state="posted")
    told = get(browser, "status/")
    assert datetime.fromisoformat(told["now"]) <= datetime.now(UTC)
    assert (told["cluster"]["running"], told["cluster"]["waiting"]) == (1, 1)
    server = next(one for one in told["cluster"]["servers"] if one["id"] == seat.placement.server_id)
    assert (server["held_gb"], server["in_flight"], server["slots"]) == (17.0, 1, 4)
    assert server["held"][0]["model"] == seat.placement.model.key
    assert told["cluster"]["queue"][0]["bands"] == {"critical": 1}
    assert [(one["owner"], one["living"]) for one in told["engines"]] == [(living_engine.owner, True)]
    assert feed.name in [one["name"] for one in told["feeds"]]
    assert (told["pace"]["posted"], told["pace"]["messages"]) == (1, 2)


# --- filters, order, pages ---------------------------------------------------------------------------------------
FILTERS: list[tuple[str, dict[str, str]]] = [
    ("servers", {"name": "Wanted"}),
    ("servers", {"state": "offline"}),
    ("servers", {"enabled": "false"}),
    ("models", {"key": "wanted"}),
    ("placements", {"server": "Wanted"}),
    ("placements", {"model": "wanted"}),
    ("placements", {"state": "unloading"}),
    ("generations", {"state": "failed"}),
    ("generations", {"server": "Wanted"}),
    ("generations", {"model": "wanted", "state": "failed"}),
    ("entities", {"enabled": "false"}),
    ("feeds", {"name": "wanted"}),
    ("messages", {"feed": "wanted"}),
    ("messages", {"kind": "AI"}),
    ("messages", {"decided": "true", "kind": "AI"}),
    ("messages", {"debt": "owed"}),
    ("replies", {"entity": "wanted"}),
    ("replies", {"state": "held"}),
    ("replies", {"feed": "wanted"}),
    ("engines", {"host": "wanted"}),
    ("engines", {"queue": "wanted"}),
    ("engines", {"running": "false"}),
    ("events", {"kind": "thing.wanted"}),
    ("events", {"level": "error"}),
    ("events", {"before": "2026-01-02T00:00:00Z"}),
]


@pytest.fixture
def wanted(rows: None) -> dict[str, int]:
    """Among others, one row of each list that the filters above find."""
    server, model = build.server(name="Wanted", state="offline", enabled=False), build.model(key="wanted")
    entity, feed, now = build.entity(slug="wanted", enabled=False), build.feed(name="wanted"), clock.now()
    message = build.message(feed=feed, kind="AI", decided_at=now, state="owed")
    found = {
        "servers": server,
        "models": model,
        "placements": build.placement(server=server, model=model, state="unloading"),
        "generations": build.generation(server=server, model=model, state="failed"),
        "entities": entity,
        "feeds": feed,
        "messages": message,
        "replies": build.reply(message=message, entity=entity, state="held"),
        "engines": build.engine(host="wanted", cluster="wanted", ended_at=now),
        "events": build.event(kind="thing.wanted", level="error", at=datetime(2026, 1, 1, tzinfo=UTC)),
    }
    return {name: row.pk for name, row in found.items()}


@pytest.mark.parametrize(("name", "parameters"), FILTERS, ids=lambda value: value if isinstance(value, str) else "&".join(value))
def test_a_filter_finds_what_it_says(browser: Client, wanted: dict[str, int], name: str, parameters: dict[str, str]) -> None:
    assert ids(get(browser, f"{name}/", **parameters)) == [wanted[name]]


def test_answers_to_one_message_are_found_by_its_number(browser: Client, rows: None) -> None:
    reply = build.reply()
    assert ids(get(browser, "replies/", message=reply.message_id)) == [reply.pk]


def test_messages_are_found_by_the_time_of_the_feed(browser: Client) -> None:
    rows = [build.message(timestamp=time).pk for time in (1000, 2000, 3000)]
    assert ids(get(browser, "messages/", after=2000, before=3000)) == rows[1:2]


def test_lists_are_ordered_as_asked(browser: Client) -> None:
    for name in "bac":
        build.server(name=name)
    assert [row["name"] for row in get(browser, "servers/")["results"]] == ["a", "b", "c"]
    assert [row["name"] for row in get(browser, "servers/", ordering="-name")["results"]] == ["c", "b", "a"]
    assert [row["name"] for row in get(browser, "servers/", ordering="id")["results"]] == ["b", "a", "c"]


@pytest.mark.parametrize("ordering", ["slug", "-slug", "id", "-id"])
def test_the_pages_of_a_list_hold_every_row_once_there_and_back(browser: Client, ordering: str) -> None:
    for _ in range(11):
        build.entity()
    page = get(browser, "entities/", limit=3, ordering=ordering)
    there = ids(page)
    while page["next"]:
        page = browser.get(page["next"]).json()
        there += ids(page)
    back = ids(page)
    while page["previous"]:
        page = browser.get(page["previous"]).json()
        back = ids(page) + back
    assert there == back == list(Entity.objects.order_by(ordering).values_list("pk", flat=True))


def test_a_page_stays_right_while_rows_come(browser: Client) -> None:
    rows = [build.event().pk for _ in range(4)]
    page = get(browser, "events/", limit=2)
    build.event()
    assert ids(browser.get(page["next"]).json()) == rows[1::-1]


def test_disabled_entities_are_there_too(browser: Client) -> None:
    build.entity(enabled=False)
    assert len(get(browser, "entities/")["results"]) == Entity.objects.count() == 1
