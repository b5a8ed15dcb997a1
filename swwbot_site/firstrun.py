"""What an installation needs before its first start, and again after each update: tables, and somebody who may log in."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from swwbot_site.lib.errors import BotError, Fault

LOCK: Final = 0x53575701
"""The advisory lock of whoever prepares the database."""

OLDEST: Final = 15
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class DatabaseFault(BotError):
    """The database cannot be used; the text says why and what to do."""

    code = "database"
    fault = Fault.OPERATOR


@contextmanager
def alone() -> Iterator[None]:
    """While nobody else prepares this database. Raises DatabaseFault if it cannot be reached or is too old."""
    try:
        connection.ensure_connection()
    except OperationalError as exc:
        raise DatabaseFault(
            f"the database cannot be reached: {' '.join(str(exc).split())} Check DATABASE_URL, or unset it to use the embedded one"
        ) from exc
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000")
        row = cursor.fetchone()
        if not row or row[0] < OLDEST:
            raise DatabaseFault(f"the database is PostgreSQL {row and row[0]}; {OLDEST} or newer is needed")
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def migrate() -> int:
    """Bring the tables up to date. Returns how many migrations were applied."""
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        call_command("migrate", database=DEFAULT_DB_ALIAS, interactive=False, verbosity=0)
    return len(waiting)


def administrator(name: str = "admin") -> str:
    """Make the first administrator when there is none. Returns the password, which is kept nowhere; "" if nothing was made."""
    users = get_user_model()
    if users.objects.filter(is_superuser=True, is_active=True).exists():
        return ""
    password = "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))
    user, _ = users.objects.get_or_create(username=name)
    user.is_superuser = user.is_staff = user.is_active = True
    user.set_password(password)
    user.save()
    return password
