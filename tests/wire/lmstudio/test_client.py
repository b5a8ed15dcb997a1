"""The client against emulated servers of every dialect, over real HTTP."""

import asyncio
from contextlib import aclosing

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.values import ChatOutcome, Endpoint, State, Timeouts
from tests.wire.lmstudio.conftest import DIALECTS
from tests.wire.lmstudio.helpers import EMBED, GEMMA, LLAMA, QUICK, asked, until

NATIVE = ("0.4.0", "0.4.25")


async def failing(awaitable, kind):
    """The error that is raised, which must be of that kind."""
    with pytest.raises(errors.PeerError) as caught:
        await awaitable
    assert type(caught.value) is kind, repr(caught.value)
    return caught.value


@pytest.mark.parametrize(("profile", "dialect"), DIALECTS.items())
async def test_a_server_is_detected(client, serve, profile, dialect):
    _, endpoint = await serve(profile)
    found = await client.detect(Endpoint(url=endpoint.url), QUICK)
    assert found.dialect == dialect
    assert found.jit is (True if dialect.startswith("lmstudio") else None)


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.0", "0.4.25", "design"])
async def test_a_model_is_listed_loaded_asked_and_listed_again(client, serve, profile):
    _, endpoint = await serve(profile)
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED
    result = await client.load(endpoint, GEMMA, context_length=8192, timeouts=QUICK)
    assert result.instance_id == GEMMA
    listed = (await client.list(endpoint, QUICK)).find(GEMMA)
    assert (listed.state, [instance.id for instance in listed.instances]) == (State.LOADED, [GEMMA])
    pieces = []
    outcome = await client.chat(endpoint, asked(), QUICK, on_delta=pieces.append)
    assert "penguins" in outcome.text
    assert outcome.text == "".join(piece.text for piece in pieces)
    assert (outcome.finish_reason, outcome.model) == ("stop", GEMMA)
    assert min(outcome.prompt_tokens, outcome.completion_tokens) > 0
    assert 0 < outcome.first_token_s <= outcome.total_s


async def test_a_plain_openai_server_needs_no_load_and_allows_no_unload(client, serve):
    _, endpoint = await serve("openai")
    listed = await client.list(endpoint, QUICK)
    assert {model.state for model in listed.models} == {State.UNKNOWN}
    assert (await client.load(endpoint, GEMMA, timeouts=QUICK)).instance_id == GEMMA
    assert (await client.chat(endpoint, asked(), QUICK)).text
    await failing(client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK), errors.CapabilityMissing)
    await failing(client.chat(endpoint, asked("unknown"), QUICK), errors.ModelMissing)


async def test_an_endpoint_without_a_dialect_is_detected_on_the_way(client, serve):
    _, endpoint = await serve("0.4.25")
    assert (await client.list(Endpoint(url=f"{endpoint.url}/v1"), QUICK)).dialect == "lmstudio-v1"
    assert (await client.chat(Endpoint(url=endpoint.url), asked(), QUICK)).text


@pytest.mark.parametrize("profile", NATIVE)
async def test_a_second_load_makes_a_copy_and_each_copy_is_unloaded_by_its_name(client, serve, profile):
    emulator, endpoint = await serve(profile)
    names = [(await client.load(endpoint, LLAMA, timeouts=QUICK)).instance_id for _ in range(2)]
    assert names == [LLAMA, f"{LLAMA}:2"]
    assert (await client.chat(endpoint, asked(f"{LLAMA}:2", names=(LLAMA,)), QUICK)).model == f"{LLAMA}:2"
    for name in names:
        await client.unload(endpoint, name, model_key=LLAMA, timeouts=QUICK)
    await client.unload(endpoint, names[0], model_key=LLAMA, timeouts=QUICK)
    assert emulator.work.machine.instances == {}
    assert emulator.state["counters"]["unloaded_while_serving"] == 0


@pytest.mark.parametrize("habit", ["same", "error"])
async def test_a_second_load_may_also_be_a_success_without_a_copy(client, serve, habit):
    emulator, endpoint = await serve(second_load=habit, loaded=[LLAMA])
    assert (await client.load(endpoint, LLAMA, timeouts=QUICK)).instance_id == LLAMA
    assert list(emulator.work.machine.instances) == [LLAMA]


async def test_the_design_dialect_unloads_by_model(client, serve):
    emulator, endpoint = await serve("design", loaded=[GEMMA, LLAMA])
    await client.unload(endpoint, GEMMA, model_key=GEMMA, timeouts=QUICK)
    assert list(emulator.work.machine.instances) == [LLAMA]
    await failing(client.chat(endpoint, asked(), QUICK), errors.ModelMissing)


@pytest.mark.parametrize("profile", NATIVE)
async def test_the_context_length_is_read_back(client, serve, profile):
    _, endpoint = await serve(profile)
    assert (await client.load(endpoint, LLAMA, context_length=8192, timeouts=QUICK)).context_length == 8192
    assert (await client.load(endpoint, GEMMA, context_length=8192, timeouts=QUICK)).context_length == 131072
    assert (await client.list(endpoint, QUICK)).find(GEMMA).instances[0].context_length == 131072


async def test_an_instance_that_is_still_loading_is_listed_as_loading(client, serve):
    emulator, endpoint = await serve(load_seconds=30.0)
    load = asyncio.ensure_future(client.load(endpoint, LLAMA, timeouts=QUICK))
    await until(lambda: LLAMA in emulator.work.machine.instances)
    for jit in (True, False):
        emulator.set(jit=jit)
        listed = await client.list(endpoint, QUICK)
        assert (listed.find(LLAMA).state, listed.find(GEMMA).state, listed.jit) == (State.LOADING, State.NOT_LOADED, jit)
    emulator.set(v0=False)
    assert (await client.list(endpoint, QUICK)).find(LLAMA).state is State.LOADED
    load.cancel()


async def test_a_load_that_takes_too_long_is_not_repeated_and_goes_on(client, serve):
    emulator, endpoint = await serve(load_seconds=0.4)
    error = await failing(client.load(endpoint, LLAMA, timeouts=Timeouts(load_s=0.05)), errors.LoadTimeout)
    assert error.limit_s == 0.05
    assert list(emulator.work.machine.instances) == [LLAMA]
    await until(lambda: emulator.work.machine.instances[LLAMA].loaded)
    assert (await client.list(endpoint, QUICK)).find(LLAMA).state is State.LOADED
    assert emulator.state["counters"]["loading"] == 1


async def test_an_unload_ends_a_load(client, serve):
    emulator, endpoint = await serve(load_seconds=30.0)
    load = asyncio.ensure_future(client.load(endpoint, LLAMA, timeouts=QUICK))
    await until(lambda: LLAMA in emulator.work.machine.instances)
    await client.unload(endpoint, LLAMA, model_key=LLAMA, timeouts=QUICK)
    await failing(load, errors.ModelUnloaded)


LOAD_ERRORS = [
    ({"load_error": "sigabrt"}, errors.EngineFailed),
    ({"load_error": "format"}, errors.FormatUnsupported),
    ({"load_error": "canceled"}, errors.LoadCanceled),
    ({"load_error": "observer"}, errors.NeedsRestart),
    ({"load_error": "memory"}, errors.OutOfMemory),
    ({"load_error": "missing"}, errors.ModelMissing),
    ({"memory_gb": 2}, errors.OutOfMemory),
    ({"memory_gb": 2, "guardrail_status": 200}, errors.OutOfMemory),
    ({"estimate_factor": 50.0}, errors.OutOfMemory),
]


@pytest.mark.parametrize(("options", "kind"), LOAD_ERRORS, ids=[str(case[0]) for case in LOAD_ERRORS])
async def test_a_load_that_fails_says_why(client, serve, options, kind):
    emulator, endpoint = await serve(**options)
    error = await failing(client.load(endpoint, LLAMA, timeouts=QUICK), kind)
    assert error.where == endpoint.url.removeprefix("http://")
    assert emulator.work.machine.instances == {}


async def test_the_guardrail_teaches_what_a_model_needs(client, serve):
    emulator, endpoint = await serve(memory_gb=2, guardrail_names_gb=True)
    error = await failing(client.load(endpoint, LLAMA, timeouts=QUICK), errors.OutOfMemory)
    assert error.needs_gb == round(emulator.work.machine.models[LLAMA].need(4096) / 2**30, 2)


async def test_a_model_that_is_not_there_cannot_be_loaded(client, serve):
    for profile in ("0.3.16", "0.4.25", "design"):
        _, endpoint = await serve(profile)
        await failing(client.load(endpoint, "totally/made-up-9000", timeouts=QUICK), errors.ModelMissing)


@pytest.mark.parametrize(("which", "first", "second"), [("newer", None, errors.LoadCanceled), ("older", errors.LoadCanceled, None)])
async def test_overlapping_loads_cancel_each_other(client, serve, which, first, second):
    emulator, endpoint = await serve(load_seconds=0.1, overlap=which)
    one = asyncio.ensure_future(client.load(endpoint, LLAMA, timeouts=QUICK))
    await until(lambda: LLAMA in emulator.work.machine.instances)
    for load, kind in ((client.load(endpoint, GEMMA, timeouts=QUICK), second), (one, first)):
        if kind:
            await failing(load, kind)
        else:
            await load


async def test_the_wrong_dialect_never_passes_for_a_success(client, serve):
    old, endpoint = await serve("0.3.16")
    for dialect in ("lmstudio-v1", "design"):
        wrong = Endpoint(url=endpoint.url, dialect=dialect)
        await failing(client.load(wrong, GEMMA, timeouts=QUICK), errors.CapabilityMissing)
        await failing(client.unload(wrong, GEMMA, model_key=GEMMA, timeouts=QUICK), errors.CapabilityMissing)
    _, newer = await serve("0.4.25")
    await failing(client.load(Endpoint(url=newer.url, dialect="design"), GEMMA, timeouts=QUICK), errors.CapabilityMissing)
    _, plain = await serve("openai")
    await failing(client.list(Endpoint(url=plain.url, dialect="lmstudio-v1"), QUICK), errors.CapabilityMissing)
    assert old.work.machine.instances == {}


async def test_a_v0_chat_falls_back_to_the_openai_path_where_the_native_one_is_missing(client, serve):
    _, endpoint = await serve("openai")
    outcome = await client.chat(Endpoint(url=endpoint.url, dialect="lmstudio-v0"), asked(), QUICK)
    assert outcome.finish_reason == "stop"


async def test_any_name_is_answered_by_the_only_model_while_jit_is_off(client, serve):
    emulator, endpoint = await serve(jit=False, loaded=[LLAMA])
    pieces = []
    error = await failing(client.chat(endpoint, asked(), QUICK, on_delta=pieces.append), errors.WrongModel)
    assert (error.got, error.started, pieces) == (LLAMA, False, [])
    assert emulator.state["counters"]["answered"] == 1


CHAT_FAULTS = [
    ("wrong-model", errors.WrongModel, False),
    ("overflow", errors.ContextOverflow, False),
    ("html500", errors.Hiccup, False),
    ("unavailable", errors.Unavailable, False),
    ("loading", errors.StillLoading, False),
    ("rate-limit", errors.RateLimited, False),
    ("channel", errors.ChannelError, False),
    ("fetch-failed", errors.EngineLost, False),
    ("link", errors.LinkLost, False),
    ("no-models", errors.NothingLoaded, False),
    ("drop", errors.Dropped, False),
    ("crash", errors.ModelCrashed, True),
    ("unload", errors.ModelUnloaded, True),
    ("reset", errors.Dropped, True),
    ("cut", errors.Truncated, True),
    ("silent-cut", errors.Truncated, True),
    ("proxy-error", errors.Dropped, True),
]


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.25", "design", "openai"])
@pytest.mark.parametrize(("fault", "kind", "started"), CHAT_FAULTS, ids=[case[0] for case in CHAT_FAULTS])
async def test_a_chat_that_fails_says_how_and_whether_it_had_begun(client, serve, profile, fault, kind, started):
    emulator, endpoint = await serve(profile, fault=fault)
    await client.load(endpoint, GEMMA, timeouts=QUICK) if profile in ("0.4.25", "design") else None
    pieces = []
    error = await failing(client.chat(endpoint, asked(), QUICK, on_delta=pieces.append), kind)
    assert error.started is started is bool(pieces)
    assert error.where in endpoint.url
    await until(lambda: emulator.work.machine.running == 0)


async def test_a_plain_body_in_place_of_a_stream_is_an_answer(client, serve):
    _, endpoint = await serve(fault="plain")
    assert "penguins" in (await client.chat(endpoint, asked(), QUICK)).text


async def test_a_v0_answer_that_stopped_with_failed_is_truncated(client, serve):
    _, endpoint = await serve("0.3.16", fault="failed")
    await failing(client.chat(endpoint, asked(), QUICK), errors.Truncated)


async def test_a_rate_limit_says_how_long(client, serve):
    _, endpoint = await serve(fault="rate-limit", retry_after="17")
    assert (await failing(client.chat(endpoint, asked(), QUICK), errors.RateLimited)).retry_after_s == 17


@pytest.mark.parametrize("profile", ["0.3.16", "0.4.0", "0.4.25"])
async def test_a_prompt_that_is_too_long_names_both_numbers_in_every_generation(client, serve, profile):
    _, endpoint = await serve(profile)
    error = await failing(client.chat(endpoint, asked(said="word " * 6000), QUICK), errors.ContextOverflow)
    assert error.n_ctx == 4096
    assert error.n_prompt > 7000


async def test_a_crashed_instance_is_gone_and_the_next_chat_finds_another(client, serve):
    emulator, endpoint = await serve(fault="crash", fault_times=1, loaded=[GEMMA], exit_code="11")
    error = await failing(client.chat(endpoint, asked(), QUICK), errors.ModelCrashed)
    assert error.exit_code == "11"
    assert emulator.work.machine.instances == {}
    assert (await client.chat(endpoint, asked(), QUICK)).text


async def test_no_first_token_ends_in_time_and_hangs_up(client, serve):
    emulator, endpoint = await serve(fault="hang")
    error = await failing(client.chat(endpoint, asked(), Timeouts(first_token_s=0.15)), errors.FirstTokenTimeout)
    assert (error.limit_s, error.started) == (0.15, False)
    await until(lambda: emulator.work.machine.running == 0)
    assert emulator.state["counters"]["disconnected"] == 1


async def test_silence_between_tokens_ends_in_time(client, serve):
    emulator, endpoint = await serve(fault="stall")
    error = await failing(client.chat(endpoint, asked(), Timeouts(idle_s=0.15)), errors.IdleTimeout)
    assert error.started
    await until(lambda: emulator.work.machine.running == 0)


async def test_a_slow_answer_lives_as_long_as_it_goes_on_and_ends_with_the_total(client, serve):
    _, endpoint = await serve(tokens_per_s=12.0, answer="long")
    outcome = await client.chat(endpoint, asked(max_tokens=24), Timeouts(first_token_s=1.5, idle_s=1.5, total_s=60))
    assert (outcome.completion_tokens, outcome.finish_reason) == (24, "length")
    error = await failing(client.chat(endpoint, asked(), Timeouts(total_s=1.0)), errors.TotalTimeout)
    assert error.started


async def test_a_queue_inside_the_server_counts_as_waiting_for_the_first_token(client, serve):
    emulator, endpoint = await serve(parallel=1, fault="hang", fault_times=1)
    stuck = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK))
    await until(lambda: emulator.work.machine.running == 1)
    await failing(client.chat(endpoint, asked(), Timeouts(first_token_s=0.15)), errors.FirstTokenTimeout)
    stuck.cancel()
    await until(lambda: emulator.work.machine.running == 0)


async def test_a_cancelled_chat_closes_its_connection_at_once(client, serve):
    emulator, endpoint = await serve(fault="stall")
    begun = asyncio.Event()
    chat = asyncio.ensure_future(client.chat(endpoint, asked(), QUICK, on_delta=lambda _: begun.set()))
    await asyncio.wait_for(begun.wait(), 30)
    chat.cancel()
    with pytest.raises(asyncio.CancelledError):
        await chat
    await until(lambda: emulator.work.machine.running == 0)
    assert emulator.state["counters"]["disconnected"] == 1


async def test_a_stream_that_is_left_closes_its_connection(client, serve):
    emulator, endpoint = await serve(fault="stall")
    async with aclosing(client.stream(endpoint, asked(), QUICK)) as pieces:
        async for _ in pieces:
            break
    await until(lambda: emulator.work.machine.running == 0)


async def test_a_stream_ends_with_its_outcome(client, serve):
    _, endpoint = await serve(tokens_per_s=300.0)
    pieces = [piece async for piece in client.stream(endpoint, asked(), QUICK)]
    assert isinstance(pieces[-1], ChatOutcome)
    assert "".join(piece.text for piece in pieces[:-1]) == pieces[-1].text
    assert len(pieces) > 3


@pytest.mark.parametrize(
    ("habit", "text", "reasoning"),
    [("reasoning", "", True), ("empty", "", False), ("skip", "[SKIP]", False)],
)
async def test_answers_with_nothing_to_say_are_valid(client, serve, habit, text, reasoning):
    _, endpoint = await serve(answer=habit)
    outcome = await client.chat(endpoint, asked(), QUICK)
    assert (outcome.text, bool(outcome.reasoning), outcome.empty) == (text, reasoning, not text)


async def test_a_closed_idle_connection_costs_nothing(client, serve):
    emulator, endpoint = await serve(keepalive_s=0.05)
    for call in (client.list, client.ping, client.detect):
        await call(endpoint, QUICK)
        await until(lambda: emulator.state["connections"] == 0)
    assert (await client.chat(endpoint, asked(), QUICK)).text


async def test_a_connection_dropped_before_a_reply_is_tried_once_more_except_for_a_load(client, serve):
    emulator, endpoint = await serve(fault="drop", fault_times=1)
    assert (await client.chat(endpoint, asked(), QUICK)).text
    emulator.set(fault="drop", fault_times=2)
    await failing(client.chat(endpoint, asked(), QUICK), errors.Dropped)
    emulator.set(offline=True)
    before = emulator.state["counters"]["requests"]
    await failing(client.load(endpoint, LLAMA, timeouts=QUICK), errors.Dropped)
    assert emulator.state["counters"]["requests"] == before + 1


async def test_a_connection_is_used_again_after_a_whole_answer(client, serve):
    emulator, endpoint = await serve()
    for _ in range(5):
        await client.chat(endpoint, asked(), QUICK)
    assert emulator.state["connections"] == 1


async def test_a_server_that_is_off_is_unreachable_and_comes_back(client, serve):
    emulator, endpoint = await serve(loaded=[GEMMA])
    assert (await client.chat(endpoint, asked(), QUICK)).text
    await emulator.stop()
    for call in (client.list(endpoint, QUICK), client.chat(endpoint, asked(), QUICK), client.ping(endpoint, QUICK)):
        assert (await failing(call, errors.Unreachable)).harms_server
    await emulator.start()
    assert (await client.list(endpoint, QUICK)).find(GEMMA).state is State.NOT_LOADED


async def test_a_hiccup_of_a_list_is_asked_over_once(client, serve):
    emulator, endpoint = await serve(html500_at_load=True)
    await client.load(endpoint, LLAMA, timeouts=QUICK)
    assert (await client.list(endpoint, QUICK)).find(LLAMA).state is State.LOADED
    emulator.set(list_fault="html500")
    await failing(client.list(endpoint, QUICK), errors.Hiccup)


async def test_a_list_that_hangs_ends_with_the_probe(client, serve):
    _, endpoint = await serve(list_fault="hang")
    for call in (client.list, client.detect, client.ping):
        await failing(call(endpoint, Timeouts(probe_s=0.1)), errors.ProbeTimeout)


SECRET = "sk-lm-Emu1ated:abcdefghij0123456789"


@pytest.mark.parametrize("token", ["", "sk-lm-wrong123:abcdefghij0123456789", "lm-studio"])
async def test_a_missing_or_wrong_token_is_misconfigured_and_never_echoed(client, serve, token):
    _, endpoint = await serve(auth=True, token=token)
    for call in (client.detect(endpoint, QUICK), client.list(endpoint, QUICK), client.chat(endpoint, asked(), QUICK)):
        error = await failing(call, errors.Misconfigured)
        shown = f"{error} {error!r} {error.args} {error.__cause__}"
        assert not token or token[:10] not in shown


async def test_the_right_token_is_let_in_and_a_missing_permission_is_not(client, serve):
    emulator, _ = await serve(auth=True)
    endpoint = Endpoint(url=emulator.url, dialect="lmstudio-v1", token=SECRET)
    assert (await client.chat(endpoint, asked(), QUICK)).text
    emulator.set(forbidden=True)
    assert "permission" in str(await failing(client.chat(endpoint, asked(), QUICK), errors.Misconfigured))


async def test_a_false_address_is_misconfigured(client):
    for url in ("ftp://mac:1234", "mac:1234", "http://mac:port", "http://", "http://mac:99999", "nonsense", ""):
        await failing(client.list(Endpoint(url=url, dialect="openai"), QUICK), errors.Misconfigured)


@pytest.mark.parametrize("profile", list(DIALECTS))
async def test_embeddings_come_in_order(client, serve, profile):
    _, endpoint = await serve(profile, **({"loaded": [EMBED]} if profile == "design" else {}))
    result = await client.embeddings(endpoint, EMBED, ["a", "b", "a"], timeouts=QUICK)
    assert result.vectors[0] == result.vectors[2] != result.vectors[1]
    assert result.model == EMBED


async def test_a_load_by_request_can_be_an_embedding(client, serve):
    _, endpoint = await serve("0.3.16")
    await client.load(endpoint, EMBED, kind="embedding", timeouts=QUICK)
    assert (await client.list(endpoint, QUICK)).find(EMBED).state is State.LOADED
