"""The emulated newest backend does what was measured on the real one."""

import pytest

from conversations.feed.values import Generation
from tests.wire.feed.conftest import EPOCH

F = Generation.DO


async def test_the_newest_backend_accepts_anything_and_answers_shortly(meet):
    peer = await meet(F)
    answer = (await peer("POST", "/api/comments", {})).json()
    assert set(answer) == {"id", "timestamp", "status"}
    assert len(answer["id"]) == 10
    (stored,) = (await peer("GET", "/api/comments")).json()["messages"]
    assert not {"text", "username", "color", "botParams"} & set(stored)
    assert (stored["domain"], stored["message-type"], stored["context"]) == ("saywhatwant.app", "human", None)
    assert (await peer("POST", "/api/comments", None, content=b"{")).status_code == 500


async def test_the_newest_backend_keeps_only_its_own_parameters(meet):
    peer = await meet(F)
    await peer.say(
        "a", username="Ann", color="1", botParams={"entity": "sage", "nom": 3, "model": "m", "processed": False, "ais": "x:random"}
    )
    (stored,) = (await peer("GET", "/api/comments?since=1")).json()["messages"]
    assert stored["botParams"] == {
        "entity": "sage",
        "ais": "x:random",
        "sessionId": None,
        "status": "pending",
        "priority": 5,
        "humanUsername": "Ann",
        "humanColor": "1",
        "claimedBy": None,
        "claimedAt": None,
        "completedAt": None,
    }


@pytest.mark.parametrize(
    ("params", "top", "priority"), [({}, {}, 5), ({"priority": 0}, {}, 5), ({"priority": 9}, {}, 9), ({}, {"priority": 8}, 8)]
)
async def test_the_newest_backend_takes_no_priority_for_five(meet, params, top, priority):
    peer = await meet(F)
    await peer.say("a", botParams={"entity": "sage", **params}, **top)
    assert (await peer("GET", "/api/queue/pending")).json()["pending"][0]["botParams"]["priority"] == priority


async def test_the_newest_backend_is_read_last_post_first_without_limit(meet):
    peer = await meet(F)
    await peer.say("a", "b", "c")
    answer = (await peer("GET", f"/api/comments?after={EPOCH}&limit=1&type=AI")).json()
    assert [one["text"] for one in answer["messages"]] == ["c", "b"]
    assert (answer["version"], answer["globalScore"]) == ("1.0.1", 0)


async def test_a_score_adds_up_each_time(meet):
    peer = await meet(F)
    await peer.say("a")
    for score, total in ((10, 10), (10, 20), (-5, 20)):
        answer = (await peer("PATCH", f"/api/comments/{EPOCH}-x", {"eqScore": score, "text": "b"})).json()
        assert (answer["success"], answer["globalScore"], answer["message"]["text"]) == (True, total, "a")
    reply = await peer("PATCH", "/api/comments/unknown", {"eqScore": 1})
    assert (reply.status_code, reply.json()) == (404, {"success": False, "error": "Message not found in memory"})


async def test_the_newest_queue_answers_in_its_words(meet):
    peer = await meet(F)
    empty = (await peer("POST", "/api/queue/claim-next", {"workerId": "w"})).json()
    assert empty == {"success": False, "message": None, "reason": "no_pending_messages", "totalPending": 0, "remainingPending": 0}
    assert (await peer("POST", "/api/queue/claim-next", {})).status_code == 400
    assert (await peer("POST", "/api/queue/claim", {})).status_code == 404
    assert (await peer("POST", "/api/queue/complete", {})).status_code == 404
    for verb in ("claim", "claim-next", "complete"):
        assert (await peer("POST", f"/api/queue/{verb}", None, content=b"{")).status_code == 500
    await peer.say("a", "b", botParams={"entity": "sage"})
    assert (await peer("POST", "/api/queue/complete", {"messageId": f"{EPOCH}-x"})).json() == {"success": True}
    listed = (await peer("GET", "/api/queue/pending")).json()["pending"]
    assert [one["botParams"]["status"] for one in listed] == ["complete", "pending"]
    corpse = await peer("POST", "/api/queue/claim", {"messageId": f"{EPOCH}-x", "workerId": "w"})
    assert (corpse.status_code, corpse.json()["error"]) == (409, "Message status is complete, not pending")
    broken = await peer("POST", "/api/queue/claim-next", {"workerId": "w"})
    assert (broken.status_code, broken.json()["error"][:27]) == (500, "Body has already been used.")
    taken = (await peer("POST", "/api/queue/claim-next", {"workerId": "w"})).json()
    assert (taken["message"]["text"], taken["totalPending"], taken["remainingPending"]) == ("b", 1, 0)


async def test_what_an_ai_posts_is_complete_and_nothing_is_checked(meet):
    peer = await meet(F)
    ai = {
        "message-type": "AI",
        "username": "Sage",
        "context": "no list",
        "eqScore": "high",
        "botParams": {"entity": "sage", "status": "pending"},
    }
    await peer.say("a", **ai)
    await peer.say("a", **{"message-type": "robot", "botParams": "sage", "id": 7, "timestamp": "soon"})
    (one,) = (await peer("GET", "/api/comments")).json()["messages"]
    assert (one["context"], one["eqScore"], one["username"], "color" in one) == ("no list", "high", "Sage", False)
    assert (one["botParams"]["status"], one["botParams"]["completedAt"], one["botParams"]["humanUsername"]) == ("complete", EPOCH, "Sage")
    assert (await peer("GET", "/emulator/state")).json()["messages"][1]["message-type"] == "robot"
    assert (await peer("GET", "/api/queue/pending")).json()["pending"] == []


async def test_the_newest_backend_forgets_everything_when_nobody_asks_for_long(meet):
    clock = [EPOCH]
    peer = await meet(F, quirks={"idle_s": 10.0}, now=lambda: clock[0])
    await peer.say("a", botParams={"entity": "sage"})
    for pause, left in ((9_000, 1), (10_000, 1), (10_001, 0)):
        clock[0] += pause
        assert len((await peer("GET", "/api/comments")).json()["messages"]) == left
    assert (await peer("GET", "/api/queue/pending")).json()["pending"] == []


async def test_anybody_may_purge_the_newest_backend(meet):
    peer = await meet(F)
    await peer.say("a")
    assert (await peer("GET", "/api/admin/stats")).json()["messageCount"] == 1
    assert (await peer("POST", "/api/admin/purge")).json() == {"success": True}
    assert (await peer("GET", "/api/comments")).json()["messages"] == []


async def test_the_state_of_the_newest_backend_tells_corpses_from_what_waits(meet):
    peer = await meet(F)
    await peer.say("a", "b", botParams={"entity": "sage"})
    await peer("POST", "/api/queue/complete", {"messageId": f"{EPOCH}-x"})
    assert (await peer("PATCH", f"/api/comments/{EPOCH}-x", None, content=b"{")).status_code == 500
    state = (await peer("GET", "/emulator/state")).json()
    assert (state["generation"], state["corpses"], state["waiting"], state["doubles"]) == ("do", [f"{EPOCH}-x"], [f"{EPOCH + 1}-x"], [])
    assert state["counts"]["POST /api/comments 200"] == 2
