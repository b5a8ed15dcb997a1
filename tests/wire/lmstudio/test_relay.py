"""The client as the gateway uses it: the values of a stream passed on as they come, against emulators of every dialect and bare sockets."""

import asyncio
import json
from contextlib import aclosing

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.emulator.acting import WORD
from cluster.lmstudio.values import ChatOutcome, ChatRequest, CompletionRequest, Endpoint, Timeouts
from swwbot_site.gateway.assembly import Whole
from swwbot_site.gateway.wishes import Kind
from tests.wire.lmstudio.conftest import DIALECTS, RIVALS
from tests.wire.lmstudio.helpers import EMBED, GEMMA, QUICK, Script, asked, chunk, plain, saying
from tests.wire.lmstudio.test_raw import stream

MODELS = (f"{GEMMA}:3.3", f"{EMBED}:0.1")
PROFILES = tuple(DIALECTS | RIVALS)
OWN_CHOICES = ("openai", "vllm", "llamacpp")
TOOLS = [
    {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}}
]


@pytest.fixture
def server(serve, client):
    """Starts an emulator with the model in memory."""

    async def start(profile="0.4.25", **options):
        emulator, endpoint = await serve(profile, models=MODELS, **options)
        if profile in ("0.4.0", "0.4.25", "design", "ollama", "llamacpp-router"):
            await client.load(endpoint, GEMMA, timeouts=QUICK)
        return emulator, endpoint

    return start


async def relayed(client, endpoint, request, timeouts=QUICK, into=None):
    """The values that came, and the outcome."""
    values = [] if into is None else into
    async with aclosing(client.relay(endpoint, request, timeouts)) as pieces:
        async for piece in pieces:
            if isinstance(piece, ChatOutcome):
                return values, piece
            values.append(piece)
    raise AssertionError("no outcome")


async def failing(client, endpoint, request, kind, timeouts=QUICK):
    """The error and the values that came before it."""
    values = []
    with pytest.raises(kind) as caught:
        await relayed(client, endpoint, request, timeouts, values)
    return caught.value, values


def put(values, kind=Kind.CHAT):
    whole = Whole(id="x", model="m", created=0, kind=kind)
    for value in values:
        whole.take(value)
    return whole.completion()


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_chat_is_passed_on_value_by_value(client, server, profile):
    _, endpoint = await server(profile)
    values, outcome = await relayed(client, endpoint, asked(max_tokens=5))
    whole = put(values)
    assert whole["choices"][0]["message"]["content"] == outcome.text != ""
    assert whole["choices"][0]["finish_reason"] == outcome.finish_reason == "length"
    assert whole["usage"]["completion_tokens"] == outcome.completion_tokens == 5
    assert len(values) > 5


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_bare_text_goes_on(client, server, profile):
    emulator, endpoint = await server(profile)
    request = CompletionRequest(model=GEMMA, prompt="Once upon a penguin", fields={"temperature": 0.5, "seed": None}, max_tokens=4)
    values, outcome = await relayed(client, endpoint, request)
    whole = put(values, Kind.COMPLETION)
    assert whole["choices"][0]["text"] == outcome.text != ""
    assert (outcome.completion_tokens, outcome.finish_reason) == (4, "length")
    assert emulator.state["counters"]["answered"] == 1


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_tool_is_called(client, server, profile):
    _, endpoint = await server(profile)
    values, outcome = await relayed(client, endpoint, asked(said=f"{WORD} please", sampling={"tools": TOOLS, "tool_choice": "auto"}))
    (choice,) = put(values)["choices"]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], outcome.finish_reason, outcome.text) == ("tool_calls", "tool_calls", "")
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("look_up", {"word": "penguin"})
    assert call["id"]
    assert outcome.first_token_s is not None


@pytest.mark.parametrize("profile", PROFILES)
async def test_the_result_of_a_tool_is_told_and_answered(client, server, profile):
    _, endpoint = await server(profile)
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "x"}'}}
    messages = (
        {"role": "user", "content": WORD},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "7"},
    )
    _, outcome = await relayed(client, endpoint, ChatRequest(model=GEMMA, messages=messages, sampling={"tools": TOOLS}))
    assert outcome.text


@pytest.mark.parametrize("profile", PROFILES)
async def test_an_answer_has_the_wanted_shape(client, server, profile):
    _, endpoint = await server(profile)
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    _, outcome = await relayed(client, endpoint, asked(sampling={"response_format": form}))
    assert set(json.loads(outcome.text)) == {"name", "age"}


@pytest.mark.parametrize("profile", PROFILES)
async def test_several_answers_are_several_choices_where_the_server_gives_them(client, server, profile):
    emulator, endpoint = await server(profile)
    request = asked(sampling={"n": 3, "logprobs": True}, max_tokens=3)
    if profile == "ollama":
        error, _ = await failing(client, endpoint, request, errors.Unable)
        assert "n = 3" in str(error)
        return
    values, outcome = await relayed(client, endpoint, request)
    choices = put(values)["choices"]
    assert len(choices) == (3 if profile in OWN_CHOICES or profile in ("design", "llamacpp-router") else 1)
    assert choices[0]["message"]["content"] == outcome.text
    assert all(one["finish_reason"] == "length" for one in choices)
    assert (choices[0]["logprobs"] is not None) == (len(choices) == 3)
    assert emulator.work.machine.running == 0


BEFORE = [("wrong-model", errors.WrongModel), ("drop", errors.Dropped), ("unavailable", errors.Unavailable), ("busy", errors.RateLimited)]


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.25", "openai", "ollama", "llamacpp-router"])
@pytest.mark.parametrize(("fault", "kind"), BEFORE)
async def test_what_fails_before_the_first_token_has_handed_nothing_out(client, server, profile, fault, kind):
    emulator, endpoint = await server(profile)
    emulator.set(fault=fault)
    error, values = await failing(client, endpoint, asked(), kind)
    assert (error.started, values, error.where) == (False, [], endpoint.where)


AFTER = [("crash", errors.PeerError), ("unload", errors.PeerError), ("reset", errors.Dropped), ("silent-cut", errors.Truncated)]


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.25", "openai", "ollama"])
@pytest.mark.parametrize(("fault", "kind"), AFTER)
async def test_what_fails_after_it_says_so(client, server, profile, fault, kind):
    emulator, endpoint = await server(profile)
    emulator.set(fault=fault)
    error, values = await failing(client, endpoint, asked(), kind)
    assert error.started
    assert put(values)["choices"][0]["message"]["content"]


async def test_a_server_that_falls_silent_is_not_waited_for(client, server):
    emulator, endpoint = await server()
    for fault, kind, started, limits in (
        ("hang", errors.FirstTokenTimeout, False, Timeouts(first_token_s=0.3)),
        ("stall", errors.IdleTimeout, True, Timeouts(idle_s=0.3)),
    ):
        emulator.set(fault=fault)
        error, values = await failing(client, endpoint, asked(), kind, limits)
        assert (error.started, bool(values)) == (started, started)


async def test_who_closes_the_relay_frees_the_server(client, server):
    emulator, endpoint = await server(tokens_per_s=20.0)
    async with aclosing(client.relay(endpoint, asked(), QUICK)) as pieces:
        await anext(pieces)
    async with asyncio.timeout(30):
        while emulator.work.machine.running:  # noqa: ASYNC110 (what is waited for is in the emulator and has no event)
            await asyncio.sleep(0.002)


async def raw(client, *values, request=None):
    async with Script(saying(stream(*values))) as script:
        return await relayed(client, Endpoint(url=script.url, dialect="openai"), request or asked())


ROLE = json.dumps({"model": GEMMA, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})


async def test_values_without_choices_and_usage_are_left_out_and_all_others_are_whole(client):
    odd = [json.dumps({"model": GEMMA, "prompt_progress": {"total": 9}}), json.dumps({"model": GEMMA, "choices": []}), "[]", "7"]
    values, _ = await raw(client, *odd, ROLE, chunk("Hi", anything=[1]), chunk(finish="stop"), "[DONE]")
    assert values == [json.loads(value) for value in (ROLE, chunk("Hi", anything=[1]), chunk(finish="stop"))]


async def test_an_answer_of_nothing_comes_when_it_is_whole(client):
    values, outcome = await raw(client, ROLE, chunk(finish="stop"), "[DONE]")
    assert (len(values), outcome.empty, outcome.first_token_s) == (2, True, None)
    async with Script(saying(stream(ROLE, ROLE))) as script:
        error, handed = await failing(client, Endpoint(url=script.url, dialect="openai"), asked(), errors.Truncated)
    assert (error.started, handed) == (False, [])


@pytest.mark.parametrize(
    "delta", [{"tool_calls": [{"index": 0, "id": "a"}]}, {"refusal": "no"}, {"function_call": {"name": "f"}}, {"reasoning_content": "hm"}]
)
async def test_whatever_was_handed_out_counts_as_begun(client, delta):
    value = json.dumps({"model": GEMMA, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    async with Script(saying(stream(ROLE, value))) as script:
        error, handed = await failing(client, Endpoint(url=script.url, dialect="openai"), asked(), errors.Truncated)
    assert (error.started, len(handed)) == (True, 2)


async def test_an_answer_is_whole_only_with_all_its_choices(client):
    def said(index, content=None, finish=None):
        delta = {} if content is None else {"content": content}
        return json.dumps({"model": GEMMA, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})

    first = [said(0, "a"), said(1, "b"), said(0, finish="stop")]
    values, outcome = await raw(client, *first, said(1, finish="length"), "[DONE]", request=asked(sampling={"n": 2}))
    assert (len(values), outcome.text, outcome.finish_reason) == (4, "a", "stop")
    with pytest.raises(errors.Truncated):
        await raw(client, *first, "[DONE]", request=asked(sampling={"n": 2}))
    _, outcome = await raw(client, said(0, "a"), said(0, finish="stop"), "[DONE]", request=asked(sampling={"n": 2}))
    assert outcome.text == "a"  # a server that knows no n


async def test_a_plain_completion_in_place_of_a_stream_is_one_value(client):
    whole = {"model": GEMMA, "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}
    for kind in ("application/json", "text/event-stream"):
        async with Script(saying(plain(whole, kind=kind))) as script:
            values, outcome = await relayed(client, Endpoint(url=script.url, dialect="openai"), asked())
        assert (values, outcome.text) == ([whole], "Hello")


async def test_lists_and_objects_reach_the_server_as_they_are(client):
    given = {
        "tools": TOOLS,
        "logit_bias": {"7": -1},
        "response_format": {"type": "text"},
        "stop_token_ids": [1],
        "metadata": {"a": {"b": []}},
    }
    parts = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    async with Script(saying(stream(chunk("x", finish="stop")))) as script:
        request = ChatRequest(model=GEMMA, messages=({"role": "user", "content": parts, "name": "n"},), sampling=given | {"n": None})
        await relayed(client, Endpoint(url=script.url, dialect="openai"), request)
    sent = json.loads(script.heard[0].partition(b"\r\n\r\n")[2])
    assert {name: sent[name] for name in given} == given
    assert sent["messages"] == [{"role": "user", "content": parts, "name": "n"}]
    assert "n" not in sent


async def test_ollama_embeds_without_loading_the_model_again(client, server):
    emulator, endpoint = await server("ollama")
    await client.load(endpoint, EMBED, context_length=2048, kind="embedding", timeouts=QUICK)
    result = await client.embeddings(endpoint, EMBED, ["a", "b"], context_length=2048, fields={"dimensions": 64}, timeouts=QUICK)
    assert (len(result.vectors), result.model, result.prompt_tokens > 0) == (2, EMBED, True)
    assert emulator.state["counters"].get("reloaded", 0) == 0


@pytest.mark.parametrize("dialect", ["openai", "ollama"])
async def test_vectors_of_another_model_are_refused(client, dialect):
    rows = {"data": [{"index": 0, "embedding": [1]}], "embeddings": [[1]], "model": "other/model"}
    async with Script(saying(plain(rows))) as script:
        with pytest.raises(errors.WrongModel) as caught:
            await client.embeddings(Endpoint(url=script.url, dialect=dialect), EMBED, ["a"], timeouts=QUICK)
    assert caught.value.where
