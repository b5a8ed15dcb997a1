"""The queue row by row, for people: what waits, runs or ended, filtered. Reads rows only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cluster.models import Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request. `why`: what it waits for, or what went wrong; empty where nothing has to be said."""

    id: int
    state: str
    model: str
    priority: int
    caller: str
    server: str
    queued_at: datetime
    asked_at: datetime | None
    ended_at: datetime | None
    attempts: int
    why: str


def entries(*, state: str = "", model: str = "", caller: str = "", least: int = 0, most: int = 99, limit: int = 50) -> tuple[Entry, ...]:
    """Requests: those in `state` (empty: what waits or runs), the waiting ones by turn, all others the newest first.

    `model` is a part of its key, `caller` how its name begins; `least` … `most` are priorities.
    """
    states = [state] if state else ["queued", "running"]
    rows = Generation.objects.filter(state__in=states, priority__gte=least, priority__lte=most).select_related("model", "server")
    if model:
        rows = rows.filter(model__key__icontains=model)
    if caller:
        rows = rows.filter(caller__startswith=caller)
    order = ("-state", "turn_at", "id") if not state or state == "queued" else ("-id",)
    return tuple(_entry(row) for row in rows.order_by(*order)[:limit])


def _entry(row: Generation) -> Entry:
    waits: Any = row.decision.get("waits", "") if row.state == "queued" else ""
    return Entry(
        id=row.pk,
        state=row.state,
        model=row.model.key,
        priority=row.priority,
        caller=row.caller,
        server=row.server.name if row.server else "",
        queued_at=row.queued_at,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        attempts=row.attempts,
        why=row.error or str(waits),
    )
