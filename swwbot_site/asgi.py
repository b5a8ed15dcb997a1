"""The ASGI entry point."""

import os
import signal
import warnings
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.asgi import get_asgi_application

from swwbot_site import processes

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)

processes.follow_parent()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swwbot_site.settings")
# Here each request has a thread of its own: a lasting connection would not outlive it, nor be closed in good order.
settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
# Style sheets and pictures come in one piece from this machine's disk: nobody waits for that, and nobody needs to be warned.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous iterators", category=Warning)
_pages = get_asgi_application()

from swwbot_site import bounds  # noqa: E402 - needs the apps
from swwbot_site.gateway import app, process  # noqa: E402
from swwbot_site.monitoring import stream  # noqa: E402


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The gateway for programs that speak OpenAI's API; Django for everything else."""
    if not _before:
        _attend()
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "http" and scope["path"].startswith(app.PREFIX):
        await app.application(scope, receive, send)
    elif scope["type"] == "http":
        await bounds.bounded(_pages, scope, receive, send)
    else:
        await _pages(scope, receive, send)


async def _lifespan(receive: Any, send: Any) -> None:
    """The server begins, and ends: what came of the last requests is stored before it does."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await process.end()
    await send({"type": "lifespan.shutdown.complete"})


def _leave(number: int, frame: FrameType | None) -> None:
    """End the streams, which would otherwise be waited for; then do what the server does when it is told to stop."""
    stream.close()
    process.close()
    before = _before[signal.Signals(number)]
    if callable(before):
        before(number, frame)


_before: dict[signal.Signals, Any] = {}


def _attend() -> None:
    """Hear when the server is told to stop. Not before it serves: until then it puts its own handlers in place of ours."""
    for number in STOPPING:
        _before[number] = signal.getsignal(number)
        signal.signal(number, _leave)
