"""Servers that never come to an end: what they send is not kept for ever."""

import pytest

from cluster.lmstudio import client as speaking
from cluster.lmstudio import errors, ndjson, sse, streaming
from cluster.lmstudio.values import Endpoint
from tests.wire.lmstudio.helpers import QUICK, Script, asked, chunk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n"


def forever(head, piece):
    """Sends the piece for as long as somebody listens."""

    async def answer(_, writer):
        writer.write(head)
        try:
            while True:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            return

    return answer


@pytest.mark.parametrize("reader", [sse.Reader(), ndjson.Reader()])
def test_a_line_without_an_end_is_not_kept(reader):
    for _ in range(sse.LONGEST // 1_000_000):
        reader.feed(b"x" * 1_000_000)
    with pytest.raises(errors.Malformed):
        reader.feed(b"x")


def test_an_event_of_endless_lines_is_not_kept_and_one_of_many_lines_is_read():
    reader = sse.Reader()
    assert reader.feed(b'data: {"a":\n' + b"data: \n" * 900 + b"data: 1}\n\n") == [{"a": 1}]
    with pytest.raises(errors.Malformed):
        reader.feed(b"data: [\n" * 2000)
    reader = sse.Reader()
    assert len(reader.feed(b'data: {"a": 1}\ndata: {"a":\ndata: 2}\n' * 2000)) == 4000


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "piece",
    [b"x" * 100_000, b"data: " + b"x" * 100_000 + b"\n\n", b"\n" * 100_000, b": still here\n\n" * 1000, b"data: {}\n\n" * 1000],
    ids=["no line", "garbage", "empty lines", "comments", "nothing said"],
)
async def test_a_stream_without_an_end_is_given_up(client, monkeypatch, piece, started):
    monkeypatch.setattr(streaming, "LARGEST", 1_000_000)
    head = HEAD % b"text/event-stream" + (f"data: {chunk('Hello')}\n\n".encode() if started else b"")
    async with Script(forever(head, piece)) as script:
        with pytest.raises(errors.Malformed) as caught:
            await client.chat(Endpoint(url=script.url, dialect="openai"), asked(), QUICK)
    assert caught.value.started is started


async def test_a_reply_without_an_end_is_given_up(client, monkeypatch):
    monkeypatch.setattr(speaking, "LARGEST", 3_000_000)
    async with Script(forever(HEAD % b"application/json", b" " * 100_000)) as script:
        endpoint = Endpoint(url=script.url, dialect="openai")
        with pytest.raises(errors.Malformed):
            await client.list(endpoint, QUICK)
        with pytest.raises(errors.Malformed):
            await client.chat(endpoint, asked(), QUICK)
