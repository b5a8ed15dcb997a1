"""The site on a real ASGI server, as `up` runs it: with streams. The usual live server is WSGI and has none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
import uvicorn
from django.core.asgi import get_asgi_application
from django.db import connections
from playwright.sync_api import Browser, Page

from swwbot_site.monitoring import stream
from tests.harness import PATIENCE_S, until

QUIET: Final = (
    # WhiteNoise hands out files piece by piece, which Django says of every one on an ASGI server.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
    # Django leaves the connection of a request that its browser has given up to the garbage collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:<psycopg.Connection:ResourceWarning"),
)
"""What a module must be marked with whose tests have this server."""


PATIENCE_MS: Final = 30_000
"""Until what must appear on a page has appeared; Playwright's own limit of five seconds is too short for a busy machine."""


class Served:
    """The site at `url`, until it is stopped."""

    def __init__(self, port: int = 0) -> None:
        connections.settings["default"]["CONN_MAX_AGE"] = 0  # as swwbot_site.asgi has it
        config = uvicorn.Config(
            get_asgi_application(), host="127.0.0.1", port=port, lifespan="off", log_level="error", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="asgi", daemon=True)
        self._thread.start()
        until(lambda: self._server.started, what="the ASGI server")
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def _run(self) -> None:
        self._server.run()
        connections.close_all()

    def stop(self) -> None:
        stream.close()  # as swwbot_site.asgi does when it is told to stop
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the ASGI server did not stop"


@contextmanager
def opened(browser: Browser, url: str, complaints: list[str], cookie: str = "") -> Iterator[Page]:
    """A stranger's page, or one with somebody's session, which must end without complaints."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    if cookie:
        context.add_cookies([{"name": "sessionid", "value": cookie, "url": url}])
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
    finally:
        context.close()
    assert complaints == []
