"""Messages a minute, silence, who takes part."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.activity import activity, at, participants, silence
from tests.logic.conversations.values import MS, NOW, bot, line


def test_a_line_appeared_when_we_saw_it_whatever_its_author_says() -> None:
    assert at(line(timestamp=MS + 10**9, born=NOW)) == MS
    assert at(line(timestamp=MS)) == MS


@pytest.mark.parametrize(
    ("ago_s", "whole", "rate"),
    [
        ((), True, 1.0),
        ((1,), True, 2.0),
        ((60, 30), True, 3.0),
        ((120, 90, 60, 30), True, 2.5),
        ((30, 20, 10), False, 8.0),
        ((400, 200, 100), True, 0.6),
        ((4000,), True, 0.2),
        ((400, 200, 100), False, 0.6),
        ((-1000, -1), True, 3.0),
        ((-1000,), False, 120.0),
    ],
)
def test_activity_is_counted_over_the_span_that_is_known(ago_s: tuple[int, ...], whole: bool, rate: float) -> None:
    assert activity([MS - ago * 1000 for ago in ago_s], MS, whole=whole) == pytest.approx(rate)


@given(st.lists(st.integers(min_value=-(10**15), max_value=10**15), max_size=30), st.booleans())
def test_activity_is_positive_and_bounded_whatever_the_clocks_say(moments: list[int], whole: bool) -> None:
    assert 0 < activity(moments, MS, whole=whole) <= 60 * (len(moments) + 1)


def test_silence_is_the_time_since_the_line_before() -> None:
    assert silence([], MS) is None
    assert silence([MS - 5000, MS - 90_000], MS) == 5.0
    assert silence([MS + 5000], MS) == 0.0


def test_participants_are_named_once_the_latest_first() -> None:
    spoken = [line(username="Ann"), bot("x", "Ping"), line(username="Bob"), line(username="Ann"), line(username="")]
    assert participants(spoken) == ("Ann", "Bob", "Ping")
    assert len(participants([line(username=f"U{n}", born=NOW - timedelta(seconds=n)) for n in range(100)])) == 20
