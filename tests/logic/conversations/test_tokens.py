"""The reckoning of tokens: never less than real tokenizers count, and not much more for what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic import tokens
from tests.logic.conversations.counted import COUNTED

ENGLISH = [row for row in COUNTED if row[0].isascii() and row[0].count(" ") >= 4 and row[0][:1].isalpha() and "  " not in row[0]]


@pytest.mark.parametrize(("text", "counts"), [(row[0], row[1:]) for row in COUNTED])
def test_never_less_than_any_tokenizer_counts(text: str, counts: tuple[int, ...]) -> None:
    assert tokens.text(text) >= max(counts)


def test_english_is_not_reckoned_twice_as_long() -> None:
    assert len(ENGLISH) >= 4
    assert sum(tokens.text(row[0]) for row in ENGLISH) < 2 * sum(row[1] for row in ENGLISH)


@given(st.text(alphabet=st.characters(), max_size=200), st.text(alphabet=st.characters(), max_size=200))
def test_together_texts_take_no_more_than_apart(one: str, other: str) -> None:
    assert 1 <= tokens.text(f"{one}\n{other}") <= tokens.text(one) + tokens.text(other)


@given(st.text(alphabet=st.characters(), max_size=300))
def test_no_text_takes_more_than_a_token_for_each_byte(text: str) -> None:
    assert tokens.text(text) <= 1 + len(text.encode("utf-8", "surrogatepass"))


def test_a_request_is_its_messages_with_their_marks() -> None:
    assert tokens.messages([]) == tokens.REQUEST
    said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
    assert tokens.messages(said) == tokens.REQUEST + 2 * tokens.MESSAGE + tokens.text("Be kind.") + tokens.text("hi")
