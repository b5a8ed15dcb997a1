"""What really goes over the wire: the body of the chat that a model server gets, for every format of a prompt and every field."""

from collections.abc import Callable
from typing import Any

import httpx

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Server
from conversations.feed.emulator import Emulator as Chat
from conversations.models import ConversationPolicy, Feed, Reply
from swwbot_site.lib import clock
from tests import build
from tests.harness import Background, engines, until
from tests.wiretap import tapped

SAMPLING = {
    "temperature": 0.6,
    "top_p": 0.8,
    "top_k": 40,
    "min_p": 0.05,
    "repeat_penalty": 1.15,
    "frequency_penalty": 0.3,
    "presence_penalty": 0.2,
}
COMMON: dict[str, Any] = {
    **SAMPLING,
    "max_tokens": 100,
    "stop": ["\nHuman:"],
    "model": "maker/small",
    "system_prompt": "You are wise.",
    "user_prompt": "Answer.",
    "response_chance": 0.0,
    "cache_answers": False,
}
WARM = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "A friend."}]
CONTEXT = ["Bob: hello", "Turner: hello Bob"]


def body(messages: list[tuple[str, str]], **over: Any) -> dict[str, Any]:
    """The whole body of a chat."""
    rest = {"model": "maker/small", "max_tokens": 100, "stop": ["\nHuman:", "###"], "stream": True}
    rest["stream_options"] = {"include_usage": True}
    return {**SAMPLING, **rest, "messages": [{"role": role, "content": content} for role, content in messages]} | over


GOLDEN = {
    "blob": body(
        [
            ("system", "You are wise.\n\nContext: Bob: hello\nTurner: hello Bob\nAnn: why?\nActive users: Bob, Turner, Ann"),
            ("user", "Answer."),
        ]
    ),
    "joined": body([("user", "You are wise.\n\nAnswer.\n\nContext: Bob: hello\nTurner: hello Bob\nAnn: why?\nJoiner: ")]),
    "turns": body(
        [
            ("system", "You are wise.\n\nStyle: dry\nMood: calm\n\nAnswer."),
            ("user", "Who are you?"),
            ("assistant", "A friend."),
            ("user", "Bob: hello"),
            ("assistant", "hello Bob"),
            ("user", "Ann: why?"),
        ]
    ),
    "plain": body([("user", "You are wise.\n\nAnswer.\n\nWho are you?"), ("assistant", "A friend."), ("user", "hello\nhello Bob\nwhy?")]),
    "empty": body([("system", "You are wise.\n\nContext: Ann: why?\nActive users: Ann"), ("user", "Answer.")]),
}


def test_every_format_reaches_the_server_as_it_is_written(
    studio: Callable[..., Studio], chat: Callable[..., Chat], background: Background
) -> None:
    real = studio(models=("maker/small:4", "maker/other:4"))
    feed = chat("do")
    ConversationPolicy.objects.create(stop=["###"], warmup=WARM)
    build.entity(slug="blob", username="Blob", **COMMON)
    build.entity(slug="empty", username="Empty", **COMMON)
    build.entity(
        slug="joined", username="Joiner", **COMMON | {"prompt_format": "joined", "system_role": "user", "add_entity_username": True}
    )
    traits = {"use_traits": True, "style": "dry", "mood": "calm"}
    build.entity(slug="turns", username="Turner", **COMMON | {"prompt_format": "turns"} | traits)
    build.entity(slug="plain", username="Plain", **COMMON | {"prompt_format": "turns", "keep_names": False, "system_role": "user"})
    with tapped(background, real.url) as tap:
        Server.objects.update(url=tap.url)
        for slug in GOLDEN:
            sent = {"id": f"to-{slug}", "text": "why?", "username": "Ann", "context": [] if slug == "empty" else CONTEXT}
            sent["botParams"] = {"entity": slug, "priority": 5}
            answer = httpx.post(
                f"{feed.url}/comments", json=sent, headers={"X-Forwarded-For": f"10.9.9.{len(slug)}"}, trust_env=False, verify=False
            )
            assert answer.status_code == 200, answer.text
        with engines():
            until(lambda: Reply.objects.filter(state="posted").count() == len(GOLDEN), what="an answer in every format")
    by_content = {str(one["messages"]): one for one in tap.chats}
    for slug, wanted in GOLDEN.items():
        got = by_content.get(str(wanted["messages"]))
        assert got is not None, f"{slug}: {sorted(by_content)}"
        assert {name: value for name, value in got.items() if name != "ttl"} == wanted


def test_a_wish_of_the_message_reaches_the_server_and_a_senseless_one_ends_the_answer(
    studio: Callable[..., Studio], chat: Callable[..., Chat], background: Background
) -> None:
    real = studio(models=("maker/small:4", "maker/other:4"))
    chat("kv-patch", row={"enabled": False})
    build.entity(slug="sage", username="Sage", **COMMON | {"prompt_format": "joined", "add_entity_username": True})
    feed = Feed.objects.get()

    def wish(name: str, **params: Any) -> None:
        now = clock.now()
        common = {"entity": "sage", "processed": False}
        build.message(feed=feed, remote_id=name, text=f"{name}?", context=[], bot_params=common | params, received_at=now, born_at=now)

    with tapped(background, real.url) as tap:
        Server.objects.update(url=tap.url)
        with engines():
            until(lambda: Server.objects.filter(offers__isnull=False).exists(), what="the server's list")
            wish("other", model="maker/other", ais="Mask:random")
            wish("unknown", model="nobody/knows-it")
            wish("nameless", ais="no colour")
            Feed.objects.update(enabled=True)
            until(lambda: tap.chats and Reply.objects.count() == 2, what="two replies")
    assert [(one["model"], one["messages"][0]["content"][-20:]) for one in tap.chats] == [("maker/other", "ext: Ann: other?\nMask: "[-20:])]
    unknown = Reply.objects.get(message__remote_id="unknown")
    assert unknown.state == "failed"
    assert "nobody/knows-it" in unknown.reason
    assert "maker/other, maker/small" in unknown.reason
    assert not Reply.objects.filter(message__remote_id="nameless").exists()
