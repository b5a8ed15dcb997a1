"""Who answers a message: every rule with its reason."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations import behaviors
from conversations.logic.ambient import Means
from conversations.logic.cast import Cast
from conversations.logic.dice import throw, thrower
from conversations.logic.lifecycle import Mode
from conversations.logic.message import Line
from conversations.logic.noes import NAMED
from conversations.logic.verdict import Room, decide
from conversations.logic.weights import Weights
from entities.logic.persona import Persona
from tests.logic.conversations.values import MS, NOW, bot, judged, line, never, persona, room, scene

PING, PONG = persona("ping"), persona("pong")
ALL_EARS = persona("ping", responds_to_all_ai=True)


def asked(entity: str = "ping", **over: Any) -> Line:
    return line(params={"entity": entity}, **over)


def who(verdict: Any) -> list[str]:
    return [one.persona.slug for one in verdict.yes]


@pytest.mark.parametrize(
    ("message", "personas", "where", "why", "yes", "no"),
    [
        (bot("Ping?", "Pong", own=True), [PING], room(), "we posted it", [], None),
        (asked(), [PING, PONG], room(), "asked for by id", ["ping"], {}),
        (asked(text=""), [PING], room(), "asked for by id", ["ping"], {}),
        (asked(), [persona("ping", responds_to_humans=False)], room(), "asked for by id", ["ping"], {}),
        (asked("gone"), [PING], room(), "there is no entity gone", [], {"gone": "no such entity"}),
        (asked(), [persona("ping", enabled=False, disabled_reason="too rude")], room(), "ping is disabled", [], {"ping": "disabled: too rude"}),
        (asked(), [persona("ping", enabled=False)], room(), "ping is disabled", [], {"ping": "disabled: by hand"}),
        (asked(), [PING], room(members=frozenset({"pong"})), "ping may not speak in this room", [], {"ping": "may not speak in this room"}),
        (asked(), [PING], room(open=False, why_closed="claimed by w-2"), "claimed by w-2", [], {"ping": "claimed by w-2"}),
        (asked("gone"), [PING], room(open=False, why_closed="claimed by w-2"), "claimed by w-2", [], {"gone": "claimed by w-2"}),
        (asked(timestamp=MS - 301_000), [PING], room(), "301 s old, answers nothing older than 300 s", [], None),
        (asked(timestamp=MS - 300_000), [PING], room(), "asked for by id", ["ping"], {}),
        (asked(timestamp=MS - 301_000), [persona("ping", max_age_s=302)], room(), "asked for by id", ["ping"], {}),
        (asked(kind="AI"), [PING], room(), "a bot's message is not directed at entities", [], {}),
        (asked(kind="AI", own=True), [PING], room(), "we posted it", [], {}),
        (line("  "), [PING], room(), "it has no text", [], {}),
        (line("Ping, you there?"), [PING, PONG], room(), "called by name", ["ping"], {"pong": "others were called by name"}),
        (line("ping pong"), [PING, PONG], room(), "called by name", ["ping", "pong"], {}),
        (line("ping pong"), [PING, PONG], room(members=frozenset({"pong"})), "called by name", ["pong"], {"ping": "may not speak in this room"}),
        (line("Ping!", timestamp=MS - 301_000), [PING], room(), "nobody listens to this", [],
         {"ping": "301 s old, answers nothing older than 300 s"}),
        (line("Ping!"), [persona("ping", responds_to_humans=False)], room(), "nobody listens to this", [], {"ping": "does not answer humans"}),
        (line("Ping!"), [persona("ping", enabled=False)], room(), "nobody listens to this", [], {"ping": "disabled: by hand"}),
        (line("Hello"), [], room(), "nobody listens to this", [], {}),
        (line("Hello"), [PING], room(), "nobody here speaks by chance", [], {"ping": "never speaks by chance"}),
        (line("Hello"), [persona("ping", response_chance=0.1)], room(), "by chance", ["ping"], {}),
        (bot("Ping?", "Pong"), [PING, PONG], room(), "nobody listens to this", [], None),
        (bot("Ping?", "Ping"), [ALL_EARS], room(), "nobody listens to this", [], {"ping": "it speaks under that name itself"}),
        (bot("Ping?", "Oracle"), [ALL_EARS], room(authors=frozenset({"ping"})), "nobody listens to this", [],
         {"ping": "it speaks under that name itself"}),
        (bot("Ping?", "Pong"), [ALL_EARS], room(bots=5), "called by name", ["ping"], {}),
        (bot("Ping?", "Pong"), [persona("ping", responds_to_these_ai=("pong",)), PONG], room(bots=1), "called by name", ["ping"],
         {"pong": "others were called by name"}),
        (bot("Ping?", "Other"), [persona("ping", responds_to_these_ai=("pong",)), PONG], room(bots=1), "nobody listens to this", [], None),
        (bot("Ping?", "Oracle"), [persona("ping", responds_to_these_ai=("pong",)), PONG], room(bots=1, authors=frozenset({"pong"})),
         "called by name", ["ping"], None),
        (bot("Ping?", "Pong"), [ALL_EARS], room(bots=6), "nobody listens to this", [],
         {"ping": "bots have spoken 6 times since the last human; 6 is the most"}),
        (bot("Ping?", "Pong"), [ALL_EARS], room(bots=2, underway=4), "nobody listens to this", [],
         {"ping": "bots have spoken 2 times since the last human and 4 answers are under way; 6 is the most"}),
        (bot("Ping?", "Pong"), [ALL_EARS], room(cap=0), "nobody listens to this", [], None),
    ],
)  # fmt: skip
def test_the_first_rule_that_fits_decides(
    message: Line, personas: Sequence[Persona], where: Room, why: str, yes: list[str], no: Mapping[str, str] | None
) -> None:
    verdict = judged(message, personas, where)
    assert (verdict.why, who(verdict)) == (why, yes)
    assert no is None or dict(verdict.no) == no


def test_an_unknown_entity_is_an_error_that_names_the_known_ones() -> None:
    verdict = judged(asked("gone"), [PONG, PING])
    assert verdict.error == "Message m-1 asks for the entity 'gone', which does not exist. Known entities: ping, pong."
    assert "Known entities: none." in judged(asked("gone"), []).error
    assert "and 970 more" in judged(asked("x" * 100_000), [persona(f"p{n}") for n in range(1000)]).error
    assert len(json.dumps(judged(asked("x" * 100_000), [PING]).document())) < 8000


# --- being called ------------------------------------------------------------------------------------------------
def test_an_alias_and_a_trigger_count_like_the_name() -> None:
    one = persona("ping", aliases=("", "Oracle"), triggers=("!fact", "weather"))
    for text, rule in (("what says the oracle?", "mention of Oracle"), ("!fact", "trigger !fact"), ("the weather", "trigger weather")):
        assert [(yes.mode, yes.rules) for yes in judged(line(text), [one]).yes] == [(Mode.DIRECTED, (rule,))], text


def test_who_is_called_by_several_words_answers_once() -> None:
    one = persona("ping", aliases=("Oracle",), triggers=("ping", "!fact"))
    assert who(judged(line("ping ping Oracle !fact ping"), [one])) == ["ping"]


def test_of_several_under_one_name_one_answers_chosen_by_the_dice() -> None:
    personas = [persona("a", username="Ping"), persona("b", username="Ping"), persona("c", username="Pong")]
    for lucky in ("a", "b"):
        verdict = judged(line("ping and pong"), personas, dice=lambda slug, lucky=lucky: 0.1 if slug == lucky else 0.5)
        assert set(who(verdict)) == {lucky, "c"}
        assert verdict.no == {({"a", "b"} - {lucky}).pop(): "others were called by name"}


def test_of_several_under_one_name_only_those_who_listen_are_drawn() -> None:
    personas = [
        persona("a", username="Ping", enabled=False),
        persona("b", username="Ping", responds_to_humans=False),
        persona("c", username="Ping"),
    ]
    assert who(judged(line("ping"), personas)) == ["c"]


def test_who_is_called_answers_whatever_chance_and_number_of_repliers_say() -> None:
    personas = [persona(f"name{n}") for n in range(5)]
    assert len(judged(line("Name0 Name1 Name2 Name3 Name4"), personas, room(max_repliers=1), never).yes) == 5


# --- by chance ---------------------------------------------------------------------------------------------------
def weighed(text: str, personas: Sequence[Persona], where: Room | None = None, **signals: Any) -> Any:
    """The verdict with the project's own rules."""
    cast = Cast.of(personas)
    seen = scene(line(text), cast, where, **signals)
    means = Means(dice=lambda _: 0.0, weigh=lambda: Weights.of(behaviors.weight(scene=seen, cast=cast).items()))
    return decide(seen, cast.audience, means)


@pytest.mark.parametrize(("text", "chance"), [("I like it.", 0.3), ("Do you like it?", 0.6), ("see http://x.y/?q=1", 0.3)])
def test_a_question_doubles_the_chance(text: str, chance: float) -> None:
    (yes,) = weighed(text, [persona("ping", response_chance=0.3)]).yes
    assert yes.chance == pytest.approx(chance)
    assert ("question ×2" in yes.rules) is (chance == 0.6)
    assert yes.rules[0] == "chance 0.3"


@pytest.mark.parametrize(
    ("signals", "where", "rule", "factor"),
    [
        ({"interests": {"ping": 0.5}}, {}, "topic", 1.5),
        ({"interests": {"ping": 1.0}}, {}, "topic", 2.0),
        ({"interests": {"pong": 1.0}}, {}, "topic", 1.0),
        ({"activity": 6.0}, {}, "activity", 1.0),
        ({"activity": 12.0}, {}, "activity", 0.5),
        ({"activity": 1e9}, {}, "activity", 0.25),
        ({"silence_s": 599.0}, {}, "silence", 1.0),
        ({"silence_s": 600.0}, {}, "silence", 1.5),
        ({"silence_s": None}, {}, "silence", 1.5),
        ({"silence_s": 31.0}, {"silence_s": 30.0}, "silence", 1.5),
        ({}, {"spoken": (("ping", 1.0), ("pong", 2.0))}, "fairness", 1.0),
        ({}, {"spoken": (("pong", 1.0),)}, "fairness", 1.0),
        ({}, {"spoken": (("ping", 1.0), ("ping", 2.0))}, "fairness", 0.5),
        ({}, {"spoken": (("ping", 1.0),) * 3 + (("pong", 9.0),)}, "fairness", 0.75),
        ({}, {"spoken": (("pong", 1.0),) * 10 + (("ping", 9.0),) * 90}, "fairness", 1.0),
    ],
)
def test_every_rule_has_its_factor(signals: dict[str, Any], where: dict[str, Any], rule: str, factor: float) -> None:
    personas = [persona("ping", response_chance=0.1), persona("pong", response_chance=0.1)]
    (yes,) = (one for one in weighed("I like it.", personas, room(**where), **signals).yes if one.persona.slug == "ping")
    assert yes.chance == pytest.approx(0.1 * factor)
    assert yes.factors == ({rule: pytest.approx(factor)} if factor != 1.0 else {})


def test_who_is_alone_has_no_share_too_many() -> None:
    (yes,) = weighed("I like it.", [persona("ping", response_chance=0.1)], room(spoken=(("ping", 1.0),) * 5)).yes
    assert yes.factors == {}


def test_a_chance_is_never_above_1_and_nothing_makes_0_speak() -> None:
    weights = Weights.of([("push", {"*": 1e9, "ping": 5.0}), ("mute", {"pong": 0.0})])
    personas = [persona("ping", response_chance=0.5), persona("pong", response_chance=1.0), persona("zero")]
    verdict = judged(line("Hi."), personas, weigh=lambda: weights)
    assert [(one.persona.slug, one.chance) for one in verdict.yes] == [("ping", 1.0)]
    assert set(verdict.no) == {"pong", "zero"}


def test_the_dice_must_fall_below_the_chance() -> None:
    personas = [persona("ping", response_chance=0.5)]
    assert not judged(line("Hi."), personas, dice=lambda _: 0.5).yes
    assert judged(line("Hi."), personas, dice=lambda _: 0.4999).yes


def test_of_many_who_win_the_luckiest_few_answer_weight_helps_and_the_next_wait_on_the_bench() -> None:
    dice = {"a": 0.10, "b": 0.20, "c": 0.30, "d": 0.40}
    personas = [persona(slug, response_chance=1.0) for slug in "abc"] + [persona("d", response_chance=1.0, weight=8.0)]
    verdict = judged(line("Hi."), personas, room(max_repliers=2), dice.__getitem__)
    assert who(verdict) == ["d", "a"]
    assert verdict.no == {"b": "at most 2 answer one message", "c": "at most 2 answer one message"}
    assert [one.persona.slug for one in verdict.bench] == ["b", "c"]
    assert verdict.counts == {verdict.surplus: 2}
    assert not judged(line("Hi."), personas, room(max_repliers=0)).yes


def test_the_rooms_strategy_chooses_and_an_unknown_one_is_told() -> None:
    personas = [persona(slug, response_chance=1.0) for slug in "abc"]
    where = {"max_repliers": 1, "spoken": (("a", 5.0), ("c", 9.0))}
    assert who(judged(line("Hi."), personas, room(strategy="round-robin", **where))) == ["b"]
    assert who(judged(line("Hi."), personas, room(strategy="least-recent", **where))) == ["b"]
    unknown = judged(line("Hi."), personas, room(strategy="loudest"))
    assert not unknown.yes
    assert "'loudest'" in unknown.fault
    assert "least-recent, natural" in unknown.fault
    assert who(judged(line("B, hi"), [persona("b")], room(strategy="loudest"))) == ["b"]


def test_a_persona_of_no_weight_still_answers_when_it_is_alone() -> None:
    assert judged(line("Hi."), [persona("ping", response_chance=1.0, weight=0.0)], dice=lambda _: 0.3).yes


def test_nobody_speaks_twice_in_a_row_by_chance_if_another_one_may() -> None:
    personas = [persona("ping", response_chance=1.0), persona("pong", response_chance=0.001)]
    where = room(last=frozenset({"ping"}))
    assert who(judged(line("Hi."), personas, where, lambda _: 0.5)) == []
    assert who(judged(line("Hi."), personas[:1], where)) == ["ping"]
    assert who(judged(line("Hi."), [personas[0], persona("pong")], where)) == ["ping"]
    assert who(judged(line("Ping?"), personas, where)) == ["ping"]


def test_messages_that_waited_together_are_one_occasion() -> None:
    personas = [persona("ping", response_chance=1.0), persona("pong", response_chance=1.0)]
    assert who(judged(line("Hi."), personas, room(engaged=frozenset({"ping"})))) == ["pong"]
    assert who(judged(line("Hi."), personas[:1], room(engaged=frozenset({"ping"})))) == []
    assert who(judged(line("Ping?"), personas, room(engaged=frozenset({"ping"})))) == ["ping"]


def test_only_members_of_a_room_speak_there() -> None:
    personas = [persona(slug, response_chance=1.0) for slug in "abc"]
    verdict = judged(line("Hi."), personas, room(members=frozenset({"b"})))
    assert who(verdict) == ["b"]
    assert verdict.counts == {"may not speak in this room": 2}


def test_by_chance_bots_are_answered_less_the_deeper_they_are_and_never_past_the_end() -> None:
    ears = [persona("ping", response_chance=1.0, responds_to_all_ai=True)]
    (yes,) = judged(bot("Hi.", "Other"), ears, room(bots=2, underway=1, decay=0.5)).yes
    assert yes.chance == pytest.approx(0.125)
    assert yes.factors == {"bots among themselves": 0.125}
    assert judged(line("Hi."), ears, room(bots=2, decay=0.5)).yes[0].chance == 1.0
    assert not judged(bot("Hi.", "Other"), ears, room(bots=1, decay=0.0)).yes
    crowd = [persona(f"p{n}", response_chance=1.0, responds_to_all_ai=True) for n in range(10)]
    assert len(judged(bot("Hi.", "Other"), crowd, room(bots=4, max_repliers=10)).yes) == 2
    names = " ".join(f"p{n}" for n in range(10))
    assert who(judged(bot(names, "Other"), crowd, room(bots=4))) == ["p0", "p1"]


def test_by_chance_only_while_a_human_is_there_if_that_is_wanted() -> None:
    ears = [persona("ping", response_chance=1.0, responds_to_all_ai=True)]
    for human, answered in ((None, False), (61.0, False), (60.0, True)):
        assert bool(judged(bot("Hi.", "Other"), ears, room(bots=1, human_s=human, require_human_s=60)).yes) is answered
    assert judged(bot("Ping.", "Other"), ears, room(bots=1, human_s=None, require_human_s=60)).yes
    assert judged(line("Hi."), ears, room(human_s=None, require_human_s=60)).yes


def test_a_bot_in_a_private_talk_is_answered_by_name_only() -> None:
    cast = Cast.of([persona("ping", responds_to_all_ai=True, response_chance=1.0)])
    for key, text, yes in (("", "Hi.", ["ping"]), ("private:a:1:b:2", "Hi.", []), ("private:a:1:b:2", "Ping, hi.", ["ping"])):
        verdict = decide(scene(bot(text, "Other"), cast, room(bots=1), conversation=key), cast.audience, Means(dice=lambda _: 0.0))
        assert who(verdict) == yes
        assert yes or dict(verdict.no) == {"ping": "it belongs to the private talk of others"}


def test_bots_are_answered_by_chance_by_whoever_listens_to_them() -> None:
    personas = [
        persona("all", response_chance=1.0, responds_to_all_ai=True),
        persona("some", response_chance=1.0, responds_to_these_ai=("pong", "ghost")),
        persona("both", response_chance=1.0, responds_to_all_ai=True, responds_to_these_ai=("nobody",)),
        persona("none", response_chance=1.0),
        PONG,
    ]  # fmt: skip
    assert sorted(who(judged(bot("Hi.", "Pong"), personas, room(bots=1)))) == ["all", "both", "some"]
    assert sorted(who(judged(bot("Hi.", "Pong", own=True), personas, room(bots=1, authors=frozenset({"pong"}))))) == ["all", "both", "some"]
    assert sorted(who(judged(bot("Hi.", "Other"), personas, room(bots=1)))) == ["all", "both"]


# --- the whole ---------------------------------------------------------------------------------------------------
def test_a_thousand_refusals_are_counted_and_some_are_named() -> None:
    personas = [
        persona(f"{n:04d}" + "x" * 96, response_chance=0.1 + n / 10_000, disabled_reason="é" * 5000, enabled=n % 2 > 0) for n in range(1000)
    ]
    verdict = judged(line("Hi."), personas, dice=never)
    told = verdict.document()
    assert told["considered"] == 1000
    assert told["noes"] == {"disabled": 500, "dice": 500}
    assert 0 < len(told["no"]) <= NAMED
    assert len(json.dumps(told, ensure_ascii=False).encode()) < 8000
    assert next(iter(told["no"])).startswith("0999"), "the closest miss is named first"


@given(
    st.text(max_size=80), st.integers(0, 8), st.booleans(), st.text(max_size=10), st.sampled_from(["natural", "weighted", "round-robin"])
)
def test_a_verdict_can_be_made_again_and_counts_everybody_once(text: str, run: int, human: bool, username: str, strategy: str) -> None:
    personas = [
        persona("a", response_chance=0.5), persona("b", response_chance=1.0, responds_to_all_ai=True),
        persona("c", responds_to_these_ai=("a",), response_chance=0.7), persona("d", enabled=False),
    ]  # fmt: skip
    message = line(text, kind="human" if human else "AI", username=username)
    where = room(bots=run, strategy=strategy, max_repliers=1)
    first, again = (judged(message, personas, where, thrower("feed", "m-1")) for _ in range(2))
    assert first == again
    if text.strip():
        assert len(first.yes) + sum(first.counts.values()) == 4
        assert sorted([*who(first), *first.no]) == ["a", "b", "c", "d"]
    if not human and run >= where.run.cap:
        assert not first.yes


@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_dice_fall_the_same_way_again_between_0_and_1(seed: list[str]) -> None:
    assert 0 <= throw(*seed) < 1
    assert throw(*seed) == thrower(*seed[:-1])(seed[-1])


def test_dice_do_not_confuse_their_seeds_and_are_fair() -> None:
    assert throw("ab", "c") != throw("a", "bc")
    throws = [throw("feed", str(n), "ping") for n in range(2000)]
    assert 0.45 < sum(throws) / 2000 < 0.55


def test_age_is_measured_from_the_feeds_time() -> None:
    late = room(now=NOW + timedelta(seconds=301))
    personas = [persona("ping", response_chance=1.0), persona("pong", response_chance=1.0, max_age_s=400)]
    verdict = judged(line("Hi."), personas, late)
    assert who(verdict) == ["pong"]
    assert verdict.no == {"ping": "301 s old, too old for it"}
