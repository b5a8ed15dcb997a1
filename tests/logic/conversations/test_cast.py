"""Who is called by name, alias or trigger: whole words, however they are written, and never inside another one."""

import re
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.cast import Cast
from conversations.logic.signals import Call
from tests.logic.conversations.values import persona


def called(text: str, *names: str) -> list[str]:
    cast = Cast.of(persona(f"e{n}", username=name) for n, name in enumerate(names))
    return [call.word for call in cast.called(text)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ping", "hey Ping"), ("Ping", "PING"), ("Ping", "ping?"), ("Ping", "@ping"), ("Ping", "(ping)"), ("Ping", "so, ping: what"),
        ("Ping", "Ping's"), ("Ping", "Ping’s cat"), ("Ping", "🤖Ping🤖"), ("Ping", "ｐｉｎｇ"), ("Ping", "*ping*"), ("Ping", "well…ping!"),
        ("Ping", "Pi\u00adng"), ("Ping", "\u202ePing\u202c"), ("Ping", "Ping-pong"), ("Ping", "Pingさん"), ("Ping", "#ping"),
        ("The Eternal", "o the  eternal one"), ("The Eternal", "the\neternal"), ("The Eternal", "THE\u00a0ETERNAL!"),
        ("R2-D2", "is r2-d2 here"), ("R2-D2", "r2‑d2"), ("C++", "I like C++"), ("C++", "c++, mostly"), ("C++", "c++"),
        ("O'Neil", "tell O’Neil"), ("O'Neil", "o'neil's"), ("José", "jose\u0301"), ("Jose\u0301", "JOSÉ"), ("Straße", "die STRASSE"),
        ("小明", "你好小明吗"), ("小明", "小明，你好"), ("アンナ", "アンナさん"), ("민수", "민수야"), ("राम", "राम, नमस्ते"), ("🤖", "hi 🤖!"),
        ("Ёж", "ЁЖ, привет"), ("???", "you ??? there"), ("สมชาย", "สวัสดีสมชายครับ"), ("محمد", "يا محمد!"), ("Ann", "Ann\u200b!"),
    ],
)  # fmt: skip
def test_a_name_is_heard(name: str, text: str) -> None:
    assert called(text, name) == [name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Ping", "typing"), ("Ping", "pinging"), ("Ping", "Pings"), ("Ping", "xPing"), ("Ping", "ping2"), ("Ping", "pingé"),
        ("Ping", "_ping_"), ("Ping", "ping_pong"), ("Ping", "shipping"), ("Ping", "pin g"), ("Ping", "p-ing"), ("Ping", ""),
        ("Ping", "https://ping.example/ping"), ("Ping", "write to ping@example.org"), ("Ping", "www.ping.example"),
        ("The Eternal", "eternal"), ("The Eternal", "the-eternal"), ("The Eternal", "the eternals"), ("The Eternal", "bathe eternal"),
        ("R2-D2", "r2 d2"), ("R2-D2", "r2-d22"), ("R2-D2", "rr2-d2"), ("C++", "c+"), ("C++", "c++11"), ("C++", "abc++"), ("C++", "c + +"),
        ("O'Neil", "oneil"), ("José", "jose"), ("राम", "रामायण"), ("राम", "रामा"), ("アン", "アンナ"), ("민수", "김민수"), ("ΑΒ", "ΑΒΓ"),
        ("???", "you ??"), ("Ann", "Anna"),
    ],
)  # fmt: skip
def test_a_name_is_not_heard_in_something_else(name: str, text: str) -> None:
    assert called(text, name) == []


def test_everybody_is_called_once_in_the_order_of_the_text_under_the_word_of_his_row() -> None:
    cast = Cast.of(
        [persona("a", username="Ann", aliases=("Annie",)), persona("b", username="BOB"), persona("c", username="Cid", enabled=False)]
    )
    assert cast.called("bob! annie, ann, Bob, cid") == (
        Call(slug="b", word="BOB"), Call(slug="a", word="Annie"), Call(slug="c", word="Cid"),
    )  # fmt: skip


def test_several_entities_share_one_name() -> None:
    cast = Cast.of([persona("b", username="Ping"), persona("a", username="ping"), persona("c", username="Other", aliases=("PING",))])
    assert cast.called("ping ping") == (Call(slug="a", word="ping"), Call(slug="b", word="Ping"), Call(slug="c", word="PING"))


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("Ann Marie", ["Ann Marie"]), ("Ann, Marie", ["Ann", "Marie"]), ("Ann Marie Ann", ["Ann Marie", "Ann"]), ("Ann M", ["Ann"]),
        ("Ann Marie Curie", ["Ann Marie"]), ("Marie Curie", ["Marie Curie"]), ("Ann Mari", ["Ann"]),
    ],
)  # fmt: skip
def test_the_longest_name_wins(text: str, heard: list[str]) -> None:
    assert called(text, "Ann", "Ann Marie", "Marie", "Marie Curie") == heard


def test_a_trigger_is_a_whole_word_or_a_command_and_counts_once() -> None:
    cast = Cast.of([persona("p", triggers=("ping", "!fact")), persona("q", triggers=("!fact",))])
    assert [call.slug for call in cast.triggered("ping ping PING ping")] == ["p"]
    assert [call.word for call in cast.triggered("well !fact, ping")] == ["!fact", "!fact"]
    assert {call.slug for call in cast.triggered("!FACT")} == {"p", "q"}
    for text in ("typing and shipping", "wow!fact", "! fact", "fact", "!facts", "x!fact"):
        assert cast.triggered(text) == (), text


def test_a_name_of_nothing_and_an_endless_one_call_nobody() -> None:
    assert called("anything at all", "", "  ", "\u200b") == []
    endless = "a " * 100
    assert called(endless, endless) == []


WORDS = st.text(alphabet="ab", min_size=1, max_size=3)
NAMES = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=6, unique=True)
TEXTS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aa", ",", " ", "  ", "'", "-"]), max_size=30).map("".join)


def naively(text: str, names: list[str]) -> list[str]:
    """Leftmost and longest, by one regular expression of all names."""
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(re.escape(name) for name in longest_first)
    there = " ".join(text.split())
    return list(dict.fromkeys(match.group() for match in re.finditer(rf"(?<!\w)(?:{pattern})(?!\w)", there)))


@given(TEXTS, NAMES)
def test_the_automaton_hears_what_a_search_of_all_names_hears(text: str, names: list[str]) -> None:
    assert called(text, *names) == naively(text, names)


@given(st.text(max_size=60), st.text(min_size=1, max_size=12), st.text(max_size=60))
def test_any_text_is_heard_and_spelling_does_not_matter(before: str, name: str, after: str) -> None:
    text = f"{before} {name} {after}"
    heard = bool(called(text, name))
    assert heard == bool(called(normalize("NFD", text), name))
    assert heard == bool(called(normalize("NFC", text), normalize("NFD", name)))


@pytest.mark.parametrize(
    "text", ["a" * 100_000, "a " * 50_000, "aa " * 33_000, "\u0301" * 100_000, "小" * 100_000, "!" * 100_000, "a@" * 50_000]
)
def test_hostile_texts_are_heard_to_the_end(text: str) -> None:
    names = ["a " * 20 + "b", *("a" * n for n in range(2, 40)), "小小小b", "!!!!b"]
    assert "Ping" in called(text + " ping", *names, "Ping")


def test_a_name_of_everybody_said_often_is_looked_up_once() -> None:
    cast = Cast.of(persona(f"e{n}", username="Ping") for n in range(1000))
    assert len(cast.called("ping " * 20_000)) == 1000


def test_the_cast_is_sorted_and_knows_who_posts_under_which_name() -> None:
    cast = Cast.of([persona("b", username="X"), persona("a", username="X"), persona("c", username="Y", messages_to_read=7)], "v1")
    assert [one.slug for one in cast.personas] == ["a", "b", "c"]
    assert (cast.version, cast.by_slug["c"].username, cast.longest) == ("v1", "Y", 50)
    assert cast.authors == {"X": frozenset({"a", "b"}), "Y": frozenset({"c"})}
