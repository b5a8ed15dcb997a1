"""What this installation is made of: secrets from the environment or a file, the signing key, the place of the database."""

import hashlib
import importlib.util
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dj_database_url

from swwbot_site.lib import networks

SOCKET_LIMIT: Final = 103
"""Bytes that the address of a Unix socket may have (macOS; Linux allows 107)."""

SOCKET_NAME: Final = ".s.PGSQL.5432"


class EnvironmentFault(ValueError):
    """A setting that cannot be read; the text says which and what to do."""


def confidential(environment: Mapping[str, str], name: str) -> str:
    """The value of a secret setting: `NAME`, or the contents of the file that `NAME_FILE` names; "" when neither is set.

    Raises EnvironmentFault if both are set or the file cannot be read.
    """
    value, file = environment.get(name, ""), environment.get(f"{name}_FILE", "")
    if value and file:
        raise EnvironmentFault(f"{name} and {name}_FILE are both set: keep one of them")
    if not file:
        return value
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise EnvironmentFault(f"{name}_FILE: cannot read {file}: {exc}") from exc


def signing_key(var: Path) -> str:
    """The signing key of this installation, made at the first start and kept in `var`, readable by its owner only."""
    path = var / "secret-key"
    if path.exists():
        return _read(path)
    try:
        var.mkdir(parents=True, exist_ok=True)
        draft = var / f"secret-key.{secrets.token_hex(6)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    except OSError as exc:
        raise EnvironmentFault(f"cannot write {path}: {exc.strerror}. Make {var} writable, or set SECRET_KEY and VAR_DIR") from exc
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except PermissionError as exc:
        raise EnvironmentFault(f"{path} belongs to another user: start as that user, or set VAR_DIR to a folder of yours") from exc


def listed(name: str, texts: list[str]) -> list[str]:
    """A setting that lists networks. Raises EnvironmentFault."""
    if wrong := networks.problem(texts):
        raise EnvironmentFault(f"{name}: {wrong}")
    return texts


def tracing(enabled: bool) -> list[str]:
    """The plugins that tell OpenTelemetry what happens: none, unless that is enabled. Raises EnvironmentFault if its packages are missing."""
    if not enabled:
        return []
    try:
        found = all(importlib.util.find_spec(name) for name in ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http"))
    except ImportError:
        found = False
    if not found:
        packages = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        raise EnvironmentFault(f"OTEL_ENABLED is on, and its packages are not installed: pip install {packages}, or unset OTEL_ENABLED")
    return ["swwbot_site.monitoring.tracing"]


def socket_folder(var: Path) -> Path:
    """Where the embedded PostgreSQL listens: its own folder, or one under /tmp if that address is too long for a socket."""
    folder = var / "postgres"
    if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_LIMIT:
        return folder
    return Path("/tmp") / f"swwbot-{digest(var)}"  # noqa: S108 - its owner is verified before it is used


def digest(path: Path) -> str:
    """A short name for a path, the same at every start."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def database(url: str, var: Path) -> dict[str, Any]:
    """Django's entry for the database: the one of `url`, or the embedded one under `var`. Raises EnvironmentFault."""
    lasting: dict[str, Any] = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    if not url:
        place = {"NAME": "swwbot", "USER": "postgres", "HOST": str(socket_folder(var))}
        return {"ENGINE": "django.db.backends.postgresql", **place, **lasting}
    try:
        entry = dj_database_url.parse(url)
    except ValueError as exc:
        raise EnvironmentFault("DATABASE_URL is not an address such as postgresql://user:password@host:5432/name") from exc
    if entry.get("ENGINE") != "django.db.backends.postgresql":
        raise EnvironmentFault("DATABASE_URL must be a postgresql:// address; no other database has what the bot needs")
    return {**entry, **lasting}
