"""What an entity would send, shown without sending it: by the verb, the command and the admin's page."""

import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from cluster.models import Generation, LanguageModel
from conversations.models import Message, Reply
from conversations.preview import Misdirected, NoEntity, NoMessage, preview
from tests import build

pytestmark = pytest.mark.django_db


def talk() -> tuple[Any, Message]:
    """An entity, and the newest of three messages."""
    model = build.model(key="maker/small")
    build.offer(model=model)
    sage = build.entity(slug="sage", username="Sage", model="small", system_prompt="You are wise.", user_prompt="Answer.", max_tokens=50)
    feed = build.feed()
    build.message(feed=feed, text="hello", username="Bob", timestamp=1_700_000_000_000)
    last = build.message(feed=feed, text="<b>why?</b>", username="Ann", timestamp=1_700_000_001_000)
    build.message(feed=feed, text="we said that", username="Sage", own=True, kind="AI", timestamp=1_700_000_002_000)
    return sage, last


def test_it_shows_the_request_for_the_newest_message_that_is_not_ours_and_writes_nothing() -> None:
    sage, last = talk()
    found = preview("sage")
    assert (found.message, found.said, found.model, found.room, found.shown) == (last.pk, "Ann: <b>why?</b>", "maker/small", 4096, 2)
    assert found.request["messages"] == [
        {"role": "system", "content": "You are wise.\n\nContext: Bob: hello\nAnn: <b>why?</b>\nActive users: Bob, Ann"},
        {"role": "user", "content": "Answer."},
    ]
    assert found.request["max_tokens"] == 50
    assert preview(sage.pk) == found
    assert (Generation.objects.count(), Reply.objects.count(), Message.objects.filter(decided_at__isnull=False).count()) == (0, 0, 0)


def test_it_shows_the_request_for_a_message_by_number_with_its_wishes() -> None:
    talk()
    other = build.message(text="and me?", context=["Kit: hi"], bot_params={"ais": "Mask:random", "nom": 3})
    found = preview("sage", other.pk)
    assert (found.username, found.shown, found.said) == ("Mask", 2, "Ann: and me?")


def test_an_unknown_model_is_noted_and_no_row_is_made_of_it() -> None:
    talk()
    build.entity(slug="new", model="not/listed")
    assert "There is no model 'not/listed'" in preview("new").note
    assert not LanguageModel.objects.filter(key="not/listed").exists()


def test_what_cannot_be_shown_is_said() -> None:
    build.entity(slug="sage")
    with pytest.raises(NoEntity, match=r"There is no entity 'sago'\. Known: sage"):
        preview("sago")
    with pytest.raises(NoMessage, match="There is no message yet"):
        preview("sage")
    with pytest.raises(NoMessage, match="There is no message 77"):
        preview("sage", 77)
    with pytest.raises(Misdirected, match="would not answer"):
        preview("sage", build.message(bot_params={"ais": "no colour"}).pk)


def test_the_command_shows_it_to_people_and_to_machines() -> None:
    _, last = talk()
    out = StringIO()
    call_command("preview", "sage", stdout=out)
    assert "You are wise." in out.getvalue()
    assert f"for message {last.pk}: Ann: <b>why?</b>" in out.getvalue()
    out = StringIO()
    call_command("preview", "sage", "--message", str(last.pk), "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert document["request"]["messages"][1] == {"role": "user", "content": "Answer."}
    assert document["tokens"] < document["room"] == 4096
    with pytest.raises(CommandError, match="There is no entity"):
        call_command("preview", "nobody")


@pytest.fixture
def browser() -> Client:
    """An administrator's."""
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="correct horse"))
    return client


def test_the_page_shows_it_and_everything_public_is_escaped(browser: Client) -> None:
    sage, last = talk()
    page = browser.get(reverse("prompt-preview", args=[sage.pk]))
    text = page.content.decode()
    assert page.status_code == 200
    assert "You are wise.\n\nContext: Bob: hello\nAnn: &lt;b&gt;why?&lt;/b&gt;\nActive users: Bob, Ann" in text
    assert "<b>why?" not in text
    assert f"message {last.pk}" in text


@pytest.mark.parametrize("number", ["x", "9" * 30, "-1", "1 OR 1", "<script>alert(1)</script>", "٣"])
def test_the_page_refuses_what_is_no_number(browser: Client, number: str) -> None:
    sage, _ = talk()
    page = browser.get(reverse("prompt-preview", args=[sage.pk]), {"message": number})
    assert page.status_code == 200
    assert "is no message" in page.content.decode()
    assert "<script>alert" not in page.content.decode()


def test_the_page_says_what_is_missing(browser: Client) -> None:
    sage, _ = talk()
    assert "There is no message 987654" in browser.get(reverse("prompt-preview", args=[sage.pk]), {"message": "987654"}).content.decode()
    assert browser.get(reverse("prompt-preview", args=[10**9])).status_code == 404


def test_the_page_is_for_those_who_may_see_entities_and_messages_and_changes_nothing() -> None:
    sage, _ = talk()
    url = reverse("prompt-preview", args=[sage.pk])
    assert Client().get(url).status_code == 302
    client = Client()
    client.force_login(User.objects.create_user("clerk", password="correct horse", is_staff=True))
    assert client.get(url).status_code == 403
    client.force_login(User.objects.create_superuser("root", password="correct horse"))
    assert client.post(url).status_code == 405
