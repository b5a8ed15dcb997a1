"""The emulator's manners, held against the reference (section 14); what the client's tests do not already show."""

import argparse
import asyncio
import json
import os
import signal
import sys

import pytest

from cluster.lmstudio.emulator import Emulator, command, voice
from cluster.lmstudio.emulator.habits import PROFILES, Habits
from cluster.lmstudio.emulator.machine import GB, Model
from swwbot_site.lib import http
from tests.wire.lmstudio.helpers import EMBED, GEMMA, LLAMA, MISTRAL, until

HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture
async def pool():
    async with http.client() as opened:
        yield opened


def chatting(pool, emulator, model=GEMMA, **more):
    body = {"model": model, "messages": HELLO, **more}
    return asyncio.ensure_future(pool.post(f"{emulator.url}/v1/chat/completions", json=body, timeout=None))


@pytest.mark.parametrize(
    ("profile", "method", "path", "status"),
    [
        ("0.3.16", "GET", "/api/v1/models", 200),
        ("0.3.16", "POST", "/v1/models/load", 200),
        ("0.4.0", "GET", "/api/v1/nothing", 200),
        ("0.4.25", "GET", "/api/v1/nothing", 404),
        ("0.4.25", "GET", "/api/tags", 200),
        ("0.4.25", "DELETE", "/v1/models", 200),
    ],
)
async def test_unknown_routes_are_answered_as_the_version_does(pool, serve, profile, method, path, status):
    emulator, _ = await serve(profile)
    reply = await pool.request(method, emulator.url + path)
    assert (reply.status_code, reply.json()) == (status, {"error": f"Unexpected endpoint or method. ({method} {path})"})


async def test_it_has_the_manners_of_express(pool, serve):
    emulator, _ = await serve()
    reply = await pool.get(f"{emulator.url}/v1/models")
    assert reply.headers["x-powered-by"] == "Express"
    assert reply.headers["keep-alive"] == "timeout=5"
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert reply.headers["etag"].startswith('W/"')
    assert "server" not in reply.headers
    assert reply.text.startswith('{\n  "data"')
    refused = await pool.post(f"{emulator.url}/v1/chat/completions", json={"model": "no-such", "messages": HELLO})
    assert refused.status_code == 400
    assert refused.text.startswith('{\n    "error"')
    assert refused.json()["error"]["code"] == "model_not_found"


async def test_the_greeting_and_the_lists(pool, serve):
    emulator, _ = await serve(loaded=[GEMMA])
    assert (await pool.get(f"{emulator.url}/lmstudio-greeting")).json() == {"lmstudio": True}
    one = (await pool.get(f"{emulator.url}/api/v0/models/{GEMMA.replace('/', '%2F')}")).json()
    assert (one["id"], one["state"], one["loaded_context_length"]) == (GEMMA, "loaded", 4096)
    assert len((await pool.get(f"{emulator.url}/v1/models")).json()["data"]) == 4
    emulator.set(jit=False)
    for path in ("/v1/models", "/api/v0/models"):
        assert [item["id"] for item in (await pool.get(emulator.url + path)).json()["data"]] == [GEMMA]
    assert (await pool.get(f"{emulator.url}/api/v0/models/{MISTRAL.replace('/', '%2F')}")).status_code == 404
    assert len((await pool.get(f"{emulator.url}/api/v1/models")).json()["models"]) == 4


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/api/v1/models/load", {"model": GEMMA, "stream": True}, 400, "Unrecognized key(s) in object: 'stream'"),
        ("/api/v1/models/load", {}, 400, "missing_required_parameter"),
        ("/api/v1/models/load", {"model": "totally/made-up-9000"}, 404, "not found in downloaded models"),
        ("/api/v1/models/unload", {"model": GEMMA}, 400, "Unrecognized key(s)"),
        ("/api/v1/models/unload", {}, 400, "missing_required_parameter"),
        ("/api/v1/models/unload", {"instance_id": "x"}, 404, "Model with instance identifier 'x' is not loaded."),
        ("/v1/chat/completions", {"model": GEMMA}, 400, "'messages'"),
        ("/v1/chat/completions", {"model": GEMMA, "messages": [{"role": "robot"}]}, 400, "'role' field that is in"),
        (
            "/v1/chat/completions",
            {"model": GEMMA, "messages": [], "response_format": {"type": "json_object"}},
            400,
            "'json_schema' or 'text'",
        ),
        ("/v1/completions", {"model": GEMMA}, 400, "'prompt'"),
        ("/v1/embeddings", {"model": EMBED}, 400, "'input'"),
    ],
)
async def test_a_wrong_body_is_refused_in_its_words(pool, serve, path, body, status, said):
    emulator, _ = await serve()
    reply = await pool.post(emulator.url + path, json=body)
    assert reply.status_code == status
    assert said in reply.text.replace('\\"', '"')


async def test_what_is_no_json_is_refused(pool, serve):
    emulator, _ = await serve()
    for path, said in (("/api/v1/models/load", "invalid_json"), ("/v1/chat/completions", "not valid JSON")):
        reply = await pool.post(emulator.url + path, content=b"{")
        assert (reply.status_code, said in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("profile", "loaded", "jit", "status", "said"),
    [
        ("0.3.16", [], False, 404, "No models loaded"),
        ("0.4.25", [], False, 400, "No models loaded"),
        ("0.3.16", [GEMMA, LLAMA], True, 404, "Your models"),
        ("0.4.25", [GEMMA, LLAMA], False, 400, "Invalid model identifier"),
        ("0.4.25", [GEMMA], True, 400, "Invalid model identifier"),
        ("0.4.25", [GEMMA], False, 200, GEMMA),
        ("0.3.16", [GEMMA], True, 200, GEMMA),
    ],
)
async def test_an_unknown_name_is_treated_as_the_version_does(pool, serve, profile, loaded, jit, status, said):
    emulator, _ = await serve(profile, loaded=loaded, jit=jit)
    reply = await chatting(pool, emulator, "nobody")
    assert (reply.status_code, said in reply.text) == (status, True)


async def test_answers_in_one_body_have_usage_and_the_native_extras(pool, serve):
    emulator, _ = await serve("0.3.16")
    body = {"model": GEMMA, "messages": HELLO}
    plain = (await pool.post(f"{emulator.url}/v1/chat/completions", json=body)).json()
    assert (plain["model"], plain["stats"], plain["choices"][0]["finish_reason"]) == (GEMMA, {}, "stop")
    assert plain["usage"]["total_tokens"] == plain["usage"]["prompt_tokens"] + plain["usage"]["completion_tokens"]
    native = (await pool.post(f"{emulator.url}/api/v0/chat/completions", json=body | {"max_tokens": 3})).json()
    assert native["stats"]["stop_reason"] == "maxPredictedTokensReached"
    assert native["choices"][0]["finish_reason"] == "length"
    assert native["model_info"]["context_length"] == 4096
    legacy = (await pool.post(f"{emulator.url}/v1/completions", json={"model": GEMMA, "prompt": "hello there", "stop": ["."]})).json()
    assert (legacy["object"], "." in legacy["choices"][0]["text"]) == ("text_completion", False)


async def test_a_stream_gives_usage_only_when_asked_and_ends_with_done(pool, serve):
    emulator, _ = await serve()
    without = (await chatting(pool, emulator, stream=True)).text
    with_usage = (await chatting(pool, emulator, stream=True, stream_options={"include_usage": True})).text
    assert ('"usage"' in without, '"usage"' in with_usage) == (False, True)
    assert without.endswith("data: [DONE]\n\n")


async def test_more_requests_than_places_queue_and_are_served_in_their_order(pool, serve):
    emulator, _ = await serve(parallel=1, first_token_s=600.0)
    order = []
    for number in range(4):
        task = chatting(pool, emulator, said=number)
        task.add_done_callback(lambda _, number=number: order.append(number))
        await until(lambda number=number: emulator.state["in_flight"] + emulator.state["queued"] > number)
    emulator.set(first_token_s=0.0)
    (instance,) = emulator.work.machine.instances.values()
    next(iter(instance.running)).lost.set()
    await until(lambda: len(order) == 4)
    assert order == [0, 1, 2, 3]
    assert emulator.state["counters"]["queued"] == 3


async def test_a_client_that_leaves_the_queue_leaves_no_hole(pool, serve):
    emulator, _ = await serve(parallel=1, fault="hang", fault_times=1)
    stuck, waiting, last = [chatting(pool, emulator, stream=True) for _ in range(3)]
    await until(lambda: emulator.state["queued"] == 2)
    waiting.cancel()
    stuck.cancel()
    assert (await last).status_code == 200
    await until(lambda: emulator.state["in_flight"] == emulator.state["queued"] == 0)


async def test_an_unload_kills_what_is_running_and_is_counted(pool, serve):
    emulator, _ = await serve(loaded=[GEMMA], first_token_s=30.0)
    running = chatting(pool, emulator)
    await until(lambda: emulator.state["in_flight"] == 1)
    await pool.post(f"{emulator.url}/api/v1/models/unload", json={"instance_id": GEMMA})
    assert ((await running).status_code, (await running).json()) == (400, {"error": "Model unloaded."})
    assert emulator.state["counters"]["unloaded_while_serving"] == 1


async def test_a_load_on_demand_evicts_earlier_ones_even_while_they_answer_but_no_explicit_one(pool, serve):
    emulator, _ = await serve(loaded=[MISTRAL], fault="hang", fault_model=LLAMA)
    running = chatting(pool, emulator, LLAMA)
    await until(lambda: emulator.state["in_flight"] == 1)
    emulator.set(fault="")
    assert (await chatting(pool, emulator, GEMMA)).status_code == 200
    assert (await running).json() == {"error": "Model unloaded."}
    assert set(emulator.work.machine.instances) == {MISTRAL, GEMMA}
    emulator.set(auto_evict=False)
    await chatting(pool, emulator, LLAMA)
    assert set(emulator.work.machine.instances) == {MISTRAL, GEMMA, LLAMA}


@pytest.mark.parametrize(("race", "copies"), [(True, [GEMMA, f"{GEMMA}:2", f"{GEMMA}:3"]), (False, [GEMMA])])
async def test_first_requests_share_a_load_or_race(pool, serve, race, copies):
    emulator, _ = await serve(jit_race=race, load_seconds=0.1, auto_evict=False)
    await asyncio.gather(*(chatting(pool, emulator) for _ in range(3)))
    assert sorted(emulator.work.machine.instances) == copies


async def test_a_load_on_demand_that_does_not_fit_fails_its_request(pool, serve):
    emulator, _ = await serve(memory_gb=1)
    reply = await chatting(pool, emulator)
    assert reply.status_code == 400
    assert "Failed to load model" in reply.json()["error"]["message"]
    assert "insufficient system resources" in reply.text


async def test_a_load_on_demand_goes_when_it_has_been_idle(pool, serve):
    emulator, _ = await serve(jit_ttl_s=3600)
    await chatting(pool, emulator, ttl=60)
    (listed,) = (model for model in (await pool.get(f"{emulator.url}/api/v1/models")).json()["models"] if model["key"] == GEMMA)
    assert 55 <= listed["loaded_instances"][0]["remaining_ttl_seconds"] <= 60
    emulator.work.machine.instances[GEMMA].last_used -= 61
    await pool.get(f"{emulator.url}/api/v1/models")
    assert emulator.work.machine.instances == {}


async def test_a_late_notice_of_a_disconnect_keeps_the_place_taken(pool, serve):
    emulator, _ = await serve(loaded=[GEMMA], fault="hang", late_disconnect_s=0.2)
    task = chatting(pool, emulator, stream=True)
    await until(lambda: emulator.state["in_flight"] == 1)
    task.cancel()
    await until(lambda: emulator.state["counters"].get("disconnected") == 1)
    assert emulator.state["in_flight"] == 1
    await until(lambda: emulator.state["in_flight"] == 0)


async def test_the_speed_is_shared(serve):
    emulator, _ = await serve(loaded=[GEMMA], tokens_per_s=200.0)
    instance = emulator.work.machine.instances[GEMMA]
    loop = asyncio.get_running_loop()

    async def one():
        async with emulator.work.slot(instance) as job:
            return [piece async for piece in emulator.work.paced(job, ["x"] * 20)]

    begun = loop.time()
    await one()
    alone, begun = loop.time() - begun, loop.time()
    await asyncio.gather(one(), one(), one(), one())
    assert loop.time() - begun > 2 * alone


async def test_the_design_profile_unloads_everything_when_asked_for_nothing(pool, serve):
    emulator, _ = await serve("design", loaded=[GEMMA, LLAMA])
    assert (await pool.post(f"{emulator.url}/v1/models/unload", content=b"")).json() == {}
    assert [item["loaded"] for item in (await pool.get(f"{emulator.url}/v1/models")).json()["data"]] == [False] * 4
    assert (await pool.post(f"{emulator.url}/v1/models/load", json={"model": "x"})).status_code == 404
    assert (await pool.get(f"{emulator.url}/api/v0/models")).status_code == 404


async def test_everything_can_be_read_and_switched_while_it_runs(pool, serve):
    emulator, _ = await serve(loaded=[GEMMA])
    await chatting(pool, emulator)
    state = (await pool.get(f"{emulator.url}/emulator/state")).json()
    assert state["memory"]["budget_gb"] == 64
    assert state["models"][0]["instances"][0]["state"] == "loaded"
    assert state["counters"]["unloaded_while_serving"] == 0
    assert state["events"][-1]["event"] == "answered"
    assert "token" not in state["habits"]
    switched = await pool.post(f"{emulator.url}/emulator/habits", json={"jit": False, "tokens_per_s": 5})
    assert (switched.json()["jit"], switched.json()["tokens_per_s"]) == (False, 5)
    for wrong in ({"nonsense": 1}, {"jit": "yes"}, {"fault": "earthquake"}, {"parallel": -1}, {"tokens_per_s": True}):
        assert (await pool.post(f"{emulator.url}/emulator/habits", json=wrong)).status_code == 400
    assert (await pool.post(f"{emulator.url}/emulator/reset")).json()["habits"]["jit"] is True
    assert (await pool.get(f"{emulator.url}/emulator/nothing")).status_code == 404


async def test_idle_connections_are_closed(pool, serve):
    emulator, _ = await serve(keepalive_s=0.05)
    await pool.get(f"{emulator.url}/v1/models")
    await until(lambda: emulator.state["connections"] == 0)


def test_a_model_is_written_as_key_size_and_format():
    assert Model.parse("google/gemma-3-4b:3.3:mlx") == Model(key="google/gemma-3-4b", size_bytes=round(3.3 * GB), format="mlx")
    assert Model.parse("qwen:8b:5") == Model(key="qwen:8b", size_bytes=5 * GB, format="gguf")
    for wrong in ("gemma", "gemma:big", ":3", "gemma:0", "gemma:-1"):
        with pytest.raises(ValueError, match="key:sizeGB"):
            Model.parse(wrong)


def test_a_larger_context_needs_more_memory():
    model = Model.parse("m:4.7")
    assert model.need(4096) - model.need(0) == 4096 * 128 * 1024
    assert model.need(131072) > 3 * model.need(0)


def test_an_emulator_refuses_what_it_cannot_be():
    for options in ({"profile": "0.5"}, {"loaded": ["nobody"]}, {"nonsense": 1}):
        with pytest.raises(ValueError):  # noqa: PT011 (three sentences)
            Emulator(**options)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_made_of_habits(profile):
    assert Habits().changed(PROFILES[profile].habits)


def spoken(said, system="You are Max."):
    return [{"role": "system", "content": system}, {"role": "user", "content": said}]


def test_answers_are_lively_repeatable_and_about_what_was_said():
    said = voice.prompt_text([{"role": "user", "content": "Bob: old\nAnna: what about penguins?"}, {"role": "assistant", "content": "x"}])
    assert said == "what about penguins?"
    texts = {seed: voice.answer(spoken(said), seed)[1] for seed in range(20)}
    assert texts == {seed: voice.answer(spoken(said), seed)[1] for seed in range(20)}
    assert len(set(texts.values())) > 10
    assert all("penguins" in text for text in texts.values())
    assert len({voice.answer(spoken(said, f"You are number {number}."), 1)[1] for number in range(20)}) > 10
    assert voice.answer([], 1)[1]
    for text in texts.values():
        assert "".join(voice.pieces(text)) == text


@pytest.mark.parametrize(
    ("habit", "mark"), [("long", None), ("think", "<think>"), ("thought", "<think>"), ("leak", "\nUser:"), ("skip", "[SKIP]")]
)
def test_bad_answers_have_their_marks(habit, mark):
    text = voice.answer(HELLO, 1, habit)[1]
    assert mark in text if mark else len(text) > 2000


def test_the_options_become_an_emulator():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = vars(parser.parse_args(["--port", "0", "--profile", "design", "--models", "a:1", "b:2:mlx", "--memory-gb", "8", "--no-jit"]))
    assert (options["port"], options["models"], options["memory_gb"], options["jit"]) == (0, ["a:1", "b:2:mlx"], 8.0, False)


SERVE = """
import argparse
from cluster.lmstudio.emulator import command
parser = argparse.ArgumentParser()
command.add_arguments(parser)
command.handle(vars(parser.parse_args()))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_as_a_program_it_says_where_it_listens_and_stops_when_told(pool, number):
    arguments = ["-c", SERVE, "--port", "0", "--models", "a:1", "--loaded", "a", "--habit", "tokens_per_s=0", "--habit", "fault=hang"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=pipe, stderr=pipe, env=environment)
    line = (await asyncio.wait_for(program.stdout.readline(), 60)).decode()
    url = next(word for word in line.split() if word.startswith("http")).rstrip(",")
    body = {"model": "a", "messages": HELLO, "stream": True}
    stuck = asyncio.ensure_future(pool.post(f"{url}/v1/chat/completions", json=body, timeout=None))
    async with asyncio.timeout(10):
        while json.loads((await pool.get(f"{url}/emulator/state")).content)["in_flight"] == 0:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
    program.send_signal(number)
    async with asyncio.timeout(5):
        _, complaints = await program.communicate()
    assert (program.returncode, complaints) == (0, b"")
    assert "Stopped." in (await stuck).text
