"""Claims with an end: who works on a row, until when, and how others learn that he died.

An owner is a number that an engine draws at its start. While it lives it holds a Postgres advisory lock of that number on a
connection of its own, so the database itself knows at once when the process is gone. A lease can be taken over when it has run
out, or when its owner is gone and did not renew it within `GRACE`.
"""

import secrets
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, models
from django.db.models import Q

from swwbot_site.lib.written import filled, together

LEASE: Final = timedelta(seconds=30)
"""How far ahead a lease reaches when it is taken or renewed."""

BEAT: Final = timedelta(seconds=2)
"""How often an engine renews what it holds, and takes back what dead ones held."""

GRACE: Final = timedelta(seconds=4)
"""How long an owner whose lock is gone may still come back (a restart of the database drops every lock)."""

WAKING: Final = timedelta(seconds=5)
"""How long after its own start the database is not believed about who is gone."""

SPACE: Final = 0x5357
"""The advisory locks of this project; the second number of each is the owner."""

EQUALS: Final = 0x5358
"""The advisory locks of requests that are equal; the second number of each comes from what they ask."""

JUDGING: Final = 0x5359
"""The advisory locks of whoever judges the messages of a feed; the second number of each is the feed's."""


REPEATING: Final = 0x535A
"""The advisory locks of requests that are done once; the second number of each comes from their key."""

REPEATED: Final = timedelta(hours=24)
"""How long whoever asks again with the same key gets the same answer."""


class Leased(models.Model):
    """A row that one engine at a time may work on."""

    lease_owner = models.IntegerField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True


CATALOGUE: Final = 0
"""The advisory lock of whoever gives models their names; no owner has this number."""

SCALING: Final = -2
"""The advisory lock of whoever decides whether the servers are enough; no owner has this number."""


POSTING: Final = -3
"""The advisory lock of whoever begins to post (shared) or stops all posting (alone); no owner has this number."""


def alone(what: int, space: int = SPACE) -> None:
    """Be the only one, until the running transaction ends, who does `what`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [space, what])


def beside(what: int) -> None:
    """Do `what` beside others until the running transaction ends; whoever wants to be alone waits for all of them.

    Unlike shared locks of a row it writes nothing, and a stream of sharers cannot keep the one who waits from his turn.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", [SPACE, what])


def draw() -> int:
    """A new owner number, 1 … 2³¹-2."""
    return secrets.randbelow(2**31 - 2) + 1


EVERYBODY: Final = frozenset({-1})
"""Who lives just after the database has started: it has forgotten every lock, and the owners are on their way back."""


_LIVING: Final = (
    "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objsubid = 2 AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " UNION ALL SELECT -1 WHERE pg_postmaster_start_time() > clock_timestamp() - make_interval(secs => %s)"
)


def who_lives() -> str:
    """The statement whose rows say who lives, for `written.together`."""
    return filled(_LIVING, [SPACE, WAKING.total_seconds()])


def living() -> frozenset[int]:
    """The owners whose processes hold their lock at this moment; EVERYBODY while the database does not know yet."""
    return alive(together(who_lives())[0])


def alive(rows: Iterable[tuple[Any, ...]]) -> frozenset[int]:
    """The owners that live, by the rows of `who_lives`."""
    owners = frozenset(int(row[0]) for row in rows)
    return EVERYBODY if -1 in owners else owners


def gone(owner: str, alive: Collection[int]) -> Q:
    """The filter of rows whose column `owner` names somebody who is not there any more."""
    return Q(pk__in=[]) if alive == EVERYBODY else ~Q(**{f"{owner}__in": list(alive)})


def abandoned(now: datetime, alive: frozenset[int]) -> Q:
    """The filter of leased rows that may be taken over: run out, or the owner gone for longer than GRACE."""
    return lost(now, now + LEASE - GRACE, alive)


def lost(now: datetime, late: datetime, alive: Collection[int]) -> Q:
    """The filter of `abandoned`, with the end that a lease has at least if it was renewed within GRACE."""
    return Q(lease_owner__isnull=False) & (Q(lease_until__lt=now) | (gone("lease_owner", alive) & Q(lease_until__lt=late)))


def taken(owner: int, now: datetime) -> dict[str, object]:
    """The column values of a lease that `owner` takes or renews now."""
    return {"lease_owner": owner, "lease_until": now + LEASE}


FREE: Final[dict[str, None]] = {"lease_owner": None, "lease_until": None}
"""The column values of a row that nobody holds."""
