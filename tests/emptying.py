"""How a test that commits leaves the database: as it was made.

Django truncates every table and makes content types, permissions and groups anew, which takes 0.2 s. Most tests leave a few rows in a few
tables, so these are deleted; and what migrating made stays, unless a test changed it.
"""

from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase

MUCH = 1 << 20
"""Bytes of the largest table above which tables are truncated: nobody vacuums here, and dead rows would slow every test that follows."""

_born: dict[str, tuple[int, int]] = {}
"""Of each table that migrating filled: how many rows it has, and the latest transaction that wrote one of them."""


def remember() -> None:
    """Look at what migrating made, in a database that no test has used."""
    _born.clear()
    _born.update({table: seen for table, seen in _look(_tables()).items() if seen[0]})


def empty(_: TransactionTestCase) -> None:
    """In place of `TransactionTestCase._fixture_teardown`: wait for who still writes, and take away what the test left."""
    others = sorted(_tables() - _born.keys())
    listed = ", ".join(others)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {listed} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute("SELECT max(pg_relation_size(name::regclass)) FROM unnest(%s::text[]) AS name", [others])
        much = cursor.fetchone()[0] > MUCH
        cursor.execute(f"TRUNCATE {listed}" if much else "; ".join(f"DELETE FROM {table}" for table in others))
        if _look(set(_born)) == _born:
            return
    call_command("flush", verbosity=0, interactive=False)
    remember()


def _tables() -> set[str]:
    return {connection.ops.quote_name(table) for table in connection.introspection.django_table_names()}


def _look(tables: set[str]) -> dict[str, tuple[int, int]]:
    counted = (f"SELECT '{table}', count(*), coalesce(max(xmin::text::bigint), 0) FROM {table}" for table in sorted(tables))
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counted))
        return {table: (n, latest) for table, n, latest in cursor.fetchall()}
