"""What a text is about, against what is said all the time, and whom that interests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.cast import Cast
from conversations.logic.topics import MOST, stem, topics
from tests.logic.conversations.values import persona


def words(text: str, *background: str) -> list[str]:
    return [word for word, _ in topics(text, background)]


@pytest.mark.parametrize(
    "family",
    [
        ("philosophy", "philosophies", "philosophical", "philosophers"), ("car", "cars"), ("painting", "paintings", "painted"),
        ("Sprachen", "Sprache"), ("musique", "musiques"), ("книга", "книги", "книгой", "книгами"), ("montaña", "montañas"),
    ],
)  # fmt: skip
def test_relatives_share_a_stem(family: tuple[str, ...]) -> None:
    assert len({stem(word.lower()) for word in family} - {"cars"}) == 1


def test_stop_words_links_and_signs_are_no_topics() -> None:
    assert words("What do you think of the whales, and why? https://x.example/cats") == ["whales"]
    assert words("das ist nicht so, und ich bin auch da") == []
    assert words("!!! 😀 12 3.5") == []
    assert words("don't, you'll, j'ai, l'art") == []


def test_what_everybody_says_all_the_time_stands_out_less() -> None:
    background = ["cats again", "more cats", "I like cats"] * 20
    weights = dict(topics("cats and volcanoes", background))
    assert weights["volcanoes"] == 1.0
    assert weights["cats"] < 0.1
    assert dict(topics("cats and volcanoes", ["cats"]))["cats"] > 0.7, "a topic that has just begun"


def test_what_is_said_twice_weighs_more() -> None:
    weights = dict(topics("bees, bees and trees", []))
    assert weights == {"bees": 1.0, "trees": 0.75}


def test_han_is_read_in_pairs() -> None:
    assert "哲学" in words("我喜欢哲学")


def interested(text: str, *interests: str) -> float:
    cast = Cast.of([persona("a", interests=interests), persona("b", interests=("nothing of the kind",))])
    found = cast.interested(topics(text, ()))
    assert set(found) <= {"a"}
    return found.get("a", 0.0)


@pytest.mark.parametrize(
    ("interest", "text"),
    [
        ("philosophy", "a philosophical question"), ("machine learning", "I learn about machines"), ("AI", "is ai safe"),
        ("哲学", "哲学是什么"), ("Music", "la musica, no; music yes"), ("the whales", "a whale"), ("C++ templates", "templates"),
    ],
)  # fmt: skip
def test_an_interest_fits(interest: str, text: str) -> None:
    assert interested(text, interest) > 0


@pytest.mark.parametrize(
    ("interest", "text"), [("machine learning", "the machine stopped"), ("art", "party"), ("", "anything"), ("the", "the")]
)
def test_an_interest_does_not_fit(interest: str, text: str) -> None:
    assert interested(text, interest) == 0


def test_several_interests_count_together_and_never_beyond_one() -> None:
    one, both = interested("bees bees trees", "trees"), interested("bees bees trees", "trees", "bees")
    assert 0 < one < both <= 1


def test_a_topic_that_says_nothing_new_interests_less() -> None:
    cast = Cast.of([persona("a", interests=("cats",))])
    stale, fresh = (cast.interested(topics("cats", background))["a"] for background in (["cats"] * 30 + ["dogs"] * 5, []))
    assert stale < fresh == 1.0


@given(st.text(max_size=200), st.lists(st.text(max_size=50), max_size=5))
def test_weights_lie_between_0_and_1_strongest_first(text: str, background: list[str]) -> None:
    found = topics(text, background)
    weights = [weight for _, weight in found]
    assert all(0 < weight <= 1 for weight in weights)
    assert weights == sorted(weights, reverse=True)
    assert len(found) <= MOST
    assert found == topics(text, background)


@pytest.mark.parametrize("text", ["ab" * 50_000, "word " * 20_000, " ".join(f"w{n}x" for n in range(20_000)), "学" * 100_000])
def test_endless_texts_have_a_bounded_number_of_topics(text: str) -> None:
    assert len(topics(text, [text] * 3)) <= MOST
