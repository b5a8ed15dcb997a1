"""Recognising a backend by reading only."""

import pytest

from conversations.feed import errors
from conversations.feed.client import Client
from conversations.feed.detection import Reply, steps
from conversations.feed.values import Generation
from tests.wire.feed.conftest import Emulate


@pytest.mark.parametrize("generation", Generation)
@pytest.mark.parametrize("tail", ["", "/", "/comments"])
async def test_every_generation_is_recognised_without_a_write(generation: Generation, tail: str, client: Client, emulate: Emulate):
    emulator, _ = await emulate(generation)
    assert await client.detect(emulator.url + tail) is generation
    assert {one.split()[0] for one in emulator.counts} <= {"GET", "OPTIONS"}
    assert not emulator.store.messages()


async def test_a_backend_with_messages_is_recognised_too(client: Client, emulate: Emulate):
    for generation in Generation:
        emulator, _ = await emulate(generation, chatter=True, every_s=60, mentions=["Sage"])
        assert await client.detect(emulator.url) is generation


def reply(body: bytes, status: int = 200, **headers: str) -> Reply:
    return Reply(status=status, headers=headers, body=body, where="GET http://feed/api")


def detect(*replies: Reply) -> Generation:
    talk = steps(0)
    next(talk)
    try:
        for one in replies:
            talk.send(one)
    except StopIteration as end:
        return Generation(end.value)
    raise AssertionError("detection asks on")


NOT_FOUND = reply(b"Not found", 404)
METHODS = {"access-control-allow-methods": "GET, POST, OPTIONS"}


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ([reply(b"[]"), reply(b'{"pending":[]}')], errors.Unrecognised),
        ([reply(b"[]"), reply(b'{"pending":[],"platformOnly":[]}')], errors.Unrecognised),
        ([reply(b'{"messages":[],"version":"1"}'), reply(b'{"pending":[],"kvStats":{}}')], errors.Unrecognised),
        ([reply(b'{"messages":[],"version":"1"}'), NOT_FOUND], errors.Misaddressed),
        ([reply(b"[]"), NOT_FOUND, reply(b"[]")], errors.Unrecognised),
        ([reply(b"[]"), reply(b"", 503)], errors.Unavailable),
        ([reply(b"<html>")], errors.Unavailable),
        ([reply(b"{}")], errors.Malformed),
        ([reply(b'{"error":"no","comments":[]}')], errors.Unavailable),
        ([NOT_FOUND], errors.Misaddressed),
    ],
)
def test_an_unknown_backend_is_an_error_and_never_a_guess(replies, expected):
    with pytest.raises(expected):
        detect(*replies)


def test_without_word_of_patch_it_is_september():
    start = [reply(b"[]"), NOT_FOUND, reply(b'{"comments":[],"total":0,"hasMore":false}')]
    assert detect(*start, reply(b"", 200, **METHODS)) is Generation.KV
    assert detect(*start, reply(b"", 405)) is Generation.KV


def test_a_bare_list_of_what_waits_is_the_last_kv_in_its_first_days():
    assert detect(reply(b"[]"), reply(b"[]")) is Generation.KV_QUEUE
    with pytest.raises(errors.Unrecognised):
        detect(reply(b'{"messages":[],"version":"1"}'), reply(b"[]"))


async def test_no_backend_at_the_address_is_an_error(client: Client, emulate: Emulate):
    emulator, _ = await emulate(Generation.DO)
    with pytest.raises(errors.Misaddressed):
        await client.detect(emulator.url + "/v2")
    await emulator.stop()
    with pytest.raises(errors.Unreachable):
        await client.detect(emulator.url)
    with pytest.raises(ValueError, match="no address"):
        await client.detect("not a url")
