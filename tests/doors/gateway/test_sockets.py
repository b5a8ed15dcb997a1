"""The whole web server on real sockets, and what comes over them that is no proper request."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation, Server
from swwbot_site import protocol
from tests.doors.gateway.conftest import CHAT, HELLO, MODEL, Gateway, free
from tests.doors.gateway.test_ending import Web
from tests.harness import until

Cluster = Callable[..., list[Emulator]]


@contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as one:
        yield one


def request(secret: str, *, head: str = "", version: str = "1.1", **over: Any) -> bytes:
    body = json.dumps(HELLO | over).encode()
    begin = f"POST {CHAT} HTTP/{version}\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n"
    return f"{begin}{head}\r\n".encode() + body


def answers(one: socket.socket) -> bytes:
    """All that comes until the server hangs up."""
    found = b""
    try:
        while piece := one.recv(65_536):
            found += piece
    except ConnectionResetError:
        pass
    return found


def poured(one: socket.socket, piece: bytes) -> int:
    """Send the piece again and again; returns how much was taken before the server hung up, or 64 MB."""
    sent = 0
    try:
        while sent < 64 * 1024 * 1024:
            sent += one.send(piece)
    except ConnectionError:
        pass
    return sent


def test_a_client_that_goes_away_before_the_first_token_frees_its_seat(gateway: Gateway, secret: str, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=1, fault="hang")
    for number, stream in enumerate((False, True), 1):
        with connected(gateway.url) as one:
            one.sendall(request(secret, stream=stream))
            until(lambda: emulator.work.machine.running == 1, what="one who is asked")
        free()
        until(lambda n=number: Generation.objects.filter(state="cancelled").count() == n, what="the row")  # type: ignore[misc]
        until(lambda: emulator.work.machine.running == 0, what="an end of the generating")
    assert Generation.objects.count() == 2


def test_whoever_hangs_up_behind_several_requests_ends_the_first_too(gateway: Gateway, secret: str, cluster: Cluster) -> None:
    (emulator,) = cluster(loaded=["maker/small"], parallel=1, fault="hang")
    with connected(gateway.url) as one:
        one.sendall(request(secret) * 3)
        until(lambda: emulator.work.machine.running == 1, what="one who is asked")
    free()
    assert list(Generation.objects.values_list("state", flat=True)) == ["cancelled"]


def test_old_clients_and_several_requests_in_one_go_are_answered_in_order(gateway: Gateway, secret: str, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    with connected(gateway.url) as one:
        one.sendall(request(secret, head="Connection: close\r\n", version="1.0"))
        assert answers(one).count(b'"finish_reason"') == 1
    with connected(gateway.url) as one:
        one.sendall(request(secret, stream=True, version="1.0"))
        found = answers(one)
    assert b"chunked" not in found
    assert found.endswith(b"data: [DONE]\n\n")
    with connected(gateway.url) as one:
        one.sendall(request(secret) * 20 + request(secret, head="Connection: close\r\n"))
        found = answers(one)
    assert found.count(b"HTTP/1.1 200 OK") == 21
    free()


def test_heads_without_an_end_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    bombs = (
        (b"GET /v1/models HTTP/1.1\r\n", b"x: y\r\n" * 10_000),
        (b"GET /v1/models HTTP/1.1\r\nx: ", b"y" * 65_536),
        (b"GET /", b"z" * 65_536),
        (b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"x: y\r\n" * 10_000),
        (b"POST /v1/models HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 65_536),
    )
    web = Web("postgresql://nobody@127.0.0.1:1/nothing", tmp_path)
    try:
        web.wait()
        for begin, more in bombs:
            with connected(web.url) as one:
                one.sendall(begin)
                assert poured(one, more) < 16 * 1024 * 1024, begin
        assert httpx.get(f"{web.url}/healthz").status_code == 200
        with connected(web.url) as one:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"x: y\r\n" * 100_000 + b"\r\n")
            said = answers(one)
            assert said.startswith(b"HTTP/1.1 431 ")
            head, _, body = said.partition(b"\r\n\r\n")
            assert b"content-length: %d\r\n" % len(body) in head
        chunks = b"".join(b"100000\r\n" + b"x" * 0x100000 + b"\r\n" for _ in range(17))
        with connected(web.url) as one:
            one.sendall(b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
            assert one.recv(100).startswith(b"HTTP/1.1 413 ")
    finally:
        web.kill()


def test_a_connection_that_asks_nothing_or_drips_is_closed(gateway: Gateway, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "PATIENCE_S", 0.3)
    monkeypatch.setattr(protocol, "UPLOAD_S", 0.4)
    for begin in (b"", b"GET /v1/models HTTP/1.1\r\n", b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1"):
        with connected(gateway.url) as one:
            one.sendall(begin)
            found = answers(one)
            assert found.count(b"401 Unauthorized") == begin.count(b"\r\n\r\n")
    for length in (500, 10**12):
        with connected(gateway.url) as one:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n"
            one.sendall(head.encode())
            found, over = b"", False
            while not over:
                try:
                    one.sendall(b" ")
                    one.settimeout(0.05)
                    piece = one.recv(1000)
                    found, over = found + piece, not piece
                except TimeoutError:
                    continue
                except ConnectionError:
                    over = True
            assert found.count(b" 413 ") == (length > 500)


def test_a_server_may_have_an_odd_name_and_a_body_odd_words(http: httpx.Client, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    Server.objects.update(name="Mac\x1b[31m \x07\u202e\n\U0001f600")
    odd = (
        b'{"model":"nobody","model":"%s","messages":[{"role":"user","content":"x"}],"max_tokens":3}' % MODEL.encode(),
        b'\xef\xbb\xbf{"model":"%s","messages":[{"role":"user","content":"x"}],"max_tokens":3}' % MODEL.encode(),
    )
    for body in odd:
        said = http.post(CHAT, content=body)
        assert said.status_code == 200, said.text
        assert said.headers["x-sww-server"] == "Mac?[31m ????"
    many = b'{"model":"%s","messages":[%s{}]}' % (MODEL.encode(), b"{}," * 300_000)
    assert http.post(CHAT, content=many).status_code == 413
    free()
