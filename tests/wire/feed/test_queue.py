"""The queue's format."""

import pytest

from conversations.feed import queue
from conversations.feed.errors import Malformed

MESSAGE = {"id": 7, "timestamp": 5, "botParams": {"entity": "sage", "priority": 99}}


def test_a_claim_names_message_and_worker():
    assert queue.claim(7, "w") == {"messageId": 7, "workerId": "w"}


def test_a_claimed_message_is_read_with_the_direction_of_its_priority():
    message = queue.claimed({"success": True, "message": MESSAGE}, "high-first")
    assert message.raw_id == 7
    assert message.bot_params is not None
    assert message.bot_params.priority == 0


def test_claim_next_gives_a_message_or_none():
    empty = {"success": False, "message": None, "reason": "no_pending_messages", "totalPending": 0, "remainingPending": 0}
    assert queue.handed(empty, "low-first") is None
    handed = queue.handed({"success": True, "message": MESSAGE, "totalPending": 1, "remainingPending": 0}, "low-first")
    assert handed is not None
    assert handed.id == "7"


@pytest.mark.parametrize(
    "payload", [{}, [], None, {"success": True}, {"success": True, "message": {"id": "a"}}, {"success": 1, "message": MESSAGE}]
)
def test_a_claim_without_a_message_is_malformed(payload):
    with pytest.raises(Malformed):
        queue.claimed(payload, "low-first")


@pytest.mark.parametrize("payload", [{}, [], None, {"success": False}])
def test_an_operation_that_does_not_say_success_is_malformed(payload):
    with pytest.raises(Malformed):
        queue.done(payload)


def test_fail_says_where_the_message_stands():
    assert queue.failed({"success": True, "status": "pending", "attempts": 1}) == "pending"
    with pytest.raises(Malformed):
        queue.failed({"success": True})
