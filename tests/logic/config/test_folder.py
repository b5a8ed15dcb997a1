"""Many files as one document: what stands where, and what is wrong in which file."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swwbot_site.config import folder
from swwbot_site.config.document import Document
from swwbot_site.config.folder import Bundle
from swwbot_site.config.problems import DocumentError, Severity

OWL = {"username": "Owl", "color": "001002003", "systemPrompt": "Who?", "rateLimits": {"maxPostsPerHour": 5}}


def bundle(**files: Any) -> Bundle:
    """`__` in a name is `/`, a name without dot gets `.json`; a value is a tree or bytes."""
    named = {name.replace("__", "/").replace("_", "-") + ".json": value for name, value in files.items()}
    return Bundle(
        files=tuple(sorted((name, value if isinstance(value, bytes) else json.dumps(value).encode()) for name, value in named.items()))
    )


def read(**files: Any) -> Document:
    return folder.parse(bundle(**files))


def test_an_entitys_id_is_its_files_name_and_its_prompt_is_novembers() -> None:
    document = read(ai_entities__owl=OWL, ai_entities__uhu={**OWL, "promptFormat": "blob"})
    owl, uhu = document.of("entity")
    assert (owl.name, owl.path, owl.said["prompt_format"], owl.said["keep_names"]) == ("owl", "ai-entities/owl.json: $", "turns", False)
    assert (uhu.name, uhu.said["prompt_format"], "keep_names" in uhu.said) == ("uhu", "blob", False)
    assert owl.assumed["messages_to_read"] == 100
    assert document.problems == ()


def test_settings_of_all_come_from_their_own_file() -> None:
    lists = {"globalFilterOut": ["a"], "globalTrimAfter": ["\\n"], "globalStopSequences": ["\n\nHuman:"]}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    document = read(
        **{"global": {**lists, "initContext": {"messages": turns}}}, config={"version": 7, "globalSettings": {"secondTry": False}}
    )
    (talk,) = document.of("conversation")
    assert talk.said == {
        "filter_out": ("a",),
        "trim_after": ("\n",),
        "stop": ("\n\nHuman:",),
        "warmup": turns,
        "try_again": False,
    }
    assert document.version == "7"
    assert [str(problem) for problem in document.problems] == [
        r"global.json: $.globalTrimAfter[0] is escaped twice: the characters backslash and n are taken as a line break (write \n in the file, not \\n)"
    ]


def test_novembers_keys_are_read_under_their_names() -> None:
    raw = {
        **OWL,
        "max_tokens": 90,
        "initContext": [{"role": "user", "content": "Hi"}],
        "modelServer": "ollama-hm",
        "addVariableToContext": "x",
    }
    document = read(ai_entities__owl=raw)
    (owl,) = document.of("entity")
    assert (owl.said["max_tokens"], owl.said["warmup"]) == (90, [{"role": "user", "content": "Hi"}])
    assert [problem.path.rpartition("$")[2] for problem in document.problems] == [".modelServer", ".addVariableToContext"]
    assert owl.said["extra"] == {"modelServer": "ollama-hm", "addVariableToContext": "x"}


def test_novembers_sampling_is_sent_as_it_is_spelled_and_nothing_that_it_does_not_say() -> None:
    sampling = {"temperature": 0.7, "max_tokens": 500, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "repeat_penalty": 1.1}
    document = read(ai_entities__owl={**OWL, **sampling, "frequency_penalty": 0.0})
    (owl,) = document.of("entity")
    assert owl.said.items() >= {**sampling, "frequency_penalty": 0.0}.items()
    assert (owl.assumed["presence_penalty"], owl.assumed["user_prompt"], document.problems) == (None, "", ())
    both = read(ai_entities__owl={**OWL, "topP": 0.5, "top_p": 0.9})
    assert both.of("entity")[0].said["top_p"] == 0.5
    assert [str(problem) for problem in both.problems] == ["ai-entities/owl.json: $.top_p has no effect: topP says 0.5"]
    (october,) = read(config={"entities": [{**OWL, "id": "owl", "nom": 9}]}).of("entity")
    assert not {"presence_penalty", "user_prompt"} & set(october.assumed)


def test_what_is_no_entity_is_none_among_the_entities_either() -> None:
    voices = {**OWL, "id": "god-mode", "specialHandler": "multiEntityBroadcast", "top_p": 0.3, "synthesisTimeout": 600}
    document = read(
        ai_entities__owl=OWL,
        ai_entities__god_mode=voices,
        ai_entities__eq_score={"id": "eq-score", "max_tokens": 20},
        ai_entities__global={"globalFilterOut": ["Me:"]},
    )
    assert [part.name for part in document.of("entity")] == ["owl"]
    assert document.of("conversation")[0].said == {"filter_out": ("Me:",)}
    assert [problem.path for problem in document.problems] == ["ai-entities/eq-score.json: $", "ai-entities/god-mode.json: $"]
    with pytest.raises(DocumentError, match="says globalFilterOut, which another file says too"):
        read(ai_entities__global={"globalFilterOut": ["Me:"]}, **{"global": {"globalFilterOut": []}})


@pytest.mark.parametrize("slug", ["god-mode", "eq-score", "global", "worker-config"])
def test_an_entity_of_such_a_name_comes_back_from_its_export(slug: str) -> None:
    files = folder.split({"entities": [{**OWL, "id": slug}]})
    back = folder.parse(Bundle(files=tuple((name, text.encode()) for name, text in files.items())))
    assert [part.name for part in back.of("entity")] == [slug]
    assert back.problems == ()


def test_a_quantization_is_called_as_the_file_calls_it() -> None:
    offered = {"f16": {"modelPath": "eternal-f16", "enabled": True}, "q8_0": {"modelPath": ""}}
    raw = {**OWL, "id": "owl", "baseModel": "eternal", "quantizations": offered}
    for wanted, model in (("f16", "eternal-f16"), ("q8_0", "eternal@q8_0"), ("f32", "eternal@f32")):
        (owl,) = read(config={"entities": [{**raw, "defaultQuantization": wanted}]}).of("entity")
        assert owl.said["model"] == model


def test_files_without_a_meaning_here_are_named() -> None:
    document = read(
        worker_config={"workerId": "w1", "backend": {"type": "ollama", "endpoint": "http://a"}, "polling": {"pollHumanAI": True}},
        god_mode={"synthesizePrompt": "{entityResponses}", "ai-entities-to-include": 0},
        eq_score={"max_tokens": 20},
        notes={"a": 1},
    )
    assert [problem.path for problem in document.problems] == [
        "notes.json",
        "eq-score.json: $",
        "god-mode.json: $",
        "worker-config.json: $.workerId",
        "worker-config.json: $.backend.type",
        "worker-config.json: $.backend.endpoint",
        "worker-config.json: $.polling.pollHumanAI",
    ]


def test_every_error_of_every_file_is_told_with_its_file() -> None:
    with pytest.raises(DocumentError) as caught:
        read(ai_entities__owl=b"{", ai_entities__uhu=b"[1]", config=b"\xff", **{"global": {"a": float("nan")}})
    assert [problem.path for problem in caught.value.problems] == [
        "ai-entities/owl.json: $",
        "ai-entities/uhu.json: $",
        "config.json: $",
        "global.json: $",
    ]
    with pytest.raises(DocumentError, match=r"^ai-entities/owl\.json: \$\.temperature is 'hot'"):
        read(ai_entities__owl={**OWL, "temperature": "hot"})


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"config": {}, "config_aientities": {}}, "config-aientities.json stands beside config.json"),
        (
            {"config": {"globalSettings": {"secondTry": True}}, "global": {"secondTry": True}},
            "global.json: $ says secondTry, which another",
        ),
        ({"config": {"globalSettings": 1}}, "config.json: $.globalSettings is 1"),
        ({"config": {"entities": {}}}, "config.json: $.entities is an object"),
        (
            {"config": {"entities": [{**OWL, "id": "owl"}]}, "ai_entities__owl": OWL},
            "ai-entities/owl.json: $ has the id 'owl', like config.json: $.ent",
        ),
        ({"ai_entities__owl": {**OWL, "id": 7}}, "ai-entities/owl.json: $.id is 7"),
        ({"config": {"clusterSettings": 1}}, "config.json: $.clusterSettings is 1"),
    ],
)
def test_what_contradicts_itself_is_an_error(files: dict[str, Any], text: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(**files)
    assert text in str([str(p) for p in caught.value.problems if p.severity is Severity.ERROR]).replace("\\\\", "\\").replace('"', "'")


def test_an_id_unlike_the_files_name_counts_with_a_warning() -> None:
    document = read(ai_entities__owl={**OWL, "id": "crow"})
    assert document.of("entity")[0].name == "crow"
    assert [str(problem) for problem in document.problems] == [
        "ai-entities/owl.json: $.id is 'crow', unlike the file's name; the id counts"
    ]


@given(st.lists(st.text(min_size=1, max_size=100).filter(lambda text: text.strip() == text and "\0" not in text), unique=True, max_size=20))
def test_every_id_gets_a_file_of_its_own_that_any_file_system_takes(ids: list[str]) -> None:
    sound = [slug for slug in ids if slug.encode("utf-8", "ignore").decode() == slug]
    names = [folder.file_name(slug) for slug in sound]
    assert len({name.lower() for name in names}) == len(names)
    for name in names:
        assert len(name) < 120
        assert name.isascii()
        assert not set(name) & set('/\\:*?"<>|')
        assert name[0] != "."


def test_an_export_in_files_is_read_without_a_word() -> None:
    entities = [{**OWL, "id": slug, "promptFormat": "blob"} for slug in ("owl", "Owl", "con/../x", "é" * 60)]
    files = folder.split({"version": "3", "escapes": "literal", "entities": entities})
    assert max(files) == "config.json"
    document = folder.parse(Bundle(files=tuple((name, text.encode()) for name, text in sorted(files.items()))))
    assert {part.name for part in document.of("entity")} == {"owl", "Owl", "con/../x", "é" * 60}
    assert (document.problems, document.version) == ((), "3")
