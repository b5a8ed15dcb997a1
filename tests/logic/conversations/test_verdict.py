"""Who answers a message: every rule with its reason."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic.dice import throw
from conversations.logic.lifecycle import Mode
from conversations.logic.message import Line
from conversations.logic.verdict import NOES, Room, decide
from entities.logic.persona import Persona
from tests.logic.conversations.values import MS, NOW, always, bot, line, never, persona, room

PING, PONG = persona("ping"), persona("pong")


def asked(entity: str = "ping", **over: Any) -> Line:
    return line(params={"entity": entity}, **over)


@pytest.mark.parametrize(
    ("message", "personas", "where", "why", "yes", "no"),
    [
        (bot("Ping?", "Pong", own=True), [PING], room(), "we posted it", [], {}),
        (asked(), [PING, PONG], room(), "asked for by id", ["ping"], {}),
        (asked(text=""), [PING], room(), "asked for by id", ["ping"], {}),
        (asked("gone"), [PING], room(), "there is no entity gone", [], {"gone": "no such entity"}),
        (asked(), [persona("ping", enabled=False, disabled_reason="too rude")], room(), "ping is disabled", [], {"ping": "disabled: too rude"}),
        (asked(), [persona("ping", enabled=False)], room(), "ping is disabled", [], {"ping": "disabled: by hand"}),
        (asked(), [PING], room(open=False, why_closed="claimed by w-2"), "claimed by w-2", [], {"ping": "claimed by w-2"}),
        (asked("gone"), [PING], room(open=False, why_closed="claimed by w-2"), "claimed by w-2", [], {"gone": "claimed by w-2"}),
        (asked(timestamp=MS - 301_000), [PING], room(), "301 s old, answers nothing older than 300 s", [], None),
        (asked(timestamp=MS - 300_000), [PING], room(), "asked for by id", ["ping"], {}),
        (asked(timestamp=MS - 301_000), [persona("ping", max_age_s=302)], room(), "asked for by id", ["ping"], {}),
        (asked(kind="AI"), [PING], room(), "a bot's message is not directed at entities", [], {}),
        (line("  "), [PING], room(), "it has no text", [], {}),
        (line("Ping, you there?"), [PING, PONG], room(), "called by name", ["ping"], {"pong": "others were called by name"}),
        (line("ping pong"), [PING, PONG], room(), "called by name", ["ping", "pong"], {}),
        (line("Ping!", timestamp=MS - 301_000), [PING], room(), "nobody listens to this", [], None),
        (line("Ping!"), [persona("ping", responds_to_humans=False)], room(), "nobody listens to this", [], {"ping": "does not answer humans"}),
        (line("Ping!"), [persona("ping", enabled=False)], room(), "nobody listens to this", [], {"ping": "disabled: by hand"}),
        (line("Hello"), [], room(), "nobody listens to this", [], {}),
        (line("Hello"), [PING], room(), "nobody's dice fell for it", [], {"ping": "dice 0.000 against 0.000"}),
        (line("Hello"), [persona("ping", response_chance=0.1)], room(), "by chance", ["ping"], {}),
        (bot("Ping?", "Pong"), [PING, PONG], room(), "nobody listens to this", [], None),
        (bot("Ping?", "Ping"), [persona("ping", responds_to_all_ai=True)], room(), "nobody listens to this", [],
         {"ping": "it speaks under that name itself"}),
        (bot("Ping?", "Pong"), [persona("ping", responds_to_all_ai=True)], room(bot_run=5), "called by name", ["ping"], {}),
        (bot("Ping?", "Pong"), [persona("ping", responds_to_these_ai=("pong",)), PONG], room(bot_run=1), "called by name", ["ping"],
         {"pong": "it speaks under that name itself"}),
        (bot("Ping?", "Other"), [persona("ping", responds_to_these_ai=("pong",)), PONG], room(bot_run=1), "nobody listens to this", [],
         {"ping": "does not answer this bot", "pong": "does not answer this bot"}),
        (bot("Ping?", "Pong"), [persona("ping", responds_to_all_ai=True)], room(bot_run=6), "nobody listens to this", [],
         {"ping": "bots have spoken 6 times since the last human"}),
    ],
)  # fmt: skip
def test_the_first_rule_that_fits_decides(
    message: Line, personas: Sequence[Persona], where: Room, why: str, yes: list[str], no: Mapping[str, str] | None
) -> None:
    verdict = decide(message, personas, where, always)
    assert verdict.why == why
    assert [one.persona.slug for one in verdict.yes] == yes
    assert no is None or dict(verdict.no) == no


def test_an_unknown_entity_is_an_error_that_names_the_known_ones() -> None:
    verdict = decide(asked("gone"), [PONG, PING], room(), never)
    assert verdict.error == "Message m-1 asks for the entity 'gone', which does not exist. Known entities: ping, pong."
    assert "Known entities: none." in decide(asked("gone"), [], room(), never).error


CALLS = [
    ("hey Ping", True), ("PING", True), ("ping?", True), ("@ping", True), ("(ping)", True), ("so, ping: what", True), ("ping's", True),
    ("typing", False), ("pinging", False), ("ping2", False), ("pingé", False), ("_ping_", False), ("shipping", False), ("pin g", False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "called"), CALLS)
def test_a_name_is_found_as_a_whole_word_only(text: str, called: bool) -> None:
    verdict = decide(line(text), [PING], room(), never)
    assert [one.persona.slug for one in verdict.yes] == (["ping"] if called else [])


@pytest.mark.parametrize(
    ("username", "text", "called"),
    [
        ("Dr. No", "ask dr. no about it", True),
        ("Dr. No", "ask Dr.  No about it", True),
        ("Dr. No", "ask dr no about it", False),
        ("Dr. No", "ask dr. nobody", False),
        ("Old Sage", "the old\nsage knows", True),
        ("C++", "is C++ here?", True),
        ("(hi)", "well (hi) then", True),
        ("Straße", "die STRASSE weiß es", True),
        ("Łuk", "łuk?", True),
        ("名前", "ねえ 名前 さん", True),
    ],
)
def test_a_name_may_have_spaces_and_punctuation(username: str, text: str, called: bool) -> None:
    verdict = decide(line(text), [persona("one", username=username)], room(), never)
    assert bool(verdict.yes) is called


def test_an_alias_counts_like_the_name() -> None:
    verdict = decide(line("what says the oracle?"), [persona("ping", aliases=("", "Oracle"))], room(), never)
    assert [(one.mode, one.rules) for one in verdict.yes] == [(Mode.DIRECTED, ("mention of Oracle",))]


def test_of_several_under_one_name_one_answers_chosen_by_the_dice() -> None:
    personas = [persona("a", username="Ping"), persona("b", username="Ping"), persona("c", username="Pong")]
    for lucky in ("a", "b"):
        verdict = decide(line("ping and pong"), personas, room(), lambda slug, lucky=lucky: 0.1 if slug == lucky else 0.5)
        assert {one.persona.slug for one in verdict.yes} == {lucky, "c"}
        assert verdict.no == {({"a", "b"} - {lucky}).pop(): "others were called by name"}


@pytest.mark.parametrize(("text", "chance"), [("I like it.", 0.3), ("Do you like it?", 0.6), ("see http://x.y/?q=1", 0.3)])
def test_a_question_doubles_the_chance(text: str, chance: float) -> None:
    verdict = decide(line(text), [persona("ping", response_chance=0.3)], room(), always)
    assert verdict.yes[0].chance == pytest.approx(chance)
    assert ("doubled for a question" in verdict.yes[0].rules) is (chance == 0.6)


def test_the_dice_must_fall_below_the_chance() -> None:
    personas = [persona("ping", response_chance=0.5)]
    assert not decide(line("Hi."), personas, room(), lambda _: 0.5).yes
    assert decide(line("Hi."), personas, room(), lambda _: 0.4999).yes
    assert decide(line("Hi?"), personas, room(), lambda _: 0.9999).yes


def test_of_many_who_win_the_luckiest_few_answer_and_weight_helps() -> None:
    dice = {"a": 0.10, "b": 0.20, "c": 0.30, "d": 0.40}
    personas = [persona(slug, response_chance=1.0) for slug in "abc"] + [persona("d", response_chance=1.0, weight=8.0)]
    verdict = decide(line("Hi."), personas, room(max_repliers=2), dice.__getitem__)
    assert [one.persona.slug for one in verdict.yes] == ["d", "a"]
    assert verdict.no == {"b": "at most 2 answer one message", "c": "at most 2 answer one message"}


def test_a_persona_of_no_weight_still_answers_when_it_is_alone() -> None:
    assert decide(line("Hi."), [persona("ping", response_chance=1.0, weight=0.0)], room(), lambda _: 0.3).yes


def test_a_thousand_refusals_are_counted_but_not_kept() -> None:
    told = decide(line("Hi."), [persona(f"p{n}") for n in range(1000)], room(), never).document()
    assert told["considered"] == 1000
    assert len(told["no"]) == NOES


@given(st.text(max_size=80), st.integers(0, 8), st.booleans(), st.text(max_size=10))
def test_a_verdict_can_be_made_again_and_names_everybody_once(text: str, run: int, human: bool, username: str) -> None:
    personas = [
        persona("a", response_chance=0.5), persona("b", response_chance=1.0, responds_to_all_ai=True),
        persona("c", responds_to_these_ai=("a",), response_chance=0.7), persona("d", enabled=False),
    ]  # fmt: skip
    message = line(text, kind="human" if human else "AI", username=username)
    where = room(bot_run=run)
    first, again = (decide(message, personas, where, lambda slug: throw("feed", "m-1", slug)) for _ in range(2))
    assert first == again
    if text.strip():
        assert sorted([one.persona.slug for one in first.yes] + list(first.no)) == ["a", "b", "c", "d"]
    if not human and run >= where.max_bot_run:
        assert not first.yes


@given(st.lists(st.text(max_size=8), max_size=5))
def test_dice_fall_the_same_way_again_between_0_and_1(seed: list[str]) -> None:
    assert 0 <= throw(*seed) < 1
    assert throw(*seed) == throw(*seed)


def test_dice_do_not_confuse_their_seeds_and_are_fair() -> None:
    assert throw("ab", "c") != throw("a", "bc")
    throws = [throw("feed", str(n), "ping") for n in range(2000)]
    assert 0.45 < sum(throws) / 2000 < 0.55


def test_age_is_measured_from_the_feeds_time() -> None:
    late = room(now=NOW + timedelta(seconds=301))
    assert decide(line("Ping"), [PING], late, always).no == {"ping": "301 s old, answers nothing older than 300 s"}
