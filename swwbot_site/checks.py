"""What is wrong with the settings, said before anything starts. Errors stop it, warnings do not.

::

    sww.E001  SHIFT_SECONDS too short           sww.E006  FEED_URL is no http address
    sww.E002  WORKERS below 1                   sww.E007  PLUGINS names a module that is not there
    sww.E003  CONFIG is no readable file        sww.E008  DEBUG behind a public TLS proxy
    sww.E004  POLLING_INTERVAL not positive     sww.E009  ENGINE_IN_FLIGHT below 1
    sww.E005  LM_STUDIO_URL is no http address  sww.E010  SECRET_KEY too short
    sww.W001  every host name is allowed        sww.W002  HSTS_SECONDS without HTTPS
"""

import importlib.util
import os
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

SHORTEST_SHIFT: Final = 10
SHORTEST_KEY: Final = 32


@register
def check_settings(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Every finding about the settings."""
    return [*_engine(), *_sources(), *_doors()]


def _engine() -> Iterator[CheckMessage]:
    if settings.SHIFT_SECONDS < SHORTEST_SHIFT:
        yield Error(f"SHIFT_SECONDS is {settings.SHIFT_SECONDS}", hint=f"At least {SHORTEST_SHIFT}; 300 is usual.", id="sww.E001")
    if settings.WORKERS < 1:
        yield Error(f"WORKERS is {settings.WORKERS}", hint="At least 1: without a worker nothing is answered.", id="sww.E002")
    if settings.POLLING_INTERVAL is not None and settings.POLLING_INTERVAL <= 0:
        yield Error(
            f"POLLING_INTERVAL is {settings.POLLING_INTERVAL}", hint="Milliseconds between two polls, for example 5000.", id="sww.E004"
        )
    if settings.ENGINE_IN_FLIGHT < 1:
        yield Error(f"ENGINE_IN_FLIGHT is {settings.ENGINE_IN_FLIGHT}", hint="At least 1; 256 is usual.", id="sww.E009")
    for name in settings.PLUGINS:
        if not _importable(name):
            yield Error(f"PLUGINS names {name}, which is not there", hint="A module that Python can import.", id="sww.E007")


def _sources() -> Iterator[CheckMessage]:
    if settings.CONFIG and not (os.path.isfile(settings.CONFIG) and os.access(settings.CONFIG, os.R_OK)):  # noqa: PTH113 - it may be any text
        yield Error(f"CONFIG names {settings.CONFIG}, which is no readable file", hint="Correct the path, or unset CONFIG.", id="sww.E003")
    for number, name in (("sww.E005", "LM_STUDIO_URL"), ("sww.E006", "FEED_URL")):
        value = getattr(settings, name)
        if value and not _is_http(value):
            yield Error(f"{name} is {value}", hint="An address such as http://10.0.0.102:1234.", id=number)


def _doors() -> Iterator[CheckMessage]:
    if settings.DEBUG and settings.HTTPS:
        yield Error("DEBUG is on while HTTPS says that this is public", hint="Unset DEBUG: it shows settings to visitors.", id="sww.E008")
    if len(settings.SECRET_KEY) < SHORTEST_KEY:
        yield Error("SECRET_KEY is too short", hint=f"At least {SHORTEST_KEY} characters, or unset it: one is made in var/.", id="sww.E010")
    if "*" in settings.ALLOWED_HOSTS and not settings.DEBUG:
        yield checks.Warning("ALLOWED_HOSTS allows every name", hint="List the names under which the pages are reached.", id="sww.W001")
    if settings.SECURE_HSTS_SECONDS and not settings.HTTPS:
        yield checks.Warning("HSTS_SECONDS has no effect without HTTPS", hint="Set HTTPS=true behind a TLS proxy.", id="sww.W002")


def _is_http(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
