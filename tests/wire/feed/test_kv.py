"""The emulated KV backends do what was measured on the real ones."""

import pytest

from conversations.feed.values import Generation
from tests.wire.feed.conftest import EPOCH

KVS = [Generation.KV, Generation.KV_PATCH, Generation.KV_QUEUE]
A, B, C, F = Generation


async def test_the_plain_form_is_oldest_first_in_the_order_of_posting(meet):
    peer = await meet(A)
    for at in (5, 9, 1):
        await peer("POST", "/", {"text": str(at), "timestamp": at})
    answer = (await peer("GET", "/")).json()
    assert [one["text"] for one in answer.pop("comments")] == ["5", "9", "1"]
    assert answer == {"total": 3, "hasMore": False}
    newer = await peer("GET", "/api/comments?after=1")
    assert [one["text"] for one in newer.json()] == ["9", "5"]
    assert newer.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("query", "texts", "more"),
    [
        ("limit=2", ["c", "d"], True),
        ("limit=2&offset=2", ["a", "b"], False),
        ("limit=3&offset=2", ["a", "b"], False),
        ("limit=0", [], True),
        ("limit=abc", ["a", "b", "c", "d"], False),
        ("after=", ["a", "b", "c", "d"], False),
        ("search=B", ["b"], False),
        ("type=AI", [], False),
        ("domain=x&sort=oldest&cursor=9", ["a", "b", "c", "d"], False),
    ],
)
async def test_the_plain_form_understands_its_parameters(meet, query, texts, more):
    peer = await meet(A)
    await peer.say("a", "b", "c", "d")
    answer = (await peer("GET", f"/api/comments?{query}")).json()
    assert ([one["text"] for one in answer["comments"]], answer["hasMore"]) == (texts, more)


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        (f"after={EPOCH}&limit=2", ["d", "c"]),
        ("after=abc", []),
        ("after=5&limit=abc", []),
        ("after=5&limit=0", []),
        ("after=5&type=AI", []),
    ],
)
async def test_the_after_form_cuts_off_the_oldest(meet, query, texts):
    peer = await meet(A)
    await peer.say("a", "b", "c", "d")
    assert [one["text"] for one in (await peer("GET", f"/api/comments?{query}")).json()] == texts


async def test_the_list_by_users_needs_an_escaped_plus(meet):
    peer = await meet(A)
    await peer.say("mine", username="Ann", color="rgb(1, 2, 3)")
    await peer.say("yours", username="Bob")
    both = (await peer("GET", "/api/comments?uss=ann:001002003%2Bbob")).json()
    assert sorted(one["text"] for one in both["comments"]) == ["mine", "yours"]
    assert both["serverSideSearch"] is True
    assert (await peer("GET", "/api/comments?uss=ann:001002003+bob")).json()["total"] == 0


async def test_a_missing_list_is_empty_after_a_time_and_rebuilt_without(meet):
    peer = await meet(A, quirks={"forget": 1})
    await peer.say("a", "b")
    assert (await peer("GET", "/api/comments?after=1")).json() == []
    assert (await peer("GET", "/api/comments")).json()["total"] == 2
    assert len((await peer("GET", "/api/comments?after=1")).json()) == 2


async def test_september_keeps_what_it_keeps(meet):
    peer = await meet(A)
    sent = {"text": " a \n b ", "username": " SeventeenLettersX", "context": [], "botParams": {"entity": "x"}, "replyTo": "y", "extra": 1}
    stored = (await peer("POST", "/api/comments", sent, headers={"Origin": "https://www.example.org"})).json()
    assert {name: stored[name] for name in ("text", "username", "domain", "message-type", "language", "misc")} == {
        "text": "a b",
        "username": "SeventeenLetters",
        "domain": "www.example.org",
        "message-type": "human",
        "language": "en",
        "misc": "",
    }
    assert not {"context", "botParams", "replyTo", "extra"} & set(stored)
    assert stored["color"].startswith("rgb(")
    assert (await peer("GET", "/api/stats")).json() == {"totalMessages": 1}


@pytest.mark.parametrize("generation", KVS)
async def test_a_kv_backend_refuses_what_is_no_message(meet, generation):
    peer = await meet(generation)
    for body in ({}, {"text": ""}, {"text": " \n "}, {"text": 5}, {"text": ["a"]}):
        reply = await peer("POST", "/api/comments", body)
        assert (reply.status_code, reply.json()) == (400, {"error": "Comment text is required"})
    reply = await peer("POST", "/api/comments", None, content=b"{not json")
    assert (reply.status_code, reply.json()["error"]) == (500, "Failed to post comment")


@pytest.mark.parametrize("generation", KVS)
async def test_a_kv_backend_stores_the_same_id_twice(meet, generation):
    peer = await meet(generation)
    await peer.say("a")
    await peer.say("a")
    assert len((await peer("GET", "/api/comments")).json()["comments"]) == 2
    assert (await peer("GET", "/emulator/state")).json()["doubles"] == [f"{EPOCH}-x"]


async def test_a_rate_limit_is_renewed_by_every_post(meet):
    clock = [EPOCH]
    peer = await meet(A, quirks={"rate_limit": True}, now=lambda: clock[0])
    statuses = []
    for _ in range(11):
        statuses.append((await peer("POST", "/api/comments", {"text": "x"})).status_code)
        clock[0] += 8000
    assert statuses == [200] * 10 + [429]
    clock[0] += 60_000
    assert (await peer("POST", "/api/comments", {"text": "x"})).status_code == 200


@pytest.mark.parametrize(("generation", "after_ten_mistakes"), [(A, 429), (B, 200), (C, 200)])
async def test_only_september_counts_mistakes(meet, generation, after_ten_mistakes):
    peer = await meet(generation, quirks={"rate_limit": True})
    for _ in range(10):
        assert (await peer("POST", "/api/comments", {})).status_code == 400
    reply = await peer("POST", "/api/comments", {"text": "x"})
    assert reply.status_code == after_ten_mistakes
    if after_ten_mistakes == 429:
        assert reply.headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    ("generation", "headers", "domain", "limited"),
    [
        (A, {}, "", True),
        (A, {}, "saywhatwant.app", True),
        (A, {"CF-Connecting-IP": "127.0.0.1"}, "", False),
        (A, {"X-Forwarded-For": "9.9.9.9"}, "", True),
        (A, {"Origin": "https://ai.saywhatwant.app"}, "", False),
        (B, {}, "saywhatwant.app", False),
        (C, {}, "ai.saywhatwant.app", False),
        (C, {}, "example.org", True),
        (F, {}, "", False),
    ],
)
async def test_some_are_exempt_from_the_rate_limit(meet, generation, headers, domain, limited):
    peer = await meet(generation, quirks={"rate_limit": True})
    statuses = [(await peer("POST", "/api/comments", {"text": "x", "domain": domain}, headers=headers)).status_code for _ in range(11)]
    assert (429 in statuses) is limited


async def test_addresses_are_limited_one_by_one(meet):
    peer = await meet(A, quirks={"rate_limit": True})
    for address in range(12):
        reply = await peer("POST", "/api/comments", {"text": "x"}, headers={"CF-Connecting-IP": f"10.0.0.{address}"})
        assert reply.status_code == 200


@pytest.mark.parametrize(("generation", "size"), [(A, 500), (C, 200)])
async def test_the_shared_list_has_a_size(meet, generation, size):
    peer = await meet(generation)
    for number in range(size + 1):
        await peer.emulator.store.post({"text": str(number), "timestamp": number + 1}, ip="", origin="")
    listed = (await peer("GET", "/api/comments?limit=1000")).json()["comments"]
    assert (len(listed), listed[0]["text"]) == (size, "1")


async def test_the_last_kv_is_sorted_by_time_and_tells_no_total(meet):
    peer = await meet(C)
    for at in (5, 9, 1):
        await peer("POST", "/api/comments", {"text": str(at), "timestamp": at})
    answer = (await peer("GET", "/api/comments")).json()
    assert [one["text"] for one in answer["comments"]] == ["1", "5", "9"]
    assert set(answer) == {"comments", "hasMore"}
    assert (await peer("GET", "/api/stats")).json() == {"cacheSize": 3}
    assert int((await peer("GET", "/api/heartbeat")).text) > EPOCH / 2


async def test_posting_a_completed_human_message_again_makes_it_pending(meet):
    peer = await meet(C)
    await peer.say("a", botParams={"entity": "sage"})
    key = {"messageId": f"{EPOCH}-x", "workerId": "w"}
    assert (await peer("POST", "/api/queue/complete", key)).json() == {"success": True}
    assert (await peer("GET", "/api/queue/pending")).json()["pending"] == []
    await peer.say("a", botParams={"entity": "sage"})
    assert len((await peer("GET", "/api/queue/pending")).json()["pending"]) == 1


async def test_the_last_kv_answers_its_queue(meet):
    peer = await meet(C)
    await peer.say("low", "none", "high", botParams={"entity": "sage"})
    assert [one["text"] for one in (await peer("GET", "/api/queue/pending?limit=2")).json()["pending"]] == ["low", "none"]
    await peer("POST", "/api/comments", {"text": "plain"})
    for path, body, status, said in [
        ("claim", {"messageId": "a"}, 400, "messageId and workerId required"),
        ("claim", {"messageId": "a", "workerId": "w"}, 404, "Message not found"),
        ("complete", {}, 400, "messageId required"),
        ("complete", {"messageId": "a"}, 404, "Message not found"),
    ]:
        reply = await peer("POST", f"/api/queue/{path}", body)
        assert (reply.status_code, reply.json()) == (status, {"success": False, "error": said})
    key = {"messageId": f"{EPOCH}-x", "workerId": "w"}
    assert (await peer("POST", "/api/queue/claim", key)).json()["message"]["botParams"]["claimedBy"] == "w"
    again = await peer("POST", "/api/queue/claim", key)
    assert (again.status_code, again.json()["error"]) == (409, "Message status is processing, not pending")
    plain = (await peer("GET", "/api/comments?search=plain")).json()["comments"][0]
    assert (await peer("POST", "/api/queue/complete", {"messageId": plain["id"]})).status_code == 500
    assert (await peer("POST", "/api/queue/claim", None, content=b"{")).status_code == 500


async def test_a_lost_message_can_be_put_back_even_twice(meet):
    peer = await meet(C, quirks={"lose": 1})
    await peer.say("a")
    assert (await peer("GET", "/emulator/state")).json()["unlisted"] == [f"{EPOCH}-x"]
    for count in (1, 2):
        assert (await peer("POST", "/api/admin/add-to-cache", {"messageId": f"{EPOCH}-x"})).status_code == 200
        assert len((await peer("GET", "/api/comments")).json()["comments"]) == count
    assert (await peer("POST", "/api/admin/add-to-cache", {"messageId": "b"})).status_code == 404


async def test_october_marks_processed_and_nothing_else(meet):
    peer = await meet(B)
    await peer.say("a")
    path = f"/api/comments/{EPOCH}-x"
    assert (await peer("PATCH", path, {"botParams": {"processed": True}})).json()["botParams"] == {"processed": True}
    reply = await peer("PATCH", path, {"text": "b"})
    assert (reply.status_code, reply.json()["error"]) == (400, "Invalid update - only botParams.processed can be updated")
    assert (await peer("PATCH", path, None, content=b"{")).status_code == 500
    reply = await peer("PATCH", f"/api/comments/{EPOCH + 1}-x", {"botParams": {"processed": True}})
    assert (reply.status_code, reply.json()) == (404, {"error": "Message not found"})
