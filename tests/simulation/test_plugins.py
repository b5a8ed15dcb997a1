"""A plugin in a real engine: it weighs, it changes what is asked and what is posted, and it hears what happens."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from conversations.feed.emulator import Emulator as Chat
from conversations.models import Message, Reply
from swwbot_site.lib.hooks import hookimpl, manager
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel
from tests import build
from tests.harness import engines, until
from tests.plugins import tide


@pytest.fixture
def plugged(settings: Any) -> Iterator[None]:
    settings.PLUGINS = ["tests.plugins.tide"]
    tide.HEARD.clear()
    yield
    manager.unregister(tide)


def test_a_plugin_of_the_setting_takes_part_in_everything(plugged: None, studio: Callable[..., Studio], chat: Callable[..., Chat]) -> None:
    studio(models=("maker/small:4",))
    feed = chat("do")
    build.entity(slug="crab", username="Crab", model="maker/small", response_chance=0.11, system_prompt="You are a crab.")
    build.entity(slug="gull", username="Gull", model="maker/small", response_chance=1.0)
    body = {"id": "human-1", "text": "Here comes the tide, friends", "username": "Ann"}
    assert httpx.post(f"{feed.url}/comments", json=body, timeout=30, trust_env=False, verify=False).status_code == 200
    with engines():
        until(lambda: Reply.objects.filter(state="posted").exists(), what="an answer")
    reply = Reply.objects.get()
    assert reply.entity.slug == "crab"
    assert "high water" in str(Message.objects.get(remote_id="human-1").verdict)
    system = Generation.objects.get().request["messages"][0]["content"]
    assert system.startswith("You are a crab.\n\nThe tide is in.")
    shown = httpx.get(f"{feed.url}/comments", params={"after": 1}, trust_env=False, verify=False).json()["messages"]
    (answer,) = [one for one in shown if one["message-type"] == "AI"]
    assert answer["text"].endswith(" ~")
    assert tide.HEARD["reply.ready"] == 1
    assert tide.HEARD["generation.done"] + tide.HEARD["reply.posted"] >= 1


def test_a_loop_that_rests_for_long_keeps_no_engine_from_its_end(transactional_db: None) -> None:
    turns: list[int] = []

    class Slow:
        @hookimpl
        def engine_loops(self) -> tuple[Loop, ...]:
            async def turn(context: Context) -> float:
                turns.append(1)
                context.ring(Channel.EVENTS)
                return 600.0

            return (Loop(name="slow", channel=Channel.EVENTS, turn=turn, pace_s=600.0),)

    slow = Slow()
    manager.register(slow)
    try:
        with engines() as (one,):
            until(lambda: turns, what="a turn")
        assert one.why == "the test is over"
        assert len(turns) == 1
    finally:
        manager.unregister(slow)
