"""The emulator does what was measured on the real backends."""

import json
import math
import signal
import subprocess
import sys
from html import escape

import httpx
import pytest

from conversations.feed.emulator import Quirks, javascript
from conversations.feed.emulator.chatter import Chatter
from conversations.feed.values import Generation

KVS = [Generation.KV, Generation.KV_PATCH, Generation.KV_QUEUE]
A, B, C, F = Generation


@pytest.mark.parametrize(
    ("generation", "method", "path", "status", "text"),
    [
        *[(one, "GET", "/api/comments/health", 404, "Not found") for one in KVS],
        (A, "GET", "/health", 404, "Not found"),
        (A, "DELETE", "/api/comments", 405, "Method not allowed"),
        (A, "PATCH", "/api/comments/1-a", 404, "Not found"),
        (A, "GET", "/api/queue/pending", 404, "Not found"),
        (A, "GET", "/api/heartbeat", 404, "Not found"),
        (B, "POST", "/api/queue/claim", 404, "Not found"),
        (C, "GET", "/api/heartbeat", 200, "0"),
        (F, "GET", "/", 404, '{"error": "Not found"}'),
        (F, "GET", "/api/heartbeat", 404, '{"error": "Not found"}'),
        (F, "POST", "/api/queue/fail", 404, '{"error": "Not found"}'),
        (A, "OPTIONS", "/api/comments", 200, ""),
        (F, "OPTIONS", "/api/comments", 204, ""),
    ],
)
async def test_paths_that_are_not_there_say_so_in_the_backends_words(meet, generation, method, path, status, text):
    reply = await (await meet(generation))(method, path)
    assert (reply.status_code, reply.text) == (status, text)
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("generation", "methods"),
    [
        (A, "GET, POST, OPTIONS"),
        (B, "GET, POST, PATCH, OPTIONS"),
        (C, "GET, POST, PATCH, OPTIONS"),
        (F, "GET, POST, PUT, DELETE, OPTIONS, PATCH"),
    ],
)
async def test_options_say_what_a_browser_may(meet, generation, methods):
    assert (await (await meet(generation))("OPTIONS", "/api/comments")).headers["Access-Control-Allow-Methods"] == methods


async def test_a_restart_empties_the_newest_backend_and_no_other(meet):
    for generation, left in ((A, 1), (F, 0)):
        peer = await meet(generation)
        await peer.say("a")
        await peer("POST", "/emulator/restart")
        assert len(peer.emulator.store.messages()) == left


async def test_quirks_are_switched_at_run_time_and_wrong_ones_are_refused(meet):
    peer = await meet(A)
    assert (await peer("POST", "/emulator/quirks", {"race_ms": 5, "lose": 2})).json()["lose"] == 2
    for wrong in ({"unknown": 1}, {"lose": "many"}, {"rate_limit": 1, "race_ms": 9}, []):
        reply = await peer("POST", "/emulator/quirks", wrong)
        assert reply.status_code == 400
        assert reply.json()["error"]
    assert peer.emulator.quirks.race_ms == 5
    assert (await peer("POST", "/emulator/reset")).status_code == 200
    assert (await peer("GET", "/emulator/state")).json()["quirks"]["lose"] == 2


@pytest.mark.parametrize(("value", "number"), [(None, 0), ("", 0), ("5", 5), (5.5, 5.5), ("x", None), ([], None), (True, 1)])
def test_numbers_are_compared_as_javascript_does(value, number):
    read = javascript.number(value)
    assert math.isnan(read) if number is None else read == number


@pytest.mark.parametrize(("text", "number"), [("12abc", 12), ("-5", -5), (" 7", 7), ("abc", None), ("", None)])
def test_leading_digits_are_read_as_javascript_does(text, number):
    read = javascript.parse_int(text)
    assert math.isnan(read) if number is None else read == number


@pytest.mark.parametrize(
    ("value", "true"), [([], True), ({}, True), ("", False), ("0", True), (0, False), (math.nan, False), (None, False)]
)
def test_truth_is_javascripts(value, true):
    assert javascript.truthy(value) is true


def test_a_text_is_cut_through_the_middle_of_a_character():
    assert javascript.cut("ab😂", 3) == "ab\ud83d"
    assert javascript.fold("\ufeff a\u00a0\n b ") == "a b"


def test_a_counted_quirk_is_used_up_by_its_method():
    quirks = Quirks(fail=1, method="POST")
    assert [quirks.take("fail", method) for method in ("GET", "POST", "POST")] == [False, True, False]


def test_the_chatter_is_the_same_for_the_same_seed_and_calls_somebody_first():
    first, again = (Chatter(7, mentions=["TheEternal"], entities=["sage"]) for _ in range(2))
    lines = [first.line() for _ in range(50)]
    assert lines == [again.line() for _ in range(50)]
    assert "TheEternal" in lines[0].text
    assert {line.entity for line in lines} == {"", "sage"}
    assert all(len(line.text) <= 240 and len(line.username) <= 16 for line in lines)
    assert not any(line.entity for line in (Chatter(7).line() for _ in range(20)))


async def test_the_page_shows_the_chat_and_nothing_in_it_can_run(meet):
    peer = await meet(F, entities=["sage"])
    evil = "<script>alert(1)</script>"
    reply = await peer("POST", "/chat", data={"name": "<b>Tom</b>", "text": evil, "entity": "sage"}, follow_redirects=True)
    assert escape("<b>Tom</b>") in reply.text
    assert '<option value="sage" selected>' in reply.text
    await peer.say("an answer", **{"message-type": "AI", "replyTo": peer.emulator.store.messages()[0]["id"], "username": "Sage"})
    listing = await peer("GET", "/chat?part=list")
    assert escape(evil) in listing.text
    assert "<script" not in listing.text
    assert "default-src 'none'" in listing.headers["Content-Security-Policy"]
    assert listing.text.index("an answer") < listing.text.index("to sage")
    assert peer.emulator.store.messages()[0]["botParams"]["entity"] == "sage"
    assert (await peer("POST", "/chat", data={"name": "x", "text": " "})).status_code == 303
    assert len(peer.emulator.store.messages()) == 2


RUN = """
import argparse
from conversations.feed.emulator import add_arguments, handle
parser = argparse.ArgumentParser()
add_arguments(parser)
handle(vars(parser.parse_args()), lambda text: print(text, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_runs_until_it_is_told_to_stop(number: signal.Signals):
    arguments = ["--generation", "kv", "--port", "0", "--mention", "TheEternal", "Sage", "--quirk", "race_ms=5"]
    with subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        root = process.stdout.readline().split(", to watch at ")[1].split("/chat")[0]
        state = json.loads(httpx.get(root + "/emulator/state", trust_env=False).text)
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
    assert state["generation"] == "kv"
    assert state["quirks"]["race_ms"] == 5
