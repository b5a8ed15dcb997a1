"""The ways to choose who answers by chance."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entities.logic.selection import STRATEGIES, Candidate, Pick, ordered


def one(slug: str, dice: float = 0.1, chance: float = 1.0, **over: object) -> Candidate:
    values: dict[str, object] = {"slug": slug, "dice": dice, "chance": chance}
    return Candidate(**values | over)  # type: ignore[arg-type]


def names(strategy: str, candidates: Sequence[Candidate], last: str = "") -> list[str]:
    return [pick.slug for pick in ordered(STRATEGIES[strategy], candidates, last)]


@pytest.mark.parametrize(
    ("strategy", "candidates", "last", "order"),
    [
        ("natural", [one("a", 0.3), one("b", 0.2)], "", ["b", "a"]),
        ("natural", [one("a", 0.3, 0.9), one("b", 0.2, 0.4)], "", ["a", "b"]),
        ("natural", [one("a", 0.3, weight=4.0), one("b", 0.2)], "", ["a", "b"]),
        ("natural", [one("a", 0.3, weight=0.0), one("b", 0.9)], "", ["b", "a"]),
        ("random", [one("a", 0.3, weight=4.0), one("b", 0.2)], "", ["b", "a"]),
        ("weighted", [one("a", 0.3, weight=4.0), one("b", 0.2)], "", ["a", "b"]),
        ("weighted", [one("a", 0.1, weight=0.0), one("b", 0.9)], "", ["b", "a"]),
        ("round-robin", [one("a"), one("b"), one("c")], "", ["a", "b", "c"]),
        ("round-robin", [one("a"), one("b"), one("c")], "b", ["c", "a", "b"]),
        ("round-robin", [one("a"), one("c")], "b", ["c", "a"]),
        ("round-robin", [one("a"), one("c")], "z", ["a", "c"]),
        ("least-recent", [one("a", spoke_s=5.0), one("b", spoke_s=50.0), one("c")], "", ["c", "b", "a"]),
        ("least-recent", [one("b"), one("a")], "", ["a", "b"]),
    ],
)
def test_each_strategy_has_its_order(strategy: str, candidates: list[Candidate], last: str, order: list[str]) -> None:
    assert names(strategy, candidates, last) == order


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        slug=st.text("abcdef", min_size=1, max_size=3),
        chance=st.floats(0, 1),
        dice=st.floats(0, 1, exclude_max=True),
        weight=st.floats(0, 1e9),
        spoke_s=st.none() | st.floats(0, 1e9),
        enabled=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda candidate: candidate.slug,
)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@given(candidates=CANDIDATES, last=st.text("abcdef", max_size=3), seed=st.integers())
def test_equal_candidates_give_equal_picks_and_only_who_may_win_wins(
    strategy: str, candidates: list[Candidate], last: str, seed: int
) -> None:
    picks = ordered(STRATEGIES[strategy], candidates, last)
    shuffled = [*candidates]
    random.Random(seed).shuffle(shuffled)
    assert ordered(STRATEGIES[strategy], shuffled, last) == picks
    assert sorted(pick.slug for pick in picks) == sorted(c.slug for c in candidates if c.enabled and c.dice < c.chance)
    assert all(pick.why for pick in picks)


@pytest.mark.parametrize(("strategy", "share"), [("weighted", 0.75), ("random", 0.5)])
def test_weight_is_a_share_where_it_counts(strategy: str, share: float) -> None:
    dice = random.Random(7)
    firsts = Counter(names(strategy, [one("a", dice.random(), weight=3.0), one("b", dice.random())])[0] for _ in range(4000))
    assert firsts["a"] / 4000 == pytest.approx(share, abs=0.03)


def test_round_robin_comes_to_everybody_in_turn() -> None:
    last, turns = "", []
    for _ in range(6):
        last = names("round-robin", [one("a"), one("b"), one("c")], last)[0]
        turns.append(last)
    assert turns == ["a", "b", "c", "a", "b", "c"]


@pytest.mark.parametrize(("slugs", "what"), [(["z"], "chose z"), (["a", "a"], "twice"), (["lost"], "chose lost")])
def test_a_strategy_that_names_who_has_not_won_is_refused(slugs: list[str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        ordered(lambda candidates, last: [Pick(slug=slug, why="mine") for slug in slugs], [one("a"), one("lost", 0.9, 0.5)])
