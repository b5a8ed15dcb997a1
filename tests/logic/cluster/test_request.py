"""Requests: their finger print, and when a failed one is tried again."""

from datetime import UTC, datetime, timedelta

import pytest

from cluster.logic.learning import blend
from cluster.logic.request import Failure, Request, again_at, fingerprint

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def failure(retry: str) -> Failure:
    return Failure(server_id=1, server="mac-1", code="dropped", text="cut", retry=retry, at=NOW)


@pytest.mark.parametrize(
    ("retry", "attempts", "pause_s"),
    [
        ("elsewhere", 1, 0),
        ("here", 1, 0),
        ("elsewhere", 2, 1),
        ("here", 3, 3),
        ("elsewhere", 4, 8),
        ("elsewhere", 5, 20),
        ("elsewhere", 9, 20),
        ("elsewhere", 10, None),
        ("here", 11, None),
        ("never", 1, None),
    ],
)
def test_of_ten_attempts_the_next_one_is(retry: str, attempts: int, pause_s: float | None) -> None:
    assert again_at(failure(retry), attempts, 10) == (None if pause_s is None else NOW + timedelta(seconds=pause_s))


def test_one_attempt_is_one_attempt() -> None:
    assert again_at(failure("elsewhere"), 1, 1) is None


def test_equal_requests_have_equal_finger_prints_and_others_do_not() -> None:
    hello = Request(messages=[{"role": "user", "content": "Hello ü \ud83d"}], sampling={"temperature": 0.7, "top_p": 1})
    again = Request(messages=[{"content": "Hello ü \ud83d", "role": "user"}], sampling={"top_p": 1, "temperature": 0.7})
    warmer = Request(messages=hello.messages, sampling={"temperature": 0.8, "top_p": 1})
    print_ = fingerprint("m", hello.document())
    assert len(print_) == 64
    assert print_ == fingerprint("m", again.document())
    assert print_ not in (fingerprint("m", warmer.document()), fingerprint("n", hello.document()))


def test_what_is_learned_follows_the_recent() -> None:
    assert blend(None, 10.0) == 10.0
    assert blend(10.0, 20.0) == 12.0
