"""The verdict on a reply, row by row."""

import json

import pytest

from conversations.feed import errors
from conversations.feed.classify import classify
from swwbot_site.lib.errors import BotError, Fault, Retry

HTML = "<!doctype html><title>502</title>"
LIMIT = {"error": "Rate limit exceeded. Please wait a moment before posting again."}


def said(error, **more):
    return {"error": error, **more}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, [], None),
        (200, {"comments": [], "total": 0, "hasMore": False}, None),
        (200, {"messages": [], "version": "1.0.1", "globalScore": 0}, None),
        (200, {"id": "a", "timestamp": 1, "status": "duplicate"}, None),
        (200, [{"id": "a", "text": "Message not found, rate limit exceeded", "error": "no"}], None),
        (200, {"success": False, "message": None, "reason": "no_pending_messages"}, None),
        (200, "0", None),
        (200, said("Failed to retrieve comments", comments=[], total=0, hasMore=False), errors.Unavailable),
        (200, said({"code": 1}), errors.Unavailable),
        (200, HTML, errors.Unavailable),
        (301, "", errors.Misaddressed),
        (400, said("Comment text is required"), errors.Rejected),
        (400, said("messageId and workerId required"), errors.Rejected),
        (400, said("Invalid update - only botParams.processed can be updated"), errors.Rejected),
        (500, said("Comment text is required"), errors.Rejected),
        (401, "", errors.Forbidden),
        (403, HTML, errors.Forbidden),
        (404, "Not found", errors.Misaddressed),
        (404, said("Not found"), errors.Misaddressed),
        (405, "Method not allowed", errors.Misaddressed),
        (404, said("Message not found"), errors.NotFound),
        (404, said("Message not found in memory"), errors.NotFound),
        (404, said("Message not found in pending queue"), errors.Conflict),
        (409, said("Message status is complete, not pending"), errors.Conflict),
        (409, "", errors.Conflict),
        (413, "", errors.Rejected),
        (429, LIMIT, errors.RateLimited),
        (429, "error code: 1015", errors.RateLimited),
        (200, LIMIT, errors.RateLimited),
        (408, "", errors.Unavailable),
        (500, said("Storage error, please try again"), errors.Unavailable),
        (500, said("Failed to post comment", details="Unexpected token"), errors.Unavailable),
        (500, said("Body has already been used"), errors.Unavailable),
        (500, "{not json", errors.Unavailable),
        (502, HTML, errors.Unavailable),
        (530, "error code: 1016", errors.Unavailable),
    ],
)
def test_a_reply_is_judged_by_its_text_before_its_status(status, body, expected):
    encoded = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    verdict = classify(status, {}, encoded, where="GET https://host/api/comments")
    assert type(verdict) is (expected or type(None))
    if verdict is not None:
        assert "GET https://host/api/comments" in str(verdict)
        assert (verdict.status, verdict.body) == (status, encoded.decode())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "60"}, 60),
        ({"retry-after": "7"}, 7),
        ({}, 60),
        ({"retry-after": "soon"}, 60),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30),
        ({"retry-after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT"}, 60),
    ],
)
def test_a_rate_limit_says_how_long_to_be_silent(headers, seconds):
    verdict = classify(429, headers, json.dumps(LIMIT).encode(), where="POST x")
    assert isinstance(verdict, errors.RateLimited)
    assert verdict.retry_after_s == seconds


def test_a_redirect_says_where_to():
    assert "moved to https://new/api" in str(classify(301, {"location": "https://new/api"}, b"", where="GET x"))


def test_a_long_body_is_kept_and_shown_in_part():
    verdict = classify(500, {}, b"x" * 10_000, where="GET x")
    assert verdict is not None
    assert len(verdict.body) == errors.BODY_LIMIT
    assert len(str(verdict)) < 400


def test_every_error_says_whether_to_try_again_and_whose_fault_it_is():
    kinds = errors.FeedError.__subclasses__()
    assert len({kind.code for kind in kinds} | {errors.FeedError.code}) == len(kinds) + 1
    assert all(issubclass(kind, BotError) and kind.code.startswith("feed.") for kind in kinds)
    assert (errors.Rejected.retry, errors.Rejected.fault) == (Retry.NEVER, Fault.REQUEST)
    assert (errors.Ambiguous.retry, errors.Ambiguous.fault) == (Retry.HERE, Fault.PEER)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)
