"""The status page and the why page as a server gives them: what stands in each part, who may see it, and what it costs."""

import asyncio
import json
import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from cluster import bars
from conversations import read
from conversations.models import Engine
from conversations.stop import stop
from conversations.trace import Step
from swwbot_site.lib import clock
from swwbot_site.monitoring import board, cards, draw, stream
from swwbot_site.monitoring.stages import stages
from tests import build

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script>\u202e\u0007 <img src=x onerror=alert(2)>{{ 7|add:7 }}"
NOW = clock.now()
STATIC = settings.BASE_DIR / "swwbot_site" / "static" / "swwbot"


def regions(browser: Client) -> dict[str, Any]:
    return browser.get("/status/live/").json()["regions"]


def text(browser: Client, region: str) -> str:
    return "".join(regions(browser)[region]["html"].values())


def visitor(*permissions: str) -> Client:
    user = User.objects.create_user("visitor", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# --- who may see it ----------------------------------------------------------------------------------------------
def test_the_status_page_is_for_staff(client: Client) -> None:
    reply = build.reply()
    assert client.get("/status/")["Location"] == "/admin/login/?next=/status/"
    live = client.get("/status/live/")
    assert (live.status_code, live.json()) == (401, {"login": "/admin/login/?next=/status/"})
    assert client.get("/status/stream/").status_code == 204
    assert client.get(f"/status/answer/{reply.pk}/").status_code == 403
    assert client.get(f"/why/reply/{reply.pk}")["Location"].startswith("/admin/login/")
    assert client.get(f"/why/message/{reply.message_id}")["Location"].startswith("/admin/login/")
    client.force_login(User.objects.create_user("guest"))
    assert client.get("/status/")["Location"] == "/admin/login/?next=/status/"


def test_prompts_are_for_those_who_may_read_answers() -> None:
    reply = build.reply(state="posted", generation=build.generation(state="done"))
    client = visitor()
    assert client.get("/status/").status_code == 200
    for path in (f"/status/answer/{reply.pk}/", f"/why/reply/{reply.pk}", f"/why/message/{reply.message_id}"):
        assert client.get(path).status_code == 403, path


def test_the_stop_button_is_for_those_who_may_stop_and_asks_first(browser: Client) -> None:
    url = reverse("status-posting")
    reader = visitor("view_reply")
    assert b'data-do="stop"' not in reader.get("/status/").content
    assert reader.post(url, {"verb": "stop", "sure": "yes"}).status_code == 403
    assert b'data-do="stop"' in browser.get("/status/").content
    assert browser.get(url).status_code == 405
    assert b"Yes, stop all posting" in browser.post(url, {"verb": "stop", "why": "it swears"}).content
    assert browser.post(url, {"verb": "dance", "sure": "yes"}).status_code == 404
    assert read.stopped() is None
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(User.objects.get(username="admin"))
    assert careful.post(url, {"verb": "stop", "sure": "yes"}).status_code == 403
    assert browser.post(url, {"verb": "stop", "why": "it swears", "sure": "yes"})["Location"] == "/status/"
    assert "by admin: it swears" in str(read.stopped())
    browser.post(url, {"verb": "resume", "sure": "yes"})
    assert read.stopped() is None


def test_nothing_on_the_pages_needs_an_inline_script_or_style(browser: Client) -> None:
    reply = build.reply(state="posted", generation=build.generation(state="done"))
    build.placement(state="loading")
    for path in ("/status/", "/status/live/", f"/why/reply/{reply.pk}", f"/status/answer/{reply.pk}/"):
        page = browser.get(path).content.decode()
        assert "<script>" not in page, path
        assert "<style" not in page, path
        assert " style=" not in page, path
        assert " onclick" not in page, path


# --- what stands in it -------------------------------------------------------------------------------------------
def test_it_shows_servers_models_queue_and_answers(browser: Client, living_engine: Engine) -> None:
    server, model = build.server(name="Mac Studio 1"), build.model(key="google/gemma-3-27b")
    build.placement(server=server, model=model, gb=17)
    build.offer(server=server, model=model, tokens_per_s=41.4)
    build.server(name="Mac Studio 2", state="offline", state_reason="connection refused", retry_at=clock.now() + timedelta(minutes=1))
    build.generation(model=model, priority=5)
    done = build.generation(state="done", model=model, server=server, priority=3)
    reply = build.reply(state="posted", text="Because <b>everything</b> flows.", generation=done)
    page = browser.get("/status/").content.decode()
    for words in (
        "Mac Studio 1",
        "google/gemma-3-27b",
        "17 of 96 GB",
        "41 tok/s",
        "connection refused",
        "breaker open",
        "critical 1",
        "priority 3",
        "Because &lt;b&gt;everything",
        reply.message.text,
        reverse("why-reply", args=[reply.pk]),
    ):
        assert words in page
    assert "<b>everything" not in page
    assert "No engine is running" not in page


def test_an_empty_page_says_what_to_do(browser: Client) -> None:
    page = browser.get("/status/").content.decode()
    for words in ("No engine is running", "No server yet", "There is no feed to read", "Nothing waits", "Nothing is on its way"):
        assert words in page
    assert "There is no server and no feed and no entity yet." in page
    assert "There is no server and no feed and no entity yet." in browser.get("/admin/").content.decode()


def test_each_trouble_is_told_on_top_with_what_to_do(browser: Client) -> None:
    build.feed(name="chat", failures=3, error="<refused>")
    build.server(enabled=False)
    build.entity(enabled=False, disabled_reason="on holiday")
    stop("ann", "it <swears>")
    told = text(browser, "troubles")
    assert "Every entity is switched off." in told
    assert "There is no" not in told
    assert "The feed chat fails (3 times in a row): &lt;refused&gt;" in told
    assert "Every server is switched off." in told
    assert "it &lt;swears&gt;" in told
    assert 'data-do="resume"' in told


@pytest.mark.parametrize("path", ["/status/", "/admin/"])
def test_nothing_is_said_to_be_well_while_nothing_can_be_answered(browser: Client, living_engine: Engine, path: str) -> None:
    feed, server, entity = build.feed(), build.server(), build.entity()
    assert "alert" not in browser.get("/admin/").content.decode().partition('id="board"')[2].partition("sww-tiles")[0]
    assert "Nothing is in the way of answers." in text(browser, "troubles")
    for row, words in (
        (entity, "Every entity is switched off."),
        (feed, "Every feed is switched off."),
        (server, "Every server is switched off."),
    ):
        type(row).objects.filter(pk=row.pk).update(enabled=False)
        page = browser.get(path).content.decode()
        assert words in page
        assert "Nothing is in the way of answers." not in page


def test_a_load_tells_since_when_and_how_long_it_should_take(browser: Client) -> None:
    server, model = build.server(name="Attic"), build.model(key="qwen/qwen3-32b")
    build.offer(server=server, model=model, load_seconds=40.0)
    row = build.placement(server=server, model=model, state="loading", caused_by="entity:sage")
    told = text(browser, "loads")
    assert "onto Attic" in told
    assert "for entity:sage" in told
    assert f'data-from="{row.created_at.isoformat()}" data-span="40.0"' in told
    assert f'data-left="{(row.created_at + timedelta(seconds=40)).isoformat()}"' in told


def test_with_many_servers_the_cards_are_small(browser: Client) -> None:
    for _ in range(board.MANY - 1):
        build.server()
    ill = [build.server(name=f"zz-{state}", state=state) for state in ("misconfigured", "offline")]
    told = regions(browser)["servers"]
    assert len(told["order"]) == board.MANY + 1
    assert all(" small" in html for html in told["html"].values())
    assert told["order"][:2] == [f"server-{row.pk}" for row in reversed(ill)], "who is ill comes first"


def test_of_very_many_models_that_are_waited_for_the_rest_is_counted(browser: Client) -> None:
    for _ in range(board.QUEUES + 2):
        build.generation()
    told = regions(browser)["queue"]
    assert len(told["order"]) == board.QUEUES + 1
    assert "2 more wait for 2 more models." in told["html"]["more"]


def test_a_request_is_fetched_whole_and_escaped(browser: Client) -> None:
    asked = {"messages": [{"role": "system", "content": EVIL}], "sampling": {"temperature": 0.6}, "max_tokens": 90, "stop": []}
    reply = build.reply(state="posted", text=EVIL, generation=build.generation(state="done", request=asked, text=EVIL))
    told = browser.get(f"/status/answer/{reply.pk}/").content.decode()
    assert "&lt;script&gt;" in told
    assert "<script>" not in told
    assert "<img" not in told
    assert "temperature 0.6" in told
    assert browser.get("/status/answer/987654/").status_code == 404
    waiting = build.reply()
    assert "no model has been asked" in browser.get(f"/status/answer/{waiting.pk}/").content.decode()


def test_the_page_costs_the_same_for_many_servers(browser: Client) -> None:
    def grow(count: int) -> int:
        for _ in range(count):
            build.seat(placement=build.placement())
            build.reply(state="posted", generation=build.generation(state="done"))
        with CaptureQueriesContext(connection) as queries:
            assert browser.get("/status/live/").status_code == 200
        return len(queries)

    assert grow(1) == grow(10) < 25


def test_without_a_database_whoever_asks_is_told_so(browser: Client) -> None:
    def broken(*args: object) -> None:
        raise OperationalError("connection refused")

    with connection.execute_wrapper(broken):
        response = browser.get("/status/live/")
    assert (response.status_code, response.json()["trouble"]) == (503, stream.LOST)


# --- as values ---------------------------------------------------------------------------------------------------
def test_a_cluster_in_which_nothing_happens_is_the_same_board_whatever_the_time() -> None:
    build.placement(state="loading")
    build.generation()
    build.reply(state="posted", generation=build.generation(state="done"), message=build.message(timestamp=0))
    first, later = board.read(NOW), board.read(NOW + timedelta(seconds=40))
    assert [(one.name, one.items) for one in first if one.name != "figures"] == [
        (one.name, one.items) for one in later if one.name != "figures"
    ]
    assert draw.drawn(first)["servers"] == draw.drawn(later)["servers"]


def test_models_on_one_page_have_different_colours() -> None:
    models = [f"model-{number}" for number in range(bars.HUES)]
    hues = bars.palette(models)
    assert sorted(hues.values()) == list(range(bars.HUES))
    assert hues == bars.palette(reversed(models))
    assert set(bars.palette([*models, "one-more"]).values()) == set(range(bars.HUES))


def test_a_model_has_the_same_colour_on_every_page(browser: Client) -> None:
    build.placement(model=build.model(key="maker/seen"))
    build.generation(model=build.model(key="maker/awaited"))
    [hue] = re.findall(r"dot hue-(\d+)", text(browser, "servers"))
    assert f'class="sww-hue-{hue} sww-loaded"' in browser.get("/admin/").content.decode()
    styles = [(STATIC / name).read_text() for name in ("status.css", "admin.css")]
    ours, theirs = (re.findall(r"hue-(\d+) \{ fill: (#\w{6})", style) for style in styles)
    assert dict(ours) == dict(theirs)
    assert len(dict(ours)) == bars.HUES


def only_card() -> cards.Card:
    [card] = [item.value for region in board.read(NOW) if region.name == "servers" for item in region.items]
    assert isinstance(card, cards.Card)
    return card


@pytest.mark.parametrize(
    ("values", "mood"),
    [
        ({"state": "online"}, ("good", "online", "closed")),
        ({"state": "online", "draining": True}, ("warn", "draining", "closed")),
        ({"state": "offline", "retry_at": NOW + timedelta(hours=1)}, ("bad", "offline", "open")),
        ({"state": "offline", "retry_at": NOW - timedelta(hours=1)}, ("bad", "offline", "half-open")),
        ({"state": "unknown"}, ("warn", "not seen yet", "closed")),
        ({"state": "misconfigured"}, ("warn", "misconfigured", "half-open")),
        ({"state": "rate-limited", "retry_at": NOW + timedelta(hours=1)}, ("warn", "rate-limited", "open")),
        ({"state": "online", "enabled": False}, ("off", "switched off", "closed")),
    ],
)
def test_a_servers_mood(values: dict[str, object], mood: tuple[str, str, str]) -> None:
    build.server(**values)
    card = only_card()
    assert (card.mood, card.word, card.breaker) == mood


def test_memory_bars_stay_inside_even_when_too_much_is_held() -> None:
    server = build.server(budget_gb=20)
    build.placement(server=server, gb=17)
    build.placement(server=server, gb=17)
    card = only_card()
    assert sum(segment.width for segment in card.segments) <= 100.1
    assert card.percent == 100


def test_stages_never_overlap_and_leave_out_what_was_long_before() -> None:
    def at(seconds: float) -> Any:
        return NOW + timedelta(seconds=seconds)

    steps = (
        Step(name="said", at=at(-3600)),
        Step(name="received", at=at(0)),
        Step(name="queued", at=at(1)),
        Step(name="asked", at=at(0.5)),
        Step(name="done", at=at(4)),
        Step(name="confirmed", at=None),
    )
    bars = stages(steps)
    assert [(bar.name, bar.took_s) for bar in bars] == [
        ("shown by the feed", 3600),
        ("put into the queue", 1),
        ("asked", 0),
        ("written", 3),
        ("confirmed", None),
    ]
    assert [(bar.x, bar.width) for bar in bars[1:4]] == [(0, 25), (25, 0.4), (25, 75)]
    assert all(bar.x >= 0 and bar.x + bar.width <= 100 for bar in bars)
    assert stages(()) == ()


# --- the stream --------------------------------------------------------------------------------------------------
def test_a_stream_is_refused_where_the_server_cannot_keep_it(browser: Client) -> None:
    assert browser.get("/status/stream/").status_code == 204


def test_each_viewer_is_told_only_what_is_new_to_him() -> None:
    async def watch() -> None:
        hub = stream.Hub()
        hub.take({"queue": {"a": "<p>1</p>", "b": "<p>2</p>"}})
        whole = hub.since(0)["regions"]
        assert whole == {"queue": {"html": {"a": "<p>1</p>", "b": "<p>2</p>"}, "order": ["a", "b"]}}
        seen = hub.round
        hub.take({"queue": {"a": "<p>1</p>", "b": "<p>2</p>"}})
        assert hub.round == seen
        hub.take({"queue": {"a": "<p>1</p>", "b": "<p>3</p>"}})
        assert hub.since(seen)["regions"] == {"queue": {"html": {"b": "<p>3</p>"}}}
        hub.take({"queue": {"b": "<p>3</p>"}})
        assert hub.since(seen + 1)["regions"] == {"queue": {"html": {}, "order": ["b"]}}
        assert await hub.news(seen, 60)
        assert not await hub.news(hub.round, 0.01)

    asyncio.run(watch())


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_slow_is_told_while_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def look() -> draw.Drawn:
        free.wait(60)
        return {}

    monkeypatch.setattr(stream, "SLOW_S", 0.01)
    monkeypatch.setattr(stream, "_read", look)

    async def watch() -> list[str]:
        hub, told = stream.Hub(), []
        with hub.watched():
            for act in (None, free.set):
                if act:
                    act()
                seen = hub.round
                assert await hub.news(seen, 60)
                told.append(hub.since(seen)["trouble"])
        return told

    assert asyncio.run(watch()) == [stream.SLOW, ""]


# --- why ---------------------------------------------------------------------------------------------------------
def told_reply() -> Any:
    verdict = {
        "mode": "ambient",
        "rules": ["chance 0.4", "question ×2"],
        "chance": 0.8,
        "dice": 0.31,
        "factors": {"question": 2.0},
        "pick": "weighted: luckiest",
        "left": [{"rule": "10 a minute", "left": 7}],
        "shown": ["Ann: hello", EVIL],
        "prompt": {"tokens": 312, "room": 8192, "dropped": ["2 lines"]},
        "cleaned": ["thoughts removed", "own label removed"],
    }
    message = build.message(
        text=EVIL,
        username=EVIL[:40],
        decided_at=NOW,
        verdict={"why": "by chance", "yes": ["sage"], "no": {"grump": "dice 0.812 against 0.100"}, "noes": {"dice": 1}, "considered": 2},
    )
    asked = {"messages": [{"role": "user", "content": EVIL}], "sampling": {"temperature": 0.6}, "max_tokens": 90, "stop": ["###"]}
    generation = build.generation(
        state="done",
        text=f"<think>hm</think>{EVIL}",
        reasoning=EVIL,
        request=asked,
        asked_at=NOW,
        decision={
            "why": "warm on Attic",
            "server": "Attic",
            "strategy": "expected-time",
            "candidates": [{"server": "Attic", "expected_s": 5.25, "in_flight": 1, "score": [0.0]}],
        },
        tried=[{"server": "Cellar", "at": NOW.isoformat(), "code": "hung", "text": EVIL, "retry": "elsewhere"}],
    )
    drafts = [{"generation": 1, "text": EVIL, "why": "it said exactly that before", "cleaned": ["shortened"]}]
    return build.reply(state="posted", message=message, verdict=verdict, generation=generation, text=EVIL, drafts=drafts)


def test_the_why_page_tells_everything_and_escapes_it(browser: Client) -> None:
    reply = told_reply()
    build.event(subject=f"reply:{reply.pk}", text=EVIL, kind="reply.posted")
    page = browser.get(f"/why/reply/{reply.pk}").content.decode()
    for words in (
        "chance 0.4; question ×2",
        "fell on 31.0 %, below the chance of 80.0 %",
        "10 a minute: 7 left",
        "dice 0.812 against 0.100",
        "312 of 8192 tokens",
        "Attic (chosen)",
        "Cellar",
        "hung",
        "thoughts removed, then own label removed",
        "it said exactly that before",
        "&lt;think&gt;hm&lt;/think&gt;",
        "temperature 0.6",
        "reply.posted",
        "{{ 7|add:7 }}",
    ):
        assert words in page, words
    assert "<img" not in page
    assert "alert(1)</script>" not in page


def test_the_page_of_a_refused_message_says_why_nobody_answers(browser: Client) -> None:
    verdict = {
        "why": "nobody's dice fell for it",
        "yes": [],
        "no": {"sage": "disabled"},
        "noes": {"disabled": 1},
        "considered": 1,
        "error": EVIL,
    }
    message = build.message(decided_at=NOW, verdict=verdict)
    page = browser.get(f"/why/message/{message.pk}").content.decode()
    for words in ("nobody&#x27;s dice fell for it", "disabled", "nobody answers", "&lt;script&gt;"):
        assert words in page
    undecided = browser.get(f"/why/message/{build.message().pk}").content.decode()
    assert "It has not been decided yet." in undecided


@pytest.mark.parametrize(
    "verdict", [{}, {"rules": None, "left": "x", "factors": [], "chance": "high", "dice": {}, "shown": 7, "cleaned": {}, "prompt": []}]
)
def test_the_why_page_survives_rows_without_their_reasons(browser: Client, verdict: dict[str, Any]) -> None:
    message = build.message(verdict={"no": [], "noes": "x", "facts": 3} if verdict else {})
    reply = build.reply(message=message, verdict=verdict, drafts=[{}])
    assert browser.get(f"/why/reply/{reply.pk}").status_code == 200
    assert browser.get(f"/why/message/{message.pk}").status_code == 200


def test_the_why_page_of_nothing_is_not_found(browser: Client) -> None:
    assert browser.get("/why/reply/987654").status_code == 404
    assert browser.get("/why/message/987654").status_code == 404


def test_a_message_with_many_answers_tells_some_and_links_the_others(browser: Client) -> None:
    message = build.message(decided_at=NOW)
    for _ in range(8):
        build.reply(message=message, generation=build.generation(state="done"))
    with CaptureQueriesContext(connection) as queries:
        page = browser.get(f"/why/message/{message.pk}").content.decode()
    assert page.count('<section class="way') == 5
    assert page.count('href="/why/reply/') == 3
    assert len(queries) < 30


def test_a_message_for_the_script_is_json_however_strange_the_text(browser: Client) -> None:
    build.reply(state="posted", text=EVIL, message=build.message(text="\u2028\u2029</script>"))
    assert json.loads(browser.get("/status/live/").content)["regions"]["answers"]["order"]
