"""Step 11 against a backend that means no good: whatever it answers, every answer is there once and nothing of ours breaks."""

from contextlib import nullcontext
from typing import Any

import pytest

from conversations import post
from conversations.models import Feed, Reply
from swwbot_site.lib import clock
from swwbot_site.models import Event
from tests import build
from tests.verbs.conversations.desk import Desk
from tests.verbs.conversations.hostile import Hostile, dawdles, floods, refuses, renames, resets, says

pytestmark = pytest.mark.django_db(transaction=True)

STORED = {
    "500": says(500, '{"error": "Storage error, please try again"}'),
    "200 with an error": says(200, '{"error": "Failed to post comment"}'),
    "no JSON": says(200, "{"),
    "a list": says(200, "[1, 2]"),
    "deep JSON": says(200, "[" * 100_000),
    "a web page": says(200, "<html>"),
    "nothing": says(200),
    "NUL and half a character": says(500, b'{"error": "a\\u0000b\\ud800", "details": "\\u0000"}'),
    "bytes": says(502, b"\x00\xff\xfe\x00"),
    "an id that is true": says(200, '{"id": true}'),
    "bad compression": says(200, b"no gzip", Content_Encoding="gzip"),
    "a broken connection": resets,
    "a late answer": dawdles,
    "an endless answer": floods,
}
GONE = {
    "a redirect": refuses(302, Location="http://127.0.0.1:1/"),
    "403": refuses(403, "Access denied"),
    "404": refuses(404, "Not found"),
    "409": refuses(409, '{"error": "no"}'),
}

OLD = "Thu, 01 Jan 1970 00:00:00 GMT"
LIMITS = (
    ({"Retry_After": "90"}, 91),
    ({}, 61),
    ({"Retry_After": "soon"}, 61),
    ({"Retry_After": "9" * 400}, 3601),
    ({"Retry_After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": OLD}, 3601),
    ({"Retry_After": "Wed, 01 Jan 99999999999999999999 00:00:00 GMT", "Date": OLD}, 61),
    ({"Retry_After": "Thu, 01 Jan 1970 00:02:00 GMT", "Date": OLD}, 121),
)
"""What a 429 says, and the seconds of silence that come of it."""


@pytest.fixture(params=["kv", "do"])
def feed(request: pytest.FixtureRequest, hostile: Hostile) -> Feed:
    return build.feed(url=hostile.url, detected=request.param, lost_after_s=0.3, post_interval_s=0.0)


def ready(feed: Feed, **over: Any) -> Reply:
    who = build.entity()
    message = build.message(feed=feed, decided_at=clock.now())
    return build.reply(**{"state": "ready", "message": message, "entity": who, "permit": build.permit(entity=who)} | over)


def delivered(desk: Desk, reply: Reply, what: str = "") -> None:
    for _ in range(6):
        desk.post()
        desk.confirm()
    reply.refresh_from_db()
    assert (reply.state, reply.permit and reply.permit.state) == ("posted", "spent"), f"{what}: {reply.reason}"


def test_a_post_that_was_stored_is_never_doubled_whatever_was_answered(feed: Feed, hostile: Hostile, desk: Desk) -> None:
    for number, (what, answer) in enumerate(STORED.items(), start=1):
        hostile.answers = [answer]
        reply = ready(feed)
        with desk.impatient() if answer is dawdles else nullcontext():
            (error,) = desk.post()
        assert error is not None, what
        assert error.code == "feed.ambiguous", what
        delivered(desk, reply, what)
        assert len(hostile.posts()) == len(hostile.kept) == number, what


def test_a_post_that_was_not_taken_is_posted_again_unchanged(feed: Feed, hostile: Hostile, desk: Desk) -> None:
    for what, answer in GONE.items():
        hostile.answers = [answer]
        reply = ready(feed)
        delivered(desk, reply, what)
        assert hostile.posts()[-2:] == [reply.outgoing_id] * 2, what
    assert [one["id"] for one in hostile.kept] == list(Reply.objects.order_by("id").values_list("outgoing_id", flat=True))


def test_a_429_silences_us_for_as_long_as_it_says_and_an_hour_at_most(feed: Feed, hostile: Hostile, desk: Desk) -> None:
    for headers, seconds in LIMITS:
        hostile.answers = [refuses(429, '{"error": "Rate limit exceeded."}', **headers)]
        reply = ready(feed)
        before = clock.now()
        desk.post()
        feed.refresh_from_db()
        assert feed.post_at is not None
        assert 0 <= (feed.post_at - before).total_seconds() - seconds < 5, headers
        assert post.claim(desk.owner, clock.now()) == []
        delivered(desk, reply)
    assert len(hostile.kept) == len(LIMITS)


def test_a_longer_silence_is_not_shortened_by_a_later_answer(hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do")
    ready(feed)
    ready(feed)
    letters = post.claim(desk.owner, clock.now())
    hostile.answers = [refuses(429, "", Retry_After="600"), refuses(429, "", Retry_After="5")]
    desk.send(letters[0])
    agreed = Feed.objects.get().post_at
    desk.send(letters[1])
    assert Feed.objects.get().post_at == agreed


def test_a_backend_that_gives_its_own_id_is_believed_and_not_posted_to_again(feed: Feed, hostile: Hostile, desk: Desk) -> None:
    hostile.answers = [renames]
    reply = ready(feed)
    delivered(desk, reply)
    assert len(hostile.posts()) == 1
    assert reply.outgoing_id == "4711"
    assert Event.objects.filter(kind="reply.renamed").count() == 1
    desk.poll()
    assert list(feed.messages.exclude(pk=reply.message_id).values_list("remote_id", "own")) == [("4711", True)]


def test_an_id_that_cannot_be_ours_is_not_taken_over(feed: Feed, hostile: Hostile, desk: Desk) -> None:
    build.reply(state="posted", outgoing_id="the other's", message=build.message(feed=feed))
    for ident in ("x" * 65, "", "the other's"):
        hostile.answers = [says(200, f'{{"id": "{ident}"}}')]
        reply = ready(feed)
        delivered(desk, reply)
        assert hostile.posts()[-1] == reply.outgoing_id


def test_a_dead_letter_keeps_reason_status_and_body(hostile: Hostile, desk: Desk) -> None:
    feed = build.feed(url=hostile.url, detected="do")
    reply = ready(feed)
    hostile.answers = [refuses(400, b'{"error": "Comment text is required\\u0000", "details": "so it is"}')]
    desk.post()
    reply.refresh_from_db()
    assert reply.state == "failed"
    assert "Comment text is required" in reply.reason
    kept = reply.verdict["delivery"]
    assert (kept["status"], kept["code"], kept["attempt"]) == (400, "feed.rejected", 1)
    assert "so it is" in kept["body"]
