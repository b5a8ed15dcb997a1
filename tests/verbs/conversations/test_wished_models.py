"""A message may wish for a model by `botParams.model`, and anybody can write it: only what a server lists is ever asked for."""

from datetime import timedelta

import pytest

from cluster.models import Generation, LanguageModel, Server
from conversations import admit, cycle
from conversations.logic.overrides import LONGEST_MODEL
from conversations.models import Message, Reply
from entities import spend
from entities.models import Permit
from swwbot_site.lib import clock
from tests import build

pytestmark = pytest.mark.django_db

ODD = ("x" * LONGEST_MODEL, "../../etc/passwd", "%s", "'; DROP TABLE", "maker/smal", "Ⓜaker/small", "@", "/", "[]")


def wished(*names: str) -> list[Reply]:
    """The answers to messages that wish for these models."""
    feed = build.feed(generation="kv", detected="kv")
    for name in names:
        build.message(feed=feed, text="Hello?", username="Ann", bot_params={"entity": "owl", "processed": False, "model": name})
    while Message.objects.filter(decided_at=None).exists():
        assert cycle.judge(clock.now())
    return list(Reply.objects.order_by("id"))


def test_names_that_no_server_lists_leave_no_row_and_are_refused_with_those_there_are() -> None:
    build.entity(slug="owl", model="maker/small")
    build.offer(model=build.model(key="maker/small"))
    replies = wished(*ODD, *(f"evil/model-{n}-70b" for n in range(150)))
    assert LanguageModel.objects.count() == 1
    assert not Generation.objects.exists()
    assert len(replies) == 159
    assert {reply.state for reply in replies} == {"failed"}
    assert all("There is no model" in reply.reason and "maker/small" in reply.reason for reply in replies)


def test_a_looser_spelling_becomes_no_name_of_its_own_when_the_servers_go_while_its_answer_waits() -> None:
    build.limit(entity=build.entity(slug="owl", model="maker/eternal"), kind="minute", amount=1)
    build.offer(model=build.model(key="maker/eternal"))
    _, second = wished("maker/eternal", "Maker/Eternal@F16")
    assert (second.state, second.generation) == ("waiting", None)
    now = clock.now()
    spend.spend(Permit.objects.get().pk, now)
    Server.objects.all().delete()
    assert admit.admit(now + timedelta(seconds=60)) == 1
    assert LanguageModel.objects.get().key == "maker/eternal"
    assert Generation.objects.filter(model__key="maker/eternal").count() == 2
