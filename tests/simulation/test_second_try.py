"""A model that only thinks, or says nothing, is asked once more, over the whole path."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from conversations.feed.emulator import Emulator as Chat
from conversations.models import Reply
from tests import build
from tests.harness import engines, until


@pytest.mark.parametrize(
    ("habit", "state", "reason"),
    [
        ({"answer": "thought", "answer_times": 1}, "posted", ""),
        ({"answer": "reasoning", "answer_times": 2}, "posted", ""),  # the cluster has tried it twice by itself
        (
            {"answer": "thought"},
            "dropped",
            "nothing was left of it after cleaning (second try; the first: nothing was left of it after cleaning)",
        ),
    ],
)
def test_a_model_that_only_thinks_is_asked_once_more(
    habit: dict[str, Any], state: str, reason: str, studio: Callable[..., Studio], chat: Callable[..., Chat]
) -> None:
    studio(models=("maker/small:4",), **habit)
    feed = chat("do")
    who = build.entity(slug="ping", username="Ping", model="maker/small", response_chance=0.0)
    body = {"id": "human-1", "text": "What is time?", "username": "Ann", "botParams": {"entity": "ping"}}
    httpx.post(f"{feed.url}/comments", json=body, timeout=10, trust_env=False, verify=False).raise_for_status()
    with engines():
        until(lambda: Reply.objects.filter(state=state).exists(), what="the end of the reply")
    reply = Reply.objects.get()
    assert (reply.reason, len(reply.drafts), reply.drafts[0]["next"]) == (reason, 1, reply.generation_id)
    assert Generation.objects.count() == 2
    assert reply.permit
    assert reply.permit.state == ("spent" if state == "posted" else "refunded")
    shown = httpx.get(f"{feed.url}/comments", params={"after": 1}, timeout=10, trust_env=False, verify=False).json()["messages"]
    assert len([one for one in shown if one["username"] == who.username]) == (state == "posted")
    assert "<think>" not in reply.text
