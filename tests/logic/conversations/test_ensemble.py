"""Several voices: what comes next, what each is asked, and how much of the earlier answers it sees."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.logic import ensemble
from conversations.logic.ensemble import Ask, BadPrompt, End, Part, Refused, Said, TooLong, Wait
from conversations.logic.lifecycle import EnsembleState, VoiceState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
W, A, D, F, C = VoiceState


def parts(*states: VoiceState, synthesis: VoiceState | None = W) -> list[Part]:
    """Voices in these states and a synthesis; who is done has said something, who has failed has a reason."""
    told = {D: {"text": "so"}, F: {"reason": "no server"}}
    found = [Part(ordinal=n, name=f"V{n}", state=state, **told.get(state, {})) for n, state in enumerate(states)]
    if synthesis is not None:
        found.append(Part(ordinal=len(states), name="S", state=synthesis, synthesis=True, **told.get(synthesis, {})))
    return found


@pytest.mark.parametrize(
    ("states", "synthesis", "expected"),
    [
        ((W, W), W, Ask(ordinal=0)),
        ((A, W), W, Wait()),
        ((D, W), W, Ask(ordinal=1)),
        ((F, W), W, Ask(ordinal=1)),
        ((C, W), W, Ask(ordinal=1)),
        ((W, D), W, Ask(ordinal=0)),
        ((D, D), W, Ask(ordinal=2)),
        ((F, D), W, Ask(ordinal=2)),
        ((D, D), A, Wait()),
        ((D, D), D, End(state=EnsembleState.DONE, text="so")),
        ((D,), F, End(state=EnsembleState.FAILED, reason="no synthesis: S: no server")),
        ((F, F), W, End(state=EnsembleState.FAILED, reason="nobody answered: V0: no server; V1: no server")),
        ((), W, End(state=EnsembleState.FAILED, reason="nobody answered: there is nobody left")),
        ((D, W), None, Ask(ordinal=1)),
        ((D, D), None, End(state=EnsembleState.FAILED, reason="the entity that was to write the synthesis does not exist any more")),
    ],
)
def test_what_comes_next(states: Sequence[VoiceState], synthesis: VoiceState | None, expected: Ask | Wait | End) -> None:
    everybody = parts(*states, synthesis=synthesis)
    assert ensemble.following(everybody) == expected
    assert ensemble.following(everybody[::-1]) == expected


@given(st.lists(st.sampled_from([W, F]), min_size=1, max_size=8), st.data())
def test_whatever_becomes_of_each_everybody_is_asked_once_in_order_and_it_ends(states: list[VoiceState], data: st.DataObject) -> None:
    now = parts(*states)
    asked: list[int] = []
    for _ in range(len(now) + 1):
        following = ensemble.following(now)
        if isinstance(following, End):
            break
        assert isinstance(following, Ask)
        asked.append(following.ordinal)
        fate = data.draw(st.sampled_from([D, F, C]))
        now = [
            Part(ordinal=p.ordinal, name=p.name, state=fate, synthesis=p.synthesis, text="so" * (fate is D))
            if p.ordinal == asked[-1]
            else p
            for p in now
        ]
    assert isinstance(ensemble.following(now), End)
    assert asked == sorted(set(asked))
    assert set(asked) >= {n for n, state in enumerate(states) if state is W}


def test_a_prompt_is_filled_once_and_texts_with_braces_stay_what_they_are() -> None:
    said = [Said(name="Ann", text="{originalQuestion} {0} {x!r} {{y}} %s"), Said(name="Bo", text="{previousContext}")]
    filled = ensemble.voice("{previousCount}|{originalQuestion}|{previousContext}", "{previousCount}?", said)
    assert filled == "2|{previousCount}?|Ann: {originalQuestion} {0} {x!r} {{y}} %s\nBo: {previousContext}"
    filled = ensemble.synthesis("{entityCount}|{entityResponses}|{originalQuestion}|{ json }", "{entityCount}", said[:1])
    assert filled == "1|Ann: {originalQuestion} {0} {x!r} {{y}} %s|{entityCount}|{ json }"


def test_the_usual_prompts_say_the_question_and_what_was_answered() -> None:
    said = [Said(name="Ann", text="No."), Said(name="Bo", text="Yes.")]
    for filled in (ensemble.voice("", "Why?", said), ensemble.synthesis("", "Why?", said)):
        assert "Why?" in filled
        assert "Ann: No.\nBo: Yes." in filled
        assert "{" not in filled
    ensemble.checked(ensemble.VOICE, ensemble.VOICE_NAMES, "originalQuestion")
    ensemble.checked(ensemble.SYNTHESIS, ensemble.SYNTHESIS_NAMES, "entityResponses")


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("{originalQuestion} {entityCount}", r"has \{entityCount\}, which nothing fills in.*\{originalQuestion\}, \{previousContext\}"),
        ("{originalQuestion} {foo} {bar} {foo}", r"has \{foo\}, \{bar\}, which"),
        ("Answer well.", r"has no \{originalQuestion\}"),
        ("{OriginalQuestion}", r"has \{OriginalQuestion\}"),
    ],
)
def test_a_prompt_that_cannot_be_filled_is_refused(prompt: str, told: str) -> None:
    with pytest.raises(BadPrompt, match=told):
        ensemble.checked(prompt, ensemble.VOICE_NAMES, "originalQuestion")


@pytest.mark.parametrize("prompt", ['{originalQuestion} {"a": 1} {} {1}', "{originalQuestion}{previousContext}{previousCount}"])
def test_a_prompt_may_have_other_braces(prompt: str) -> None:
    assert ensemble.checked(prompt, ensemble.VOICE_NAMES, "originalQuestion") == prompt


def fits(room: int, calls: list[int] | None = None) -> object:
    def short(said: Sequence[Said]) -> bool:
        if calls is not None:
            calls.append(len(said))
        return sum(len(one.line) + 1 for one in said) <= room

    return short


@given(st.lists(st.text(max_size=60), max_size=12), st.integers(min_value=0, max_value=400))
def test_a_voice_sees_the_latest_answers_that_fit(texts: list[str], room: int) -> None:
    said = [Said(name=f"V{n}", text=text) for n, text in enumerate(texts)]
    seen = ensemble.newest(said, fits(room))  # type: ignore[arg-type]
    assert list(seen) == said[len(said) - len(seen) :]
    assert sum(len(one.line) + 1 for one in seen) <= room
    if len(seen) < len(said):
        assert sum(len(one.line) + 1 for one in said[len(said) - len(seen) - 1 :]) > room


@given(st.lists(st.text(min_size=1, max_size=600), min_size=1, max_size=12), st.integers(min_value=0, max_value=3000))
def test_the_synthesis_sees_everybody_or_says_why_not(texts: list[str], room: int) -> None:
    said = [Said(name=f"V{n}", text=text) for n, text in enumerate(texts)]
    calls: list[int] = []
    try:
        seen = ensemble.evenly(said, fits(room, calls))  # type: ignore[arg-type]
    except TooLong:
        assert sum(len(one.name) + 3 + min(len(one.text), ensemble.FEWEST) for one in said) > room
        return
    assert [one.name for one in seen] == [one.name for one in said]
    assert sum(len(one.line) + 1 for one in seen) <= room
    assert all(kept.text == one.text or len(kept.text) >= 1 for kept, one in zip(seen, said, strict=True))
    assert len(calls) <= 14


def test_long_answers_are_cut_and_short_ones_are_not() -> None:
    said = [Said(name="Ann", text="short"), Said(name="Bo", text="x" * 500), Said(name="Cy", text="y" * 400)]
    seen = ensemble.evenly(said, fits(300))  # type: ignore[arg-type]
    assert seen[0] == said[0]
    assert len(seen[1].text) == len(seen[2].text) > 100
    assert seen[1].text.endswith("x…")


def test_a_question_that_alone_is_too_long_is_told() -> None:
    with pytest.raises(TooLong, match="question alone"):
        ensemble.newest([Said(name="Ann", text="a")], lambda said: False)


def test_drawing_depends_on_the_key_only() -> None:
    slugs = [f"e{n}" for n in range(20)]
    first = ensemble.drawn(slugs, 5, "a key")
    assert first == ensemble.drawn(slugs[::-1], 5, "a key")
    assert len(set(first)) == 5
    assert len({ensemble.drawn(slugs, 5, f"key {n}") for n in range(30)}) > 25
    assert sorted(ensemble.drawn(slugs, 20, "k")) == sorted(slugs)
    for count in (0, -1, 21):
        with pytest.raises(Refused, match=f"{count} entities are asked for; 20"):
            ensemble.drawn(slugs, count, "k")


@pytest.mark.parametrize(
    ("left_s", "steps", "expected_s"),
    [(600, 5, 120), (600, 1, 600), (600, 0, 600), (100, 10, 30), (20, 10, 20), (3600, 13, 3600 / 13)],
)
def test_a_step_gets_its_even_part_of_the_time(left_s: float, steps: int, expected_s: float) -> None:
    assert ensemble.allowance(NOW, NOW + timedelta(seconds=left_s), steps) == NOW + timedelta(seconds=expected_s)


@pytest.mark.parametrize(("steps", "minutes"), [(2, 10), (7, 14), (43, 86)])
def test_the_whole_has_time_for_cold_models(steps: int, minutes: int) -> None:
    assert ensemble.lasting(steps) == timedelta(minutes=minutes)
