"""Whether this installation works, for load balancers and people."""

from dataclasses import asdict, dataclass
from functools import cache

from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from conversations import read
from swwbot_site.lib import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part. `text` says how it is, `advice` what to do if it is not well."""

    name: str
    well: bool
    text: str
    advice: str = ""


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """`/healthz`: this process answers; nothing else is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """`/readyz`: 200 if everything that answers messages is there, otherwise 503; each check says what to do."""
    checks = readiness()
    well = all(check.well for check in checks)
    return JsonResponse({"ready": well, "checks": [asdict(check) for check in checks]}, status=200 if well else 503)


def readiness() -> tuple[Check, ...]:
    """Database, migrations, engine; what cannot be asked without the one before is not asked."""
    try:
        lacking = missing()
    except Error as exc:
        connection.close()
        text = " ".join(str(exc).split()) or type(exc).__name__
        return (Check(name="database", well=False, text=text, advice="Start it with `make up`, or correct DATABASE_URL."),)
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
