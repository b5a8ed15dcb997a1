"""`manage.py entity`."""

import io
import json
from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from cluster.lmstudio.emulator import Emulator as Studio
from cluster.models import Generation
from conversations.models import Reply
from entities.models import Entity
from tests import build
from tests.harness import engines


def run(*args: str) -> str:
    out = io.StringIO()
    call_command("entity", *args, stdout=out, stderr=out)
    return out.getvalue()


@pytest.mark.django_db
def test_it_lists_everybody_with_what_the_limits_leave() -> None:
    full = build.entity(slug="chef", username="[red]Chef[/]")
    build.limit(entity=full, kind="hour", amount=1)
    build.permit(entity=full, state="spent")
    build.entity(slug="sage", enabled=False, disabled_reason="on holiday")
    told = {one["slug"]: one for one in json.loads(run("--json"))}
    assert (told["chef"]["left"], told["chef"]["allowed"], told["sage"]["disabled_reason"]) == (0, False, "on holiday")
    page = run("list")
    for text in ("[red]Chef[/]", "0 of 1 an hour", "in 60 min", "no limits"):
        assert text in page, text


@pytest.mark.django_db
def test_one_is_shown_with_every_limit() -> None:
    row = build.entity(slug="sage", username="Sage")
    build.limit(entity=row, kind="gap", amount=45)
    assert "45 s between posts: 1 left" in run("show", "sage")
    assert json.loads(run("show", "sage", "--json"))["limits"][0]["left"] == 1


@pytest.mark.django_db
def test_some_are_switched_and_copied() -> None:
    build.entity(slug="sage")
    build.entity(slug="chef")
    assert "2 switched off." in run("disable", "sage", "chef", "--why", "too loud")
    assert set(Entity.objects.values_list("enabled", "disabled_reason")) == {(False, "too loud")}
    assert json.loads(run("enable", "sage", "--json")) == {"changed": 1}
    assert "is a copy of sage" in run("clone", "sage", "sage-2")
    assert not Entity.objects.get(slug="sage-2").enabled
    with pytest.raises(CommandError, match="belongs to another"):
        run("clone", "sage", "chef")


@pytest.mark.django_db
def test_an_unknown_one_is_told_with_the_known_ones() -> None:
    build.entity(slug="sage")
    with pytest.raises(CommandError, match=r"There is no entity sago\. Known: sage"):
        run("enable", "sago")


@pytest.mark.django_db
def test_who_gives_up_waiting_calls_the_trial_off() -> None:
    build.offer(model=build.model(key="maker/small"))
    build.entity(slug="sage", model="maker/small")
    with pytest.raises(CommandError, match="an engine"):
        run("try", "sage", "why?", "--timeout", "0")
    assert Generation.objects.get().state == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_one_is_tried_on_a_real_server_and_nothing_is_posted(studio: Callable[..., Studio]) -> None:
    studio(models=["maker/small:4"])
    build.entity(slug="sage", username="Sage", model="maker/small", max_tokens=20)
    with engines():
        told = json.loads(run("try", "sage", "What", "is", "rain?", "--json"))
    assert told["state"] == "done"
    assert told["text"]
    assert not Reply.objects.exists()
