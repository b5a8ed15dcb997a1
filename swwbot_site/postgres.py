"""The database: yours when DATABASE_URL is set, otherwise a real PostgreSQL that lives under var/."""

import os
import secrets
from pathlib import Path
from typing import Any

import dj_database_url


def secret(var: Path) -> str:
    """The signing key of this installation, made at the first start and kept in `var`, readable by its owner only."""
    path = var / "secret-key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        var.mkdir(parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
    except FileExistsError:
        pass
    return path.read_text().strip()


def database(url: str, var: Path) -> dict[str, Any]:
    """Django's entry for the database: the one of `url`, or the embedded one under `var`."""
    if url:
        return {**dj_database_url.parse(url), "CONN_MAX_AGE": 60}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "swwbot",
        "USER": "postgres",
        "HOST": str(var / "postgres"),
        "CONN_MAX_AGE": 60,
    }
