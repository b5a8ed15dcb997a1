"""From what a model said to what is posted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.reply import Cleaned, clean, shortened, units
from tests.logic.conversations.values import persona


def cleaned(raw: str, limit: int = 240, recent: tuple[str, ...] = (), **over: Any) -> Cleaned:
    return clean(raw, persona(**over), username="Ping", others=("Ann", "Old Sage"), limit=limit, recent=recent)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("Hello.", "Hello."),
        ("  \n Hello. \n\n", "Hello."),
        ("<think>who am I?</think>Hello.", "Hello."),
        ("<THINKING>\nlong\nthoughts\n</thinking>\n\nHello.", "Hello."),
        ("Hello.<think>was that good", "Hello."),
        ("and so I say</think>Hello.", "Hello."),
        ("<think>a</think>Hello<reasoning>b</reasoning> you.", "Hello you."),
        ("Ping: Hello.", "Hello."),
        ("**Ping**: Hello.", "Hello."),
        ("[Ping]: ping: Hello.", "Hello."),
        ("Assistant: Hello.", "Hello."),
        ("Pingpong: Hello.", "Pingpong: Hello."),
        ("Hello.\nAnn: and you?\nPing: fine", "Hello."),
        ("Hello.\n  **Old Sage**: hm", "Hello."),
        ("Hello.\nUser: more", "Hello."),
        ("I met Ann: she is nice", "I met Ann: she is nice"),
        ("Hello\u202e\x00\u200b you\ufeff.", "Hello you."),
        ("Two\nlines  and\t tabs", "Two\nlines and tabs"),
    ],
)
def test_thoughts_labels_and_other_speakers_go(raw: str, text: str) -> None:
    assert cleaned(raw).text == text


@pytest.mark.parametrize(
    ("raw", "over", "text"),
    [
        ("As an AI, I like it.", {"filter_out": ("As an AI, ",)}, "I like it."),
        ("Fine. END more", {"trim_after": ("END",)}, "Fine."),
        ("Fine. B more A", {"trim_after": ("A", "B")}, "Fine."),
        ("Fine.</s> more", {"stop": ("</s>",)}, "Fine."),
        ("Fine.", {"trim_after": ("",), "stop": ("",), "filter_out": ("",)}, "Fine."),
        (" a  b ", {"trim_whitespace": False}, "a  b"),
        ("Oracle: yes", {"aliases": ("Oracle", "")}, "yes"),
    ],
)
def test_what_the_persona_asks_for_is_done(raw: str, over: dict[str, Any], text: str) -> None:
    assert cleaned(raw, **over).text == text


@pytest.mark.parametrize(
    ("raw", "over", "why"),
    [
        ("", {}, "the model said nothing"),
        (" \n", {}, "the model said nothing"),
        ("<think>only thoughts", {}, "nothing was left of it after cleaning"),
        ("STOP now", {"trim_after": ("STOP",)}, "nothing was left of it after cleaning"),
        ("[SKIP]", {}, "the persona chose to say nothing ([SKIP])"),
        ("I would rather [skip] this", {}, "the persona chose to say nothing ([SKIP])"),
        ("Same  As\nbefore.", {"recent": ("x", "same as before.")}, "it said exactly that before"),
    ],
)
def test_nothing_is_posted_and_why(raw: str, over: dict[str, Any], why: str) -> None:
    assert cleaned(raw, **over) == Cleaned(text="", why=why, steps=cleaned(raw, **over).steps)


def test_what_was_done_is_told() -> None:
    assert cleaned("<think>x</think>Ping: Hi\nAnn: no").steps == ("thoughts removed", "own label removed", "other speakers cut off")


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("short", 5, "short"),
        ("One two. Three four. Five", 21, "One two. Three four."),
        ("One two three four five six", 15, "One two three…"),
        ("A. " + "b" * 30, 20, "A. bbbbbbbbbbbbbbbb…"),
        ("x" * 30, 10, "xxxxxxxxx…"),
        ("😀" * 10, 10, "😀😀😀😀…"),
        ("Say “so.” And then it went on", 16, "Say “so.”"),
    ],
)
def test_too_long_a_text_ends_at_a_sentence_or_a_word(text: str, limit: int, short: str) -> None:
    assert shortened(text, limit) == short


@given(st.text(), st.integers(1, 300))
def test_a_shortened_text_never_exceeds_the_limit(text: str, limit: int) -> None:
    assert units(shortened(text, limit)) <= limit


WILD = st.lists(
    st.sampled_from(
        [
            "<think>",
            "</think>",
            "Ping:",
            "Ann:",
            "\n",
            "[SKIP]",
            "word ",
            "😀",
            "\ud83d",
            "\x00",
            ".",
            "  ",
            "END",
            "**",
            "(",
            "\\",
            "名前：",
        ]
    )
    | st.text(max_size=6),
    max_size=40,
).map("".join)


@given(WILD, st.integers(1, 260))
def test_no_text_breaks_the_cleaning_and_none_is_too_long_or_blank(raw: str, limit: int) -> None:
    result = cleaned(raw, limit, filter_out=("word",), trim_after=("END",))
    assert units(result.text) <= limit
    assert bool(result.text.strip()) is not bool(result.why)
    assert "<think>" not in result.text.lower()
    result.text.encode("utf-16-le", "strict")


def test_the_worst_texts_are_cleaned_quickly_enough_to_finish() -> None:
    for raw in ("<think>" * 3000, "Ping: " * 3000, "\n " * 5000, "</think>" * 3000, "a" * 50_000, "*_[" * 5000):
        cleaned(raw)
