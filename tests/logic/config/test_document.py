"""What a file says: which columns, which warnings, which errors, and where."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.models import ClusterPolicy, Server
from conversations.models import ConversationPolicy, Feed, Room
from entities.models import Entity, RateLimit
from swwbot_site.config import runner, tables
from swwbot_site.config.document import Document, DocumentError, Part, parse
from swwbot_site.retention.row import Retention

DATA = Path(__file__).parents[2] / "data" / "config"
WHOLE = {"id": "owl", "username": "Owl", "color": "001002003", "systemPrompt": "Who?", "rateLimits": {"maxPostsPerHour": 5}}
MACHINE = {"name": "mac", "ip": "10.0.0.1", "enabled": True, "capabilities": {"maxMemory": 96}}


def read(tree: Any) -> Document:
    return parse(json.dumps(tree))


def sample(name: str) -> Document:
    return parse((DATA / f"{name}.json").read_bytes())


def entity(**over: Any) -> Part:
    return read({"entities": [{**WHOLE, **over}]}).of("entity")[0]


def warned(tree: Any) -> dict[str, str]:
    return {problem.path: problem.text for problem in read(tree).problems}


def server(**over: Any) -> dict[str, Any]:
    return {"lmStudioServers": [{**MACHINE, **over}]}


def one(**over: Any) -> dict[str, Any]:
    return {"entities": [{**WHOLE, **over}]}


def test_the_design_documents_example_says_two_servers_its_settings_and_its_entity() -> None:
    document = sample("design")
    assert [(part.name, part.said["url"], part.said["budget_gb"]) for part in document.of("server")] == [
        ("Mac Studio 1", "http://10.0.0.102:1234", 128.0),
        ("Mac Studio 2", "http://10.0.0.100:1234", 128.0),
    ]
    assert document.of("policy")[0].said == {
        "load_timeout_s": 120.0,
        "idle_timeout_s": 30.0,
        "health_check_interval_s": 10.0,
        "monitor": True,
        "max_attempts": 4,
        "strategy": "least-loaded",
        "unload_delay_s": 300.0,
    }
    (philosopher,) = document.of("entity")
    assert philosopher.said == {"model": "highermind_the-eternal-1", "preferred_server": ""}
    assert philosopher.assumed["username"] == "philosopher"
    assert [problem.path for problem in document.problems] == [
        "$",
        "$.lmStudioServers[0].capabilities.maxMemory",
        "$.lmStudioServers[1].capabilities.maxMemory",
        "$.entities[0].username",
        "$.entities[0].color",
        "$.entities[0].systemPrompt",
        "$.entities[0].rateLimits",
    ]


def test_every_dead_field_of_september_is_named() -> None:
    paths = {problem.path for problem in sample("september").problems}
    assert paths >= {
        "$.globalSettings.minTimeBetweenMessages",
        "$.globalSettings.maxMessagesPerMinute",
        "$.globalSettings.requireHumanActivity",
        "$.globalSettings.cloudflareWorkerRateLimits",
        "$.entities[0].traits.style",
        "$.entities[0].traits.mood",
        "$.entities[1].username",
        "$.entities[1].systemPrompt",
        "$.entities[1].messagesToRead",
    }


def test_an_october_entity_gets_its_model_its_format_and_its_marks() -> None:
    eternal, gull = sample("october").of("entity")
    assert (eternal.said["model"], gull.said["model"]) == ("the-eternal@q8_0", "gull@f16")
    assert (eternal.said["prompt_format"], eternal.said["system_role"], eternal.said["messages_to_read"]) == ("joined", "assistant", 80)
    assert (gull.said["prompt_format"], gull.assumed["messages_to_read"]) == ("joined", 100)
    assert eternal.said["filter_out"] == ("\n\n", "Assistant:")
    assert eternal.said["trim_after"] == ("\nHuman:", "\nTheEternal:")
    assert (eternal.said["priority"], gull.said["priority"]) == (10, 40)
    assert eternal.said["extra"]["greeting"] == "The tide is in."


def test_a_literal_document_keeps_backslashes() -> None:
    assert sample("full").of("entity")[0].said["stop"] == ("\\n", "\n")


def test_a_september_entity_keeps_the_blob_format() -> None:
    assert all("prompt_format" not in part.said for part in sample("september").of("entity"))


@pytest.mark.parametrize(
    ("tree", "path", "told"),
    [
        ([], "$", "a configuration is an object"),
        ({"entities": {}}, "$.entities", "must be a list"),
        ({"entities": [1]}, "$.entities[0]", "must be an object"),
        ({"clusterSettings": []}, "$.clusterSettings", "must be an object"),
        ({"version": [1]}, "$.version", "must be a text"),
        ({"escapes": "maybe"}, "$.escapes", '"decode" or "literal"'),
        ({"entities": [{}]}, "$.entities[0].id", "is absent"),
        (one(id=""), "$.entities[0].id", "1 to 100 characters"),
        (one(id=5), "$.entities[0].id", "is 5 (a number)"),
        ({"entities": [WHOLE, WHOLE]}, "$.entities[1]", "has the id 'owl', like $.entities[0]"),
        (one(enabled="yes"), "$.entities[0].enabled", "is 'yes' (a text); it must be true or false"),
        (one(enabled=None), "$.entities[0].enabled", "is null"),
        (one(username=None), "$.entities[0].username", "is null"),
        (one(color=7), "$.entities[0].color", "is 7"),
        (one(temperature="hot"), "$.entities[0].temperature", "a number from 0 to 10, or null"),
        (one(temperature=True), "$.entities[0].temperature", "is true (true or false)"),
        (one(topP=1.5), "$.entities[0].topP", "from 0 to 1"),
        (one(maxTokens=0), "$.entities[0].maxTokens", "whole number from 1"),
        (one(maxTokens=1.5), "$.entities[0].maxTokens", "is 1.5"),
        (one(responseChance=1.01), "$.entities[0].responseChance", "from 0 to 1"),
        (one(responseChance=-0.1), "$.entities[0].responseChance", "from 0 to 1"),
        (one(nom=0), "$.entities[0].nom", "from 1 to 1000"),
        (one(nom="ALL"), "$.entities[0].nom", "whole number"),
        (one(defaultPriority=100), "$.entities[0].defaultPriority", "from 0 to 99"),
        (one(systemRole="bot"), "$.entities[0].systemRole", '"system" or "assistant" or "user"'),
        (one(stop="end"), "$.entities[0].stop", "a list of texts"),
        (one(filterOut=["a", 1]), "$.entities[0].filterOut", "at [1]"),
        (one(stop=[""]), "$.entities[0].stop", "none of them empty"),
        (one(quantizations=[]), "$.entities[0].quantizations", "must be an object"),
        (one(rateLimits=3), "$.entities[0].rateLimits", "must be an object"),
        (one(rateLimits={"maxPostsPerHour": "20"}), "$.entities[0].rateLimits.maxPostsPerHour", "is '20' (a text)"),
        (one(rateLimits={"maxPostsPerMinute": 0}), "$.entities[0].rateLimits.maxPostsPerMinute", "from 1"),
        (one(rateLimits={"minSecondsBetweenPosts": -1}), "$.entities[0].rateLimits.minSecondsBetweenPosts", "from 0"),
        (one(conversationSettings={"respondsToTheseAiOnly": "x"}), "$.entities[0].conversationSettings.respondsToTheseAiOnly", "a list"),
        ({"lmStudioServers": [{"enabled": True}]}, "$.lmStudioServers[0]", "neither ip nor url"),
        (server(port=70000), "$.lmStudioServers[0].port", "from 1 to 65535"),
        (server(port="1234"), "$.lmStudioServers[0].port", "is '1234' (a text)"),
        (server(ip="http://10.0.0.1"), "$.lmStudioServers[0].ip", "without http:// and port"),
        (server(ip="10.0.0.1:1234"), "$.lmStudioServers[0].ip", "without http:// and port"),
        (server(url="http://other:1"), "$.lmStudioServers[0].url", "but ip and port say http://10.0.0.1:1234"),
        (server(url="ftp://other"), "$.lmStudioServers[0].url", "must be a URL"),
        (server(url="http://10.0.0.1:1234/a b"), "$.lmStudioServers[0].url", "a space in it"),
        (server(url="http://a:b"), "$.lmStudioServers[0].url", "no URL"),
        (server(url="http://me:secret@host"), "$.lmStudioServers[0].url", "name, query or fragment"),
        (server(capabilities={"maxMemory": 0}), "$.lmStudioServers[0].capabilities.maxMemory", "from 0.1"),
        (server(capabilities={"maxMemory": "128GB"}), "$.lmStudioServers[0].capabilities.maxMemory", "is '128GB'"),
        (server(capabilities={"supportedFormats": "MLX"}), "$.lmStudioServers[0].capabilities.supportedFormats", "a list"),
        (server(capabilities={"maxConcurrentModels": 0}), "$.lmStudioServers[0].capabilities.maxConcurrentModels", "from 1"),
        ({"lmStudioServers": [MACHINE, {**MACHINE, "name": "b"}]}, "$.lmStudioServers[1]", "has the url 'http://10.0.0.1:1234'"),
        ({"lmStudioServers": [MACHINE, {**MACHINE, "port": 2}]}, "$.lmStudioServers[1]", "has the name 'mac'"),
        ({"clusterSettings": {"loadBalancingStrategy": ""}}, "$.clusterSettings.loadBalancingStrategy", "1 to 40 characters"),
        ({"feeds": [{"url": "http://a", "rooms": [1]}]}, "$.feeds[0].rooms", "list of objects"),
        ({"feeds": [{"url": "http://a", "rooms": [{}]}]}, "$.feeds[0].rooms[0].domain", "is absent"),
        ({"feeds": [{"url": "http://a", "rooms": [{"domain": ""}]}]}, "$.feeds[0].rooms[0].domain", "1 to 200"),
        ({"feeds": [{"url": "http://a", "rooms": [{"domain": "b"}, {"domain": "b"}]}]}, "$.feeds[0].rooms[1].domain", "once more"),
        ({"feeds": [{"url": "http://a", "botDecay": 1.1}]}, "$.feeds[0].botDecay", "from 0 to 1"),
        ({"globalSettings": {"requireHumanSeconds": -1}}, "$.globalSettings.requireHumanSeconds", "from 0"),
        ({"globalSettings": {"warmup": [{"role": "tool", "content": "x"}]}}, "$.globalSettings.warmup", "at [0]"),
        ({"globalSettings": {"rateLimits": {"rules": 5}}}, "$.globalSettings.rateLimits.rules", "list of objects such as"),
        ({"clusterSettings": {"requestTimeout": 0}}, "$.clusterSettings.requestTimeout", "a time in milliseconds"),
        ({"clusterSettings": {"requestTimeout": "30s"}}, "$.clusterSettings.requestTimeout", "a time in milliseconds"),
        ({"clusterSettings": {"maxRetries": -1}}, "$.clusterSettings.maxRetries", "from 0 to 19"),
        ({"clusterSettings": {"maxLoadAttempts": 0}}, "$.clusterSettings.maxLoadAttempts", "from 1"),
        ({"feeds": [{"name": "x"}]}, "$.feeds[0].url", "is absent"),
        ({"feeds": [{"url": "chat.example"}]}, "$.feeds[0].url", "must be a URL"),
        ({"feeds": [{"url": "http://c/api"}, {"name": "b", "url": "http://c/api/"}]}, "$.feeds[1]", "has the url"),
        ({"feeds": [{"url": "http://c", "generation": "kv2"}]}, "$.feeds[0].generation", '"kv-queue"'),
        ({"botSettings": {"pollingInterval": 0}}, "$.botSettings.pollingInterval", "a time in milliseconds"),
        ({"retention": {"messagesDays": -1}}, "$.retention.messagesDays", "from 0 to 2147483647"),
        ({"retention": {"eventsDays": 1.5}}, "$.retention.eventsDays", "whole number"),
        ({"retention": {"maxEvents": None}}, "$.retention.maxEvents", "is null"),
        ({"retention": []}, "$.retention", "must be an object"),
        ({"queueSettings": {"defaultPriority": 100}}, "$.queueSettings.defaultPriority", "from 0 to 99"),
        ({"globalSettings": {"rateLimits": {"maxPostsPerDay": 0}}}, "$.globalSettings.rateLimits.maxPostsPerDay", "from 1"),
    ],
)
def test_wrong_types_and_impossible_values_are_errors_with_their_path(tree: Any, path: str, told: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(tree)
    errors = {problem.path: problem.text for problem in caught.value.problems if problem.severity == "error"}
    assert [*errors] == [path]
    assert told in errors[path]


@pytest.mark.parametrize(
    ("tree", "path", "told"),
    [
        ({"entitys": []}, "$.entitys", "is unknown and has no effect; did you mean entities?"),
        (one(maxTokns=3), "$.entities[0].maxTokns", "did you mean maxTokens?"),
        (one(rateLimits={"perWeek": 3, "maxPostsPerDay": 1}), "$.entities[0].rateLimits.perWeek", "is unknown"),
        (one(username="A name of more than sixteen"), "$.entities[0].username", "cut to 'A name of more t'"),
        (one(username="😀" * 9), "$.entities[0].username", f"cut to '{'😀' * 8}'"),
        (one(color="purple"), "$.entities[0].color", "neither rgb(r, g, b) nor nine digits"),
        (one(color="rgb(1, 2, 256)"), "$.entities[0].color", "neither"),
        (one(stop=["a\\nb"]), "$.entities[0].stop[0]", "is escaped twice"),
        (one(userPrompt="say\\nthis"), "$.entities[0].userPrompt", "may be meant; kept as it is"),
        (one(systemPrompt=""), "$.entities[0].systemPrompt", "is empty"),
        (one(model="m", baseModel="b"), "$.entities[0].baseModel", "model says 'm'"),
        (one(defaultQuantization="f32"), "$.entities[0].defaultQuantization", "has no effect without baseModel"),
        (one(baseModel="b", quantizations={"q8_0": {}}), "$.entities[0].quantizations", "does not offer f16"),
        (one(baseModel="b", quantizations={"f16": {"enabled": False}}), "$.entities[0].quantizations", "does not offer f16"),
        (one(nom=9, messagesToRead=5), "$.entities[0].messagesToRead", "nom says 9"),
        (one(contextWindow=0), "$.entities[0].contextWindow", "is 0, which means 50"),
        (one(greeting="hi"), "$.entities[0].greeting", "has no effect"),
        (
            one(conversationSettings={"respondsToAllAiMessages": True, "respondsToTheseAiOnly": ["owl"]}),
            "$.entities[0].conversationSettings.respondsToTheseAiOnly",
            "while respondsToAllAiMessages",
        ),
        (server(capabilities={"maxMemory": 64}), "$.lmStudioServers[0].capabilities.maxMemory", "whole memory"),
        (server(capabilities={}), "$.lmStudioServers[0].capabilities.maxMemory", "gets 32 GB"),
        (
            {"lmStudioServers": [{"url": "http://a:1", "port": 3, "capabilities": {"maxMemory": 9}, "enabled": True}]},
            "$.lmStudioServers[0].port",
            "without ip",
        ),
        ({"lmStudioServers": [{"ip": "a", "capabilities": {"maxMemory": 9}}]}, "$.lmStudioServers[0].enabled", "is absent"),
        ({"clusterSettings": {"maxRetries": 1}, "queueSettings": {"maxRetries": 2}}, "$.queueSettings.maxRetries", "says 1"),
        ({"routerSettings": {"enabled": False}}, "$.routerSettings", "never built"),
        ({"queueSettings": {"maxConcurrentWorkers": 6}}, "$.queueSettings.maxConcurrentWorkers", "slots"),
    ],
)
def test_what_has_no_effect_or_is_assumed_is_a_warning_with_its_path(tree: Any, path: str, told: str) -> None:
    warnings = warned(tree)
    assert told in warnings.get(path, f"no warning at {path}, only at {[*warnings]}")


def test_a_sound_file_has_no_warnings() -> None:
    assert warned({"_note": "x", **server(_note="y"), **one(_note="z"), "version": 3}) == {}


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(DocumentError) as caught:
        read({**server(port=0), **one(topP=2, maxTokns=1), "clusterSettings": {"maxRetries": "x"}})
    assert [problem.path for problem in caught.value.problems] == [
        "$.clusterSettings.maxRetries",
        "$.lmStudioServers[0].port",
        "$.entities[0].topP",
        "$.entities[0].maxTokns",
    ]


@pytest.mark.parametrize("pin", ["mac", "10.0.0.1", "10.0.0.1:1234", "http://10.0.0.1:1234"])
def test_a_pin_may_spell_its_server_in_four_ways(pin: str) -> None:
    assert read({**server(), **one(preferredServer=pin)}).dangling([], []) == ()


def test_references_to_what_does_not_exist_are_warnings_unless_the_rows_have_it() -> None:
    document = read(one(preferredServer="pc", conversationSettings={"respondsToTheseAiOnly": ["owl", "wonderer", "mystic"]}))
    lost = {problem.path: problem.text for problem in document.dangling([], ["mystic"])}
    assert "'pc'" in lost["$.entities[0].preferredServer"]
    assert "wonderer, which" in lost["$.entities[0].conversationSettings.respondsToTheseAiOnly"]
    assert document.dangling(["pc"], ["mystic", "wonderer"]) == ()


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ({"ip": "10.0.0.102"}, "http://10.0.0.102:1234"),
        ({"ip": "Mac-Studio.local", "port": 99}, "http://mac-studio.local:99"),
        ({"ip": "fd00::12"}, "http://[fd00::12]:1234"),
        ({"url": "HTTPS://Example.org/v1/"}, "https://example.org"),
        ({"url": "http://h:1/behind/a/proxy/"}, "http://h:1/behind/a/proxy"),
        ({"url": "http://10.0.0.1:1234", "ip": "10.0.0.1"}, "http://10.0.0.1:1234"),
    ],
)
def test_addresses_come_into_one_form(raw: dict[str, Any], url: str) -> None:
    assert read({"lmStudioServers": [raw]}).of("server")[0].said["url"] == url


def test_the_polling_interval_of_the_bot_holds_for_feeds_that_name_none() -> None:
    document = read({"botSettings": {"pollingInterval": 3000}, "feeds": [{"url": "http://a"}, {"url": "http://b", "pollingInterval": 500}]})
    assert [part.said["poll_interval_s"] for part in document.of("feed")] == [3.0, 0.5]
    assert document.of("cadence")[0].said == {"poll_interval_s": 3.0}


def test_an_interval_of_health_checks_turns_them_on_unless_the_file_says_no() -> None:
    assert read({"clusterSettings": {"healthCheckInterval": 5000}}).of("policy")[0].said["monitor"] is True
    assert read({"clusterSettings": {"healthCheckInterval": 5000, "healthMonitor": False}}).of("policy")[0].said["monitor"] is False
    assert "monitor" not in read({"clusterSettings": {}}).of("policy")[0].said


def columns(model: Any) -> set[str]:
    return {each.name for each in model._meta.concrete_fields if each.editable and not each.primary_key}


def said_by(fields: Any) -> set[str]:
    return {each.column for each in fields if each.column and not each.column.startswith(("_", "limits."))}


def test_every_column_an_operator_writes_has_a_key() -> None:
    assert columns(Server) == said_by(tables.SERVER) | {"url", "token"}
    assert columns(ClusterPolicy) == said_by(tables.CLUSTER) | {"max_attempts", "default_model"}
    assert columns(Feed) == said_by(tables.FEED)
    assert columns(Room) == said_by(tables.ROOM) - {"entities"} | {"feed"}
    assert columns(Entity) == said_by(tables.ENTITY) | {"extra"}
    assert columns(ConversationPolicy) == set(tables.TALK) == said_by(tables.GLOBAL) - {"default_model"}
    assert set(Retention.written()) == said_by(tables.RETENTION)
    assert {f"limits.{kind}" for kind in RateLimit.Kind.values} | {"limits.rules"} == {each.column for each in tables.LIMITS}


def test_the_words_of_choices_are_those_of_the_rows() -> None:
    assert set(tables.DIALECTS) == set(Server.Dialect.values)
    assert set(tables.GENERATIONS) == set(Feed.Generation.values)
    assert set(tables.DIRECTIONS) == set(Feed.Priority.values)
    assert set(tables.FORMATS) == set(Entity.Format.values)
    assert set(tables.ROLES) == set(Entity.Role.values)
    assert set(tables.LIMITED) == set(Entity.WhenLimited.values)
    assert set(tables.NEWLINES) == set(Entity.Newlines.values)
    assert set(tables.MARKS) == set(Entity.Marks.values)


def test_every_key_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    own = [each.key for table in (tables.SERVER, tables.CLUSTER, tables.FEED, tables.ROOM, tables.ENTITY, runner.TOP) for each in table]
    inner = {"globalSettings": tables.GLOBAL, "botSettings": runner.BOT, "queueSettings": runner.QUEUE}
    own += [each.key for each in tables.RETENTION]
    own += [f"{group}.{each.key}" for group, table in inner.items() for each in table if not each.key.startswith("rateLimits.")]
    assert [key for key in own if f"`{key}`" not in page] == []


def test_reading_a_document_needs_the_standard_library_only() -> None:
    program = "import sys, swwbot_site.config.document; print({'django', 'pydantic', 'httpx', 'logging', 'random'} & {*sys.modules})"
    root = Path(__file__).parents[3]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # measuring coverage imports more
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root, env=bare)
    assert done.stdout == "set()\n"
