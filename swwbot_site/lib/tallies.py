"""How much of something there was on a day: what the apps count and the roof adds up, so that a sum never falls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any, Final

from django.db.models import QuerySet
from django.db.models.functions import TruncDate


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`value` of `name` (for example "tokens_in") on a day (UTC), of one `label` (for example a model)."""

    day: date
    name: str
    label: str
    value: float


LABEL: Final = 320
"""Characters of a label that are kept."""


def daily(rows: "QuerySet[Any]", moment: str, label: str, **sums: Any) -> list[Sum]:
    """The aggregates `sums` of rows, named by their keywords, by the day of their `moment` and by `label`. What is 0 is left out."""
    grouped = rows.order_by().annotate(tally_day=TruncDate(moment, tzinfo=UTC)).values("tally_day", label).annotate(**sums)
    return [
        Sum(day=each["tally_day"], name=name, label=str(each[label])[:LABEL], value=float(each[name]))
        for each in grouped
        for name in sums
        if each[name]
    ]


def added(sums: Iterable[Sum]) -> Mapping[tuple[date, str, str], float]:
    """The sums of each day, name and label together, in one order for everybody who writes them."""
    found: dict[tuple[date, str, str], float] = {}
    for one in sums:
        key = (one.day, one.name, one.label)
        found[key] = found.get(key, 0.0) + one.value
    return dict(sorted(found.items()))
