"""OpenTelemetry spans of the twelve steps, for whoever sets OTEL_ENABLED; where they go is said by OpenTelemetry's own OTEL_* variables.

A plugin like any other: it hears each step through the hook `on_step`. "ask.before" opens a span, "ask.after" ends it, and so does the step
that always follows it in the same place (plan ends where seat begins). One that an error cuts off is never told.
"""

import asyncio
from contextvars import ContextVar
from typing import Final

from django.conf import settings
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span

from swwbot_site.lib.hooks import hookimpl
from swwbot_site.lib.loops import Context, Loop
from swwbot_site.lib.wake import Channel

FOLLOWS: Final = {"decide": "analyse", "analyse": "decide", "seat": "plan"}
"""A step, and the one that its beginning ends; one message after the other is analysed and decided on."""

REST_S: Final = 3600.0

_open: ContextVar[tuple[str, Span] | None] = ContextVar("open", default=None)
"""The step that is under way in this task or thread, and its span."""

provider: Final = TracerProvider(resource=Resource.create({"service.name": "swwbot", "service.version": settings.VERSION}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
_tracer: Final = provider.get_tracer("swwbot", settings.VERSION)


@hookimpl
def on_step(step: str) -> None:
    """Open or end the span of a step."""
    name, _, moment = step.partition(".")
    before, span = _open.get() or ("", None)
    if moment == "before":
        if span and FOLLOWS.get(name) == before:
            span.end()
        _open.set((name, _tracer.start_span(f"swwbot.{name}", attributes={"swwbot.step": name})))
    elif moment == "after" and span and before == name:
        span.end()
        _open.set(None)


async def turn(context: Context) -> float:
    """Nothing: spans are sent beside the engine."""
    return REST_S


async def finish(context: Context) -> None:
    """Send what is left, for an engine that ends."""
    await asyncio.to_thread(provider.force_flush, 5000)


@hookimpl
def engine_loops() -> tuple[Loop, ...]:
    """A loop that only has an end."""
    return (Loop(name="tracing", channel=Channel.SETTINGS, turn=turn, finish=finish),)
