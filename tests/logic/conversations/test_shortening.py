"""Where a text may end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.shortening import complete, shortened, units

FAMILY = "👨‍👩‍👧‍👦"
FLAG = "🇩🇪"


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("short", 5, "short"),
        ("One two. Three four. Five", 21, "One two. Three four."),
        ("One two three four five six", 15, "One two three…"),
        ("A. " + "b" * 30, 20, "A. bbbbbbbbbbbbbbbb…"),
        ("x" * 30, 10, "xxxxxxxxx…"),
        ("x" * 30, 1, "…"),
        ("😀" * 10, 10, "😀😀😀😀…"),
        ("Say “so.” And then it went on", 16, "Say “so.”"),
        ("Who? Me! Yes… and then", 15, "Who? Me! Yes…"),
        ("We met Dr. Who. He was late again", 18, "We met Dr. Who."),
        ("We met old Dr. Whoever there", 18, "We met old Dr…"),
        ("Things, e.g. bread and more", 15, "Things, e.g…"),
        ("He is J. R. Tolkien and more", 12, "He is J. R…"),
        ("In 1999. Then came 2000 and more", 14, "In 1999."),
        ("Do: 1. Bread 2. Milk and more", 14, "Do: 1. Bread…"),
        ("はい。そうです。まだある", 9, "はい。そうです。"),
        ("क्या हुआ। फिर आगे बढ़ा", 12, "क्या हुआ।"),
        ("هل تعرف؟ نعم أعرف ذلك", 12, "هل تعرف؟"),
        ("First line here\nsecond line", 20, "First line here"),
        ("One two, three", 9, "One two…"),
        (f"ab{FAMILY}cd and so on", 9, "ab…"),
        (f"{FLAG}{FLAG}{FLAG}", 8, f"{FLAG}…"),
        ("cafe\u0301" * 4, 6, "cafe\u0301…"),
        ("👍🏽" * 3, 8, "👍🏽…"),
    ],
)
def test_too_long_a_text_ends_at_a_sentence_or_a_word(text: str, limit: int, short: str) -> None:
    assert shortened(text, limit) == short


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("One is here. Two is th", "One is here."),
        ("One is here.", "One is here."),
        ("One. And the rest of this was never brought to", "One. And the rest of this was never brought to"),
        ("no end at all", "no end at all"),
        ("", ""),
    ],
)
def test_an_unfinished_sentence_goes_if_enough_is_left(text: str, short: str) -> None:
    assert complete(text) == short


@given(st.text(), st.integers(1, 300))
def test_a_shortened_text_never_exceeds_the_limit_and_is_never_shortened_twice(text: str, limit: int) -> None:
    short = shortened(text, limit)
    assert units(short) <= limit
    assert shortened(short, limit) == short
