"""Clouds behind OpenAI's API: paths, tokens, limits, credit, hundreds of models, and keys they do not know."""

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.values import Endpoint, Timeouts
from tests.wire.lmstudio.helpers import GEMMA, LLAMA, QUICK, Script, asked, chunk, plain, saying
from tests.wire.lmstudio.test_client import SECRET, failing

CLOUD = {"models": (f"{GEMMA}:3.3", f"{LLAMA}:4.9"), "token": SECRET}


@pytest.mark.parametrize(
    ("url", "chat"),
    [
        ("http://mac:1234", "http://mac:1234/v1/chat/completions"),
        ("http://mac:1234/v1", "http://mac:1234/v1/chat/completions"),
        ("https://host/api/v1", "https://host/api/v1/chat/completions"),
        ("https://host/api", "https://host/api/v1/chat/completions"),
        ("https://host/openai/v1/", "https://host/openai/v1/chat/completions"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai/chat/completions"),
        ("https://host/v1/openai", "https://host/v1/openai/chat/completions"),
        ("https://host/api/paas/v4", "https://host/api/paas/v4/chat/completions"),
        ("https://v2.host/api", "https://v2.host/api/v1/chat/completions"),
    ],
)
def test_an_address_with_a_path_is_joined_as_its_owner_means_it(url, chat):
    assert Endpoint(url=url).at("/v1/chat/completions") == chat


@pytest.mark.parametrize("tail", ["", "/", "/v1"])
async def test_a_cloud_below_a_path_is_detected_listed_and_asked_with_its_token(client, serve, tail):
    emulator, endpoint = await serve("cloud", **CLOUD)
    cloud = Endpoint(url=f"{endpoint.url}{tail}", token=SECRET)
    assert emulator.url.endswith("/api")
    assert (await client.detect(cloud, QUICK)).dialect == "openai"
    assert {model.key for model in (await client.list(cloud, QUICK)).models} == {GEMMA, LLAMA}
    outcome = await client.chat(cloud, asked(), QUICK)
    assert (outcome.finish_reason, outcome.model) == ("stop", f"{GEMMA}-2026-08-06")
    assert await client.ping(Endpoint(url=cloud.url, token=SECRET, dialect="openai"), QUICK) > 0


async def test_a_snapshot_of_a_model_is_it_and_another_model_is_not(client, serve):
    emulator, endpoint = await serve("cloud", **CLOUD)
    emulator.set(fault="wrong-model")
    await failing(client.chat(endpoint, asked(), QUICK), errors.WrongModel)


@pytest.mark.parametrize("token", ["", "sk-wrong"])
async def test_a_cloud_without_the_right_token_is_misconfigured(client, serve, token):
    _, endpoint = await serve("cloud", **(CLOUD | {"token": token}))
    for call in (client.detect(endpoint, QUICK), client.list(endpoint, QUICK), client.chat(endpoint, asked(), QUICK)):
        assert "sk-wrong" not in str(await failing(call, errors.Misconfigured))


async def test_too_many_requests_say_how_long(client, serve):
    _, endpoint = await serve("cloud", **CLOUD, fault="rate-limit", retry_after="17")
    error = await failing(client.chat(endpoint, asked(), QUICK), errors.RateLimited)
    assert (error.retry_after_s, error.harms_server) == (17, False)


@pytest.mark.parametrize("fault", ["quota", "credit"])
async def test_spent_credit_is_not_asked_again_for_an_hour(client, serve, fault):
    _, endpoint = await serve("cloud", **CLOUD, fault=fault)
    error = await failing(client.chat(endpoint, asked(), QUICK), errors.OutOfCredit)
    assert (error.retry_after_s, error.harms_server, isinstance(error, errors.RateLimited)) == (3600, False, True)
    assert "Top up" in str(error)


async def test_of_hundreds_of_models_only_the_wanted_ones_are_kept(client, serve):
    _, endpoint = await serve("cloud", models=[f"maker/model-{n}-{n % 7}b:1" for n in range(400)], token=SECRET)
    listed = await client.list(endpoint, QUICK)
    assert len(listed.models) == 400
    assert [model.key for model in listed.among(["Maker/Model-8-1b:2", "maker/none"]).models] == ["maker/model-8-1b"]


async def test_keys_that_a_cloud_does_not_know_are_left_out(client, serve):
    emulator, endpoint = await serve("cloud", **CLOUD, refuses="top_k,repeat_penalty")
    request = asked(sampling={"temperature": 0.5, "top_k": 40, "repeat_penalty": 1.1})
    assert (await client.chat(endpoint, request, QUICK)).text
    emulator.set(refuses="messages")
    await failing(client.chat(endpoint, request, QUICK), errors.UnknownKey)


@pytest.mark.parametrize(
    ("refusal", "status", "left_out", "put_in"),
    [
        (
            {
                "error": {
                    "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
                }
            },
            "400 Bad Request",
            "max_tokens",
            '"max_completion_tokens": 9',
        ),
        (
            {"error": {"message": "Unsupported value: 'temperature' does not support 0.5 with this model."}},
            "400 Bad Request",
            "temperature",
            "",
        ),
        ({"error": {"message": "property 'top_k' is unsupported"}}, "400 Bad Request", "top_k", ""),
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]},
            "422 Unprocessable",
            "stream_options",
            "",
        ),
    ],
)
async def test_each_way_of_refusing_a_key_is_understood(client, refusal, status, left_out, put_in):
    answers = iter(
        [
            plain(refusal, status, Connection="close"),
            plain("".join(f"data: {one}\n\n" for one in (chunk("Hi"), chunk(finish="stop"))), kind="text/event-stream"),
        ]
    )

    async def answer(reader, writer):
        await saying(next(answers))(reader, writer)

    async with Script(answer) as script:
        request = asked(max_tokens=9, sampling={"temperature": 0.5, "top_k": 40})
        outcome = await client.chat(Endpoint(url=script.url, dialect="openai"), request, Timeouts())
    assert outcome.text == "Hi"
    first, second = (heard.decode() for heard in script.heard)
    assert f'"{left_out}"' in first
    assert f'"{left_out}"' not in second
    assert put_in in second


async def test_a_provider_that_breaks_down_in_the_middle_says_so(client):
    broken = chunk("Hel") + '\n\ndata: {"error": {"code": 502, "message": "Provider disconnected"}, "choices": []}'
    said = plain(f": OPENROUTER PROCESSING\n\ndata: {broken}\n\n", kind="text/event-stream")
    async with Script(saying(said)) as script:
        error = await failing(client.chat(Endpoint(url=script.url, dialect="openai"), asked(), QUICK), errors.Unavailable)
    assert error.started
