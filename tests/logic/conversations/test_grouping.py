"""What belongs together: keys of conversations, stretches without long silences, and who talks with whom."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.grouping import LONGEST, groups, is_private, private, room, stretch
from conversations.logic.message import Line
from tests.logic.conversations.values import MS, bot, line

HOME = "saywhatwant.app"


def test_the_feeds_own_domain_has_the_empty_key_and_others_their_name() -> None:
    assert room(HOME, HOME) == room("", HOME) == room("unknown", HOME) == ""
    assert room("other.example", HOME) == "other.example"


def test_a_private_key_is_of_one_human_and_one_identity() -> None:
    keys = {
        private(("Ann", "1"), ("Ping", "2")), private(("Ann", "1"), ("Ping", "3")), private(("Ann", "2"), ("Ping", "2")),
        private(("Bob", "1"), ("Ping", "2")), private(("Ann", "1"), ("Pong", "2")),
    }  # fmt: skip
    assert len(keys) == 5
    assert all(is_private(key) for key in keys)


NAMES = st.text(alphabet="ab:%#", max_size=6)


@given(NAMES, NAMES, NAMES, NAMES, NAMES, NAMES, NAMES, NAMES)
def test_no_two_talks_share_a_key(a: str, b: str, c: str, d: str, e: str, f: str, g: str, h: str) -> None:
    one, other = private((a, b), (c, d)), private((e, f), (g, h))
    assert (one == other) == ((a, b, c, d) == (e, f, g, h))


@given(st.text(max_size=250), st.text(max_size=250))
def test_no_domain_is_a_private_talk_and_keys_fit_their_column(domain: str, name: str) -> None:
    public, secret = room(domain, HOME), private((name, ""), ("Ping", ""))
    assert public != secret
    assert not is_private(public)
    assert len(public) <= LONGEST
    assert len(secret) <= LONGEST


@pytest.mark.parametrize("domain", ["private:Ann:1:Ping:2", "private:"])
def test_a_domain_that_is_called_like_a_private_talk_is_none(domain: str) -> None:
    assert not is_private(room(domain, HOME))


def test_long_names_are_told_apart_behind_their_cut() -> None:
    assert private(("x" * 300 + "1", ""), ("P", "")) != private(("x" * 300 + "2", ""), ("P", ""))


def lines(*ago_s: float) -> list[Line]:
    return [line(f"{n}", id=n, remote_id=f"m-{n}", timestamp=MS - int(ago * 1000)) for n, ago in enumerate(ago_s)]


@pytest.mark.parametrize(
    ("ago_s", "kept"),
    [((), 0), ((10,), 1), ((50, 10), 2), ((100, 50, 10), 3), ((200, 50, 10), 2), ((200, 61), 0), ((100, 200, 50), 1), ((30, -500, 10), 3)],
)
def test_a_stretch_ends_at_a_long_silence(ago_s: tuple[float, ...], kept: int) -> None:
    before = lines(*ago_s)
    assert stretch(before, line(timestamp=MS), 60) == tuple(before[len(before) - kept :])


def talk(*said: tuple[str, str, dict[str, Any]]) -> list[list[str]]:
    made = []
    for n, (who, text, over) in enumerate(said):
        values = {"id": n, "remote_id": f"m-{n}", "timestamp": MS + over.pop("at", n) * 1000} | over
        made.append((bot if who.isupper() else lambda t, u, **o: line(t, username=u, **o))(text, who, **values))
    return [[one.text for one in group.lines] for group in groups(made)]


def test_who_replies_belongs_to_what_it_replies_to() -> None:
    assert talk(
        ("ann", "a", {}), ("bob", "b", {"at": 500}), ("PING", "to a", {"at": 501, "reply_to": "m-0"})
    ) == [["a", "to a"], ["b"]]  # fmt: skip


def test_who_names_somebody_belongs_to_him() -> None:
    assert talk(("ann", "a", {}), ("bob", "b", {"at": 500}), ("cid", "I agree with Ann!", {"at": 501})) == [
        ["a", "I agree with Ann!"],
        ["b"],
    ]


def test_who_goes_on_and_who_speaks_at_once_belongs_to_the_line_before() -> None:
    assert talk(("ann", "a", {}), ("bob", "b", {"at": 5}), ("ann", "c", {"at": 100})) == [["a", "b", "c"]]


def test_who_speaks_long_after_begins_a_group() -> None:
    assert talk(("ann", "a", {}), ("bob", "b", {"at": 300})) == [["a"], ["b"]]


def test_groups_name_who_talks() -> None:
    found = groups([line("a", username="ann", remote_id="1"), line("b", username="bob", remote_id="2")])
    assert [group.names for group in found] == [("ann", "bob")]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["hi", "a b", "c!", ""]), st.integers(0, 1000), st.integers(-2, 12)), max_size=12
    )
)
def test_every_line_is_in_exactly_one_group(said: list[tuple[str, str, int, int]]) -> None:
    made = [
        line(text, id=n, remote_id=f"m-{n}", username=who, timestamp=MS + at * 1000, reply_to=f"m-{to}")
        for n, (who, text, at, to) in enumerate(said)
    ]
    found = [one.id for group in groups(made) for one in group.lines]
    assert sorted(found) == list(range(len(made)))
    assert all(group.lines and list(group.lines) == sorted(group.lines, key=lambda one: one.id) for group in groups(made))
