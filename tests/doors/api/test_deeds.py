"""What the REST API does: each deed calls its verb once, shows the row as it is then, and says 409 to whoever comes second."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from cluster.models import ClusterPolicy, Generation, LanguageModel, Offer, Placement, Server
from conversations.models import ConversationPolicy, Ensemble, Reply
from entities import versions
from entities.models import Entity, RateLimit
from swwbot_site.lib import clock
from swwbot_site.lib.events import Happening
from swwbot_site.retention import rounds
from swwbot_site.retention.row import Retention
from tests import build

V1 = "/api/v1/"


def send(browser: Client, method: str, address: str, said: Any = None, status: int = 200) -> Any:
    """The JSON that is answered, with this status."""
    body = "" if said is None else json.dumps(said)
    response = getattr(browser, method)(f"{V1}{address}", body, content_type="application/json")
    assert response.status_code == status, response.content
    return response.json() if response.content else None


# --- servers -----------------------------------------------------------------------------------------------------
def test_a_server_is_added_changed_and_removed(browser: Client) -> None:
    said = {"name": "Mac 3", "url": "http://10.0.0.103:1234/v1", "budget_gb": 96, "token": "sk-1", "formats": ["MLX"]}
    made = send(browser, "post", "servers/", said, 201)
    assert (made["name"], made["url"], made["formats"], made["state"]) == ("Mac 3", "http://10.0.0.103:1234", ["MLX"], "unknown")
    assert "token" not in made
    row = Server.objects.get(pk=made["id"])
    assert row.token == "sk-1"
    Server.objects.filter(pk=row.pk).update(state="online", latency_ms=3.5)
    assert send(browser, "patch", f"servers/{row.pk}/", {"budget_gb": 64})["budget_gb"] == 64
    row.refresh_from_db()
    assert (row.budget_gb, row.token, row.state, row.latency_ms) == (64, "sk-1", "online", 3.5)
    assert send(browser, "delete", f"servers/{row.pk}/", status=204) is None
    assert not Server.objects.exists()
    send(browser, "delete", f"servers/{row.pk}/", status=404)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "name"),
        ({"name": "x", "url": "nonsense", "budget_gb": 1}, "url"),
        ({"name": "x", "url": "ftp://10.0.0.1/", "budget_gb": 1}, "url"),
        ({"name": "x", "url": "http://10.0.0.9", "budget_gb": 0}, "budget_gb"),
        ({"name": "x", "url": "http://10.0.0.9", "budget_gb": 1, "slots": -1}, "slots"),
        ({"name": "x", "url": "http://10.0.0.9", "budget_gb": 1, "state": "online"}, "state"),
        ({"name": "x", "url": "http://10.0.0.9", "budget_gb": 1, "buget": 1}, "buget"),
        ({"name": "x", "url": "http://10.0.0.9", "budget_gb": 1, "formats": [1, {}]}, "formats"),
        ({"name": "taken", "url": "http://10.0.0.9", "budget_gb": 1}, "name"),
    ],
)
def test_a_server_that_cannot_be_is_refused_by_field(browser: Client, said: dict[str, Any], field: str) -> None:
    build.server(name="taken")
    told = send(browser, "post", "servers/", said, 400)
    assert (told["code"], field in told["fields"]) == ("invalid", True), told
    assert Server.objects.count() == 1


def test_a_server_at_a_metadata_address_is_refused(browser: Client) -> None:
    said = {"name": "x", "url": "http://169.254.169.254/latest", "budget_gb": 1}
    assert send(browser, "post", "servers/", said, 400)["code"] == "address-refused"
    server = build.server()
    assert send(browser, "patch", f"servers/{server.pk}/", {"url": said["url"]}, 400)["code"] == "address-refused"


@pytest.mark.parametrize(
    ("deed", "before", "after"),
    [
        ("enable", {"enabled": False}, {"enabled": True}),
        ("disable", {"enabled": True}, {"enabled": False}),
        ("drain", {"draining": False}, {"draining": True}),
        ("undrain", {"draining": True}, {"draining": False}),
    ],
)
def test_a_server_is_switched_once(browser: Client, deed: str, before: dict[str, bool], after: dict[str, bool]) -> None:
    server = build.server(**before)
    told = send(browser, "post", f"servers/{server.pk}/{deed}/")
    assert {name: told[name] for name in after} == after
    assert send(browser, "post", f"servers/{server.pk}/{deed}/", status=409)["code"] == "conflict"


def test_a_server_is_looked_at_when_somebody_asks(browser: Client) -> None:
    server = build.server(retry_at=clock.now() + timedelta(hours=1))
    assert send(browser, "post", f"servers/{server.pk}/probe/")["retry_at"] is None
    off = build.server(enabled=False)
    send(browser, "post", f"servers/{off.pk}/probe/", status=409)


# --- models and placements ---------------------------------------------------------------------------------------
def test_a_models_size_is_the_operators_once_he_says_it(browser: Client) -> None:
    model = build.model(size_gb=17)
    told = send(browser, "patch", f"models/{model.pk}/", {"size_gb": 20.5, "context_length": 8192})
    assert (told["size_gb"], told["size_source"], told["context_length"]) == (20.5, "operator", 8192)
    send(browser, "patch", f"models/{model.pk}/", {"size_gb": 0}, 400)
    send(browser, "patch", f"models/{model.pk}/", {"key": "other"}, 400)


def test_a_model_is_kept_on_a_server_and_released(browser: Client) -> None:
    offer = build.offer()
    said = {"server": offer.server.name}
    assert send(browser, "post", f"models/{offer.model_id}/keep/", said)["offers"][0]["pinned"]
    send(browser, "post", f"models/{offer.model_id}/keep/", said, 409)
    assert not send(browser, "post", f"models/{offer.model_id}/release/", said)["offers"][0]["pinned"]
    assert send(browser, "post", f"models/{offer.model_id}/keep/", {"server": "nowhere"}, 400)["code"] == "not-offered"


def test_a_model_is_swapped_and_the_swap_undone(browser: Client) -> None:
    old, new = build.model(), build.offer().model
    assert send(browser, "post", f"models/{old.pk}/swap/", {"successor": new.key})["successor"] == new.key
    send(browser, "post", f"models/{old.pk}/swap/", {"successor": new.key}, 409)
    assert send(browser, "post", f"models/{old.pk}/undo/")["successor"] is None
    send(browser, "post", f"models/{old.pk}/undo/", status=409)
    assert send(browser, "post", f"models/{old.pk}/swap/", {"successor": old.key}, 409)["code"] == "swap-refused"


def test_a_model_is_loaded_by_a_request_that_can_be_called_off(browser: Client) -> None:
    offer = build.offer()
    said = {"server": offer.server.name, "model": offer.model.key}
    told = send(browser, "post", "placements/", said, 202)
    assert (told["state"], told["pin"], told["model"]) == ("queued", offer.server.name, offer.model.key)
    assert send(browser, "post", f"generations/{told['id']}/cancel/")["state"] == "cancelled"
    held = build.placement(server=offer.server, model=offer.model)
    assert send(browser, "post", "placements/", said, 409)["code"] == "not-loadable"
    assert send(browser, "post", "placements/", {**said, "model": "nothing"}, 400)["code"] == "unknown-model"
    assert send(browser, "post", f"placements/{held.pk}/unload/")["id"] == held.pk
    assert Placement.objects.get(pk=held.pk).dismissed


def test_a_placement_is_pinned_and_cannot_be_unloaded_then(browser: Client) -> None:
    held = build.placement()
    assert send(browser, "post", f"placements/{held.pk}/pin/")["pinned"]
    send(browser, "post", f"placements/{held.pk}/pin/", status=409)
    assert send(browser, "post", f"placements/{held.pk}/unload/", status=409)["code"] == "not-unloadable"
    assert not send(browser, "post", f"placements/{held.pk}/unpin/")["pinned"]
    send(browser, "post", f"placements/{held.pk}/unpin/", status=409)
    gone = build.placement(state="gone")
    for deed in ("pin", "unpin", "unload"):
        send(browser, "post", f"placements/{gone.pk}/{deed}/", status=409)
    assert Offer.objects.count() == 0


# --- the policies and the stop -----------------------------------------------------------------------------------
def test_the_policies_are_changed(browser: Client) -> None:
    assert send(browser, "patch", "policy/", {"strategy": "round-robin", "max_attempts": 2})["strategy"] == "round-robin"
    assert ClusterPolicy.current().max_attempts == 2
    for wrong in ({"strategy": "by dice"}, {"load_timeout_s": 0}, {"max_attempts": 21}, {"id": 2}, {"pooled_at": None}):
        send(browser, "patch", "policy/", wrong, 400)
    said = {"filter_out": ["as an AI"], "warmup": [{"role": "user", "content": "Hi"}], "require_human_s": 60}
    told = send(browser, "patch", "conversation-policy/", said)
    assert {name: told[name] for name in said} == said
    for bad in ({"filter_out": [""]}, {"filter_out": "x"}, {"warmup": [{"role": "king", "content": "x"}]}, {"stopped": True}):
        send(browser, "patch", "conversation-policy/", bad, 400)
    assert not ConversationPolicy.current().stopped


def test_how_long_rows_are_kept_is_changed_and_looking_makes_no_row(
    browser: Client, heard: list[Happening], django_capture_on_commit_callbacks: Any
) -> None:
    before = send(browser, "get", "retention/")
    assert (before["messages_days"], before["events_most"], before["kind"], before["gone"]) == (90, 200_000, "", {})
    assert not Retention.objects.exists()
    rounds.begin(clock.now())
    rounds.advance(clock.now())  # an engine is at it
    running = Retention.objects.get()
    with django_capture_on_commit_callbacks(execute=True):
        told = send(browser, "patch", "retention/", {"messages_days": 7, "events_most": 0})
    assert (told["messages_days"], told["events_most"], told["details_days"]) == (7, 0, 30)
    assert (told["kind"], Retention.objects.get().positions) == (running.kind, running.positions) != ("", {})
    for wrong in (
        {"messages_days": -1},
        {"messages_days": 2**31},
        {"messages_days": 1.5},
        {"messages_days": None},
        {"kind": ""},
        {"id": 2},
    ):
        send(browser, "patch", "retention/", wrong, 400)
    row = Retention.objects.get()
    assert (row.messages_days, row.kind) == (7, running.kind)
    with django_capture_on_commit_callbacks(execute=True):
        send(browser, "patch", "retention/", {"messages_days": 7})
    said = [one.text for one in heard if one.subject == "policy:retention"]
    assert said == ["admin changed messages_days, events_most of the retention"]


def test_posting_is_stopped_and_resumed_by_the_first_who_asks(browser: Client) -> None:
    assert not send(browser, "get", "posting/")["stopped"]
    told = send(browser, "post", "posting/stop/", {"why": "enough"})
    assert (told["stopped"], told["stopped_by"], told["stop_reason"]) == (True, "admin", "enough")
    send(browser, "post", "posting/stop/", {}, 409)
    assert not send(browser, "post", "posting/resume/")["stopped"]
    send(browser, "post", "posting/resume/", status=409)


# --- personas and limits -----------------------------------------------------------------------------------------
def test_a_persona_is_made_changed_and_removed(browser: Client) -> None:
    said = {"slug": "sage", "username": "Sage", "color": "rgb(1, 2, 3)", "system_prompt": " Be wise. ", "triggers": ["ping"]}
    made = send(browser, "post", "entities/", said, 201)
    assert {name: made[name] for name in said} == said
    assert made["enabled"]
    told = send(browser, "patch", "entities/sage/", {"temperature": 0.5, "warmup": [{"role": "user", "content": "Hi"}]})
    assert (told["temperature"], told["warmup"]) == (0.5, [{"role": "user", "content": "Hi"}])
    kept = send(browser, "get", "entities/sage/versions/")
    assert [one["what"] for one in kept] == ["changed", "made"]
    assert set(kept[0]["fields"]) == {"temperature", "warmup"}
    assert send(browser, "post", "entities/", said, 409)["code"] == "entity-id-taken"
    send(browser, "delete", "entities/sage/", status=204)
    send(browser, "get", "entities/sage/", status=404)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"response_chance": 2}, "non_field_errors"),
        ({"username": "x" * 17}, "username"),
        ({"slug": "a/b"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"aliases": ["", "x"]}, "aliases"),
        ({"warmup": [{"role": "user", "content": " "}]}, "warmup"),
        ({"enabled": False}, "enabled"),
        ({"extra": []}, "extra"),
        ({"messages_to_read": 0}, "messages_to_read"),
    ],
)
def test_a_persona_that_cannot_be_is_refused_by_field(browser: Client, said: dict[str, Any], field: str) -> None:
    entity = build.entity(slug="sage")
    told = send(browser, "patch", "entities/sage/", said, 400)
    assert field in told["fields"], told
    assert Entity.objects.get(pk=entity.pk).username == entity.username


def test_a_persona_goes_back_to_a_version_once(browser: Client) -> None:
    build.entity(slug="sage")
    send(browser, "patch", "entities/sage/", {"mood": "calm"})
    send(browser, "patch", "entities/sage/", {"mood": "wild"})
    newest, calm = [one["number"] for one in send(browser, "get", "entities/sage/versions/")][:2]
    assert send(browser, "get", f"entities/sage/versions/{calm}/diff/") == [
        {"field": "mood", "before": "calm", "after": "wild", "lines": []}
    ]
    assert send(browser, "get", f"entities/sage/versions/{newest}/diff/?to={calm}")[0]["after"] == "calm"
    assert send(browser, "post", "entities/sage/rollback/", {"version": calm})["mood"] == "calm"
    send(browser, "post", "entities/sage/rollback/", {"version": calm}, 409)
    send(browser, "post", "entities/sage/rollback/", {"version": 999999}, 404)
    send(browser, "get", "entities/sage/versions/999999/diff/", status=404)
    assert versions.versions(Entity.objects.get().pk, 1)[0].why == f"back to version {calm}"


def test_a_persona_is_switched_and_copied(browser: Client) -> None:
    entity = build.entity(slug="sage")
    build.limit(entity=entity, kind="hour", amount=3)
    assert send(browser, "post", "entities/sage/disable/", {"why": "too loud"})["disabled_reason"] == "too loud"
    send(browser, "post", "entities/sage/disable/", {}, 409)
    assert send(browser, "post", "entities/sage/enable/")["enabled"]
    send(browser, "post", "entities/sage/enable/", status=409)
    made = send(browser, "post", "entities/sage/clone/", {"id": "sage-2", "username": "Sage2"}, 201)
    assert (made["slug"], made["enabled"]) == ("sage-2", False)
    assert RateLimit.objects.filter(entity__slug="sage-2", amount=3).exists()
    assert send(browser, "post", "entities/sage/clone/", {"id": "sage-2", "username": "X"}, 409)["code"] == "entity-id-taken"


def test_a_limit_is_added_changed_counted_and_taken_away(browser: Client) -> None:
    entity, feed = build.entity(slug="sage"), build.feed(name="main")
    made = send(browser, "post", "limits/", {"entity": "sage", "kind": "hour", "amount": 2}, 201)
    assert (made["remaining"], made["free_at"], made["every"]) == (2, None, 1)
    build.permit(entity=entity, state="spent")
    assert send(browser, "get", f"limits/{made['id']}/")["remaining"] == 1
    assert send(browser, "patch", f"limits/{made['id']}/", {"amount": 1})["remaining"] == 0
    assert send(browser, "post", f"limits/{made['id']}/reset/") == {"forgiven": 1}
    assert send(browser, "get", "limits/?entity=sage")["results"][0]["remaining"] == 1
    assert send(browser, "get", "limits/?shared=true")["results"] == []
    assert send(browser, "post", "limits/reset/", {"entity": "sage", "kind": "hour"}) == {"forgiven": 0}
    other = send(browser, "post", "limits/", {"kind": "day", "amount": 100, "feed": feed.name}, 201)
    assert (other["entity"], other["feed"]) == (None, "main")
    send(browser, "post", "limits/", {"kind": "day", "amount": 100, "feed": feed.name}, 400)
    send(browser, "post", "limits/", {"kind": "day", "amount": 0}, 400)
    send(browser, "post", "limits/", {"kind": "gap", "amount": 5, "every": 2}, 400)
    send(browser, "post", "limits/", {"kind": "day", "amount": 1, "entity": "nobody"}, 400)
    send(browser, "delete", f"limits/{made['id']}/", status=204)
    assert [one["why"][:11] for one in send(browser, "get", "entities/sage/versions/")][:3] == ["admin took ", "admin chang", "admin added"]


# --- answers, ensembles ------------------------------------------------------------------------------------------
def test_an_answer_on_hold_is_judged_by_the_first(browser: Client) -> None:
    held = [build.reply(state="held", text="Hello.") for _ in range(3)]
    assert send(browser, "post", f"replies/{held[0].pk}/approve/")["state"] == "ready"
    send(browser, "post", f"replies/{held[0].pk}/approve/", status=409)
    told = send(browser, "post", f"replies/{held[1].pk}/edit/", {"text": "Goodbye."})
    assert (told["state"], told["text"]) == ("ready", "Goodbye.")
    assert Reply.objects.get(pk=held[1].pk).original == "Hello."
    told = send(browser, "post", f"replies/{held[2].pk}/reject/", {"why": "rude"})
    assert told["state"] == "dropped"
    assert "rude" in told["reason"]
    send(browser, "post", f"replies/{held[2].pk}/reject/", {}, 409)
    fresh = build.reply(state="held", text="Hello.")
    assert send(browser, "post", f"replies/{fresh.pk}/edit/", {"text": "x" * 5000}, 400)["code"] == "text-unfit"
    assert send(browser, "post", f"replies/{fresh.pk}/requeue/", status=409)["code"] == "not-requeued"


def test_several_are_asked_and_called_off(browser: Client) -> None:
    build.entity(slug="a")
    build.entity(slug="b")
    build.entity(slug="c")
    said = {"question": "What is time?", "entities": ["b", "a"], "synthesizer": "c"}
    made = send(browser, "post", "ensembles/", said, 201)
    assert [(one["entity"], one["synthesis"]) for one in made["steps"]] == [("b", False), ("a", False), ("c", True)]
    assert Ensemble.objects.get().asked_by == "admin"
    assert send(browser, "post", f"ensembles/{made['id']}/cancel/")["state"] == "cancelled"
    send(browser, "post", f"ensembles/{made['id']}/cancel/", status=409)
    for wrong in ({"question": ""}, {"entities": ["nobody"]}, {"entities": []}, {"count": 2}, {"post": True}, {"synthesizer": "x"}):
        send(browser, "post", "ensembles/", {**said, **wrong}, 400)


# --- the configuration -------------------------------------------------------------------------------------------
def test_the_configuration_goes_out_and_in(browser: Client) -> None:
    build.server(token="sk-secret")
    build.entity(slug="sage")
    document = send(browser, "get", "configuration/")
    assert "sk-secret" not in json.dumps(document)
    document["entities"][0]["responseChance"] = 0.25
    dry = send(browser, "post", "configuration/?dry_run=true", document)
    assert dry["dry_run"]
    assert Entity.objects.get().response_chance == 1
    told = send(browser, "post", "configuration/", document)
    assert [one["fields"] for one in told["changes"] if one["kind"] == "entity"] == [{"response_chance": ["1.0", "0.25"]}]
    assert Entity.objects.get().response_chance == 0.25
    assert Server.objects.get().token == "sk-secret"
    document["entities"][0]["responseChance"] = "often"
    told = send(browser, "post", "configuration/", document, 400)
    assert any("responseChance" in path for path in told["fields"])


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "[" * 100_000, '{"entities": [' * 2000, "\\ud800", '{"a": 1e999}'])
def test_a_configuration_that_is_none_changes_nothing(browser: Client, body: str) -> None:
    response = browser.post(f"{V1}configuration/", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) in ((400, "invalid"), (400, "parse_error"))


# --- requests to models ------------------------------------------------------------------------------------------
def ask(**over: Any) -> dict[str, Any]:
    return {"model": "maker/one", "messages": [{"role": "user", "content": " Hello? "}], **over}


def test_a_request_is_queued_watched_and_called_off(browser: Client) -> None:
    build.offer(model=build.model(key="maker/one"))
    made = send(browser, "post", "generations/", ask(temperature=0.5, stop=["\n"], max_tokens=7, seconds=60, priority=3), 201)
    assert (made["state"], made["caller"], made["priority"]) == ("queued", "user:admin", 3)
    assert made["request"] == {
        "messages": [{"role": "user", "content": " Hello? "}],
        "sampling": {"temperature": 0.5},
        "max_tokens": 7,
        "stop": ["\n"],
    }
    assert made["deadline"]
    assert send(browser, "get", f"generations/{made['id']}/?wait=0.1")["state"] == "queued"
    assert send(browser, "post", f"generations/{made['id']}/cancel/")["state"] == "cancelled"
    send(browser, "post", f"generations/{made['id']}/cancel/", status=409)
    assert send(browser, "get", f"generations/{made['id']}/?wait=30")["error_code"] == "cancelled"
    for wait in ("31", "-1", "nan", "soon"):
        send(browser, "get", f"generations/{made['id']}/?wait={wait}", status=400)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "maker/none"},
        {"model": ""},
        {"messages": []},
        {"messages": [{"role": "king", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x", "name": "y"}]},
        {"messages": "x"},
        {"temperature": -1},
        {"temperature": "hot"},
        {"priority": 100},
        {"seconds": 0},
        {"server": "nowhere"},
        {"stop": [""]},
        {"top_k": 1.5},
        {"stream": True},
    ],
)
def test_a_request_that_cannot_be_is_refused(browser: Client, wrong: dict[str, Any]) -> None:
    build.offer(model=build.model(key="maker/one"))
    send(browser, "post", "generations/", ask(**wrong), 400)
    assert not Generation.objects.exists()
    assert LanguageModel.objects.count() == 1


def test_a_tokens_requests_have_its_priority_and_its_models(client: Client, db: None) -> None:
    build.offer(model=build.model(key="maker/one"))
    build.offer(model=build.model(key="maker/two"))
    row, secret = build.token("generate", priority=40, models=["Maker/One"])
    _, other = build.token("generate")

    def post(said: dict[str, Any], status: int, key: str = secret) -> Any:
        response = client.post(f"{V1}generations/", said, content_type="application/json", headers={"Authorization": f"Bearer {key}"})
        assert response.status_code == status, response.content
        return response.json()

    mine = post(ask(), 201)
    assert (mine["priority"], mine["caller"]) == (40, f"api:{row.name}")
    assert post(ask(priority=70), 201)["priority"] == 70
    post(ask(priority=39), 400)
    assert post(ask(model="maker/two"), 403)["code"] == "permission_denied"
    theirs = post(ask(), 201, other)
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.get(f"{V1}generations/{mine['id']}/", headers=headers).status_code == 200
    assert client.get(f"{V1}generations/{theirs['id']}/", headers=headers).status_code == 404
    assert client.post(f"{V1}generations/{theirs['id']}/cancel/", "", content_type="application/json", headers=headers).status_code == 404
    assert len(client.get(f"{V1}generations/", headers=headers).json()["results"]) == 2


# --- whoever asks ------------------------------------------------------------------------------------------------
def test_what_is_done_is_told_with_who_did_it(
    client: Client, heard: list[Happening], django_capture_on_commit_callbacks: Any, db: None
) -> None:
    row, secret = build.token()
    server = build.server()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(f"{V1}servers/{server.pk}/drain/", "", content_type="application/json", headers={"Authorization": f"Bearer {secret}"})
    assert any(f"{row.user.username} (token {row.name})" in one.text for one in heard)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[" * 50_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
        b'{"name": "\\u0000"}',
        b'{"name": "\\ud800"}',
        b'{"slots": 1e999}',
        b"NaN",
    ],
)
def test_a_body_that_no_row_could_hold_is_refused(browser: Client, body: bytes) -> None:
    response = browser.post(f"{V1}servers/", body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "parse_error")


@pytest.mark.parametrize("body", ["null", "[]", "1", '"x"', "[[]]"])
def test_a_body_that_is_no_object_is_refused(browser: Client, body: str) -> None:
    for address in ("servers/", "entities/", "generations/", "limits/", "ensembles/", "webhooks/"):
        response = browser.post(f"{V1}{address}", body, content_type="application/json")
        assert response.status_code == 400, (address, response.content)


def test_only_json_is_taken(browser: Client) -> None:
    response = browser.post(f"{V1}servers/", {"name": "x"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
