"""What the dialects of the rivals write and how they read, held against the reference's literal replies."""

import json

import pytest

from cluster.lmstudio import dialects, errors, llamacpp, ollama, openai, router, vllm
from cluster.lmstudio.names import dated, same
from cluster.lmstudio.ndjson import Reader
from cluster.lmstudio.options import body as worded
from cluster.lmstudio.options import options
from cluster.lmstudio.values import ChatRequest, CompletionRequest, Dialect, Instance, State
from cluster.lmstudio.wire import Reply, Request
from tests.wire.lmstudio.test_formats import MESSAGES, NOT_FOUND, TAGS, held, reply

PS = {
    "models": [
        {
            "name": "gemma3:latest", "model": "gemma3:latest", "size": 6591830464, "digest": "a2af6cc3eb7f",
            "details": {"format": "gguf", "parameter_size": "4.3B"}, "expires_at": "2318-12-12T17:47:07Z", "size_vram": 5333539264,
            "context_length": 8192,
        }
    ]
}  # fmt: skip
LOADED = {"model": "gemma3", "created_at": "2026-11-22T10:00:00Z", "response": "", "done": True, "done_reason": "load"}
LLAMA_LIST = {
    "object": "list",
    "models": [{"name": "gemma", "model": "gemma"}],
    "data": [
        {
            "id": "/models/gemma-3-4b-Q4_K_M.gguf", "aliases": ["gemma"], "tags": [], "object": "model", "owned_by": "llamacpp",
            "meta": {"n_ctx": 4096, "n_ctx_train": 131072, "n_params": 4300000000, "size": 2489894912},
        }
    ],
}  # fmt: skip
PROPS = {"default_generation_settings": {"n_ctx": 2048, "params": {}}, "total_slots": 2, "model_path": "/models/x.gguf"}


def routed(*models, **status):
    return reply(
        {"object": "list", "data": [{"id": name, "owned_by": "llamacpp", "status": {"value": value} | status} for name, value in models]}
    )


def test_a_chat_for_ollama_names_its_context_and_keeps_the_model():
    request = ChatRequest(
        model="gemma3", messages=MESSAGES, max_tokens=40, stop=("\n",), context_length=8192,
        sampling={"temperature": 0.7, "top_k": 40, "seed": None, "num_ctx": 99, "num_gpu": 1, "stream_options": {}, "response_format": {"type": "json_object"}},
    )  # fmt: skip
    body = {
        "model": "gemma3", "messages": [dict(message) for message in MESSAGES], "stream": True, "keep_alive": -1, "truncate": False, "format": "json",
        "options": {"temperature": 0.7, "top_k": 40, "num_predict": 40, "stop": ["\n"], "num_ctx": 8192},
    }  # fmt: skip
    assert ollama.chats(request) == (Request(method="POST", path="/api/chat", body=body),)
    assert "num_ctx" not in options({}, None)


def test_thinking_and_schemas_and_pictures_are_written_as_ollama_wants_them():
    schema = {"type": "object"}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    asked = ChatRequest(
        model="m", messages=({"role": "user", "content": parts},), sampling={"response_format": form, "reasoning_effort": "none"}
    )
    body = ollama.chats(asked)[0].body
    assert (body["format"], body["think"], body["options"]) == (schema, False, {})
    assert body["messages"] == [{"role": "user", "content": "what is it?", "images": ["AAAA"]}]
    elsewhere = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://pictures/1.png"}}]}
    with pytest.raises(errors.BadRequest):
        ollama.chats(ChatRequest(model="m", messages=(elsewhere,)))


def test_the_lists_of_ollama_are_read_literally():
    asked, listed = held(ollama.listing(), reply(TAGS), reply(PS))
    assert [ask.path for ask in asked] == ["/api/tags", "/api/ps"]
    gemma, nomic = listed.models
    assert (gemma.key, gemma.aliases, gemma.size_bytes, gemma.format, gemma.params, gemma.kind) == (
        "gemma3", ("gemma3:latest",), 3338801804, "gguf", "4.3B", "llm",
    )  # fmt: skip
    assert gemma.instances == (Instance(id="gemma3", context_length=8192, memory_bytes=5333539264),)
    assert (nomic.key, nomic.kind, nomic.state) == ("nomic-embed-text:v1.5", "embedding", State.NOT_LOADED)
    assert listed.find("gemma3:latest") is gemma
    assert listed.jit


def test_a_model_that_was_deleted_while_in_memory_is_still_listed():
    _, listed = held(ollama.listing(), reply({"models": None}), reply(PS))
    assert [(model.key, model.state) for model in listed.models] == [("gemma3", State.LOADED)]


def test_an_ollama_without_a_list_of_what_runs_is_too_old():
    with pytest.raises(errors.CapabilityMissing, match=r"0\.1\.38"):
        held(ollama.listing(), reply(TAGS), Reply(status=404, body=b"404 page not found"))


def test_a_load_of_ollama_asks_for_no_words_and_is_believed_when_the_list_says_so():
    asked, result = held(ollama.load("gemma3:latest", 8192, "llm", 60), reply(LOADED), reply(PS))
    body = {"model": "gemma3:latest", "keep_alive": -1, "options": {"num_ctx": 8192}, "stream": False}
    assert asked[0] == Request(method="POST", path="/api/generate", body=body, once=True)
    assert (result.instance_id, result.context_length) == ("gemma3", 8192)
    with pytest.raises(errors.LoadCanceled):
        held(ollama.load("gemma3", None, "llm", 60), reply(LOADED), reply({"models": []}))
    with pytest.raises(errors.Malformed):
        held(ollama.load("gemma3", None, "llm", 60), reply({"hello": "world"}))


def test_an_unload_of_ollama_is_a_load_that_lasts_no_time():
    unloaded = {**LOADED, "done_reason": "unload"}
    asked, _ = held(ollama.unload("gemma3", "gemma3"), reply(unloaded))
    assert asked[0].body == {"model": "gemma3", "keep_alive": 0, "stream": False}
    held(ollama.unload("x", "x"), reply({"error": "model 'x' not found"}, 404))
    refused = reply({"error": '"nomic" does not support generate'}, 400)
    asked, _ = held(ollama.unload("nomic", "nomic"), refused, reply({"model": "nomic", "embeddings": []}))
    assert [ask.path for ask in asked] == ["/api/generate", "/api/embed"]
    with pytest.raises(errors.Unavailable):
        held(ollama.unload("gemma3", "gemma3"), reply({"error": "something"}, 500))


LINES = [
    {"model": "gemma3", "message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
    {"model": "gemma3", "message": {"role": "assistant", "content": "Grüße"}, "done": False},
    {
        "model": "gemma3", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "length", "total_duration": 9,
        "prompt_eval_count": 7, "eval_count": 20, "eval_duration": 500000000,
    },
]  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_lines_are_read_in_any_pieces_and_told_on_in_the_shape_of_openai(step):
    raw = "\n".join(json.dumps(line, ensure_ascii=False) for line in LINES).encode()
    reader, values = Reader(), []
    for start in range(0, len(raw), step):
        values += reader.feed(raw[start : start + step])
    values += reader.close()
    assert [value["choices"][0]["delta"] for value in values] == [
        {"content": "", "reasoning": "hm"},
        {"content": "Grüße", "reasoning": ""},
        {"content": "", "reasoning": ""},
    ]
    assert [value["choices"][0]["finish_reason"] for value in values] == [None, None, "length"]
    assert (values[-1]["usage"], values[-1]["timings"]) == ({"prompt_tokens": 7, "completion_tokens": 20}, {"predicted_per_second": 40.0})
    assert (reader.done, reader.body) == (True, "")


def test_what_is_no_line_of_json_is_kept_and_an_error_is_told_on():
    reader = Reader()
    assert reader.feed(b'{"error":"out of memory"}\n<html>\n') == [{"error": "out of memory"}]
    assert (reader.close(), reader.body, reader.done) == ([], "<html>", False)


def test_the_list_of_llama_server_is_read_literally():
    asked, listed = held(llamacpp.listing(), reply(LLAMA_LIST), reply(PROPS))
    assert [ask.path for ask in asked] == ["/v1/models", "/props"]
    (model,) = listed.models
    assert (model.key, model.aliases, model.size_bytes, model.max_context_length, model.format) == (
        "/models/gemma-3-4b-Q4_K_M.gguf", ("gemma", "gemma-3-4b-Q4_K_M"), 2489894912, 131072, "gguf",
    )  # fmt: skip
    assert model.instances == (Instance(id=model.key, context_length=2048, parallel=2),)


@pytest.mark.parametrize("told", [NOT_FOUND, reply({"error": {"message": "This server does not support props"}}, 501)])
def test_llama_server_without_props_has_the_context_of_its_list(told):
    (model,) = held(llamacpp.listing(), reply(LLAMA_LIST), told)[1].models
    assert model.instances == (Instance(id=model.key, context_length=4096),)


def test_the_list_of_a_router_is_read_literally():
    states = [("a", "unloaded"), ("b", "loading"), ("c", "loaded"), ("d", "sleeping"), ("e", "downloading"), ("f", "new in 2027")]
    asked, listed = held(router.listing(), routed(*states), reply(PROPS), reply({"error": {"message": "model is not loaded"}}, 400))
    assert [ask.path for ask in asked] == ["/models", "/props?model=c&autoload=false", "/props?model=d&autoload=false"]
    assert [model.state for model in listed.models] == [
        State.NOT_LOADED, State.LOADING, State.LOADED, State.LOADED, State.NOT_LOADED, State.UNKNOWN,
    ]  # fmt: skip
    assert listed.find("c").instances == (Instance(id="c", context_length=2048, parallel=2),)
    assert listed.find("d").instances == (Instance(id="d"),)


def test_a_chat_never_makes_a_router_load():
    (place,) = router.chats(ChatRequest(model="m", messages=MESSAGES))
    assert place.path == "/v1/chat/completions?autoload=false"


ALREADY = reply({"error": {"code": 400, "message": "model is already running", "type": "invalid_request_error"}}, 400)
SUCCESS = reply({"success": True})


@pytest.mark.parametrize(("told", "already"), [(SUCCESS, False), (ALREADY, True)])
def test_a_load_of_a_router_is_over_when_the_list_says_so(told, already):
    asked, result = held(router.load("m", 8192, "llm", 60), told, routed(("m", "loading")), routed(("m", "loaded")), reply(PROPS))
    assert asked[0] == Request(method="POST", path="/models/load", body={"model": "m"}, once=True)
    assert (result.instance_id, result.context_length, result.parallel, result.already) == ("m", 2048, 2, already)


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([SUCCESS, routed(("m", "unloaded"), failed=True, exit_code=137)], errors.EngineFailed),
        ([SUCCESS, routed(("m", "loading")), routed(("m", "unloaded"))], errors.LoadCanceled),
        ([SUCCESS, routed(("other", "loaded"))], errors.ModelMissing),
        ([reply({"error": {"message": "model is not found", "code": 404}}, 404)], errors.ModelMissing),
        ([NOT_FOUND, routed(("other", "loaded"))], errors.ModelMissing),
        ([NOT_FOUND, reply({"data": [{"id": "m"}]})], errors.CapabilityMissing),
        ([NOT_FOUND, NOT_FOUND], errors.CapabilityMissing),
        ([reply({})], errors.Malformed),
    ],
)
def test_a_load_of_a_router_that_is_not_one_is_not_believed(told, kind):
    with pytest.raises(kind):
        held(router.load("m", None, "llm", 60), *told)


@pytest.mark.parametrize("said", ["model is not running", "model is not found"])
def test_an_unload_of_what_a_router_does_not_run_is_a_success(said):
    asked, _ = held(router.unload("m", "m"), reply({"error": {"code": 400, "message": said}}, 400))
    assert asked == [Request(method="POST", path="/models/unload", body={"model": "m"})]


def test_the_list_of_vllm_is_read_literally():
    data = [
        {"id": "chat", "object": "model", "owned_by": "vllm", "root": "google/gemma-3-4b-it", "parent": None, "max_model_len": 8192},
        {"id": "pirate", "object": "model", "owned_by": "vllm", "root": "/adapters/pirate", "parent": "chat", "max_model_len": None},
    ]
    asked, listed = held(vllm.listing(), reply({"object": "list", "data": data}))
    base, adapter = listed.models
    assert [ask.path for ask in asked] == ["/v1/models"]
    assert (base.key, base.aliases, base.max_context_length, base.state) == ("chat", ("google/gemma-3-4b-it",), 8192, State.LOADED)
    assert base.instances == (Instance(id="chat", context_length=8192),)
    assert (adapter.key, adapter.aliases) == ("pirate", ())


def test_clouds_name_the_length_of_the_context_each_in_their_own_way():
    data = [{"id": "a", "context_length": 1}, {"id": "b", "context_window": 2}, {"id": "c", "max_context_length": 3}, {"id": "d"}]
    assert [model.max_context_length for model in openai.read(reply({"data": data})).models] == [1, 2, 3, None]


def test_a_request_is_pared_of_what_its_server_does_not_know():
    request = openai.chat(ChatRequest(model="m", messages=MESSAGES, max_tokens=9, sampling={"top_k": 40}))
    assert set(openai.pared(request, ("top_k",)).body) == set(request.body) - {"top_k"}
    assert openai.pared(request, ("max_tokens",)).body["max_completion_tokens"] == 9
    assert openai.pared(request, ("model", "stream", "nothing")) is None


@pytest.mark.parametrize(
    ("name", "wanted", "equal"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o", True),
        ("claude-sonnet-20250514", "claude-sonnet", True),
        ("gpt-4-0613", "gpt-4", True),
        ("gemini-2.0-flash-001", "gemini-2.0-flash", True),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-4", "gpt-4-0613", False),
        ("llama-3-70b", "llama-3", False),
    ],
)
def test_a_snapshot_is_its_model(name, wanted, equal):
    assert dated(name, (wanted,)) is equal


def test_the_latest_tag_is_no_other_model():
    assert same("gemma3:latest", "gemma3")
    assert not same("gemma3:12b", "gemma3")


def test_every_dialect_has_a_manner_and_says_who_decides_what_is_in_memory():
    assert set(dialects.MANNERS) == set(Dialect)
    told = {d.value: (dialects.fixed(d), dialects.evicts_alone(d), dialects.unloads(d), dialects.at_most(d)) for d in Dialect}
    assert told == {
        "lmstudio-v1": (False, False, True, None),
        "lmstudio-v0": (False, True, False, 1),
        "openai": (True, False, False, None),
        "ollama": (False, True, True, 3),
        "llamacpp": (True, False, False, None),
        "llamacpp-router": (False, True, True, 4),
        "vllm": (True, False, False, None),
        "design": (False, False, True, None),
    }
    assert (dialects.fixed(""), dialects.evicts_alone(""), dialects.unloads(""), dialects.at_most("")) == (False, False, False, None)


def wished(*messages, **sampling):
    return worded(ChatRequest(model="m", messages=messages or ({"role": "user", "content": "x"},), sampling=sampling))


CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
TOOLS = [{"type": "function", "function": {"name": "look_up"}}]


def test_a_conversation_with_tools_is_told_in_ollamas_words():
    calls, result = {"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "7"}
    told = wished({"role": "developer", "content": "Be brief"}, calls, result, tools=TOOLS)
    assert [one["role"] for one in told["messages"]] == ["system", "assistant", "tool"]
    assert told["messages"][1]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": {"word": "x"}}
    assert told["messages"][2]["tool_name"] == "look_up"
    assert told["tools"] == TOOLS
    assert "tools" not in wished(tools=TOOLS, tool_choice="none")
    for arguments in ("[]", "x", 7):
        with pytest.raises(errors.BadRequest):
            wished({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]})


@pytest.mark.parametrize(
    ("sampling", "named"),
    [
        ({"n": 2}, "n = 2"),
        ({"tools": TOOLS, "tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"logit_bias": {"7": 1}}, "logit_bias"),
        ({"functions": [{"name": "f"}]}, "functions"),
    ],
)
def test_what_ollama_has_no_words_for_is_said(sampling, named):
    with pytest.raises(errors.Unable, match=named) as caught:
        wished(**sampling)
    assert isinstance(caught.value, errors.CapabilityMissing)
    with pytest.raises(errors.Unable, match="input_audio"):
        wished({"role": "user", "content": [{"type": "input_audio"}]})
    assert wished(n=1, logit_bias={}, logprobs=True)["top_logprobs"] == 0


def test_a_bare_text_is_asked_for_without_a_template():
    request = CompletionRequest(model="m", prompt="Once", fields={"temperature": 1}, max_tokens=5, stop=("x",), context_length=8192)
    (asked,) = ollama.completions(request)
    assert (asked.path, asked.body) == (
        "/api/generate",
        {
            "model": "m", "prompt": "Once", "raw": True, "stream": True, "keep_alive": -1, "truncate": False,
            "options": {"temperature": 1, "num_predict": 5, "stop": ["x"], "num_ctx": 8192},
        },
    )  # fmt: skip
    for name, value in {"suffix": "end", "echo": True, "logprobs": 2, "best_of": 3}.items():
        with pytest.raises(errors.Unable, match=name):
            ollama.completions(CompletionRequest(model="m", prompt="Once", fields={name: value}))


def test_a_completion_goes_where_the_dialect_has_it():
    request = CompletionRequest(model="m", prompt="Once", names=("n",), ttl_s=7)
    paths = {str(dialect): [place.path for place in dialects.MANNERS[dialect].places(request)] for dialect in Dialect}
    assert paths.pop("lmstudio-v0") == ["/api/v0/completions", "/v1/completions"]
    assert paths.pop("llamacpp-router") == ["/v1/completions?autoload=false"]
    assert paths.pop("ollama") == ["/api/generate"]
    assert set(map(tuple, paths.values())) == {("/v1/completions",)}
    assert openai.completion(request).body == {
        "model": "m", "prompt": "Once", "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_calls_in_ollamas_stream_become_openais():
    def line(**message):
        said = {"role": "assistant", "content": ""} | message
        return {"model": "m", "created_at": "2026-11-23T10:00:00Z", "message": said, "done": False}

    call = {"function": {"name": "f", "arguments": {"a": [1]}}}
    lines = [line(tool_calls=[call]), line(tool_calls=[call, call | {"id": "mine"}]), line() | {"done": True, "done_reason": "stop"}]
    reader = Reader()
    values = reader.feed("\n".join(map(json.dumps, lines)).encode() + b"\n")
    calls = [one for value in values for one in value["choices"][0]["delta"].get("tool_calls", ())]
    assert [one["index"] for one in calls] == [0, 1, 2]
    assert [json.loads(one["function"]["arguments"]) for one in calls] == [{"a": [1]}] * 3
    assert len({one["id"] for one in calls}) == 3
    assert calls[2]["id"] == "mine"
    assert values[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_odds_of_tokens_are_told_on():
    odds = [{"token": "x", "logprob": -0.5}]
    (value,) = Reader().feed(json.dumps(LINES[1] | {"logprobs": odds}).encode() + b"\n")
    assert value["choices"][0]["logprobs"] == {"content": odds}
