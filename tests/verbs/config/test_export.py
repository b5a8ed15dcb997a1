"""Rows out as a file and in again."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cluster.models import Server
from entities.models import Entity
from swwbot_site.config import export
from swwbot_site.config.apply import Diff, apply
from tests import build

Put = Callable[..., Diff]
Sample = Callable[[str], bytes]


@pytest.mark.parametrize("name", ["design", "september", "october", "full"])
def test_an_export_is_imported_without_change_and_exported_to_the_same_bytes(put: Put, sample: Sample, name: str) -> None:
    put(sample(name))
    first = export.text()
    assert put(first.encode(), "export.json").changes == ()
    assert export.text() == first


@pytest.mark.parametrize("name", ["design", "september", "october", "full"])
def test_an_export_rebuilds_the_rows_from_nothing(put: Put, sample: Sample, name: str) -> None:
    put(sample(name))
    Server.objects.update(token="")
    first = export.text()
    Server.objects.all().delete()
    Entity.objects.all().delete()
    put(first.encode(), "export.json")
    assert export.text() == first


def test_what_people_typed_in_the_admin_goes_out_and_comes_back(put: Put) -> None:
    build.entity(stop=["\\n", "", 3], filter_out={"odd": 1}, top_p=0.123456789012345, system_prompt="Say \\n\n.")
    build.server(url="https://behind.example/lm", budget_gb=64.25)
    first = export.text()
    put(first.encode())
    assert export.text() == first


def test_a_token_is_noted_and_never_exported(put: Put, sample: Sample) -> None:
    put(sample("full"))
    text = export.text()
    assert "a-secret" not in text
    assert json.loads(text)["lmStudioServers"][1]["_token"] == "set; not exported"
    put(text.encode())
    assert Server.objects.get(name="rack 1").token == "a-secret"


def test_what_the_file_said_besides_goes_out_again(put: Put) -> None:
    put({"entities": [{"id": "owl", "_note": "old", "mystery": [1], "traits": {"style": "dry", "smell": "dust"}}]})
    (owl,) = export.document()["entities"]
    assert (owl["_note"], owl["mystery"], owl["traits"]) == ("old", [1], {"style": "dry", "mood": "", "interests": [], "smell": "dust"})


words = st.text(max_size=12).filter(lambda text: "\0" not in text)
names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words, st.lists, max_leaves=3
)
counts = st.integers(0, 5)
rules = st.lists(
    st.fixed_dictionaries({"posts": st.integers(1, 9), "every": st.integers(2, 9), "per": st.sampled_from(["minute", "day"])}),
    max_size=3,
    unique_by=lambda each: (each["every"], each["per"]),
)
limits = st.fixed_dictionaries(
    {}, optional={"minSecondsBetweenPosts": counts | st.none(), "maxPostsPerHour": st.integers(1, 9) | st.none(), "rules": rules}
)
texts = st.lists(words.filter(bool) | st.just("\\n\\\\n"), max_size=2)
turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": words.filter(str.strip)}), max_size=2
)
marks = st.sampled_from(["keep", "strip", "drop"])
entity = st.fixed_dictionaries(
    {"id": names},
    optional={
        "enabled": st.booleans(),
        "username": st.text(min_size=1, max_size=20).filter(lambda text: text.strip() and "\0" not in text),
        "systemPrompt": words,
        "temperature": st.floats(0, 10) | st.none(),
        "topP": st.floats(0, 1),
        "nom": st.integers(1, 1000),
        "messagesToRead": st.integers(0, 1000),
        "baseModel": names,
        "model": names | st.none(),
        "stop": st.lists(words.filter(bool) | st.just("\\n\\\\n"), max_size=3),
        "rateLimits": limits,
        "triggers": texts,
        "warmup": turns,
        "initContext": turns | st.fixed_dictionaries({"messages": turns}),
        "max_tokens": st.integers(1, 9) | st.none(),
        "keepNames": st.booleans(),
        "useTraits": st.booleans(),
        "newlines": st.sampled_from(["keep", "fold", "first"]),
        "links": marks,
        "markup": marks,
        "maxSimilarity": st.floats(0.001, 1),
        "maxFailures": counts,
        "traits": st.fixed_dictionaries({}, optional={"style": words, "color": json_values}),
        "quantizations": st.dictionaries(names, json_values, max_size=2),
        "mystery": json_values,
        "_note": json_values,
    },
)
server = st.fixed_dictionaries(
    {"ip": st.ip_addresses().map(str)},
    optional={
        "name": names,
        "port": st.integers(1, 65535),
        "enabled": st.booleans(),
        "token": names,
        "weight": st.floats(0.01, 1000),
        "capabilities": st.fixed_dictionaries(
            {}, optional={"maxMemory": st.floats(0.1, 1000), "preferredModels": st.lists(names, max_size=2)}
        ),
    },
)
times = st.integers(1, 10**9) | st.floats(1, 10**6)
documents = st.fixed_dictionaries(
    {},
    optional={
        "version": words | st.integers(),
        "lmStudioServers": st.lists(server, max_size=2, unique_by=(lambda each: each["ip"], lambda each: each.get("name", each["ip"]))),
        "entities": st.lists(entity, max_size=3, unique_by=lambda each: each["id"]),
        "clusterSettings": st.fixed_dictionaries(
            {}, optional={"requestTimeout": times, "breakerPause": times, "maxRetries": st.integers(0, 19)}
        ),
        "globalSettings": st.fixed_dictionaries(
            {},
            optional={
                "rateLimits": limits,
                "defaultModel": names,
                "requireHumanSeconds": counts,
                "globalFilterOut": texts,
                "globalTrimAfter": texts,
                "globalStopSequences": texts,
                "warmup": turns,
                "secondTry": st.booleans(),
            },
        ),
        "retention": st.fixed_dictionaries({}, optional={"messagesDays": st.integers(0, 2**31 - 1), "maxEvents": counts}),
        "botSettings": st.fixed_dictionaries({"pollingInterval": times}),
        "feeds": st.lists(
            st.fixed_dictionaries(
                {"url": names.map("http://{}.example/api".format)},
                optional={
                    "strategy": st.sampled_from(["natural", "weighted"]),
                    "botDecay": st.floats(0, 1),
                    "windowGap": times,
                    "rooms": st.lists(
                        st.fixed_dictionaries(
                            {"domain": names},
                            optional={"maxRepliers": counts | st.none(), "strategy": st.none() | st.just("random"), "silence": times},
                        ),
                        max_size=2,
                        unique_by=lambda room: room["domain"],
                    ),
                },
            ),
            max_size=2,
            unique_by=lambda each: each["url"].lower(),
        ),
    },
)


@example(tree={"botSettings": {"pollingInterval": 223388.27266194797}, "feeds": [{"url": "http://0.example/api"}]})
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tree=documents)
def test_whatever_is_imported_is_exported_and_imported_without_change(db: None, tree: Any) -> None:
    content = json.dumps(tree).encode()
    with transaction.atomic():
        apply(content, "config.json")
        assert apply(content, "config.json").changes == ()
        first = export.text()
        assert apply(first.encode(), "export.json").changes == ()
        assert export.text() == first
        transaction.set_rollback(True)
