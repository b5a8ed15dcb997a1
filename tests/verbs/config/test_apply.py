"""A document into the rows: what changes, what stays, what is taken back."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.models import ClusterPolicy, Server
from conversations.models import Feed
from entities.models import Entity, RateLimit
from entities.portable import PROMPTLESS
from swwbot_site.config.apply import Diff
from swwbot_site.config.problems import DocumentError
from swwbot_site.lib.events import Happening
from swwbot_site.models import ConfigImport
from tests import build

Put = Callable[..., Diff]
Sample = Callable[[str], bytes]
OWL = {"id": "owl", "username": "Owl", "color": "001002003", "systemPrompt": "Who?", "rateLimits": {"maxPostsPerHour": 5}}
MAC = {"name": "mac", "ip": "10.0.0.1", "enabled": True, "capabilities": {"maxMemory": 96}}


def rows() -> dict[str, list[dict[str, Any]]]:
    """Everything an import may write, ids included."""
    kinds = (Server, ClusterPolicy, Feed, Entity, RateLimit, Entity.history.model, ConfigImport)
    return {kind.__name__: [*kind._default_manager.order_by("pk").values()] for kind in kinds}


def limits(slug: str | None) -> dict[str, int]:
    return dict(RateLimit.objects.filter(entity__slug=slug).values_list("kind", "amount"))


def test_the_design_documents_example_gives_two_servers_its_settings_and_its_entity(put: Put, sample: Sample) -> None:
    diff = put(sample("design"))
    assert [(s.name, s.url, s.budget_gb, s.formats, s.enabled) for s in Server.objects.all()] == [
        ("Mac Studio 1", "http://10.0.0.102:1234", 128.0, ["MLX", "GGUF"], True),
        ("Mac Studio 2", "http://10.0.0.100:1234", 128.0, ["MLX", "GGUF"], True),
    ]
    policy = ClusterPolicy.current()
    assert (policy.strategy, policy.load_timeout_s, policy.idle_timeout_s, policy.max_attempts) == ("least-loaded", 120.0, 30.0, 4)
    assert (policy.health_check_interval_s, policy.monitor, policy.unload_delay_s) == (10.0, True, 300.0)
    philosopher = Entity.objects.get()
    assert (philosopher.slug, philosopher.username, philosopher.model) == ("philosopher", "philosopher", "highermind_the-eternal-1")
    assert (philosopher.enabled, philosopher.disabled_reason) == (False, PROMPTLESS)
    assert str(diff) == "1 entity added, 2 servers added, 1 cluster policy changed"


@pytest.mark.parametrize("name", ["design", "september", "october", "full"])
def test_importing_twice_changes_nothing_and_says_nothing(put: Put, sample: Sample, heard: list[Happening], name: str) -> None:
    build.feed()
    put(sample(name))
    before = rows()
    assert [happening.kind for happening in heard] == ["config.imported"]
    heard.clear()
    again = put(sample(name))
    assert (again.changes, heard, rows()) == ((), [], before)


def test_a_dry_run_tells_the_same_and_writes_nothing(put: Put, sample: Sample, heard: list[Happening]) -> None:
    ClusterPolicy.current()
    before = rows()
    dry = put(sample("full"), dry=True)
    assert (rows(), heard) == (before, [])
    assert put(sample("full")).changes == dry.changes


def test_an_error_leaves_the_last_state(put: Put) -> None:
    put({"entities": [OWL], "lmStudioServers": [MAC]})
    before = rows()
    with pytest.raises(DocumentError):
        put({"entities": [{**OWL, "username": "New"}, {"id": "bad", "topP": 9}], "lmStudioServers": []})
    assert rows() == before


def test_a_clash_with_a_row_of_the_admin_is_an_error_and_nothing_is_kept(put: Put) -> None:
    build.server(name="by hand", url="http://10.0.0.1:1234")
    put({"lmStudioServers": [{**MAC, "ip": "10.0.0.9"}]})
    before = rows()
    with pytest.raises(DocumentError, match=r"clashes with a row.*10\.0\.0\.1"):
        put({"lmStudioServers": [MAC], "entities": [OWL]})
    assert rows() == before


def test_a_change_writes_only_what_changed_and_keeps_a_version(put: Put) -> None:
    put({"entities": [OWL, {**OWL, "id": "crow"}]})
    owl = Entity.objects.get(slug="owl")
    diff = put(
        {"entities": [{**OWL, "username": "Uhu", "rateLimits": {"maxPostsPerHour": 6, "maxPostsPerDay": 50}}, {**OWL, "id": "crow"}]}
    )
    (change,) = diff.changes
    assert (change.kind, change.name, change.action) == ("entity", "owl", "changed")
    assert change.fields == {"username": ("Owl", "Uhu"), "limits.hour": (5, 6), "limits.day": (None, 50)}
    assert [version.history_change_reason for version in owl.history.all()] == ["imported from config.json"] * 2
    assert limits("owl") == {"hour": 6, "day": 50}


def test_what_people_set_and_the_file_never_said_stays(put: Put) -> None:
    put({"lmStudioServers": [MAC], "entities": [OWL]})
    Server.objects.update(slots=4, token="kept")
    Entity.objects.update(temperature=0.4, enabled=False, disabled_reason="resting")
    build.server(name="by hand")
    put({"lmStudioServers": [{**MAC, "weight": 2}], "entities": [{**OWL, "username": "Uhu"}]})
    mac, owl = Server.objects.get(name="mac"), Entity.objects.get()
    assert (mac.slots, mac.token, mac.weight) == (4, "kept", 2.0)
    assert (owl.username, owl.temperature, owl.enabled, owl.disabled_reason) == ("Uhu", 0.4, False, "resting")
    assert Server.objects.get(name="by hand").enabled


def test_what_probes_observe_stays(put: Put) -> None:
    put({"lmStudioServers": [MAC]})
    Server.objects.update(state="online", version="0.4.25")
    put({"lmStudioServers": [{**MAC, "capabilities": {"maxMemory": 90}}]})
    mac = Server.objects.get()
    assert (mac.budget_gb, mac.state, mac.version) == (90.0, "online", "0.4.25")


def test_what_the_file_says_no_longer_is_disabled_and_comes_back(put: Put, heard: list[Happening]) -> None:
    feed = {"name": "main", "url": "http://chat.example/api"}
    whole = {"lmStudioServers": [MAC], "entities": [OWL], "feeds": [feed]}
    put(whole)
    diff = put({"lmStudioServers": [], "entities": []})
    assert str(diff) == "1 entity disabled, 1 server disabled, 1 feed disabled"
    owl = Entity.objects.get()
    assert (owl.enabled, owl.disabled_reason) == (False, "config.json names it no longer")
    assert not Server.objects.get().enabled
    assert not Feed.objects.get().enabled
    assert "1 server disabled" in heard[-1].text
    put({**whole, "lmStudioServers": [{key: value for key, value in MAC.items() if key != "enabled"}]})
    owl.refresh_from_db()
    assert (owl.enabled, owl.disabled_reason) == (True, "")
    assert Server.objects.get().enabled
    assert Feed.objects.get().enabled


def test_who_disabled_a_returning_row_matters(put: Put) -> None:
    put({"entities": [OWL]})
    Entity.objects.update(enabled=False, disabled_reason="by hand")
    put({"entities": []})
    put({"entities": [OWL]})
    assert Entity.objects.get().disabled_reason == "by hand"


def test_a_value_that_the_file_says_no_longer_returns_to_its_default(put: Put) -> None:
    put(
        {
            "lmStudioServers": [{**MAC, "slots": 3}],
            "clusterSettings": {"requestTimeout": 5000, "maxRetries": 1},
            "entities": [{**OWL, "temperature": 0.9, "preferredServer": "mac", "greeting": "hi"}],
            "globalSettings": {"rateLimits": {"maxPostsPerMinute": 3, "maxPostsPerHour": 9}, "defaultModel": "m"},
        }
    )
    assert limits(None) == {"minute": 3, "hour": 9}
    put(
        {
            "lmStudioServers": [{**MAC, "capabilities": {}}],
            "entities": [{**OWL, "rateLimits": {}}],
            "globalSettings": {"rateLimits": {"maxPostsPerHour": 9}},
        }
    )
    mac, owl, policy = Server.objects.get(), Entity.objects.get(), ClusterPolicy.current()
    assert (mac.slots, mac.budget_gb) == (None, 32.0)
    assert (owl.temperature, owl.preferred_server, owl.extra) == (None, "", {})
    assert (policy.idle_timeout_s, policy.max_attempts, policy.default_model) == (60.0, 4, "")
    assert (limits("owl"), limits(None)) == ({}, {"hour": 9})


def test_a_row_that_another_file_names_too_is_left_alone_with_a_warning(put: Put) -> None:
    put({"entities": [OWL]}, "a.json")
    put({"entities": [{**OWL, "temperature": 0.5}]}, "b.json")
    diff = put({"entities": []}, "a.json")
    assert [str(warning) for warning in diff.warnings] == [
        "$.entities names owl no longer, but b.json does, so nothing is disabled; import that file again without"
    ]
    assert Entity.objects.get().enabled
    put({"entities": []}, "b.json")
    assert not Entity.objects.get().enabled


def test_an_entity_without_a_prompt_waits_for_one(put: Put) -> None:
    bare = {"id": "sage", "enabled": True}
    put({"entities": [bare]})
    sage = Entity.objects.get()
    assert (sage.enabled, sage.disabled_reason) == (False, PROMPTLESS)
    assert put({"entities": [{**bare, "nom": 5}]}).changes[0].fields.keys() == {"messages_to_read", "prompt_format"}
    put({"entities": [{**bare, "systemPrompt": "Be wise."}]})
    sage.refresh_from_db()
    assert (sage.enabled, sage.disabled_reason) == (True, "")


def test_an_entity_that_needs_no_prompt_says_so(put: Put) -> None:
    put({"entities": [{"id": "sage", "systemPrompt": ""}]})
    assert Entity.objects.get().enabled


def test_an_entity_that_a_person_completed_stays_enabled(put: Put) -> None:
    put({"entities": [{"id": "sage"}]})
    Entity.objects.update(system_prompt="Be wise.", enabled=True, disabled_reason="")
    put({"entities": [{"id": "sage", "username": "Sage"}]})
    assert Entity.objects.get().enabled


def test_switching_off_in_the_file_leaves_a_reason(put: Put) -> None:
    put({"entities": [OWL]})
    put({"entities": [{**OWL, "enabled": False}]})
    assert Entity.objects.get().disabled_reason == "disabled in config.json"
    put({"entities": [{**OWL, "enabled": True}]})
    assert (Entity.objects.get().enabled, Entity.objects.get().disabled_reason) == (True, "")


def test_a_server_is_found_by_its_address_when_it_is_renamed(put: Put) -> None:
    put({"lmStudioServers": [MAC]})
    pk = Server.objects.get().pk
    put({"lmStudioServers": [{**MAC, "name": "attic"}]})
    assert [(s.pk, s.name, s.enabled) for s in Server.objects.all()] == [(pk, "attic", True)]


def test_two_servers_may_exchange_their_addresses(put: Put) -> None:
    other = {**MAC, "name": "mini", "ip": "10.0.0.2"}
    put({"lmStudioServers": [MAC, other]})
    put({"lmStudioServers": [{**MAC, "ip": "10.0.0.2"}, {**other, "ip": "10.0.0.1"}]})
    assert dict(Server.objects.values_list("name", "url")) == {"mac": "http://10.0.0.2:1234", "mini": "http://10.0.0.1:1234"}


def test_the_bots_polling_interval_reaches_feeds_that_no_file_describes(put: Put) -> None:
    build.feed(name="seeded", poll_interval_s=5.0)
    put({"botSettings": {"pollingInterval": 2000}, "feeds": [{"name": "own", "url": "http://own.example", "pollingInterval": 900}]})
    assert dict(Feed.objects.values_list("name", "poll_interval_s")) == {"seeded": 2.0, "own": 0.9}
    put({"feeds": [{"name": "own", "url": "http://own.example", "pollingInterval": 900}]})
    assert dict(Feed.objects.values_list("name", "poll_interval_s")) == {"seeded": 5.0, "own": 0.9}


def test_a_polling_interval_without_a_feed_is_a_warning(put: Put) -> None:
    assert [warning.path for warning in put({"botSettings": {"pollingInterval": 2000}}).warnings] == ["$.botSettings.pollingInterval"]


def test_references_are_checked_against_the_rows_too(put: Put) -> None:
    build.server(name="by hand", url="http://10.9.9.9:1234")
    pinned = {**OWL, "preferredServer": "10.9.9.9", "conversationSettings": {"respondsToTheseAiOnly": ["ghost"]}}
    diff = put({"entities": [pinned]})
    assert [warning.path for warning in diff.warnings] == ["$.entities[0].conversationSettings.respondsToTheseAiOnly"]


def test_no_token_is_in_what_is_said(put: Put, sample: Sample, heard: list[Happening]) -> None:
    put(sample("full"))
    put({"lmStudioServers": [{**MAC, "name": "rack 1", "url": "http://10.0.0.1:1234", "token": "another-secret"}]})
    assert "secret" not in repr([happening.detail for happening in heard])
    assert Server.objects.get(name="rack 1").token == "another-secret"
