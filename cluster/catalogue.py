"""Which server has which model, what was learned of each pair, and what was spent: remembered for some seconds, for there may be thousands.

Cool-downs and crashes are read for every plan; a pair that has just failed must not be tried again because somebody remembers it well.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import F, Sum

from cluster import sight
from cluster.logic.breaker import CRASH_S
from cluster.logic.learning import evidence
from cluster.logic.state import Offers, OfferView
from cluster.models import Generation, Offer, Server
from cluster.sight import COOLING
from cluster.strategies import table
from swwbot_site.lib.bulk import epoch
from swwbot_site.lib.written import Rows

REMEMBERED: Final = timedelta(seconds=5)


class Catalogue:
    """The offers of all servers as the planner sees them. One per engine; a new one has read nothing yet."""

    def __init__(self) -> None:
        self.read_at: datetime | None = None
        self.strategies = table()
        self.offers = Offers(())
        self.gb_per_s: dict[int, float] = {}
        """By server: GB of models per second of loading, over all that it has loaded."""
        self.answer_s: dict[int, float] = {}
        """By model: the mean over servers."""
        self.kept: frozenset[tuple[int, int]] = frozenset()
        """Pairs of server and model that stay loaded."""
        self.crashed: dict[tuple[int, int], float] = {}
        """When the engine crashed lately, by pair of server and model."""
        self.spent: dict[int, float] = {}
        """What the answers since midnight (UTC) have cost, by server that has a budget for the day."""
        self._pairs: dict[tuple[int, int], OfferView] = {}
        self._cooling: list[OfferView] = []
        self._servers: dict[int, tuple[tuple[Any, ...], Server]] = {}

    def forget(self) -> None:
        """Read everything anew at the next refresh."""
        self.read_at = None

    def prepare(self, now: datetime, *, anew: bool = False) -> None:
        """Read what there may be thousands of, if that was some seconds ago, or `anew`; best before the planner's lock is taken."""
        if anew or self.read_at is None or not timedelta() <= now - self.read_at < REMEMBERED:
            self._read(now)

    def refresh(self, now: datetime, cooling: Rows | None = None) -> None:
        """Bring it up to date: everything if it is some seconds old, otherwise only what has cooled down or crashed (`sight.COOLING`)."""
        self.prepare(now)
        for offer in self._cooling:
            offer.cooldown_until = None
        self._cooling = []
        self.crashed = {}
        rows = COOLING.rows(now=now, since=now - timedelta(seconds=CRASH_S)) if cooling is None else cooling
        for server_id, model_id, until, reason, crashed in rows:
            if crashed:
                self.crashed[server_id, model_id] = crashed.timestamp()
            pair = self._pairs.get((server_id, model_id))
            if pair is not None and until:
                pair.cooldown_until, pair.cooldown_reason = until.timestamp(), reason
                self._cooling.append(pair)

    def known(self, rows: Rows) -> dict[int, Server]:
        """The servers of these rows (`sight.SERVERS`); only what has changed since is made anew."""
        before = self._servers
        self._servers = {row[0]: old if (old := before.get(row[0])) and old[0] == row else (row, sight.server(row)) for row in rows}
        return {pk: server for pk, (_, server) in self._servers.items()}

    def _read(self, now: datetime) -> None:
        columns = ("server_id", "model_id", "format", "load_seconds", "answer_seconds", "answer_spread", "answers", "answered", "pinned")
        gb: defaultdict[int, float] = defaultdict(float)
        seconds: defaultdict[int, float] = defaultdict(float)
        answers: defaultdict[int, list[float]] = defaultdict(list)
        kept = []
        self._pairs = {}
        moment = now.timestamp()
        for row in (
            Offer.objects.order_by("server_id", "model_id").annotate(answered=epoch("answered_at")).values_list(*columns, "model__size_gb")
        ):
            server_id, model_id, form, load_s, answer_s, spread_s, n, answered, keep, size_gb = row
            if load_s:
                gb[server_id] += size_gb
                seconds[server_id] += load_s
            if answer_s:
                answers[model_id].append(answer_s)
            if keep:
                kept.append((server_id, model_id))
            self._pairs[server_id, model_id] = OfferView(
                server_id=server_id,
                model_id=model_id,
                format=form,
                load_s=load_s,
                answer_s=answer_s,
                spread_s=spread_s,
                answers=evidence(n, moment - answered) if answered else 0.0,
                keep=keep,
            )
        self.offers = Offers(self._pairs.values())
        self.gb_per_s = {server_id: gb[server_id] / total for server_id, total in seconds.items()}
        self.answer_s = {model_id: sum(known) / len(known) for model_id, known in answers.items()}
        self.kept = frozenset(kept)
        self.spent = spent(now)
        self.read_at = now


def spent(now: datetime) -> dict[int, float]:
    """What the answers since midnight (UTC) have cost, by server that has a budget for the day."""
    limited = list(Server.objects.filter(daily_budget__isnull=False).values_list("pk", flat=True))
    if not limited:
        return {}
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    price = F("prompt_tokens") * F("server__price_in") + F("completion_tokens") * F("server__price_out")
    rows = Generation.objects.filter(ended_at__gte=today, cached=False, server__in=limited)
    return {server: (cost or 0.0) / 1e6 for server, cost in rows.order_by().values_list("server_id").annotate(cost=Sum(price))}
