"""The client against emulated Ollama, llama-server, vLLM and their like, over real HTTP: bad habits included."""

import asyncio

import pytest

from cluster.lmstudio import dialects, errors
from cluster.lmstudio.values import Endpoint, State, Timeouts
from tests.wire.lmstudio.conftest import CLOUDS, RIVALS
from tests.wire.lmstudio.helpers import EMBED, GEMMA, LLAMA, MISTRAL, QUICK, asked, until
from tests.wire.lmstudio.test_client import failing

MODELS = (f"{GEMMA}:3.3", f"{LLAMA}:4.9", f"{MISTRAL}:4.4", f"{EMBED}:0.1")
LOADING = ("ollama", "llamacpp-router")
FIXED = ("llamacpp", "vllm")


@pytest.fixture
def rival(serve):
    """Starts an emulator with models of one format."""
    return lambda profile, **options: serve(profile, **({"models": MODELS} | options))


@pytest.mark.parametrize(("profile", "dialect"), (RIVALS | CLOUDS).items())
async def test_each_is_detected_without_a_trace(client, rival, profile, dialect):
    emulator, endpoint = await rival(profile, auth=False)
    before = dict(emulator.work.machine.instances)
    found = await client.detect(Endpoint(url=endpoint.url), QUICK)
    assert (found.dialect, found.reason != "") == (dialect, True)
    assert emulator.work.machine.instances == before
    assert set(emulator.work.machine.counters) == {"requests"}


async def test_an_empty_ollama_and_an_empty_router_are_detected_too(client, rival):
    for profile in LOADING:
        _, endpoint = await rival(profile, models=())
        assert (await client.detect(Endpoint(url=endpoint.url), QUICK)).dialect == profile
        assert (await client.list(endpoint, QUICK)).models == ()


@pytest.mark.parametrize("profile", LOADING)
async def test_a_model_is_loaded_asked_and_unloaded(client, rival, profile):
    emulator, endpoint = await rival(profile)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED
    result = await client.load(endpoint, GEMMA, timeouts=QUICK)
    assert (result.instance_id, result.context_length, result.already) == (GEMMA, 4096, False)
    (instance,) = (await client.list(endpoint, QUICK)).find(GEMMA).instances
    assert (instance.id, instance.state, instance.context_length) == (GEMMA, State.LOADED, 4096)
    pieces = []
    outcome = await client.chat(endpoint, asked(max_tokens=5), QUICK, on_delta=pieces.append)
    assert outcome.text == "".join(piece.text for piece in pieces)
    assert (outcome.finish_reason, outcome.model, outcome.completion_tokens, outcome.prompt_tokens > 0) == ("length", GEMMA, 5, True)
    assert 0 < outcome.first_token_s <= outcome.total_s
    for _ in range(2):
        await client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK)
        await until(lambda: not emulator.work.machine.instances)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED
    assert emulator.state["counters"]["unloaded_while_serving"] == 0


@pytest.mark.parametrize("profile", FIXED)
async def test_what_is_always_there_is_listed_loaded_and_never_goes(client, rival, profile):
    _, endpoint = await rival(profile, default_context=8192, parallel=3)
    (model,) = (await client.list(endpoint, QUICK)).models
    (instance,) = model.instances
    assert (model.key, model.state, instance.context_length) == (GEMMA, State.LOADED, 8192)
    assert instance.parallel == (3 if profile == "llamacpp" else None)
    assert (await client.load(endpoint, GEMMA, timeouts=QUICK)).instance_id == GEMMA
    assert (await client.chat(endpoint, asked(), QUICK)).text
    await failing(client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK), errors.CapabilityMissing)
    assert dialects.fixed(profile)


@pytest.mark.parametrize("profile", list(RIVALS))
async def test_each_says_cheaply_that_it_is_well(client, rival, profile):
    emulator, endpoint = await rival(profile)
    assert await client.ping(endpoint, QUICK) > 0
    emulator.set(loading=True)
    await failing(client.ping(endpoint, QUICK), errors.StillLoading)
    await failing(client.list(endpoint, QUICK), errors.StillLoading)
    await failing(client.detect(endpoint, QUICK), errors.StillLoading)
    await failing(client.chat(endpoint, asked(), QUICK), errors.StillLoading)


CHAT_FAULTS = [
    ("overflow", errors.ContextOverflow, False),
    ("busy", errors.Busy, False),
    ("unavailable", errors.Unavailable, False),
    ("drop", errors.Dropped, False),
    ("reset", errors.Dropped, True),
    ("silent-cut", errors.Truncated, True),
    ("wrong-model", errors.WrongModel, False),
]
CRASHES = {"ollama": errors.ModelCrashed, "llamacpp": errors.Dropped, "llamacpp-router": errors.Dropped, "vllm": errors.EngineLost}


@pytest.mark.parametrize("profile", list(RIVALS))
@pytest.mark.parametrize(
    ("fault", "kind", "started"), [*CHAT_FAULTS, ("crash", None, True)], ids=[case[0] for case in CHAT_FAULTS] + ["crash"]
)
async def test_a_chat_that_fails_says_how_and_whether_it_had_begun(client, rival, profile, fault, kind, started):
    emulator, endpoint = await rival(profile)
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    emulator.set(fault=fault)
    pieces = []
    error = await failing(client.chat(endpoint, asked(), QUICK, on_delta=pieces.append), kind or CRASHES[profile])
    assert error.started is started is bool(pieces)
    await until(lambda: emulator.work.machine.running == 0)


@pytest.mark.parametrize("profile", list(RIVALS))
async def test_a_full_queue_is_no_harm(client, rival, profile):
    emulator, endpoint = await rival(profile)
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    emulator.set(fault="busy")
    error = await failing(client.chat(endpoint, asked(), QUICK), errors.Busy)
    assert isinstance(error, errors.RateLimited)
    assert not error.harms_server


@pytest.mark.parametrize("profile", [*LOADING, "vllm"])
async def test_an_unknown_model_is_missing(client, rival, profile):
    _, endpoint = await rival(profile)
    await failing(client.chat(endpoint, asked("made/up"), QUICK), errors.ModelMissing)
    if profile in LOADING:
        await failing(client.load(endpoint, "made/up", timeouts=QUICK), errors.ModelMissing)
        await client.unload(endpoint, "made/up", model_key="made/up", timeouts=QUICK)


@pytest.mark.parametrize("profile", list(RIVALS))
async def test_a_wrong_token_is_found_out_by_the_list(client, rival, profile):
    _, endpoint = await rival(profile, auth=True, token="wrong")
    await failing(client.list(endpoint, QUICK), errors.Misconfigured)
    await failing(client.chat(endpoint, asked(), QUICK), errors.Misconfigured)


async def test_llama_server_answers_any_name_and_is_believed_only_for_its_own(client, rival):
    emulator, endpoint = await rival("llamacpp")
    assert (await failing(client.chat(endpoint, asked(LLAMA), QUICK), errors.WrongModel)).got == GEMMA
    emulator.set(any_name="echo")
    assert (await client.chat(endpoint, asked(LLAMA), QUICK)).model == LLAMA
    assert (await client.list(endpoint, QUICK)).find(LLAMA) is None


@pytest.mark.parametrize("profile", ["llamacpp", "llamacpp-router"])
async def test_answers_that_fill_the_context_they_share_are_all_given_up_and_may_be_asked_for_again(client, rival, profile):
    emulator, endpoint = await rival(profile, fault="stall", fault_times=1)
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    begun = asyncio.Event()
    first = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    emulator.set(fault="crowded", fault_times=1)
    for chat in (client.chat(endpoint, asked(), QUICK), first):
        error = await failing(chat, errors.Crowded)
        assert (error.started, error.harms_server, error.gone) == (True, False, False)
    assert (await client.chat(endpoint, asked(), QUICK)).finish_reason == "stop"


async def test_llama_server_without_props_still_lists(client, rival):
    emulator, endpoint = await rival("llamacpp", default_context=2048)
    emulator._routes = {place: route for place, route in emulator._routes.items() if place != ("GET", "/props")}
    (instance,) = (await client.list(endpoint, QUICK)).models[0].instances
    assert (instance.parallel, instance.context_length) == (None, 2048)


async def test_one_stuck_engine_of_a_router_hides_only_its_own_details(client, rival):
    emulator, endpoint = await rival("llamacpp-router", parallel=2)
    for key in (GEMMA, LLAMA):
        await client.load(endpoint, key, timeouts=QUICK)
    emulator.set(stuck=GEMMA)
    listed = await client.list(endpoint, QUICK)
    assert [listed.find(key).instances[0].parallel for key in (GEMMA, LLAMA)] == [None, 2]
    assert listed.find(GEMMA).state is State.LOADED


async def test_a_router_answers_a_load_at_once_and_is_asked_until_it_is_over(client, rival):
    emulator, endpoint = await rival("llamacpp-router", load_seconds=0.3, parallel=2)
    first, second = (asyncio.ensure_future(client.load(endpoint, GEMMA, timeouts=QUICK)) for _ in range(2))
    await until(lambda: GEMMA in emulator.work.machine.instances)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.LOADING
    results = [await first, await second]
    assert sorted(result.already for result in results) == [False, True]
    assert {(result.context_length, result.parallel) for result in results} == {(4096, 2)}
    assert emulator.state["counters"]["loading"] == 1
    assert (await client.load(endpoint, GEMMA, timeouts=QUICK)).already


async def test_a_load_of_a_router_that_fails_names_the_exit_code_and_may_be_tried_again(client, rival):
    _, endpoint = await rival("llamacpp-router", load_error="sigabrt", load_error_times=1)
    assert "exit code 1" in str(await failing(client.load(endpoint, GEMMA, timeouts=QUICK), errors.EngineFailed))
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED
    assert (await client.load(endpoint, GEMMA, timeouts=QUICK)).instance_id == GEMMA


async def test_an_unload_while_a_router_loads_kills_the_load_and_looks_like_a_failed_one(client, rival):
    emulator, endpoint = await rival("llamacpp-router", load_seconds=30.0)
    load = asyncio.ensure_future(client.load(endpoint, GEMMA, timeouts=QUICK))
    await until(lambda: GEMMA in emulator.work.machine.instances)
    await client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK)
    assert "or somebody unloaded it" in str(await failing(load, errors.EngineFailed))


async def test_a_load_of_a_router_that_takes_too_long_is_polled_no_more(client, rival):
    emulator, endpoint = await rival("llamacpp-router", load_seconds=30.0)
    await failing(client.load(endpoint, GEMMA, timeouts=Timeouts(load_s=0.2)), errors.LoadTimeout)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.LOADING
    assert emulator.state["counters"]["loading"] == 1


async def test_a_router_is_never_made_to_load_by_a_chat(client, rival):
    emulator, endpoint = await rival("llamacpp-router")
    assert (await failing(client.chat(endpoint, asked(), QUICK), errors.NotLoaded)).gone
    assert emulator.work.machine.instances == {}


async def test_a_router_evicts_the_oldest_and_waits_for_what_it_answers(client, rival):
    emulator, endpoint = await rival("llamacpp-router", max_models=1)
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    emulator.set(fault="stall", fault_times=1)
    begun = asyncio.Event()
    chat = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    load = asyncio.ensure_future(client.load(endpoint, LLAMA, timeouts=QUICK))
    await until(lambda: emulator.work.machine.counters["waited-for-room"] > 0)
    assert list(emulator.work.machine.instances) == [GEMMA]
    chat.cancel()
    assert (await load).instance_id == LLAMA
    assert list(emulator.work.machine.instances) == [LLAMA]


async def test_an_unload_of_a_router_kills_the_stream_with_a_bare_line(client, rival):
    _, endpoint = await rival("llamacpp-router", fault="stall")
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    begun = asyncio.Event()
    chat = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    await client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK)
    error = await failing(chat, errors.Dropped)
    assert (error.started, "proxy error" in error.detail) == (True, True)


async def test_ollama_keeps_what_we_hold_and_tells_what_it_takes(client, rival):
    emulator, endpoint = await rival("ollama", parallel=2)
    await client.load(endpoint, GEMMA, context_length=8192, timeouts=QUICK)
    held = emulator.work.machine.instances[GEMMA]
    assert (held.ttl_s, held.context) == (None, 8192)
    (instance,) = (await client.list(endpoint, QUICK)).find(f"{GEMMA}:latest").instances
    assert (instance.context_length, instance.memory_bytes) == (8192, held.memory)
    emulator.set(gpu=False)
    (instance,) = (await client.list(endpoint, QUICK)).find(GEMMA).instances
    assert (instance.state, instance.memory_bytes) == (State.LOADED, held.memory)


async def test_ollama_loads_again_for_another_context_and_not_for_the_one_it_was_told(client, rival):
    emulator, endpoint = await rival("ollama")
    await client.load(endpoint, GEMMA, context_length=8192, timeouts=QUICK)
    await client.chat(endpoint, asked(context_length=8192), QUICK)
    assert emulator.work.machine.counters["reloaded"] == 0
    await client.chat(Endpoint(url=endpoint.url, dialect="openai"), asked(), QUICK)
    assert emulator.work.machine.counters["reloaded"] == 1
    await client.chat(endpoint, asked(context_length=4096), QUICK)  # loaded by hand, with what comes by default
    assert emulator.work.machine.counters["reloaded"] == 1


async def test_ollama_refuses_what_does_not_fit_and_says_how_much_it_needs(client, rival):
    emulator, endpoint = await rival("ollama", memory_gb=3)
    error = await failing(client.load(endpoint, LLAMA, timeouts=QUICK), errors.OutOfMemory)
    assert error.needs_gb == round(emulator.work.machine.models[LLAMA].need(4096) / 2**30, 1)


OLLAMA_LOADS = [
    ("memory", errors.OutOfMemory),
    ("sigabrt", errors.EngineFailed),
    ("canceled", errors.LoadFailed),
    ("format", errors.FormatUnsupported),
    ("missing", errors.ModelMissing),
]


@pytest.mark.parametrize(("why", "kind"), OLLAMA_LOADS)
async def test_a_load_of_ollama_that_fails_says_why(client, rival, why, kind):
    _, endpoint = await rival("ollama", load_error=why)
    await failing(client.load(endpoint, GEMMA, timeouts=QUICK), kind)


async def test_a_load_of_ollama_ends_with_its_connection(client, rival):
    emulator, endpoint = await rival("ollama", load_seconds=30.0)
    await failing(client.load(endpoint, GEMMA, timeouts=Timeouts(load_s=0.1)), errors.LoadTimeout)
    await until(lambda: not emulator.work.machine.instances)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED


@pytest.mark.parametrize(("bare", "state"), [(False, State.LOADED), (True, State.LOADING)])
async def test_ollama_tells_little_of_what_it_is_loading(client, rival, bare, state):
    emulator, endpoint = await rival("ollama", load_seconds=30.0, no_sizes=bare)
    load = asyncio.ensure_future(client.load(endpoint, GEMMA, timeouts=QUICK))
    await until(lambda: GEMMA in emulator.work.machine.instances)
    model = (await client.list(endpoint, QUICK)).find(GEMMA)
    assert (model.state, model.instances[0].context_length) == (state, None)
    load.cancel()


async def test_ollama_makes_everybody_wait_behind_one_that_waits_for_room(client, rival):
    emulator, endpoint = await rival("ollama", max_models=2, fault="hang", fault_times=1, fault_model=GEMMA)
    for key in (GEMMA, LLAMA):
        emulator._place(key)
        emulator.work.machine.instances[key].asked_context = 4096
    stuck = asyncio.ensure_future(client.chat(endpoint, asked(context_length=4096), QUICK))
    await until(lambda: emulator.work.machine.running == 1)
    emulator.set(fault="hang", fault_times=1, fault_model=LLAMA)
    other = asyncio.ensure_future(client.chat(endpoint, asked(LLAMA, context_length=4096), QUICK))
    await until(lambda: emulator.work.machine.running == 2)
    load = asyncio.ensure_future(client.load(endpoint, MISTRAL, timeouts=QUICK))
    await until(lambda: emulator.work.machine.counters["waited-for-room"] > 0)
    await failing(client.chat(endpoint, asked(context_length=4096), Timeouts(first_token_s=0.2)), errors.FirstTokenTimeout)
    emulator.set(max_queue=1)
    await failing(client.chat(endpoint, asked(), QUICK), errors.Busy)
    other.cancel()
    assert (await load).instance_id == MISTRAL
    assert set(emulator.work.machine.instances) == {GEMMA, MISTRAL}
    stuck.cancel()
    await until(lambda: emulator.work.machine.running == 0)


async def test_an_unload_of_ollama_waits_for_what_it_answers(client, rival):
    emulator, endpoint = await rival("ollama")
    await client.load(endpoint, GEMMA, timeouts=QUICK)
    emulator.set(tokens_per_s=100.0)
    begun = asyncio.Event()
    chat = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    await client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK)
    assert (await chat).finish_reason == "stop"
    await until(lambda: not emulator.work.machine.instances)
    assert emulator.state["counters"]["unloaded_while_serving"] == 0


async def test_ollama_loads_and_unloads_models_that_only_embed(client, rival):
    emulator, endpoint = await rival("ollama")
    for kind in ("llm", "embedding"):
        assert (await client.load(endpoint, EMBED, kind=kind, timeouts=QUICK)).instance_id == EMBED
        await client.unload(endpoint, EMBED, model_key=EMBED, timeouts=QUICK)
        await until(lambda: not emulator.work.machine.instances)
    assert (await client.list(endpoint, QUICK)).find(EMBED).kind == "embedding"
    result = await client.embeddings(endpoint, EMBED, ["a", "b"], timeouts=QUICK)
    assert len(result.vectors) == 2


async def test_thinking_of_ollama_is_kept_apart(client, rival):
    _, endpoint = await rival("ollama", answer="reasoning")
    outcome = await client.chat(endpoint, asked(), QUICK)
    assert (outcome.text, bool(outcome.reasoning), outcome.finish_reason) == ("", True, "stop")


async def test_llama_cpp_python_cuts_the_first_stream_when_a_second_one_comes(client, rival):
    _, endpoint = await rival("llama-cpp-python", parallel=2, fault="stall", fault_times=1)
    begun = asyncio.Event()
    first = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    assert (await client.chat(endpoint, asked(LLAMA), QUICK)).model == LLAMA
    with pytest.raises((errors.Truncated, errors.Dropped)) as caught:
        await first
    assert caught.value.started
