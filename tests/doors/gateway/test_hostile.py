"""What nobody would ask who means well."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cluster.lmstudio.emulator import Emulator
from cluster.models import Generation
from swwbot_site.gateway import answering
from tests.doors.gateway.conftest import CHAT, HELLO, Gateway, free, row
from tests.harness import until

Cluster = Callable[..., list[Emulator]]
HEAD = "/v1/models"


def refused(said: httpx.Response, status: int) -> None:
    assert said.status_code == status, said.text
    error = said.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert said.headers["x-content-type-options"] == "nosniff"


def test_every_refusal_has_the_shape_that_openai_s_errors_have(http: httpx.Client, cluster: Cluster, gateway: Gateway) -> None:
    cluster(loaded=["maker/small"])
    for path in ("/v1/", "/v1/nothing", "/v1/../admin/", "/v1/%2e%2e/admin/", "/v1//models", "/v1/models2", "/v1/chat", "/v1/Models"):
        refused(http.get(path), 404)
    for method, path in (("GET", CHAT), ("PUT", CHAT), ("DELETE", HEAD), ("POST", HEAD), ("OPTIONS", HEAD)):
        said = http.request(method, path)
        refused(said, 405)
        assert said.headers["allow"] == ("POST" if path == CHAT else "GET")
    assert http.head(HEAD).status_code == 405
    assert http.get("/v1/models/").status_code == 200
    for authorization in ("", "Bearer", "Basic abc", "bearer sww_\xff", "Bearer sww_a b", "Bearer " + "a" * 30_000):
        refused(http.get(HEAD, headers=[("Authorization", authorization.encode("latin-1"))]), 401)
    for name in ("%00", "a%00b", "%F0%9F%98%80%0A", "x" * 400, "%ED%A0%80", "..%2F..%2Fetc"):
        said = http.get(f"/v1/models/{name}")
        assert said.status_code in (400, 404), name
        refused(said, said.status_code)
    bodies: list[Any] = [
        *(b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"model": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
        *(b'{"model": NaN}', b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}"),
        *(json.dumps(one).encode() for one in ({"model": "a\0b"}, {"model": "\ud800"}, {"model": ["x"]}, {"model": "x" * 10_000})),
    ]
    for body in bodies:
        refused(http.post(CHAT, content=body), 400)
    said = http.post(CHAT, content=b" " * (33 * 1024 * 1024))
    refused(said, 413)
    assert not Generation.objects.exists()


def test_hostile_texts_are_asked_and_kept_without_harm(http: httpx.Client, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    texts = [
        "\0",
        "\ud800",
        "\u202egnirts",
        "<script>alert(1)</script>",
        "x" * 12_000,
        "'; DROP TABLE cluster_generation; --",
        "%s %(a)s {}",
    ]
    for text in texts:
        for over in ({}, {"user": text, "metadata": {text[:50]: text}}):
            asked = HELLO | {"messages": [{"role": "user", "content": text, "name": text[:20]}], "max_tokens": 3} | over
            said = http.post(CHAT, content=json.dumps(asked).encode())
            assert said.status_code == 200, said.text
            assert len(json.dumps(row(said.headers).request)) < 80_000
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 50_000}},
    ]
    said = http.post(CHAT, json=HELLO | {"messages": [{"role": "user", "content": parts}]})
    assert "What is this?" in row(said.headers).request["messages"][0]["content"]
    free()


def test_a_client_that_takes_nothing_loses_its_seat(
    gateway: Gateway, secret: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "STUCK_S", 1.0)
    cluster(loaded=["maker/small"])
    host, port = gateway.url.removeprefix("http://").split(":")
    body = json.dumps(HELLO | {"stream": True, "n": 1, "max_tokens": 10}).encode()
    sent: list[int] = []
    whole = answering.Stream.piece

    async def much(stream: answering.Stream, value: object) -> None:
        for _ in range(400):
            await whole(stream, {"padding": "x" * 65_536})
            sent.append(1)

    monkeypatch.setattr(answering.Stream, "piece", much)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((host, int(port)))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: {len(body)}\r\n\r\n"
        reader.sendall(head.encode() + body)
        until(lambda: sent, what="the first pieces")
        until(lambda: Generation.objects.filter(state="cancelled").exists(), what="an end of the patience")
        free()
    assert Generation.objects.count() == 1


def test_a_request_that_is_never_finished_holds_nothing(gateway: Gateway, secret: str, cluster: Cluster) -> None:
    cluster(loaded=["maker/small"])
    host, port = gateway.url.removeprefix("http://").split(":")
    for end in (b"", b'{"model":', b"garbage\r\n\r\n"):
        with socket.create_connection((host, int(port))) as one:
            one.sendall(
                f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: 500\r\n\r\n".encode() + end
            )
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {secret}"}, timeout=30) as http:
        assert http.post(CHAT, json=HELLO).status_code == 200
    until(lambda: Generation.objects.filter(state="done").count() == 1, what="the row")
    assert Generation.objects.count() == 1
    free()


def test_only_the_hosts_that_pages_have_are_answered(http: httpx.Client, settings: Any) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "", "a b", "localhost@evil", "[::1", "\xff", "x" * 5000, "localhost:1:2"):
        refusal = http.get(HEAD, headers=[("Host", host.encode("latin-1"))])
        refused(refusal, 400)
        assert refusal.json()["error"]["code"] == "host_not_allowed", host
    for host in ("localhost", "LOCALHOST.:81", "[::1]:8000", "127.0.0.1"):
        assert http.get(HEAD, headers={"Host": host}).status_code == 200, host
    settings.ALLOWED_HOSTS = [".example.org"]
    assert http.get(HEAD, headers={"Host": "bot.example.org"}).status_code == 200
    refused(http.get(HEAD), 400)
    settings.ALLOWED_HOSTS = ["*"]
    assert http.get(HEAD, headers={"Host": "anything"}).status_code == 200


def test_a_request_that_says_that_it_is_too_large_is_refused_unread(gateway: Gateway, secret: str) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    for length in (16 * 1024 * 1024 + 1, 10**18):
        with socket.create_connection((host, int(port)), timeout=10) as one:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\nContent-Length: {length}\r\n\r\n"
            one.sendall(head.encode())
            assert one.recv(100).startswith(b"HTTP/1.1 413 ")


def test_where_pages_travel_encrypted_only_so_do_tokens(http: httpx.Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    refused = http.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "https_required")
    assert http.get("/v1/models", headers={"X-Forwarded-Proto": "https"}).status_code == 200
