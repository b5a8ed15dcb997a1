"""How long a load may take, how far it is, and what a failed one teaches."""

from typing import Any

import pytest

from cluster.logic.copies import Copy, surplus
from cluster.logic.loading import Lesson, Mishap, allowed, expected_s, lesson, limit_s, progress
from cluster.logic.memory import GIB


@pytest.mark.parametrize(
    ("gb", "learned", "least", "limit"),
    [(17, None, 600, 600), (170, None, 600, 1020), (170, 50.0, 600, 600), (17, 400.0, 600, 1200), (1, None, 0.3, 6)],
)
def test_a_load_is_waited_for_by_its_size_and_by_what_was_learned(gb: float, learned: float | None, least: float, limit: float) -> None:
    assert limit_s(gb, learned, least) == limit


@pytest.mark.parametrize(
    ("elapsed", "expected", "share"), [(0, 40, 0.0), (10, 40, 0.25), (-1, 40, 0.0), (40, 40, 0.99), (900, 40, 0.99), (0, 0, 0.99)]
)
def test_progress_is_the_share_of_the_expected_time(elapsed: float, expected: float, share: float) -> None:
    assert progress(elapsed, expected) == share


def test_a_load_that_was_never_seen_is_expected_at_half_a_gb_a_second() -> None:
    assert (expected_s(20, None), expected_s(20, 7.0)) == (40.0, 7.0)


@pytest.mark.parametrize(
    ("wanted", "limit", "context"), [(None, None, None), (8192, None, 8192), (None, 4096, 4096), (8192, 4096, 4096), (2048, 4096, 2048)]
)
def test_the_context_is_what_is_wanted_and_at_most_what_fits(wanted: int | None, limit: int | None, context: int | None) -> None:
    assert allowed(wanted, limit) == context


def mishap(code: str = "out-of-memory", **over: Any) -> Mishap:
    """A load of a 10 GB file with a context of 8192 on an empty server of 86 GB."""
    values: dict[str, Any] = {"reserved_gb": 12.5, "estimate_gb": 12.5, "room_gb": 86.0, "size_bytes": 10 * GIB, "context": 8192}
    return Mishap(code=code, **values | over)


LESSONS: dict[str, tuple[Mishap, Lesson]] = {
    "a figure that fits is made room for": (mishap(said_gb=20.0), Lesson(rest_s=5, size_gb=20.0)),
    "also when less context was tried": (mishap(said_gb=20.0, limited=True, failures=2), Lesson(rest_s=5, size_gb=20.0)),
    "without a figure less context": (mishap(), Lesson(rest_s=5, context_limit=4096)),
    "half of a large one": (mishap(context=131_072), Lesson(rest_s=5, context_limit=65_536)),
    "never below 4096": (mishap(context=5000), Lesson(rest_s=5, context_limit=4096)),
    "of an unknown one the least": (mishap(context=None), Lesson(rest_s=5, context_limit=4096)),
    "not below the least": (mishap(context=4096), Lesson(rest_s=120)),
    "only once": (mishap(limited=True), Lesson(rest_s=120)),
    "not where a load cannot choose it": (mishap(choosable=False), Lesson(rest_s=120)),
    "a figure that never fits there: less context first": (mishap(said_gb=45.0, room_gb=40.0), Lesson(rest_s=5, context_limit=4096)),
    "then it is learned": (mishap(said_gb=45.0, room_gb=40.0, limited=True, failures=2), Lesson(rest_s=240, size_gb=45.0)),
    "at once where nobody knows the context": (mishap(said_gb=45.0, room_gb=40.0, context=None), Lesson(rest_s=120, size_gb=45.0)),
    "an absurd figure is none": (mishap(said_gb=273.25), Lesson(rest_s=5, context_limit=4096)),
    "less than the file is none": (mishap(said_gb=9.0, reserved_gb=8.0, limited=True), Lesson(rest_s=120)),
    "what was there and was not enough teaches nothing": (mishap(said_gb=12.9, limited=True), Lesson(rest_s=120)),
    "longer each time": (mishap(limited=True, failures=4), Lesson(rest_s=960)),
    "up to an hour": (mishap(limited=True, failures=400), Lesson(rest_s=3600)),
    "a dead engine is short of memory": (mishap("engine-failed"), Lesson(rest_s=5, context_limit=4096)),
    "and then rests": (mishap("engine-failed", limited=True, failures=2), Lesson(rest_s=600)),
    "another load came between": (mishap("load-canceled", failures=2), Lesson(rest_s=10)),
    "no engine for it": (mishap("format-unsupported", failures=3), Lesson(rest_s=86_400)),
    "something else": (mishap("dropped"), Lesson(rest_s=30)),
    "something else again": (mishap("dropped", failures=9), Lesson(rest_s=300)),
}


@pytest.mark.parametrize(("what", "taught"), LESSONS.values(), ids=LESSONS.keys())
def test_a_failed_load_teaches(what: Mishap, taught: Lesson) -> None:
    assert lesson(what) == taught


def copy(ident: int, **over: Any) -> Copy:
    return Copy(id=ident, **{"since": float(ident)} | over)


SURPLUS: dict[str, tuple[list[Copy], tuple[int, ...]]] = {
    "the younger": ([copy(1), copy(2)], (2,)),
    "the one that was loaded later": ([copy(1, since=9.0), copy(2, since=3.0)], (1,)),
    "of equals the later row": ([copy(1, since=1.0), copy(2, since=1.0)], (2,)),
    "the one that serves nobody": ([copy(1), copy(2, busy=True)], (1,)),
    "all but the oldest": ([copy(3), copy(1), copy(2)], (2, 3)),
    "not the pinned": ([copy(1), copy(2, pinned=True)], (1,)),
    "nothing of two pinned": ([copy(1, pinned=True), copy(2, pinned=True)], ()),
    "nothing while both serve": ([copy(1, busy=True), copy(2, busy=True)], ()),
    "all that are idle beside two that serve": ([copy(1, busy=True), copy(2), copy(3, busy=True), copy(4)], (2, 4)),
    "nothing of one": ([copy(1)], ()),
    "nothing of none": ([], ()),
}


@pytest.mark.parametrize(("copies", "going"), SURPLUS.values(), ids=SURPLUS.keys())
def test_of_several_copies_may_go(copies: list[Copy], going: tuple[int, ...]) -> None:
    assert surplus(copies) == going
    assert surplus(copies[::-1]) == going
