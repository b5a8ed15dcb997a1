"""OpenTelemetry: off unless asked for; asked for, every step of a message is a span at the collector."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from django.conf import settings as project
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from swwbot_site import environment
from tests.harness import Background

STEPS = (
    *("poll.before", "poll.after", "ingest.before", "ingest.inside", "ingest.after", "analyse.before", "decide.before", "decide.after"),
    *(
        "plan.before",
        "seat.before",
        "seat.after",
        "ready.before",
        "ready.after",
        "ask.before",
        "ask.after",
        "finish.before",
        "finish.after",
    ),
    *("clean.before", "clean.after", "post.before", "post.cleared", "post.after", "confirm.before", "confirm.after"),
)
"""A message's way, as the hook hears it."""

PROGRAM = f"""
import django
django.setup()
from swwbot_site.lib import hooks
from swwbot_site.monitoring import tracing
hooks.load(["swwbot_site.monitoring.tracing"])
for step in {STEPS!r}:
    hooks.step(step)
hooks.step("ask.before")
hooks.step("poll.before")  # what was cut off is not told
hooks.step("poll.after")
assert tracing.provider.force_flush(10_000)
"""


def test_it_is_off_and_costs_nothing() -> None:
    assert project.OTEL_ENABLED is False
    assert "swwbot_site.monitoring.tracing" not in project.ENGINE_PLUGINS
    assert environment.tracing(False) == []
    assert environment.tracing(True) == ["swwbot_site.monitoring.tracing"]


def test_without_its_packages_the_start_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environment.EnvironmentFault, match="pip install opentelemetry-sdk"):
        environment.tracing(True)


def test_every_step_is_a_span_at_the_collector(background: Background, tmp_path: Path) -> None:
    names: list[str] = []
    services: set[str] = set()

    async def collect(request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        names.extend(span.name for one in told.resource_spans for scope in one.scope_spans for span in scope.spans)
        services.update(a.value.string_value for one in told.resource_spans for a in one.resource.attributes if a.key == "service.name")
        return web.Response()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/traces", collect)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = background.run(start())
    try:
        variables = {name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")} | {
            "DJANGO_SETTINGS_MODULE": "swwbot_site.settings",
            "VAR_DIR": str(tmp_path),
            "OTEL_ENABLED": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=variables, timeout=60, cwd=project.BASE_DIR)
    finally:
        background.run(runner.cleanup())
    twelve = ["poll", "ingest", "analyse", "decide", "plan", "seat", "ready", "ask", "finish", "clean", "post", "confirm"]
    assert names == [f"swwbot.{name}" for name in [*twelve, "poll"]]
    assert services == {"swwbot"}
