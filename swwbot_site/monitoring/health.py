"""Whether this installation works, for load balancers and people."""

from dataclasses import dataclass
from functools import cache

import structlog
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from conversations import read
from swwbot_site.lib import clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part. `text` says how it is, `advice` what to do if it is not well; `public`, where there is one, is said to strangers instead."""

    name: str
    well: bool
    text: str
    advice: str = ""
    public: str = ""


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """`/healthz`: this process answers; nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """`/readyz`: 200 if everything that answers messages is there, otherwise 503; each check says what to do.

    Anybody may ask: what the database says of itself (names, addresses) goes to the log.
    """
    checks = readiness()
    for check in checks:
        if check.public:
            log.warning("readyz.failed", check=check.name, reason=check.text)
    well = all(check.well for check in checks)
    told = [{"name": one.name, "well": one.well, "text": one.public or one.text, "advice": one.advice} for one in checks]
    return JsonResponse({"ready": well, "checks": told}, status=200 if well else 503)


def readiness() -> tuple[Check, ...]:
    """Database, migrations, engine; what cannot be asked without the one before is not asked."""
    try:
        lacking = missing()
    except Error as exc:
        connection.close()
        text = " ".join(str(exc).split()) or type(exc).__name__
        advice = "Start it with `make up`, or correct DATABASE_URL."
        return (Check(name="database", well=False, text=text, advice=advice, public="cannot be asked; the log says why"),)
    checks = [Check(name="database", well=True, text="answers")]
    if lacking:
        advice = "Run `manage.py migrate`, or start with `make up`, which does it."
        return (*checks, Check(name="migrations", well=False, text=f"{len(lacking)} missing: {', '.join(lacking[:3])}", advice=advice))
    checks.append(Check(name="migrations", well=True, text="all applied"))
    living = [engine for engine in read.engines(clock.now()) if engine.living]
    checks.append(
        Check(
            name="engine",
            well=bool(living),
            text=f"{len(living)} running" if living else "none is running: nothing is read, answered or posted",
            advice="" if living else "Start a worker: `make up`, or `manage.py qcluster` on any machine; one appears within a minute.",
        )
    )
    return tuple(checks)


def missing() -> tuple[str, ...]:
    """The newest migrations that the database does not have. Raises django.db.Error."""
    applied = MigrationRecorder(connection).applied_migrations()
    return tuple(f"{app}.{name}" for app, name in _newest() if (app, name) not in applied)


@cache
def _newest() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(MigrationLoader(None).graph.leaf_nodes()))
