"""The message format: golden tables for reading and writing."""

import json
import math

import pytest

from conversations.feed import fields, wire
from conversations.feed.errors import Malformed, Rejected
from conversations.feed.values import BotParams, Endpoint, Generation
from tests.wire.feed.conftest import EPOCH, outgoing

SEPTEMBER = {
    "id": "1758300000000-abc1234",
    "text": "hello there",
    "timestamp": 1758300000000,
    "username": "Marisol",
    "color": "rgb(128, 0, 255)",
    "domain": "saywhatwant.app",
    "language": "en",
    "message-type": "human",
    "misc": "",
}
NEWEST = {
    "id": "k3j9x0a1bz",
    "text": "and you?",
    "timestamp": 1764500000000,
    "username": "TheEternal",
    "color": "128000255-a1b2c3d4e5",
    "domain": "saywhatwant.app",
    "message-type": "AI",
    "replyTo": "1764499999000-zzzzzzzzz",
    "context": [],
    "eqScore": 0,
    "botParams": {
        "status": "processing",
        "priority": 5,
        "entity": "philosopher",
        "ais": "Sage:200100050",
        "sessionId": "s1",
        "humanUsername": "Marisol",
        "humanColor": "rgb(1, 2, 3)",
        "claimedBy": "w1",
        "claimedAt": 1764500000100,
        "completedAt": None,
    },
}


def test_a_message_of_september_is_read():
    message = wire.message(SEPTEMBER)
    assert (message.id, message.raw_id, message.timestamp, message.kind) == (SEPTEMBER["id"], SEPTEMBER["id"], 1758300000000, "human")
    assert (message.text, message.username, message.color, message.domain) == ("hello there", "Marisol", "128000255", "saywhatwant.app")
    assert (message.context, message.reply_to, message.bot_params, message.raw) == (None, "", None, SEPTEMBER)


def test_a_message_of_the_newest_backend_is_read():
    message = wire.message(NEWEST)
    assert (message.kind, message.color, message.reply_to, message.context) == ("AI", "128000255-a1b2c3d4e5", NEWEST["replyTo"], ())
    assert message.bot_params == BotParams(
        entity="philosopher",
        priority=5,
        ais="Sage:200100050",
        session_id="s1",
        status="processing",
        claimed_by="w1",
        claimed_at=1764500000100,
        human_username="Marisol",
        human_color="001002003",
    )


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"text": None}, "text", ""),
        ({"text": 42}, "text", "42"),
        ({"username": None}, "username", ""),
        ({"color": None}, "color", ""),
        ({"color": "no colour"}, "color", "no colour"),
        ({"id": 7}, "id", "7"),
        ({"id": 7}, "raw_id", 7),
        ({"timestamp": "1758300000001"}, "timestamp", 1758300000001),
        ({"timestamp": 1758300000001.7}, "timestamp", 1758300000001),
        ({"timestamp": "2025-09-19T16:40:00Z"}, "timestamp", 1758300000000),
        ({"timestamp": "2025-09-19T16:40:00"}, "timestamp", 1758300000000),
        ({"message-type": None, "messageType": "AI"}, "kind", "AI"),
        ({"message-type": "ai"}, "kind", "AI"),
        ({"message-type": None}, "kind", "human"),
        ({"message-type": "robot"}, "kind", "human"),
        ({"context": None}, "context", None),
        ({"context": []}, "context", ()),
        ({"context": ["a: b", 7]}, "context", ("a: b", "7")),
        ({"context": "a: b"}, "context", None),
        ({"botParams": None}, "bot_params", None),
        ({"botParams": []}, "bot_params", None),
        ({"botParams": {}}, "bot_params", BotParams()),
        ({"replyTo": None}, "reply_to", ""),
    ],
)
def test_readers_are_tolerant(change, field, expected):
    assert getattr(wire.message(SEPTEMBER | change), field) == expected


@pytest.mark.parametrize("missing", ["text", "username", "color", "domain", "message-type", "misc", "language"])
def test_any_member_but_id_and_timestamp_may_be_missing(missing):
    assert wire.message({name: value for name, value in SEPTEMBER.items() if name != missing}).id == SEPTEMBER["id"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("a string", "str, not an object"),
        (None, "NoneType, not an object"),
        ({}, "id is None"),
        (SEPTEMBER | {"id": ""}, "id is ''"),
        (SEPTEMBER | {"id": True}, "id is True"),
        (SEPTEMBER | {"id": 1.5}, "id is 1.5"),
        (SEPTEMBER | {"timestamp": None}, "timestamp None"),
        (SEPTEMBER | {"timestamp": "soon"}, "timestamp 'soon'"),
        (SEPTEMBER | {"timestamp": math.nan}, "timestamp nan"),
        (SEPTEMBER | {"timestamp": -1}, "timestamp -1"),
        (SEPTEMBER | {"timestamp": 10**18}, "timestamp 1000000000000000000"),
        (SEPTEMBER | {"text": ["a"]}, "list for a text"),
    ],
)
def test_what_is_no_message_is_set_aside_with_the_reason(item, reason):
    good, bad = wire.messages([SEPTEMBER, item])
    assert [one.id for one in good] == [SEPTEMBER["id"]]
    assert len(bad) == 1
    assert reason in bad[0].reason


def test_a_reject_has_the_same_name_every_time():
    items = [{"text": "a"}, {"text": "b"}, {"id": "x"}]
    first, again = wire.messages(items)[1], wire.messages(items)[1]
    assert first == again
    assert len({one.id for one in first}) == 3
    assert first[2].id == "x"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ALL", "ALL"),
        ("all", "ALL"),
        (50, 50),
        ("50", 50),
        (0, None),
        (-3, None),
        (math.nan, None),
        ("NaN", None),
        (True, None),
        (None, None),
    ],
)
def test_nom_is_a_positive_number_or_all(value, expected):
    assert wire.bot_params({"nom": value}).nom == expected


@pytest.mark.parametrize(("value", "expected"), [(False, False), (True, True), (None, None), ("false", None), (0, None)])
def test_processed_is_only_what_is_said_outright(value, expected):
    assert wire.bot_params({"processed": value}).processed is expected


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0, 0, 99),
        (99, 99, 0),
        (50, 50, 49),
        ("7", 7, 92),
        (150, 99, 0),
        (-5, 0, 99),
        (None, None, None),
        ("x", None, None),
        (True, None, None),
    ],
)
def test_priority_is_turned_at_the_edge_and_clamped(value, low, high):
    assert fields.priority(value, "low-first") == low
    assert fields.priority(value, "high-first") == high


@pytest.mark.parametrize(
    "wrapping", [lambda one: one, lambda one: {"comments": one, "hasMore": False}, lambda one: {"messages": one, "version": "1"}]
)
def test_all_three_wrappings_are_read(wrapping):
    assert wire.items(wrapping([SEPTEMBER])) == [SEPTEMBER]


@pytest.mark.parametrize("payload", [None, 7, "text", {}, {"comments": None}, {"data": []}])
def test_any_other_shape_is_malformed(payload):
    with pytest.raises(Malformed):
        wire.items(payload)


def test_messages_are_ordered_by_time_and_id_and_each_id_comes_once():
    raw = [
        SEPTEMBER | {"id": key, "timestamp": at, "text": text}
        for key, at, text in [("b", 2, "1"), ("a", 2, "2"), ("c", 1, "3"), ("b", 2, "4")]
    ]
    ordered = wire.ordered(wire.messages(raw)[0])
    assert [(one.id, one.text) for one in ordered] == [("c", "3"), ("a", "2"), ("b", "1")]


def test_what_postgres_cannot_keep_is_gone_after_decoding():
    payload = wire.decode(rb'[{"id":"a","timestamp":1,"text":"cut \ud83d","username":"nul\u0000l","context":["\udc00"]}]')
    message = wire.messages(wire.items(payload))[0][0]
    assert (message.text, message.username, message.context) == ("cut �", "null", ("�",))
    json.dumps(message.raw, ensure_ascii=False).encode()


def test_a_whole_emoji_stays_whole():
    assert wire.decode(json.dumps(["😂"]).encode()) == ["😂"]


@pytest.mark.parametrize("body", [b"", b"Not found", b"<html>", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_malformed(body):
    with pytest.raises(Malformed):
        wire.decode(body)


@pytest.mark.parametrize(
    ("generation", "color"),
    [
        (Generation.KV, "rgb(128, 0, 255)"),
        (Generation.KV_PATCH, "128000255"),
        (Generation.KV_QUEUE, "128000255"),
        (Generation.DO, "128000255"),
    ],
)
def test_a_post_is_built_for_its_generation(generation, color):
    assert wire.body(outgoing(), Endpoint(url="http://feed/api", generation=generation)) == {
        "id": f"{EPOCH}-000000000",
        "text": "text 0",
        "timestamp": EPOCH,
        "username": "TheEternal",
        "color": color,
        "domain": "saywhatwant.app",
        "message-type": "AI",
    }


def test_a_post_carries_what_it_answers_its_context_and_its_parameters():
    endpoint = Endpoint(url="http://feed/api", generation=Generation.DO, priority_direction="high-first")
    body = wire.body(outgoing(reply_to="h1", context=(), bot_params={"entity": "sage", "priority": 0}), endpoint)
    assert (body["replyTo"], body["context"], body["botParams"]) == ("h1", [], {"entity": "sage", "priority": 99})


def test_any_text_can_be_encoded():
    assert json.loads(wire.encode({"text": "half \ud83d of 😂"}))["text"] == "half \ud83d of 😂"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"username": "SeventeenLettersX"}, "at most 16"),
        ({"username": "😂" * 9}, "at most 16"),
        ({"username": " Sage"}, "no blanks"),
        ({"text": "x" * 241}, "241 characters"),
        ({"text": "😂" * 121}, "242 characters"),
        ({"text": " \n "}, "no text"),
        ({"id": ""}, "no id"),
        ({"timestamp": -1}, "no time"),
    ],
)
def test_what_the_backend_would_change_silently_is_refused(change, reason):
    refused = wire.refusal(outgoing(**change), Endpoint(url="http://feed/api", generation=Generation.KV))
    assert isinstance(refused, Rejected)
    assert reason in str(refused)


@pytest.mark.parametrize("change", [{}, {"username": "SixteenLetters16"}, {"text": "x" * 240}, {"username": ""}])
def test_what_fits_is_not_refused(change):
    assert wire.refusal(outgoing(**change), Endpoint(url="http://feed/api", generation=Generation.KV)) is None


@pytest.mark.parametrize(
    ("payload", "duplicate", "timestamp"),
    [
        (SEPTEMBER, False, 1758300000000),
        ({"id": "a", "timestamp": 5, "status": "success"}, False, 5),
        ({"id": "a", "timestamp": 5, "status": "duplicate"}, True, 5),
        ({"id": 7}, False, EPOCH),
        ({"success": True, "id": "a", "timestamp": None}, False, EPOCH),
    ],
)
def test_a_post_with_an_id_and_no_error_succeeded(payload, duplicate, timestamp):
    accepted = wire.accepted(payload, outgoing())
    assert (accepted.id, accepted.duplicate, accepted.timestamp) == (str(payload["id"]), duplicate, timestamp)


@pytest.mark.parametrize("payload", [{}, {"success": True}, {"id": "a", "error": "no"}, [], None, {"id": ""}, {"id": True}])
def test_a_post_without_an_id_did_not_succeed(payload):
    with pytest.raises(Malformed):
        wire.accepted(payload, outgoing())
