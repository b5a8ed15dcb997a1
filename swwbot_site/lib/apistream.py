"""Server-sent events in the REST API."""

from collections.abc import Callable
from typing import Any, Final

from django.db import connection
from django.http import StreamingHttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from swwbot_site.lib import clock, streams
from swwbot_site.lib.streams import Look

AGAIN_S: Final = 10
"""Whoever finds no place may ask again then."""


class Stream(BaseRenderer):
    """Server-sent events; what is refused instead is JSON."""

    media_type = "text/event-stream"
    format = "events"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        """A refusal, as one event."""
        return streams.event("refused", JSONRenderer().render(data).decode())


RENDERERS: Final = [Stream, JSONRenderer]


def streamed(request: Request, look: Look) -> StreamingHttpResponse:
    """The answer that tells what `look` finds, as long as its visitor may look. Raises Throttled if there are too many.

    The request's own connection is given back: a stream lasts long, and the database has few.
    """
    if streams.full():
        raise Throttled(AGAIN_S, detail=f"{streams.MOST} streams are open already.")
    if not connection.in_atomic_block:
        connection.close()
    response = StreamingHttpResponse(streams.told(look, _still(request)), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _still(request: Request) -> Callable[[], bool]:
    """Asks whether the token is still good, or the person still staff."""
    token: Any = request.auth
    user: Any = request.user

    def good() -> bool:
        if token is None:
            return bool(type(user)._default_manager.filter(pk=user.pk, is_active=True, is_staff=True).exists())
        row = type(token)._default_manager.filter(pk=token.pk, revoked_at__isnull=True, user__is_active=True).first()
        return row is not None and not (row.expires_at and row.expires_at <= clock.now())

    return good
