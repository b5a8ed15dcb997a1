"""Health, metrics, and pages that are not there or broken."""

import structlog
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from conversations.models import Engine
from swwbot_site.monitoring import health
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


def test_not_ready_without_a_database_and_strangers_hear_nothing_of_it(client: Client, db: None) -> None:
    secret = 'connection to server at "10.0.0.9", port 5432 failed: FATAL: no such user "swwbot"'

    def broken(*args: object) -> None:
        raise OperationalError(secret)

    with connection.execute_wrapper(broken), structlog.testing.capture_logs() as told:
        response = client.get("/readyz")
    assert response.status_code == 503
    text, advice = "cannot be asked; the log says why", "Start it with `make up`, or correct DATABASE_URL."
    assert response.json()["checks"] == [{"name": "database", "well": False, "text": text, "advice": advice}]
    assert [line["reason"] for line in told if line["event"] == "readyz.failed"] == [secret]


def test_metrics_are_read_from_rows(client: Client, db: None) -> None:
    server, model = build.server(name="Mac"), build.model(key="gemma")
    build.seat(placement=build.placement(server=server, model=model, gb=17.5))
    build.generation(model=model)
    build.reply(state="posted")
    text = client.get("/metrics").content.decode()
    for line in (
        'swwbot_queue{band="medium",model="gemma"} 1.0',
        'swwbot_seats{server="Mac"} 1.0',
        'swwbot_memory_held_bytes{server="Mac"} 1.75e+10',
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
