"""Which addresses are spoken to: judged when they are written down and when they are connected to."""

import socket
from typing import Any

import httpx
import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from pytest_django import Settings

from cluster.models import Server
from conversations.feed.emulator import Emulator as Chat
from conversations.feed.values import Generation
from conversations.models import Feed
from swwbot_site.lib import http, networks

NEVER = (
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "[fd00:ec2::254]", "[fd20:ce::254]"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::169.254.169.254]"),
    *("[fd00:ec2::254%1]", "[64:ff9b:1::a9fe:a9fe]", "[::ffff:0:a9fe:a9fe]", "[2001:0:102:304:0:ffff:5601:5601]"),
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"),
    *("0.0.0.0", "[::]", "0.1.2.3", "224.0.0.251", "[ff02::1]"),
    *("metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"),
)
"""Hosts that nothing of ours ever speaks to, however they are spelled."""

UNLISTED = ("169.254.7.7", "[fe80::1]", "240.0.0.1", "255.255.255.255", "[::ffff:169.254.7.7]")
"""Those that an operator has to name."""

USUAL = ("127.0.0.1", "[::1]", "10.0.0.102", "192.168.1.5", "172.20.0.2", "100.64.3.2", "[fd12:3456::1]", "8.8.8.8", "[2606:4700::1111]")


@pytest.mark.parametrize("host", [*NEVER, *UNLISTED])
def test_what_is_refused_when_it_is_written_down(host: str) -> None:
    with pytest.raises(networks.Refused):
        networks.allowed(f"http://{host}:1234/api")


@pytest.mark.parametrize("host", [*USUAL, "localhost", "no-such-host.invalid"])
def test_what_may_be_written_down(host: str) -> None:
    networks.allowed(f"http://{host}:1234/api")


@pytest.mark.parametrize("host", NEVER)
def test_no_setting_lets_metadata_in(host: str, settings: Settings) -> None:
    settings.ALLOWED_NETWORKS = ["0.0.0.0/0", "::/0", "loopback", "private", "public"]
    with pytest.raises(networks.Refused):
        networks.allowed(f"http://{host}/")


@pytest.mark.parametrize(
    ("setting", "host", "good"),
    [
        (["10.0.0.0/24"], "10.0.0.7", True),
        (["10.0.0.0/24"], "[::ffff:10.0.0.7]", True),
        (["10.0.0.0/24"], "10.0.1.7", False),
        (["10.0.0.0/24"], "8.8.8.8", False),
        (["10.0.0.0/24"], "127.0.0.1", False),
        (["private"], "100.64.3.2", True),
        (["private"], "8.8.8.8", False),
        (["private", "public"], "8.8.8.8", True),
        (["public"], "10.0.0.7", False),
        (["loopback"], "[::1]", True),
        (["169.254.7.0/24"], "169.254.7.7", True),
        (["fe80::/10"], "[fe80::1]", True),
        (["fe80::/10"], "10.0.0.7", False),
    ],
)
def test_the_setting_narrows_and_names(settings: Settings, setting: list[str], host: str, good: bool) -> None:
    settings.ALLOWED_NETWORKS = setting
    if good:
        networks.allowed(f"http://{host}:1234")
    else:
        with pytest.raises(networks.Refused, match="ALLOWED_NETWORKS"):
            networks.allowed(f"http://{host}:1234")


def test_an_address_with_a_password_in_it_is_refused_and_not_repeated() -> None:
    with pytest.raises(networks.Refused) as refused:
        networks.allowed("http://admin:hunter2@10.0.0.7/")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://[::1", "http://[nonsense]/"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(networks.Refused):
        networks.allowed(url)


@pytest.mark.parametrize(
    ("texts", "wrong"), [([], ""), (["private", "10.0.0.0/8"], ""), (["10.0.0.1/8"], "host bits"), (["lan"], "'lan'"), ([""], "''")]
)
def test_a_list_that_cannot_be_read_is_told(texts: list[str], wrong: str) -> None:
    assert wrong in networks.problem(texts)
    assert bool(networks.problem(texts)) == bool(wrong)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Server, {"name": "mac", "url": "http://169.254.169.254:80", "budget_gb": 8.0}),
        (Feed, {"name": "chat", "url": "http://169.254.169.254/api"}),
    ],
)
def test_a_form_says_what_is_wrong_with_the_address(db: None, model: type[Server] | type[Feed], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as found:
        model(**values).full_clean()
    assert "metadata service" in found.value.message_dict["url"][0]


async def test_no_connection_is_opened_to_what_is_refused_even_if_nobody_judged_it_before() -> None:
    async with http.client() as client:
        for host in ("169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"):
            with pytest.raises(httpx.ConnectError, match="metadata service"):
                await client.get(f"http://{host}/latest/meta-data/", timeout=30)


async def test_a_name_is_judged_by_what_it_resolves_to_when_it_is_connected_to(settings: Settings) -> None:
    chat = Chat(Generation.DO)
    await chat.start()
    try:
        url = chat.url.replace("127.0.0.1", "localhost") + "/comments"
        settings.ALLOWED_NETWORKS = ["10.0.0.0/8"]
        async with http.client() as client:
            with pytest.raises(httpx.ConnectError, match="ALLOWED_NETWORKS"):
                await client.get(url, timeout=30)
        settings.ALLOWED_NETWORKS = ["loopback"]
        async with http.client() as client:
            assert (await client.get(url, timeout=30)).status_code == 200
    finally:
        await chat.stop()


def test_a_socket_is_made_only_for_what_is_allowed() -> None:
    def info(address: str) -> tuple[Any, ...]:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return (family, socket.SOCK_STREAM, 0, "", (address, 80))

    networks.door(info("127.0.0.1")).close()
    for address in ("169.254.169.254", "fe80::1%lo", "fd00:ec2::254", "fd00:ec2::254%1", "0.0.0.0"):
        with pytest.raises(networks.RefusedConnection):
            networks.door(info(address))


async def test_a_redirect_is_not_followed() -> None:
    """A peer that sends us elsewhere is answered with its own redirect."""

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")

    app = web.Application()
    app.router.add_get("/", elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with http.client() as client:
            port = runner.addresses[0][1]
            assert (await client.get(f"http://127.0.0.1:{port}/", timeout=30)).status_code == 302
    finally:
        await runner.cleanup()
