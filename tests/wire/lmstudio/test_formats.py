"""What each dialect writes and how it reads, held against the reference's literal replies."""

import json
from functools import partial

import pytest

from cluster.lmstudio import design, detection, errors, ollama, openai, v0, v1
from cluster.lmstudio.names import canonical, known, quoted, same
from cluster.lmstudio.values import ChatRequest, Dialect, Endpoint, Instance, State
from cluster.lmstudio.wire import Pause, Reply, Request, headers

MESSAGES = ({"role": "system", "content": "You are Max."}, {"role": "user", "content": "hi"})

V1_LIST = {
    "models": [
        {
            "type": "llm", "publisher": "google", "key": "google/gemma-3-1b", "display_name": "Gemma 3 1B", "architecture": "gemma3_text",
            "quantization": {"name": "4bit", "bits_per_weight": 4}, "size_bytes": 771933305, "params_string": "1B",
            "loaded_instances": [
                {"id": "google/gemma-3-1b", "config": {"context_length": 4096}},
                {"id": "google/gemma-3-1b:2", "config": {"context_length": 8192, "parallel": 4}, "remaining_ttl_seconds": 3600},
            ],
            "max_context_length": 32768, "format": "mlx", "capabilities": {"vision": False, "trained_for_tool_use": False},
            "description": None, "variants": ["google/gemma-3-1b@4bit"], "selected_variant": "google/gemma-3-1b@4bit",
        },
        {
            "type": "embedding", "publisher": "nomic-ai", "key": "nomic", "display_name": "Nomic", "quantization": None,
            "size_bytes": 84106624, "params_string": None, "loaded_instances": [], "max_context_length": 2048, "format": None,
        },
    ]
}  # fmt: skip
V0_LIST = {
    "object": "list",
    "data": [
        {
            "id": "google/gemma-3-1b", "object": "model", "type": "vlm", "publisher": "google", "arch": "gemma3", "compatibility_type": "mlx",
            "quantization": "4bit", "state": "loaded", "max_context_length": 131072, "loaded_context_length": 12918, "capabilities": ["tool_use"],
        },
        {"id": "nomic", "object": "model", "type": "embeddings", "compatibility_type": "gguf", "state": "not-loaded", "max_context_length": 2048},
    ],
}  # fmt: skip


def reply(body, status=200, **named):
    return Reply(status=status, headers=named, body=json.dumps(body).encode())


def held(conversation, *replies):
    """The requests of a conversation that is told these replies, and its result."""
    waiting, asked, step = list(replies), [], conversation.__next__
    while True:
        try:
            ask = step()
        except StopIteration as stop:
            assert not waiting, "it did not ask for every reply"
            return asked, stop.value
        if isinstance(ask, Pause):
            step = partial(conversation.send, Reply(status=0))
            continue
        asked.append(ask)
        told = waiting.pop(0)
        step = partial(conversation.throw if isinstance(told, Exception) else conversation.send, told)


def test_a_chat_is_written_for_every_dialect():
    request = ChatRequest(
        model="m", messages=MESSAGES, max_tokens=40, stop=("\n",), ttl_s=60,
        sampling={"temperature": 0.7, "top_k": 40, "seed": None, "stream": False, "model": "other"},
    )  # fmt: skip
    body = {
        "temperature": 0.7, "top_k": 40, "model": "m", "messages": [dict(message) for message in MESSAGES], "max_tokens": 40, "stop": ["\n"],
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert openai.chats(request) == design.chats(request) == (Request(method="POST", path="/v1/chat/completions", body=body),)
    with_ttl = body | {"ttl": 60}
    assert v1.chats(request) == (Request(method="POST", path="/v1/chat/completions", body=with_ttl),)
    assert [place.path for place in v0.chats(request)] == ["/api/v0/chat/completions", "/v1/chat/completions"]
    assert all(place.body == with_ttl for place in v0.chats(request))


def test_a_bare_chat_leaves_out_what_nobody_set():
    body = openai.chats(ChatRequest(model="m", messages=MESSAGES))[0].body
    assert set(body) == {"model", "messages", "stream", "stream_options"}


def test_a_body_that_json_cannot_say_is_a_bad_request():
    with pytest.raises(errors.BadRequest):
        openai.chats(ChatRequest(model="m", messages=MESSAGES, sampling={"temperature": float("nan")}))[0].encoded()


def test_half_a_character_is_never_sent_for_strict_servers_refuse_the_whole_body():
    said = "half \ud83d, whole \U0001f600, in two \ud83d\ude00, none \\ud83d"
    body = openai.chats(ChatRequest(model="m", messages=({"role": "user", "content": said},)))[0].encoded().decode()
    assert json.loads(body)["messages"][0]["content"] == "half \ufffd, whole 😀, in two 😀, none \\ud83d"


def test_an_empty_end_is_left_out_for_some_servers_end_the_answer_at_once_with_it():
    for ends, sent in (("",), None), (("", "x"), ["x"]):
        chat = ChatRequest(model="m", messages=MESSAGES, stop=ends)
        assert openai.chats(chat)[0].body.get("stop") == sent
        assert ollama.chats(chat)[0].body["options"].get("stop") == sent


def test_the_v1_list_is_read_literally():
    listed = v1.read(reply(V1_LIST))
    gemma, nomic = listed.models
    assert (gemma.key, gemma.kind, gemma.size_bytes, gemma.format, gemma.max_context_length, gemma.params) == (
        "google/gemma-3-1b", "llm", 771933305, "mlx", 32768, "1B",
    )  # fmt: skip
    assert gemma.instances == (
        Instance(id="google/gemma-3-1b", context_length=4096),
        Instance(id="google/gemma-3-1b:2", context_length=8192, parallel=4, ttl_s=3600),
    )
    assert gemma.aliases == ("google/gemma-3-1b@4bit", "google/gemma-3-1b:2")
    assert (nomic.kind, nomic.format, nomic.params, nomic.state, nomic.instances) == ("embedding", "", "", State.NOT_LOADED, ())
    assert listed.find("google/gemma-3-1b@4bit") is gemma
    assert listed.find("Google/Gemma-3-1B:7") is gemma
    assert listed.find("unknown") is None


def test_the_v0_list_is_read_literally():
    listed = v0.read(reply(V0_LIST))
    gemma, nomic = listed.models
    assert (gemma.kind, gemma.state, gemma.max_context_length) == ("vlm", State.LOADED, 131072)
    assert gemma.instances == (Instance(id="google/gemma-3-1b", context_length=12918),)
    assert (nomic.kind, nomic.state, nomic.instances) == ("embedding", State.NOT_LOADED, ())
    assert listed.jit is True


def v1_model(key, *instances):
    return {"key": key, "loaded_instances": [{"id": name, "config": {"context_length": 4096}} for name in instances]}


def v0_model(key, state):
    return {"id": key, "state": state}


@pytest.mark.parametrize(
    ("native", "older", "states", "jit"),
    [
        ([v1_model("a", "a"), v1_model("b")], [v0_model("a", "loaded"), v0_model("b", "not-loaded")], ["loaded", "not-loaded"], True),
        ([v1_model("a", "a"), v1_model("b")], [v0_model("a", "loading"), v0_model("b", "not-loaded")], ["loading", "not-loaded"], True),
        ([v1_model("a", "a"), v1_model("b", "b"), v1_model("c")], [v0_model("a", "loaded")], ["loaded", "loading", "not-loaded"], False),
        ([v1_model("a", "a")], [v0_model("a", "loaded")], ["loaded"], None),
        ([v1_model("a", "a")], [v0_model("a", "not-loaded")], ["loading"], True),
        ([v1_model("a")], [v0_model("a", "loaded")], ["loaded"], None),
        ([v1_model("a", "mine")], [v0_model("mine", "loaded")], ["loaded"], None),
        ([v1_model("a", "a"), v1_model("b")], [v0_model("b", "not-loaded")], ["loaded", "not-loaded"], True),
    ],
)
def test_readiness_comes_from_the_v0_list(native, older, states, jit):
    asked, listed = held(v1.listing(), reply({"models": native}), reply({"data": older}))
    assert [ask.path for ask in asked] == ["/api/v1/models", "/api/v0/models"]
    assert [model.state.value for model in listed.models] == states
    assert listed.jit is jit


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (reply({"error": "Unexpected endpoint or method. (GET /api/v0/models)"}), State.LOADED),
        (Reply(status=500, body=b"<!DOCTYPE html><pre>Internal Server Error</pre>"), State.UNKNOWN),
        (errors.Dropped("cut"), State.UNKNOWN),
    ],
)
def test_without_a_v0_list_instances_count_as_loaded_and_while_it_fails_as_unknown(told, state):
    _, listed = held(v1.listing(), reply({"models": [v1_model("a", "a"), v1_model("b")]}), told)
    assert [model.state for model in listed.models] == [state, State.NOT_LOADED]
    assert listed.models[0].instances[0].state is state


def test_a_v1_load_asks_for_its_configuration_and_reads_it():
    loaded = {
        "type": "llm", "instance_id": "google/gemma-3-4b", "load_time_seconds": 7.248, "status": "loaded",
        "load_config": {"context_length": 131072, "parallel": 4, "reasoning_budget_message": ""},
    }  # fmt: skip
    asked, result = held(v1.load("google/gemma-3-4b", 8192, "llm", 60), reply(loaded))
    body = {"model": "google/gemma-3-4b", "echo_load_config": True, "context_length": 8192}
    assert asked == [Request(method="POST", path="/api/v1/models/load", body=body, once=True)]
    assert (result.instance_id, result.context_length, result.parallel, result.seconds) == ("google/gemma-3-4b", 131072, 4, 7.248)


def test_a_v1_load_drops_the_keys_that_are_not_known_once():
    refused = reply({"error": {"type": "invalid_request", "message": "Unrecognized key(s) in object: 'echo_load_config'"}}, 400)
    asked, result = held(v1.load("m", None, "llm", 60), refused, reply({"instance_id": "m", "status": "loaded"}))
    assert [dict(ask.body) for ask in asked] == [{"model": "m", "echo_load_config": True}, {"model": "m"}]
    assert result.instance_id == "m"
    with pytest.raises(errors.UnknownKey):
        held(v1.load("m", None, "llm", 60), refused, refused)


def test_a_v1_load_of_what_is_loaded_is_a_success():
    _, result = held(v1.load("m", None, "llm", 60), reply({"error": {"message": "Model m is already loaded"}}, 400))
    assert result.already
    assert result.instance_id == "m"


@pytest.mark.parametrize("body", [{}, {"status": "loaded"}, {"instance_id": "m", "status": "downloading"}])
def test_a_v1_load_that_does_not_say_loaded_is_not_believed(body):
    with pytest.raises(errors.Malformed):
        held(v1.load("m", None, "llm", 60), reply(body))


def test_a_v1_unload_names_the_instance_and_takes_not_loaded_for_done():
    asked, _ = held(v1.unload("m:2", "m"), reply({"instance_id": "m:2"}))
    assert asked == [Request(method="POST", path="/api/v1/models/unload", body={"instance_id": "m:2"})]
    gone = {"error": {"type": "model_not_found", "message": "Model with instance identifier 'm:2' is not loaded."}}
    held(v1.unload("m:2", "m"), reply(gone, 404))


def test_a_v0_load_is_a_request_for_one_token():
    asked, result = held(v0.load("m", 8192, "llm", 60), reply({"model": "m:2", "choices": []}))
    assert asked[0].path == "/api/v0/chat/completions"
    assert (asked[0].body["max_tokens"], asked[0].body["ttl"], asked[0].body["stream"], asked[0].once) == (1, 60, False, True)
    assert result.instance_id == "m:2"
    asked, _ = held(v0.load("e", None, "embedding", 60), reply({"model": "e", "data": []}))
    assert (asked[0].path, asked[0].body) == ("/api/v0/embeddings", {"model": "e", "input": ["."], "ttl": 60})
    with pytest.raises(errors.WrongModel):
        held(v0.load("m", None, "llm", 60), reply({"model": "other"}))


def design_list(loaded):
    return reply({"data": [{"id": "m", "object": "model", "owned_by": "user", "permissions": [], "loaded": loaded}]})


def test_a_design_load_counts_only_when_the_list_says_so():
    asked, result = held(design.load("m", 8192, "llm", 60), Reply(status=204), design_list(False), design_list(True))
    config = {"keep_in_memory": True, "context_length": 8192}
    assert asked[0] == Request(method="POST", path="/v1/models/load", body={"model": "m", "config": config}, once=True)
    assert [ask.path for ask in asked[1:]] == ["/v1/models", "/v1/models"]
    assert result.instance_id == "m"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([reply({"error": "Unexpected endpoint or method. (POST /v1/models/load)"})], errors.CapabilityMissing),
        ([reply({}), reply({"data": [{"id": "other", "loaded": True}]})], errors.ModelMissing),
        ([reply({}), reply({"data": [{"id": "m"}]})], errors.CapabilityMissing),
    ],
)
def test_a_design_load_does_not_trust_a_bare_200(told, kind):
    with pytest.raises(kind):
        held(design.load("m", None, "llm", 60), *told)


def test_a_design_unload_sends_the_model_and_waits_for_the_list():
    asked, _ = held(design.unload("m", "m"), reply({}), design_list(True), design_list(False))
    assert asked[0] == Request(method="POST", path="/v1/models/unload", body={"model": "m"})


def test_the_design_list_without_a_flag_is_unknown():
    states = [model.state for loaded in (True, False, None) for model in design.read(design_list(loaded)).models]
    assert states == [State.LOADED, State.NOT_LOADED, State.UNKNOWN]


@pytest.mark.parametrize("speech", [openai, v0])
def test_a_dialect_without_unload_says_so(speech):
    with pytest.raises(errors.CapabilityMissing):
        held(speech.unload("m", "m"))


def test_the_openai_list_knows_nothing_of_memory():
    body = {
        "object": "list",
        "data": [{"id": "m.gguf", "aliases": ["m"], "owned_by": "llamacpp", "meta": {"n_ctx": 4096, "size": 99}}],
        "models": [],
    }
    (model,) = openai.read(reply(body)).models
    assert (model.key, model.state, model.instances, model.aliases, model.size_bytes, model.max_context_length) == (
        "m.gguf", State.UNKNOWN, (), ("m",), 99, 4096,
    )  # fmt: skip
    assert held(openai.load("m", 1, "llm", 1)) == ([], held(openai.load("m", 1, "llm", 1))[1])


def test_embeddings_are_sorted_and_complete():
    rows = [{"embedding": [3, 4.5], "index": 1}, {"embedding": [1, 2], "index": 0}]
    asked, result = held(
        openai.vectors("e", ["x", "y"], None, {"dimensions": 2}), reply({"data": rows, "model": "e", "usage": {"prompt_tokens": 7}})
    )
    assert asked == [Request(method="POST", path="/v1/embeddings", body={"dimensions": 2, "model": "e", "input": ["x", "y"]})]
    assert (result.vectors, result.prompt_tokens) == (((1.0, 2.0), (3.0, 4.5)), 7)
    for bad in ([], rows[:1], [{"embedding": ["a"], "index": 0}, rows[0]], [{"embedding": []}, {"embedding": [1]}]):
        with pytest.raises(errors.Malformed):
            held(openai.vectors("e", ["x", "y"], None, {}), reply({"data": bad, "model": "e"}))


NOWHERE = reply({"error": "Unexpected endpoint or method. (GET /x)"})
NOT_FOUND = reply({"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}, 404)
AWAY = Reply(status=302, headers={"location": "https://cloud/login"})
TAGS = {
    "models": [
        {
            "name": "gemma3:latest", "model": "gemma3:latest", "size": 3338801804, "digest": "a2af6cc3eb7f",
            "details": {"format": "gguf", "family": "gemma3", "parameter_size": "4.3B", "quantization_level": "Q4_K_M"},
        },
        {"name": "nomic-embed-text:v1.5", "size": 274302450, "digest": "0a109f422b47", "details": {"family": "nomic-bert"}},
        {"name": "gpt-oss:120b-cloud", "size": 384, "digest": "569662207105", "remote_model": "gpt-oss:120b"},
    ]
}  # fmt: skip
SICK = Reply(status=500, body=b"<!DOCTYPE html><pre>Internal Server Error</pre>")


def owned(owner, **more):
    return reply({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": owner, **more}]})


@pytest.mark.parametrize(
    ("replies", "dialect", "product", "jit"),
    [
        ([reply(V1_LIST), reply(V0_LIST)], Dialect.LMSTUDIO_V1, "lm-studio", True),
        ([reply(V1_LIST), NOWHERE], Dialect.LMSTUDIO_V1, "lm-studio", None),
        ([reply({"models": []}), reply({"data": []})], Dialect.LMSTUDIO_V1, "lm-studio", None),
        ([NOWHERE, reply(V0_LIST)], Dialect.LMSTUDIO_V0, "lm-studio", True),
        ([NOWHERE, reply({"data": [], "object": "list"})], Dialect.LMSTUDIO_V0, "lm-studio", None),
        ([NOT_FOUND, NOT_FOUND, owned("user", loaded=True)], Dialect.DESIGN, "", None),
        ([NOWHERE, NOWHERE, owned("organization_owner")], Dialect.OPENAI, "lm-studio", None),
        ([NOT_FOUND, NOT_FOUND, owned("llamacpp")], Dialect.LLAMACPP, "llama-server", None),
        ([NOT_FOUND, NOT_FOUND, owned("llamacpp", status={"value": "loaded"})], Dialect.LLAMACPP_ROUTER, "llama-server-router", None),
        ([NOT_FOUND, NOT_FOUND, owned("vllm")], Dialect.VLLM, "vllm", None),
        ([NOT_FOUND, NOT_FOUND, reply({"data": [{"id": "m"}]}, server="llama.cpp")], Dialect.LLAMACPP, "llama-server", None),
        ([NOT_FOUND, NOT_FOUND, reply({"data": []}, Server="llama.cpp")], Dialect.LLAMACPP_ROUTER, "llama-server-router", None),
        ([NOT_FOUND, NOT_FOUND, owned("me")], Dialect.OPENAI, "llama-cpp-python", None),
        ([NOT_FOUND, NOT_FOUND, reply({"data": [{"id": "m"}]}, server="BaseHTTP/0.6 Python/3.12")], Dialect.OPENAI, "mlx-lm", None),
        ([NOT_FOUND, NOT_FOUND, owned("koboldcpp")], Dialect.OPENAI, "koboldcpp", None),
        ([reply({"data": [{"id": "m"}]}), NOT_FOUND, owned("lemonade"), NOT_FOUND], Dialect.OPENAI, "", None),
        ([SICK, SICK, owned("gateway"), reply({"version": "1"}), NOT_FOUND], Dialect.OPENAI, "", None),
        ([AWAY, AWAY, owned("cloud"), AWAY], Dialect.OPENAI, "", None),
        ([NOT_FOUND, NOT_FOUND, owned("library"), reply({"version": "0.13.5"}), reply(TAGS)], Dialect.OLLAMA, "ollama", True),
        (
            [NOT_FOUND, NOT_FOUND, reply({"data": None}), reply({"version": "0.13.5"}), reply({"models": None})],
            Dialect.OLLAMA,
            "ollama",
            True,
        ),
        ([NOT_FOUND, NOT_FOUND, owned("x"), reply({"version": "1"}), reply({"models": [{"name": "m"}]})], Dialect.OPENAI, "", None),
    ],
)
def test_detection_follows_the_order_of_the_reference(replies, dialect, product, jit):
    asked, found = held(detection.detect(), *replies)
    order = ["/api/v1/models", "/api/v0/models", "/v1/models", "/api/version", "/api/tags"]
    assert [ask.path for ask in asked] == order[: len(replies)]
    assert (found.dialect, found.product, found.jit) == (dialect, product, jit)
    assert found.reason


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([reply({"error": {"message": "token", "code": "invalid_api_key"}}, 401)], errors.Misconfigured),
        ([reply({"error": {"message": "Loading model", "code": 503}}, 503)], errors.StillLoading),
        ([SICK, reply(V0_LIST)], errors.Hiccup),
        ([SICK, SICK, owned("organization_owner")], errors.Hiccup),
        ([NOWHERE, NOWHERE, NOWHERE], errors.CapabilityMissing),
        ([NOT_FOUND, NOT_FOUND, reply({"hello": "world"})], errors.Malformed),
        ([errors.Unreachable("refused")], errors.Unreachable),
    ],
)
def test_detection_does_not_degrade_what_is_only_sick_or_closed(replies, kind):
    with pytest.raises(kind):
        held(detection.detect(), *replies)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("google/gemma-3-4b", "google/gemma-3-4b:2", True),
        ("google/gemma-3-4b", "google/gemma-3-4b@q4_k_m", True),
        ("google/gemma-3-4b@4bit:3", "Google/Gemma-3-4B", True),
        ("google/gemma-3-4b", "google/gemma-3-12b", False),
        ("llama3:8b", "llama3:70b", False),
    ],
)
def test_names_of_one_model_are_the_same(one, other, equal):
    assert same(one, other) is equal
    assert known(one, ("x", other)) is equal
    assert (canonical(one) == canonical(other)) is equal


def test_a_key_is_one_path_segment():
    assert quoted("google/gemma 3") == "google%2Fgemma%203"


def test_an_endpoint_is_forgiving_about_its_address_and_silent_about_its_token():
    for url in ("http://mac:1234", "http://mac:1234/", "http://mac:1234/v1", " http://mac:1234/v1/ "):
        assert Endpoint(url=url).base == "http://mac:1234"
    assert Endpoint(url="http://me:pass@mac:1234/lm/v1").where == "mac:1234/lm"
    assert "secret" not in repr(Endpoint(url="http://mac", token="secret"))
    with pytest.raises(ValueError, match="nonsense"):
        Endpoint(url="http://mac", dialect="nonsense")


def test_a_token_that_no_header_can_carry_is_a_configuration_error():
    assert headers(" sk-1\n")["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in headers("")
    for token in ("a\nb", "ключ"):
        with pytest.raises(errors.Misconfigured) as caught:
            headers(token)
        assert token not in str(caught.value)
