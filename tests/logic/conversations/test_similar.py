"""How much one post says what another said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.similar import closest, similarity

LONG = "Time is what keeps everything from happening at once and I like it"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Same  As\nbefore.", "same as before"),
        ("Ünïcode! Yes…", "ünïcode yes"),
        ("Straße", "STRASSE"),
        ("🔥🔥", "🔥🔥"),
        ("はい、そうです。", "はいそうです"),
        ("“Quoted” – really?", '"quoted" really'),
    ],
)
def test_equal_words_are_equal_whatever_dresses_them(one: str, other: str) -> None:
    assert similarity(one, other) == 1.0


@pytest.mark.parametrize(
    ("one", "other", "least", "most"),
    [
        (LONG, LONG + " today", 0.9, 0.99),
        (LONG, "Well, " + LONG, 0.9, 0.99),
        (LONG, LONG.replace("everything", "nothing"), 0.8, 0.9),
        (LONG, LONG + " " + LONG, 0.5, 0.75),
        ("Yes.", "Yes, I think time is what keeps everything apart.", 0.0, 0.2),
        ("I like bread and hate milk", "I hate milk and like bread", 0.5, 0.9),
        ("One thing", "Another matter", 0.0, 0.0),
        ("🔥🔥", "🔥", 0.0, 0.0),
        ("🔥", "Yes", 0.0, 0.0),
        ("", "Yes", 0.0, 0.0),
    ],
)
def test_what_is_said_again_with_other_words_is_measured(one: str, other: str, least: float, most: float) -> None:
    assert least <= similarity(one, other) <= most


@given(st.text(max_size=60), st.text(max_size=60))
def test_it_is_the_same_both_ways_and_1_with_itself(one: str, other: str) -> None:
    assert similarity(one, other) == similarity(other, one)
    assert 0.0 <= similarity(one, other) <= 1.0
    assert similarity(one, one) == 1.0


def test_the_closest_of_several_is_told() -> None:
    assert closest("a b c", ["x", "a b c d", "a"])[1] == "a b c d"
    assert closest("a b c", []) == (0.0, "")
