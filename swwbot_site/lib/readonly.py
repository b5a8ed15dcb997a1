"""For whatever must not change anything: the database itself refuses to write."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def readonly() -> Iterator[None]:
    """A transaction, or a part of one, in which every write is an error. What comes after it may write again."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield
