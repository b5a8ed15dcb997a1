"""How the processes log: events with values, as lines for people or as JSON for machines, always to standard error."""

import sys
from typing import Any, Final

import structlog
from structlog.typing import Processor

FORMATS: Final = ("console", "json")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")

_SHARED: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(level: str, form: str) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING: `level` of LEVELS for our own modules, `form` of FORMATS.

    Libraries speak from WARNING on, whatever the level; django-q would otherwise tell every recycled worker.
    """
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"all": {"()": structlog.stdlib.ProcessorFormatter, "processors": _renderers(form), "foreign_pre_chain": _SHARED}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "all"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            **{name: {"level": level} for name in ("swwbot_site", "cluster", "entities", "conversations")},
            # Django has handlers of its own for these two, which would say everything twice.
            "django": {"handlers": [], "level": "WARNING"},
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        },
    }


def _renderers(form: str) -> list[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if form == "json":
        return [strip, structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    return [strip, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
