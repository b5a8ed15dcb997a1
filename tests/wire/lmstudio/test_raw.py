"""The client against sockets that say exactly what they are told: what no well-behaved server sends."""

import asyncio

import pytest

from cluster.lmstudio import errors
from cluster.lmstudio.values import Endpoint, Timeouts
from tests.wire.lmstudio.helpers import QUICK, Script, asked, chunk, plain, request, saying

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def stream(*values: str) -> bytes:
    return HEAD + b"".join(f"data: {value}\n\n".encode() for value in values)


async def chatted(client, raw, timeouts=QUICK):
    async with Script(saying(raw)) as script:
        return await client.chat(Endpoint(url=script.url, dialect="openai"), asked(), timeouts)


async def test_a_stream_without_done_is_whole_once_it_gave_its_reason(client):
    outcome = await chatted(client, stream(chunk("Hello"), chunk(finish="length")))
    assert (outcome.text, outcome.finish_reason, outcome.prompt_tokens) == ("Hello", "length", None)


@pytest.mark.parametrize("tail", [(), ("[DONE]",)])
async def test_a_stream_without_a_reason_is_truncated_with_and_without_done(client, tail):
    with pytest.raises(errors.Truncated) as caught:
        await chatted(client, stream(chunk("Hello"), *tail))
    assert caught.value.started


@pytest.mark.parametrize("line", ["", "event: error\n"])
async def test_an_error_event_is_heard_with_and_without_its_event_line(client, line):
    raw = stream(chunk("Hel")) + f'{line}data: {{"error":{{"message":"Model unloaded."}}}}\n\n'.encode()
    with pytest.raises(errors.ModelUnloaded):
        await chatted(client, raw)


async def test_a_plain_error_with_status_200_in_place_of_a_stream_is_an_error(client):
    said = {"error": "Unexpected endpoint or method. (POST /v1/chat/completions)"}
    for kind in ("application/json", "text/event-stream"):
        with pytest.raises(errors.CapabilityMissing):
            await chatted(client, plain(said, kind=kind))


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{", errors.Dropped),
        (plain("<!DOCTYPE html><pre>Internal Server Error</pre>", "500 Internal Server Error", "text/html"), errors.Hiccup),
        (plain("", "302 Found", Location="http://elsewhere/"), errors.Misconfigured),
        (plain([1, 2]), errors.Malformed),
        (plain("what?", kind="text/plain"), errors.Malformed),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", errors.Dropped),
        (b"", errors.Dropped),
    ],
)
@pytest.mark.parametrize("verb", ["chat", "list", "load"])
async def test_whatever_a_server_says_is_an_error_of_the_tree(client, raw, kind, verb):
    async with Script(saying(raw)) as script:
        endpoint = Endpoint(url=script.url, dialect="lmstudio-v1")
        calls = {
            "chat": lambda: client.chat(endpoint, asked(), QUICK),
            "list": lambda: client.list(endpoint, QUICK),
            "load": lambda: client.load(endpoint, "m", timeouts=QUICK),
        }
        with pytest.raises(errors.PeerError) as caught:
            await calls[verb]()
        assert type(caught.value) is kind


async def test_a_load_is_sent_once_whatever_happens(client):
    async with Script(saying(b"")) as script:
        with pytest.raises(errors.Dropped):
            await client.load(Endpoint(url=script.url, dialect="lmstudio-v1"), "m", timeouts=QUICK)
        assert len(script.heard) == 1


async def test_a_request_carries_its_length_and_its_token(client):
    async with Script(saying(plain({"data": []}))) as script:
        await client.ping(Endpoint(url=script.url, token="sk-lm-abcdefgh:1234"), QUICK)
        await client.list(Endpoint(url=script.url, dialect="openai"), QUICK)
    with_token, without = (heard.decode().lower() for heard in script.heard)
    assert with_token.startswith("get /v1/models http/1.1")
    assert "authorization: bearer sk-lm-abcdefgh:1234" in with_token
    assert "authorization" not in without


async def test_a_complete_answer_does_not_wait_for_a_server_that_forgets_to_end(client):
    async def answer(reader, writer):
        writer.write(stream(chunk("Hello"), chunk(finish="stop"), "[DONE]"))
        await writer.drain()
        await reader.read()

    async with Script(answer) as script:
        outcome = await client.chat(Endpoint(url=script.url, dialect="openai"), asked(), Timeouts(idle_s=60))
    assert outcome.text == "Hello"


async def test_a_connection_that_was_closed_while_idle_is_replaced(client):
    async def twice(reader, writer):
        writer.write(plain({"data": []}, Connection="keep-alive"))
        await writer.drain()
        await request(reader)  # hears the next one, and hangs up without a word

    async with Script(twice) as script:
        endpoint = Endpoint(url=script.url, dialect="openai")
        await client.list(endpoint, QUICK)
        await client.list(endpoint, QUICK)
        assert len(script.heard) == 2


async def test_letters_cut_between_two_packets_are_whole_again(client):
    raw = stream(chunk("Grüße 😀"), chunk(finish="stop"), "[DONE]").replace(b"\\u00fc", "ü".encode())

    async def slowly(_, writer):
        for start in range(0, len(raw), 7):
            writer.write(raw[start : start + 7])
            await writer.drain()
            await asyncio.sleep(0)

    async with Script(slowly) as script:
        outcome = await client.chat(Endpoint(url=script.url, dialect="openai"), asked(), QUICK)
    assert outcome.text == "Grüße 😀"
