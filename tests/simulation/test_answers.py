"""The whole path: humans write, the right personas answer, once each, and the feed shows it."""

import concurrent.futures
from collections import Counter
from collections.abc import Callable

import httpx

from cluster.lmstudio.emulator import Emulator as Studio
from conversations.feed.emulator import Emulator as Chat
from conversations.models import Message, Reply
from tests import build
from tests.harness import engines, until

MODELS = ("maker/small:4", "maker/medium:8")


def say(url: str, **body: object) -> None:
    """Post as a human, from an address of its own."""
    headers = {"X-Forwarded-For": f"10.9.{hash(str(body)) % 250}.{len(str(body)) % 250}"}
    reply = httpx.post(f"{url}/comments", json=body, headers=headers, timeout=30, trust_env=False, verify=False)
    assert reply.status_code == 200, reply.text


def together(calls: list[Callable[[], None]]) -> None:
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def test_29_humans_at_once_get_29_answers_on_the_newest_feed(studio: Callable[..., Studio], chat: Callable[..., Chat]) -> None:
    studio(models=MODELS)
    studio(models=MODELS)
    feed = chat("do")
    for n in range(3):
        build.entity(slug=f"one-{n}", username=f"Persona{n}", model="maker/small" if n else "maker/medium", response_chance=0.0)
    together(
        [
            lambda n=n: say(
                feed.url,
                id=f"human-{n}",
                text=f"What do you think of number {n}?",
                username=f"Human{n}",
                botParams={"entity": f"one-{n % 3}", "priority": n},
            )
            for n in range(29)
        ]
    )
    with engines():
        until(lambda: Reply.objects.filter(state="posted").count() == 29, what="29 answers")
        until(lambda: Message.objects.filter(state="settled").count() == 29, what="29 settled claims")
    shown = httpx.get(f"{feed.url}/comments", params={"after": 1}, trust_env=False, verify=False).json()["messages"]
    answers = [m for m in shown if m["message-type"] == "AI"]
    assert Counter(m["replyTo"] for m in answers) == {f"human-{n}": 1 for n in range(29)}
    assert {m["replyTo"]: m["username"] for m in answers} == {f"human-{n}": f"Persona{n % 3}" for n in range(29)}
    assert len({m["id"] for m in shown}) == len(shown) == 58
    assert httpx.get(f"{feed.url}/queue/pending", trust_env=False, verify=False).json()["pending"] == []
