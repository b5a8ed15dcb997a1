"""How long bots may be among themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.loopguard import Run, length


@pytest.mark.parametrize(("newest_first", "run"), [("", 0), ("h", 0), ("b", 1), ("bbh", 2), ("hbb", 0), ("bhbbb", 1), ("b" * 1000, 1000)])
def test_a_run_is_what_bots_said_since_the_last_human(newest_first: str, run: int) -> None:
    assert length(one == "h" for one in newest_first) == run


@given(st.integers(0, 2000), st.integers(0, 50), st.integers(0, 30), st.floats(0, 1))
def test_answers_fit_into_what_is_left_and_chances_only_shrink(bots: int, underway: int, cap: int, decay: float) -> None:
    run = Run(bots=bots, underway=underway, cap=cap, decay=decay)
    assert run.left >= 0
    assert bots + underway + run.left <= max(cap, bots + underway)
    assert 0 <= run.factor <= 1
    assert Run(bots=bots + 1, underway=underway, cap=cap, decay=decay).factor <= run.factor
    assert str(cap) in run.why


@given(st.lists(st.tuples(st.sampled_from("hb"), st.integers(0, 12)), max_size=60), st.integers(0, 8))
def test_of_our_answers_to_bots_no_more_than_the_cap_follow_a_human(events: list[tuple[str, int]], cap: int) -> None:
    """Humans and strangers speak, ten of ours would answer each bot; answers take a while, and arrive in any order."""
    said, ours, underway = 0, 0, 0
    for speaker, arriving in events:
        if speaker == "h":
            said = ours = 0
        else:
            said += 1
            underway += min(10, Run(bots=said, underway=underway, cap=cap).left)
        landed = min(arriving, underway)
        underway, said, ours = underway - landed, said + landed, ours + landed
        assert ours + underway <= cap
