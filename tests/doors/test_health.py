"""Health, metrics and the status page."""

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from conversations.models import Engine
from swwbot_site.lib import clock
from swwbot_site.monitoring import health, status
from tests import build


def test_alive_needs_no_database(client: Client) -> None:
    assert client.get("/healthz").content == b"ok\n"


def test_ready_with_a_database_and_an_engine(client: Client, living_engine: Engine) -> None:
    response = client.get("/readyz")
    checks = {check["name"]: check for check in response.json()["checks"]}
    assert checks["database"]["well"]
    assert checks["engine"]["well"]
    assert response.json()["ready"] == (not health.missing())
    assert response.status_code == (200 if response.json()["ready"] else 503)


def test_not_ready_without_a_living_engine(client: Client, db: None) -> None:
    build.engine()
    response = client.get("/readyz")
    assert response.status_code == 503
    engine = response.json()["checks"][-1]
    assert (engine["name"], engine["well"]) == ("engine", False)
    assert "make up" in engine["advice"]


def test_not_ready_without_a_migration(client: Client, db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'cluster'")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "cluster." in response.json()["checks"][-1]["text"]
    assert "migrate" in response.json()["checks"][-1]["advice"]


def test_not_ready_without_a_database(client: Client, db: None) -> None:
    def broken(*args: object) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(broken):
        response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"] == [
        {"name": "database", "well": False, "text": "connection refused", "advice": "Start it with `make up`, or correct DATABASE_URL."}
    ]


def test_metrics_are_read_from_rows(client: Client, db: None) -> None:
    server, model = build.server(name="Mac"), build.model(key="gemma")
    build.seat(placement=build.placement(server=server, model=model, gb=17.5))
    build.generation(model=model)
    build.reply(state="posted")
    text = client.get("/metrics").content.decode()
    for line in (
        'swwbot_queue{model="gemma"} 1.0',
        'swwbot_seats{server="Mac"} 1.0',
        'swwbot_memory_held_gb{server="Mac"} 17.5',
        'swwbot_servers{state="online"} 1.0',
        'swwbot_replies_ended_5m{state="posted"} 1.0',
        "swwbot_running 1.0",
        "swwbot_engines 0.0",
    ):
        assert line in text


def test_metrics_can_be_switched_off(client: Client, settings: Settings) -> None:
    settings.ENABLE_METRICS = False
    assert client.get("/metrics").status_code == 404


def test_a_wrong_address_leads_back(client: Client) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert b"/status/" in response.content


def test_a_broken_page_says_where_to_look(browser: Client) -> None:
    def broken(*args: object) -> None:
        raise OperationalError("connection refused")

    browser.raise_request_exception = False
    with connection.execute_wrapper(broken):
        response = browser.get("/status/")
    assert response.status_code == 500
    assert b"manage.py doctor" in response.content


def test_the_root_leads_to_the_status_page(client: Client) -> None:
    assert client.get("/")["Location"] == "/status/"


def test_the_status_page_is_for_staff(client: Client, db: None) -> None:
    assert client.get("/status/")["Location"] == "/admin/login/?next=/status/"
    assert client.get("/status/live/").headers["HX-Redirect"] == "/admin/login/?next=/status/"


def test_the_status_page_shows_servers_models_queue_and_answers(browser: Client, living_engine: Engine) -> None:
    server, model = build.server(name="Mac Studio 1"), build.model(key="google/gemma-3-27b")
    build.placement(server=server, model=model, gb=17)
    build.server(name="Mac Studio 2", state="offline", state_reason="connection refused")
    build.generation(model=model, priority=5)
    reply = build.reply(
        state="posted", text="Because <b>everything</b> flows.", generation=build.generation(state="done", model=model, server=server)
    )
    page = browser.get("/status/").content.decode()
    for text in (
        "Mac Studio 1",
        "google/gemma-3-27b",
        "17 of 96 GB",
        "connection refused",
        "critical 1",
        "Because &lt;b&gt;everything",
        reply.message.text,
    ):
        assert text in page
    assert "<b>everything" not in page
    assert "No engine is running" not in page


def test_an_empty_status_page_says_what_to_do(browser: Client) -> None:
    page = browser.get("/status/").content.decode()
    for text in ("No engine is running", "No server yet", "There is no feed to read", "Nothing waits"):
        assert text in page


def test_a_failing_feed_is_told_on_top(browser: Client) -> None:
    build.feed(name="chat", failures=3, error="<refused>")
    page = browser.get("/status/live/").content.decode()
    assert "The feed chat fails (3 times in a row): &lt;refused&gt;" in page


def test_the_status_page_costs_the_same_for_many_servers(browser: Client, db: None) -> None:
    def grow(count: int) -> int:
        for _ in range(count):
            build.seat(placement=build.placement())
            build.reply(state="posted", generation=build.generation(state="done"))
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/status/live/").status_code == 200
        return len(queries)

    assert grow(1) == grow(10) < 20


def only_card() -> status.Card:
    [card] = status.context(clock.now())["cards"]
    return card


def test_models_on_one_page_have_different_colours() -> None:
    models = [f"model-{number}" for number in range(status.HUES)]
    hues = status.palette(models)
    assert sorted(hues.values()) == list(range(status.HUES))
    assert hues == status.palette(reversed(models))
    assert set(status.palette([*models, "one-more"]).values()) == set(range(status.HUES))


@pytest.mark.parametrize(
    ("values", "mood"),
    [
        ({"state": "online"}, ("good", "online")),
        ({"state": "online", "draining": True}, ("warn", "draining")),
        ({"state": "offline"}, ("bad", "offline")),
        ({"state": "unknown"}, ("warn", "not seen yet")),
        ({"state": "misconfigured"}, ("warn", "misconfigured")),
        ({"state": "rate-limited"}, ("warn", "rate-limited")),
        ({"state": "online", "enabled": False}, ("off", "switched off")),
    ],
)
def test_a_servers_mood(db: None, values: dict[str, object], mood: tuple[str, str]) -> None:
    build.server(**values)
    card = only_card()
    assert (card.mood, card.word) == mood


def test_memory_bars_stay_inside_even_when_too_much_is_held(db: None) -> None:
    server = build.server(budget_gb=20)
    build.placement(server=server, gb=17)
    build.placement(server=server, gb=17)
    card = only_card()
    assert sum(segment.width for segment in card.segments) <= 100.1
    assert card.percent == 100
