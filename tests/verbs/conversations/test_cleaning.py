"""Step 10 on rows: what becomes of a finished generation, and its second try."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from cluster.models import Generation
from conversations import clean
from conversations.models import ConversationPolicy, Reply
from entities.models import Entity
from swwbot_site.lib import clock, hooks
from swwbot_site.models import Event
from tests import build
from tests.races.hands import at_once

pytestmark = pytest.mark.django_db
committed = pytest.mark.django_db(transaction=True)
EMPTY = "the model said nothing"
NOTHING = "nothing was left of it after cleaning"
ASKED = {
    "messages": [{"role": "user", "content": "Hello?"}],
    "sampling": {"temperature": 0.7, "top_p": 0.9},
    "max_tokens": 100,
    "stop": ["END"],
}


def written(text: str, who: Entity | None = None, *, asked: dict[str, Any] | None = None, **over: Any) -> Reply:
    """An answer for which a model wrote this; `asked` are columns of its generation, the rest of the reply."""
    who = who or build.entity(username="Ping")
    values = {"state": "done", "text": text, "request": ASKED, "caller": f"entity:{who.slug}", "priority": 7} | (asked or {})
    return build.reply(**{"entity": who, "permit": build.permit(entity=who), "generation": build.generation(**values)} | over)


def cleaned() -> Reply:
    """Clean, and give the only reply as it is then."""
    clean.clean(clock.now())
    return Reply.objects.select_related("generation", "permit").get()


def permit(reply: Reply) -> str:
    """How its permit stands."""
    assert reply.permit
    return reply.permit.state


def second(text: str, **over: Any) -> None:
    """The generation that is queued is answered so."""
    values = {"state": "done", "text": text, "finish_reason": "stop", "ended_at": clock.now(), **over}
    assert Generation.objects.filter(state="queued").update(**values) == 1


@contextmanager
def plugin(**hookimpls: Callable[..., Any]) -> Iterator[None]:
    """A plugin with these hooks."""
    one = type("Plugin", (), {name: staticmethod(hooks.hookimpl(work)) for name, work in hookimpls.items()})()
    hooks.manager.register(one, name="nosy")
    try:
        yield
    finally:
        hooks.manager.unregister(one)


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", EMPTY),
        ("<think>hm", NOTHING),
        ("Ping:", NOTHING),
        ("<|im_end|>", NOTHING),
    ],
)
def test_an_answer_of_which_nothing_is_left_is_asked_for_once_more(text: str, why: str) -> None:
    first = written(text)
    reply = cleaned()
    assert (reply.state, permit(reply), reply.deadline) == ("waiting", "reserved", first.deadline)
    assert reply.generation_id != first.generation_id
    assert reply.drafts == [
        {"generation": first.generation_id, "text": text, "why": why, "cleaned": reply.drafts[0]["cleaned"], "next": reply.generation_id}
    ]
    old, new = first.generation, reply.generation
    assert old
    assert new
    assert (new.state, new.model_id, new.caller, new.priority, new.deadline) == ("queued", old.model_id, old.caller, 7, first.deadline)
    assert new.request_hash == "", "it must not get the same answer from the cache"
    seed = new.request["sampling"].pop("seed")
    assert 0 <= seed < 2**31
    assert new.request == ASKED | {"sampling": {"temperature": 1.0, "top_p": 0.9}}
    assert clean.clean(clock.now()) == 0
    second("Ping: Here I am.")
    reply = cleaned()
    assert (reply.state, reply.text, permit(reply)) == ("ready", "Here I am.", "reserved")
    assert Generation.objects.count() == 2


@committed
def test_what_comes_of_nothing_twice_is_dropped_and_says_both_reasons() -> None:
    written("<think>hm")
    cleaned()
    second("")
    reply = cleaned()
    assert (reply.state, permit(reply)) == ("dropped", "refunded")
    assert reply.reason == f"{EMPTY} (second try; the first: {NOTHING})"
    assert len(reply.drafts) == 1
    assert Generation.objects.count() == 2
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == ["reply.again", "reply.dropped"]


def test_an_exact_repeat_by_chance_is_asked_for_once_more_and_one_that_was_asked_for_is_not() -> None:
    who = build.entity(username="Ping")
    build.reply(entity=who, state="posted", text="I like bread.")
    written("I like bread!", who, mode="ambient")
    clean.clean(clock.now())
    reply = Reply.objects.get(state="waiting")
    assert reply.drafts[0]["why"] == "it said exactly that before"
    written("I like bread!", who, mode="directed")
    clean.clean(clock.now())
    assert Reply.objects.get(state="ready").text == "I like bread!"


def test_what_is_about_to_be_posted_is_not_said_twice_either() -> None:
    who = build.entity(username="Ping")
    for _ in range(2):
        written("I like bread.", who, mode="ambient")
    clean.clean(clock.now())
    assert sorted(Reply.objects.values_list("state", flat=True)) == ["ready", "waiting"]


@pytest.mark.parametrize("text", ["[SKIP]", "<think>no</think>[skip]"])
def test_silence_is_a_decision_and_not_asked_again(text: str) -> None:
    written(text)
    reply = cleaned()
    assert (reply.state, permit(reply), reply.reason) == ("dropped", "refunded", "the persona chose to say nothing ([SKIP])")
    assert Generation.objects.count() == 1


@pytest.mark.parametrize("why", ["policy", "deadline"])
def test_there_is_no_second_try_against_the_policy_or_too_late(why: str) -> None:
    if why == "policy":
        ConversationPolicy.objects.create(pk=1, try_again=False)
    written("", deadline=clock.now() + timedelta(minutes=-1 if why == "deadline" else 5))
    reply = cleaned()
    assert (reply.state, reply.reason, permit(reply)) == ("dropped", EMPTY, "refunded")
    assert Generation.objects.count() == 1


def test_a_requeued_answer_has_a_second_try_of_its_own() -> None:
    kept = {"generation": 1, "text": "", "why": EMPTY, "next": 2}
    written("", drafts=[kept])
    reply = cleaned()
    assert (reply.state, len(reply.drafts)) == ("waiting", 2)


@pytest.mark.parametrize(
    ("asked", "context", "tokens"),
    [
        ({"finish_reason": "stop"}, 4096, 100),
        ({"finish_reason": "length"}, 4096, 200),
        ({"finish_reason": "length", "prompt_tokens": None}, 4096, 200),
        ({"finish_reason": "length", "prompt_tokens": 3946}, 4096, 150),
        ({"finish_reason": "length", "prompt_tokens": 4090}, 4096, 100),
    ],
)
def test_who_thought_until_the_tokens_ran_out_gets_more_within_the_context(asked: dict[str, Any], context: int, tokens: int) -> None:
    model = build.model()
    build.placement(model=model, context_length=context)
    written("<think>hm", asked={"model": model} | asked)
    reply = cleaned()
    assert reply.generation
    assert reply.generation.request["max_tokens"] == tokens


def test_a_second_try_goes_to_the_same_server_if_there_was_only_one() -> None:
    server = build.server(name="mac-1")
    written("", asked={"pin": server})
    reply = cleaned()
    assert reply.generation
    assert reply.generation.pin_id == server.pk


@pytest.mark.parametrize("step", ["clean.before", "again.inside", "clean.after"])
def test_whoever_dies_while_it_is_asked_again_there_is_one_further_generation(step: str) -> None:
    written("")
    left = [step]

    def on_step(step: str) -> None:
        if step in left:
            left.remove(step)
            raise Killed

    with plugin(on_step=on_step):
        with pytest.raises(Killed):
            clean.clean(clock.now())
        assert left == []
        assert Generation.objects.count() == (2 if step == "clean.after" else 1)
        clean.clean(clock.now())
    reply = Reply.objects.get()
    assert Generation.objects.count() == 2
    assert (reply.state, len(reply.drafts)) == ("waiting", 1)


@committed
def test_of_eight_who_clean_at_once_each_answer_is_taken_by_one() -> None:
    who = build.entity(username="Ping")
    for n in range(12):
        written("" if n % 2 else f"Number {n} is here.", who)

    def work(worker: int) -> None:
        clean.clean(clock.now())

    at_once(8, work)
    assert Reply.objects.filter(state="ready").count() == 6
    assert Reply.objects.filter(state="waiting", generation__state="queued").count() == 6
    assert Generation.objects.count() == 18
    assert [len(drafts) for drafts in Reply.objects.filter(state="waiting").values_list("drafts", flat=True)] == [1] * 6


@pytest.mark.parametrize(
    ("asked", "state", "reason"),
    [
        (
            {"state": "failed", "error": "HTTP 400: context overflow {'n_ctx': 4096}"},
            "failed",
            "HTTP 400: context overflow {'n_ctx': 4096}",
        ),
        ({"state": "failed", "error": ""}, "failed", "its generation was failed"),
        ({"state": "cancelled"}, "failed", "its generation was cancelled"),
        ({"state": "expired", "error": "Too late."}, "dropped", "Too late."),
    ],
)
def test_what_was_not_generated_ends_with_the_reason(asked: dict[str, Any], state: str, reason: str) -> None:
    written("", asked=asked)
    reply = cleaned()
    assert (reply.state, reply.reason, permit(reply)) == (state, reason, "refunded")
    assert Generation.objects.count() == 1


@committed
def test_who_fails_too_often_by_its_own_fault_is_switched_off() -> None:
    who = build.entity(username="Ping", max_failures=2)
    for _ in range(2):
        written("", who, asked={"state": "failed", "error_code": "model-missing", "error": "No server has it."})
    clean.clean(clock.now())
    who.refresh_from_db()
    assert not who.enabled
    assert "No server has it." in who.disabled_reason


def test_an_entity_that_was_switched_off_still_says_what_it_was_asked_for() -> None:
    written("Hello.", build.entity(username="Ping", enabled=False))
    assert cleaned().state == "ready"


@pytest.mark.parametrize(
    ("fields", "common", "text", "said"),
    [
        ({"filter_out": ["really "]}, {}, "I really like it.", "I like it."),
        ({}, {"filter_out": ["really "]}, "I really like it.", "I like it."),
        ({"trim_after": ["###"]}, {}, "I like it.### What else?", "I like it."),
        ({}, {"trim_after": ["###"]}, "I like it.### What else?", "I like it."),
        ({"stop": ["<stop>"]}, {}, "I like it.<stop> What else?", "I like it."),
        ({}, {"stop": ["<stop>"]}, "I like it.<stop> What else?", "I like it."),
        ({"trim_whitespace": True}, {}, "I  like it.", "I like it."),
        ({"trim_whitespace": False}, {}, "I  like it.", "I  like it."),
        ({"newlines": "fold"}, {}, "I like\nit.", "I like it."),
        ({"newlines": "first"}, {}, "I like\nit.", "I like"),
        ({"newlines": "keep"}, {}, "I like\nit.", "I like\nit."),
        ({"links": "strip"}, {}, "See https://x.org now", "See now"),
        ({"links": "keep"}, {}, "See https://x.org now", "See https://x.org now"),
        ({"links": "drop"}, {}, "See https://x.org now", ""),
        ({"markup": "strip"}, {}, "I **like** it", "I like it"),
        ({"markup": "keep"}, {}, "I **like** it", "I **like** it"),
        ({"markup": "drop"}, {}, "I **like** it", ""),
        ({"max_similarity": 0.5}, {}, "I like bread and milk too", ""),
        ({"max_similarity": 1.0}, {}, "I like bread and milk too", "I like bread and milk too"),
        ({"aliases": ["Pong"]}, {}, "Pong: I like it", "I like it"),
    ],
)
def test_each_setting_has_its_effect_on_what_is_posted(fields: dict[str, Any], common: dict[str, Any], text: str, said: str) -> None:
    who = build.entity(username="Ping", **fields)
    ConversationPolicy.objects.create(pk=1, try_again=False, **common)
    build.reply(entity=who, state="posted", text="I like bread and milk")
    reply = written(text, who, mode="ambient")
    clean.clean(clock.now())
    reply.refresh_from_db()
    assert (reply.text, reply.state) == (said, "ready" if said else "dropped"), reply.reason


def test_a_post_is_no_longer_than_its_feed_takes_and_speaks_for_nobody_else() -> None:
    feed = build.feed(max_text=30)
    message = build.message(feed=feed, username="Zoe", decided_at=clock.now())
    written(
        "Zoe: What is it?\nPing: It is a stone. Nobody knows more about it.\nBob: hm", message=message, verdict={"shown": ["Bob: hello"]}
    )
    reply = cleaned()
    assert reply.text == "It is a stone. Nobody knows…"
    assert reply.verdict["cleaned"] == ["own label removed", "other speakers cut off", "shortened"]


def test_a_plugin_may_change_an_answer_but_not_break_the_rules() -> None:
    def after_reply(draft: Any) -> None:
        draft.text = f"{draft.text.upper()} 🙂\x00\nAnn: and I agree"

    written("Ping: hello")
    with plugin(after_reply=after_reply):
        assert cleaned().text == "HELLO 🙂"


def test_a_plugin_may_keep_an_answer_from_being_posted() -> None:
    def after_reply(draft: Any) -> None:
        draft.why = f"{draft.username} must not say {draft.text}"

    written("hello")
    with plugin(after_reply=after_reply):
        reply = cleaned()
    assert (reply.state, reply.reason, permit(reply)) == ("dropped", "Ping must not say hello", "refunded")
    assert Generation.objects.count() == 1


def test_a_plugin_that_raises_ends_that_answer_and_no_other() -> None:
    def after_reply(draft: Any) -> None:
        if "bad" in draft.raw:
            raise KeyError("oh no")

    who = build.entity(username="Ping")
    bad, good = written("a bad one", who), written("a good one", who)
    with plugin(after_reply=after_reply):
        clean.clean(clock.now())
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (good.state, good.text) == ("ready", "a good one")
    assert bad.state == "failed"
    assert "The plugin nosy failed in after_reply: KeyError: 'oh no'" in bad.reason


def meddles(part: str, value: Any) -> Callable[..., None]:
    """A plugin that leaves this in a draft."""

    def work(draft: Any) -> None:
        setattr(draft, part, value)

    return work


@pytest.mark.parametrize(
    ("part", "value", "state"),
    [
        ("why", "no\x00\ud800", "dropped"),
        ("why", "\x00", "dropped"),
        ("steps", [object()], "failed"),
        ("steps", None, "failed"),
        ("steps", ["\x00"], "ready"),
        ("others", None, "ready"),
        ("limit", 10**9, "ready"),
        ("persona", None, "ready"),
        ("text", "\x00\ud800 Hi.", "ready"),
    ],
)
@committed
def test_whatever_a_plugin_leaves_in_a_draft_the_next_answers_are_cleaned(part: str, value: Any, state: str) -> None:
    reply = written("Hello there. " * 100)
    with plugin(after_reply=meddles(part, value)):
        clean.clean(clock.now())
    reply.refresh_from_db()
    assert reply.state == state
    assert len(reply.text) <= 240
    assert bool(reply.text) == (state == "ready")
    assert "\x00" not in reply.reason
    assert permit(reply) == ("reserved" if state == "ready" else "refunded")


def test_a_plugin_that_leaves_no_text_is_told() -> None:
    def after_reply(draft: Any) -> None:
        draft.text = None

    written("hello")
    with plugin(after_reply=after_reply):
        reply = cleaned()
    assert reply.state == "failed"
    assert "left NoneType where text belongs" in reply.reason
