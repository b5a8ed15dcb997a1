"""`/metrics`: every figure comes from rows, counters never fall, and not everybody may read them."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as project
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from cluster.models import Generation, Placement
from conversations.feed import toll
from conversations.models import Engine, Message, Reply
from swwbot_site.lib import clock
from swwbot_site.models import Reckoning, Tally
from swwbot_site.monitoring import reckon, rows
from tests import build

DASHBOARD = Path(project.BASE_DIR) / "deploy" / "grafana.json"
AGO = timedelta(minutes=2)


def scraped(client: Client, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels, as Prometheus reads it."""
    text = client.get("/metrics", **headers).content.decode()
    return {
        "".join([one.name, "{", ",".join(f"{k}={v}" for k, v in sorted(one.labels.items())), "}"]).replace("{}", ""): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def an_evening() -> None:
    """Something of everything that is measured."""
    now = clock.now()
    then = now - AGO
    model, server = build.model(key="gemma"), build.server(name="Mac", retry_at=now + timedelta(minutes=1), failures=2)
    placement = build.placement(server=server, model=model, gb=17.5, failures=3, rest_until=now + timedelta(seconds=20))
    Placement.objects.filter(pk=placement.pk).update(created_at=then - timedelta(seconds=30), loaded_at=then, preloaded=True)
    build.seat(placement=placement)
    build.placement(server=build.server(), model=build.model(), state="loading")
    build.placement(server=server, model=build.model(key="old"), state="gone", ended_at=then, departure={"why": "room", "for": "gemma"})
    build.placement(server=server, model=build.model(key="big"), state="failed", ended_at=then)
    build.generation(model=model, priority=5)
    build.generation(
        model=model,
        state="done",
        server=server,
        queued_at=then - timedelta(seconds=10),
        asked_at=then - timedelta(seconds=6),
        first_token_at=then - timedelta(seconds=5),
        ended_at=then,
        prompt_tokens=200,
        completion_tokens=30,
    )
    entity = build.entity(slug="philosopher")
    build.limit(entity=entity, kind="hour", amount=20)
    permit = build.permit(entity=entity, state="spent")
    message = build.message(
        received_at=then - timedelta(seconds=8), feed=build.feed(name="chat", url="http://chat.example/api", failures=1)
    )
    build.reply(state="posted", message=message, entity=entity, permit=permit, ended_at=then)
    build.reply(state="waiting")
    reckon.reckon(now)
    reckon.keep({"http://chat.example/api": 12, "http://gone.example/api": 4}, now)


def test_the_figures_are_those_of_the_rows(client: Client, living_engine: Engine) -> None:
    an_evening()
    found = scraped(client)
    assert found == found | {
        "swwbot_queue{band=critical,model=gemma}": 1,
        "swwbot_wait_seconds_5m{model=gemma,q=0.5}": 4,
        "swwbot_first_token_seconds_5m{model=gemma,q=0.99}": 1,
        "swwbot_running": 1,
        "swwbot_seats{server=Mac}": 1,
        "swwbot_memory_held_bytes{server=Mac}": 17.5e9,
        "swwbot_server_up{server=Mac}": 1,
        "swwbot_server_breaker_open{server=Mac}": 1,
        "swwbot_placement_breaker_open{instance=gemma,server=Mac}": 1,
        "swwbot_servers{state=online}": 2,
        "swwbot_replies_ended_5m{state=posted}": 1,
        "swwbot_answer_seconds_5m{q=0.5}": 8,
        "swwbot_limit_remaining{entity=philosopher,limit=20 an hour}": 19,
        "swwbot_posting_stopped": 0,
        "swwbot_engines": 1,
        "swwbot_feed_failures{feed=chat}": 1,
        "swwbot_feed_requests_today{feed=chat}": 12,
        "swwbot_tokens_in_total{model=gemma}": 200,
        "swwbot_tokens_out_total{model=gemma}": 30,
        "swwbot_loads_total{model=gemma}": 1,
        "swwbot_load_seconds_total{model=gemma}": 30,
        "swwbot_preloads_total{model=gemma}": 1,
        "swwbot_loads_failed_total{model=big}": 1,
        "swwbot_evictions_total{model=old}": 1,
        "swwbot_replies_total{outcome=posted}": 1,
        "swwbot_messages_total{kind=human}": 1,
        "swwbot_generations_total{state=done}": 1,
        "swwbot_feed_requests_total{feed=chat}": 12,
    }
    assert found["swwbot_feed_requests_month_projected{feed=chat}"] >= 30 * 86_400 / 5


def test_counters_stay_when_their_rows_go_and_what_ends_is_counted_once(client: Client, db: None) -> None:
    an_evening()
    before = {name: value for name, value in scraped(client).items() if name.partition("{")[0].endswith("_total")}
    Reply.objects.all().delete()
    Generation.objects.all().delete()
    Message.objects.filter(replies=None).delete()
    Placement.objects.exclude(state="loaded").delete()
    reckon.reckon(clock.now() + timedelta(minutes=1))
    after = scraped(client)
    assert {name: after[name] for name in before} == before


def test_what_has_ended_just_now_is_counted_a_little_later_and_never_twice(db: None) -> None:
    now = clock.now()
    build.generation(state="done", ended_at=now - timedelta(seconds=5))
    reckon.reckon(now)
    assert not Tally.objects.filter(name="generations").exists()
    for minutes in (1, 2, 3):
        reckon.reckon(now + timedelta(minutes=minutes))
    assert Tally.objects.get(name="generations").value == 1


def test_answers_that_cost_no_server_anything_cost_no_tokens(db: None) -> None:
    ended = clock.now() - AGO
    first = build.generation(state="done", ended_at=ended, prompt_tokens=10, completion_tokens=1)
    build.generation(state="done", ended_at=ended, prompt_tokens=10, completion_tokens=1, model=first.model, cached=True)
    build.generation(state="done", ended_at=ended, prompt_tokens=10, completion_tokens=1, model=first.model, leader=first)
    reckon.reckon(clock.now())
    assert Tally.objects.get(name="tokens_in").value == 10


def test_every_row_of_the_past_is_counted_at_its_day(db: None) -> None:
    now = clock.now()
    for days in (0, 1, 1, 40):
        build.generation(state="failed", ended_at=now - timedelta(days=days, minutes=5))
    reckon.reckon(now)
    assert Reckoning.objects.get().until == now - reckon.LAG
    assert sorted(Tally.objects.filter(name="generations").values_list("value", flat=True)) in ([1, 1, 2], [1, 3])


def test_requests_are_added_up_by_feed_and_day(db: None) -> None:
    build.feed(name="chat", url="http://chat.example/api")
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    for moment in (midnight - timedelta(seconds=1), midnight, midnight + timedelta(hours=3)):
        reckon.keep({"http://chat.example/api": 2}, moment)
    assert dict(Tally.objects.values_list("day", "value")) == {midnight.date() - timedelta(days=1): 2, midnight.date(): 4}


def test_counts_that_could_not_be_kept_come_back() -> None:
    toll.taken()
    toll.sent("http://a.example")
    counts = toll.taken()
    toll.sent("http://a.example")
    toll.returned(counts)
    assert toll.taken() == {"http://a.example": 2}
    assert toll.taken() == {}


@pytest.mark.parametrize(
    ("today", "yesterday", "least", "expected"),
    [
        (6_000.0, 12_000.0, 0.0, 360_000.0),  # a day and a half at 12 000 a day
        (6_000.0, None, 0.0, 360_000.0),
        (10.0, None, 518_400.0, 518_400.0),  # begun an hour ago: it will poll all the same
        (0.0, 0.0, 518_400.0, 0.0),
    ],
)
def test_the_month_is_projected_from_what_was_sent(today: float, yesterday: float | None, least: float, expected: float) -> None:
    assert rows.projected(today, yesterday, least, datetime(2026, 11, 20, 12, tzinfo=UTC)) == pytest.approx(expected)


def test_a_scrape_costs_the_same_however_much_there_is(client: Client, db: None) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/metrics").status_code == 200
        return len(queries)

    an_evening()
    few = cost()
    for _ in range(5):
        build.seat(placement=build.placement())
        build.reply(state="posted", generation=build.generation(state="done"))
        build.permit(state="spent")
    assert cost() == few < 35


def test_names_of_any_kind_do_not_break_the_format(client: Client, db: None) -> None:
    name = 'a "quoted" \\ name\nof two lines \u202e'
    build.server(name=name)
    assert f"swwbot_server_up{{server={name}}}" in scraped(client)


ABBREVIATED = {"s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"}
"""Units that Prometheus' own checker (`promtool check metrics`) refuses in names."""


def test_the_figures_pass_the_rules_of_promtool(client: Client, db: None) -> None:
    an_evening()
    text = client.get("/metrics").content.decode()
    seen: set[str] = set()
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.name not in seen
        seen.add(family.name)
        assert re.fullmatch(r"swwbot_[a-z0-9_]+", family.name)
        assert not ABBREVIATED & set(family.name.split("_"))
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info")) or family.type == "counter"
        samples = [(one.name, tuple(sorted(one.labels.items()))) for one in family.samples]
        assert len(samples) == len(set(samples))
        assert not {"quantile", "le"} & {label for one in family.samples for label in one.labels}
        assert all(one.value >= 0 for one in family.samples)


def refusals() -> Iterator[tuple[dict[str, object], dict[str, str], int]]:
    near, far = {"REMOTE_ADDR": "127.0.0.1"}, {"REMOTE_ADDR": "203.0.113.9"}
    bearer = {"METRICS_TOKEN": "right"}
    yield {}, near, 200
    yield {}, far, 403
    yield {}, near | {"HTTP_X_FORWARDED_FOR": "203.0.113.9"}, 403  # from outside, through a proxy on this machine
    yield {}, near | {"HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.9"}, 403
    yield {}, near | {"HTTP_X_FORWARDED_FOR": "nonsense"}, 403
    yield {}, near | {"HTTP_X_FORWARDED_FOR": "127.0.0.1", "HTTP_X_REAL_IP": "203.0.113.9"}, 403
    yield {}, near | {"HTTP_X_REAL_IP": "127.0.0.1"}, 200
    yield {}, near | {"HTTP_FORWARDED": "for=127.0.0.1"}, 403  # a proxy that does not say for whom in the way that is understood
    yield {}, near | {"HTTP_X_FORWARDED_PROTO": "https"}, 403
    yield {}, near | {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 200
    yield {}, {"REMOTE_ADDR": ""}, 403
    yield {}, {"REMOTE_ADDR": "::ffff:127.0.0.1"}, 200
    yield {"METRICS_NETWORKS": ["203.0.113.0/24"]}, far, 200
    yield {"METRICS_NETWORKS": []}, near, 403
    yield bearer, far | {"HTTP_AUTHORIZATION": "Bearer right"}, 200
    yield bearer, far | {"HTTP_AUTHORIZATION": "bearer  right"}, 200
    yield bearer, far | {"HTTP_AUTHORIZATION": "Bearer wrong"}, 403
    yield bearer, far | {"HTTP_AUTHORIZATION": "Bearer r\u00edght"}, 403
    yield bearer, far | {"HTTP_AUTHORIZATION": "Basic right"}, 403
    yield {"METRICS_TOKEN": ""}, far | {"HTTP_AUTHORIZATION": "Bearer "}, 403
    yield {"ENABLE_METRICS": False}, near, 404


@pytest.mark.parametrize(("changed", "sent", "status"), list(refusals()))
def test_who_may_read_the_figures(
    client: Client, db: None, settings: Settings, changed: dict[str, object], sent: dict[str, str], status: int
) -> None:
    for name, value in changed.items():
        setattr(settings, name, value)
    response = client.get("/metrics", **sent)
    assert response.status_code == status
    assert b"swwbot_" not in response.content or status == 200


def test_staff_may_read_the_figures_from_anywhere(browser: Client) -> None:
    assert browser.get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 200


def test_the_dashboard_shows_nothing_that_is_not_measured_and_all_that_is(client: Client, db: None) -> None:
    board = json.loads(DASHBOARD.read_text())
    asked = {name for panel in board["panels"] for one in panel.get("targets", ()) for name in re.findall(r"swwbot_\w+", one["expr"])}
    text = client.get("/metrics").content.decode()
    families = {family.name + ("_total" if family.type == "counter" else "") for family in text_string_to_metric_families(text)}
    assert asked <= families
    assert families - asked <= {"swwbot_messages_5m"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    sources = {one["datasource"]["uid"] for panel in board["panels"] for one in panel.get("targets", ())}
    assert sources == {"${source}"}
    assert [variable["name"] for variable in board["templating"]["list"]] == ["source"]
