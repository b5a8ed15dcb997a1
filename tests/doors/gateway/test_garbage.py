"""Model servers that say what no model server should: their clients get sound JSON all the same, and the rows are kept."""

import asyncio
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from cluster.models import Generation
from tests import build
from tests.doors.gateway.conftest import CHAT, HELLO, MODEL, free, row
from tests.harness import Background, until
from tests.wire.lmstudio.helpers import Script, plain

SIP = 7
Serve = Callable[[bytes], None]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
END = '{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]%s}'


@pytest.fixture
def serve(background: Background, transactional_db: None) -> Iterator[Serve]:
    """Makes a server with a model in memory, which answers everything with the bytes that were said last, a few at a time."""
    said: list[bytes] = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, gap, body = said[-1].partition(b"\r\n\r\n")
        writer.write(head + gap)
        for at in range(0, len(body), SIP):
            writer.write(body[at : at + SIP])
            await writer.drain()

    script = Script(answer)
    background.run(script.__aenter__())
    server, model = build.server(url=script.url, dialect="openai"), build.model(key=MODEL)
    build.offer(server=server, model=model)
    build.placement(server=server, model=model, slots=4)
    yield said.append
    background.run(script.__aexit__())


def events(*values: str) -> bytes:
    return HEAD + b"".join(b"data: " + value.encode("utf-8", "surrogateescape") + b"\n\n" for value in values) + b"data: [DONE]\n\n"


def piece(content: str, more: str = "") -> str:
    return f'{{"choices":[{{"index":0,"delta":{{"content":"{content}"}}{more}}}]}}'


HUGE = f',"usage":{{"prompt_tokens":{2**70},"completion_tokens":-7,"total_tokens":1e400}}'
CASES = {
    "counts that no row takes": (events(piece("Hello"), END % HUGE), "Hello"),
    "numbers that are none": (events(piece("Hello", ',"logprobs":{"content":[{"logprob":NaN},{"logprob":-Infinity}]}'), END % ""), "Hello"),
    "halves of characters and NULs": (events(piece("a\\ud83d"), piece("\\ude00\\u0000"), END % ""), None),
    "no characters": (events(piece("Hello \udcff"), END % ""), "Hello \ufffd"),
    "a thousand of pieces": (events(*[piece("x")] * 1000, END % ""), "x" * 1000),
    "choices of all kinds": (
        events('{"choices":null}', '{"choices":[null,7,{}]}', "[]", "7", piece("Hello"), '{"usage":[],"choices":{}}', END % ""),
        "Hello",
    ),
    "deep nesting": (
        events(piece("Hello"), '{"choices":[{"index":0,"delta":{"audio":' + "[" * 900 + "]" * 900 + "}}]}", END % ""),
        "Hello",
    ),
}


@pytest.mark.parametrize("stream", [False, True])
def test_what_servers_say_wrongly_harms_neither_clients_nor_rows(stream: bool, http: httpx.Client, serve: Serve) -> None:
    for case, (said, text) in CASES.items():
        serve(said)
        answer = http.post(CHAT, json=HELLO | {"stream": stream, "stream_options": {"include_usage": True}})
        assert answer.status_code == 200, answer.text
        if stream:
            lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
            assert lines.pop() == "[DONE]", case
            values = [json.loads(line, parse_constant=pytest.fail) for line in lines]
            heard = "".join(choice["delta"].get("content") or "" for value in values for choice in value["choices"])
        else:
            heard = json.loads(answer.content, parse_constant=pytest.fail)["choices"][0]["message"]["content"]
        assert text in (None, heard), case
        kept = row(answer.headers)
        assert text in (None, kept.text), case
        assert (kept.prompt_tokens, kept.completion_tokens) == (None, None), case
    free()


def test_vectors_with_a_count_that_no_row_takes_are_kept(http: httpx.Client, serve: Serve) -> None:
    for count, kept in ((2**40, None), (-1, None), (12, 12)):
        serve(plain({"data": [{"index": 0, "embedding": [0.5, 1]}], "model": MODEL, "usage": {"prompt_tokens": count}}, Connection="close"))
        answer = http.post("/v1/embeddings", json={"model": MODEL, "input": "x"})
        assert answer.status_code == 200, answer.text
        until(lambda: Generation.objects.filter(state="done", finish_reason="embedding", prompt_tokens=kept).exists(), what="the row")  # noqa: B023
    assert Generation.objects.count() == 3
    free()


def test_an_error_with_signs_that_no_row_takes_is_told_and_kept(http: httpx.Client, serve: Serve) -> None:
    build.policy(max_attempts=1)
    error = '{"error":{"message":"The \\u0000 engine \\ud800 \\u001b[31m broke","code":"\\u0000"}}'
    serve(events(error))
    said = http.post(CHAT, json=HELLO)
    assert said.status_code >= 400
    assert "The \ufffd engine \ufffd" in said.json()["error"]["message"]
    kept = row(said.headers, "failed")
    assert "The \ufffd engine \ufffd \ufffd[31m broke" in kept.error
    assert kept.tried
    free()
