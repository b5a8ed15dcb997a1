"""The board as HTML. What has not changed is not drawn again, whoever looks and however many look."""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string

from swwbot_site.lib import clock
from swwbot_site.monitoring.board import Region

Drawn = Mapping[str, Mapping[str, str]]
"""Region → key → HTML, in order."""


@lru_cache(maxsize=4096)
def html(shape: str, key: str, value: Hashable) -> str:
    """One item. The same value is the same text: moments stand in it, not how long ago they were."""
    return render_to_string(f"status/parts/{shape}.html", {"key": key, "it": value}).strip()


def drawn(regions: Iterable[Region]) -> Drawn:
    """Every item of every region."""
    return {region.name: {item.key: html(item.shape, item.key, item.value) for item in region.items} for region in regions}


def message(regions: Mapping[str, Mapping[str, Any]], now: datetime, trouble: str = "") -> dict[str, Any]:
    """What the page's script is told: our time in ms, what is wrong with telling, and regions with `order` and `html`."""
    return {"now": clock.millis(now), "trouble": trouble, "regions": regions}


def whole(regions: Iterable[Region], now: datetime) -> dict[str, Any]:
    """The message that says everything."""
    return message({name: {"order": list(items), "html": items} for name, items in drawn(regions).items()}, now)
