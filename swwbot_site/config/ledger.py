"""Which contents of which file were read before: the memory between two imports."""

import socket
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from django.db import connection

from swwbot_site.config.folder import Bundle
from swwbot_site.models import ConfigImport

LOCK: Final = 0x5357_0000_0001
"""The advisory lock that makes imports come one after the other."""


def host() -> str:
    """The name of this machine."""
    return socket.gethostname()[:200]


def digest(content: bytes | Bundle) -> str:
    """What tells two contents apart."""
    if isinstance(content, bytes):
        return sha256(content).hexdigest()
    return sha256(repr([(name, sha256(each).hexdigest()) for name, each in content.files]).encode()).hexdigest()


def hold() -> None:
    """Wait for other imports to end, and keep new ones waiting until the running transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def last(source: str) -> ConfigImport | None:
    """What was imported last under this name, on whatever machine."""
    return ConfigImport.objects.filter(source=source, outcome=ConfigImport.Outcome.IMPORTED).order_by("-id").first()


def met(source: str, content: str) -> bool:
    """Whether this content was ever imported under this name."""
    return ConfigImport.objects.filter(source=source, digest=content, outcome=ConfigImport.Outcome.IMPORTED).exists()


def mine(source: str) -> ConfigImport | None:
    """What this machine read last under this name, imported or not."""
    return ConfigImport.objects.filter(source=source, host=host()).order_by("-id").first()


def others(source: str) -> list[ConfigImport]:
    """The last import of every other source: what each of them says now."""
    rows = ConfigImport.objects.filter(outcome=ConfigImport.Outcome.IMPORTED).exclude(source=source)
    return [*rows.order_by("source", "-id").distinct("source")]


def note(source: str, content: str, outcome: ConfigImport.Outcome, at: datetime, **more: Any) -> ConfigImport:
    """Remember a content that this machine read."""
    return ConfigImport.objects.create(source=source, host=host(), digest=content, outcome=outcome, at=at, **more)
