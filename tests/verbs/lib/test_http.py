"""The HTTP client of all peers: requests go as they are, and nothing of a response is remembered."""

import socket

import httpx
import pytest

from swwbot_site.lib import http
from tests.wire.lmstudio.helpers import Script, plain, saying

LOCATION = plain("", "302 Found", Location="/elsewhere", Set_Cookie="a=1", Connection="close")


async def test_a_redirect_is_not_followed_and_a_cookie_not_kept():
    async with Script(saying(LOCATION)) as script, http.client() as client:
        for _ in range(2):
            response = await client.get(script.url)
            assert (response.status_code, response.is_closed, response.request.method) == (302, True, "GET")
    assert len(script.heard) == 2
    assert not any(b"cookie" in heard.lower() for heard in script.heard)


async def test_who_wants_redirects_followed_gets_them():
    async with Script(saying(LOCATION)) as script, http.client() as client:
        with pytest.raises(httpx.TooManyRedirects):
            await client.get(script.url, follow_redirects=True)
    assert script.heard[1].startswith(b"GET /elsewhere ")


async def test_a_stream_is_read_by_whoever_asked():
    async with Script(saying(plain("Hello", Content_Encoding="identity"))) as script, http.client() as client:
        response = await client.send(client.build_request("GET", script.url), stream=True)
        assert not response.is_closed
        assert await http.whole(response) == b"Hello"
        assert response.is_closed


async def test_a_closed_client_sends_nothing():
    async with http.client() as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await client.get("http://127.0.0.1:1/")


async def test_a_refused_connection_is_told_in_words_of_the_system():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    async with http.client() as client:
        with pytest.raises(httpx.ConnectError) as refused:
            await client.get(url)
    assert str(refused.value) == "connection refused"
