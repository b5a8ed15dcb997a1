"""Measures this machine: `bench cluster` (planning, the queue, balance), `engine` (a worker's memory), `failover`, `gateway`, `http`,
`listening`, `pages`."""

import json
import signal
import sys
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from swwbot_site.bench import cluster, engine, failover, gateway, listening, pages, transport

Row = Mapping[str, object]


class Command(BaseCommand):
    """`manage.py bench {cluster,engine,failover,gateway,http,listening,pages} [--json]`. Starts what it needs, on loopback only, and removes it."""

    help = (
        "Measure: cluster (plans, generations a second through the queue, balance), engine (memory and CPU of a real worker), "
        "failover (what callers notice of a server that is switched off), http (requests a second through our client and httpx's own pool), "
        "gateway (what a request through the gateway costs, beside the same one to the same server directly), "
        "listening (messages a second from the feed to the decision, and what share of a core a busy chat takes), "
        "pages (the server's time for every page of the admin over a million messages and 200 000 replies)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["cluster", "engine", "failover", "gateway", "http", "listening", "pages"])
        parser.add_argument("--part", default=",".join(cluster.PARTS), help=f"cluster: which of {', '.join(cluster.PARTS)} (default all)")
        parser.add_argument("--quick", action="store_true", help="cluster: small sizes, some minutes; figures are rough")
        parser.add_argument("--engines", type=int, default=2, help="cluster: the queue is measured with 1 to so many workers (default 2)")
        parser.add_argument("--generations", type=int, help="cluster: how many the balance is measured over (default 10 000)")
        parser.add_argument("--in-flight", type=int, default=50, help="engine: generations in flight (default 50)")
        parser.add_argument("--seconds", type=float, help="engine, failover, gateway: how long each state is watched (default 5, 40 and 8)")
        parser.add_argument("--entities", type=int, default=1000, help="listening: personas (default 1000)")
        parser.add_argument("--messages", type=int, default=10_000, help="listening: messages (default 10 000)")
        parser.add_argument(
            "--rows", type=int, default=pages.MESSAGES, help="pages: messages, and a fifth as many replies (default 1 000 000)"
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        before = signal.signal(signal.SIGTERM, _end)
        try:
            measured = self._measure(options)
        finally:
            signal.signal(signal.SIGTERM, before)
        if options["json"]:
            [alone] = measured.values() if len(measured) == 1 else [measured]
            self.stdout.write(json.dumps(alone))
            return
        for name, found in measured.items():
            self._print(name, found)

    def _measure(self, options: Mapping[str, Any]) -> dict[str, object]:
        if options["what"] == "http":
            return {"http": transport.run()}
        if options["what"] == "engine":
            result = engine.run(options["in_flight"], options["seconds"] or 5.0)
            samples = [{"state": name, **sample} for name, sample in result.items() if isinstance(sample, dict)]
            return {"engine": result if options["json"] else samples}
        if options["what"] == "failover":
            return failover.run(options["seconds"] or 40.0)
        if options["what"] == "gateway":
            return gateway.run(options["seconds"] or gateway.SECONDS, gateway.LEVELS)
        if options["what"] == "listening":
            return self._listening(options)
        if options["what"] == "pages":
            return pages.run(options["rows"], max(1, options["rows"] // 5), tell=self.stderr.write)
        return self._cluster(options)

    def _listening(self, options: Mapping[str, Any]) -> dict[str, object]:
        if options["entities"] < 1 or options["messages"] < 1:
            raise CommandError("--entities and --messages must be at least 1.")
        return listening.run(options["entities"], options["messages"])

    def _cluster(self, options: Mapping[str, Any]) -> dict[str, object]:
        parts = [part.strip() for part in options["part"].split(",")]
        if strange := sorted(set(parts) - set(cluster.PARTS)):
            raise CommandError(f"There is no part {', '.join(strange)}. There are {', '.join(cluster.PARTS)}.")
        sizes = cluster.sized(quick=options["quick"], generations=options["generations"])
        return cluster.run(parts, sizes, options["engines"], lambda part: self.stderr.write(f"measuring: {part}"))

    def _print(self, name: str, found: object) -> None:
        """Lists of rows as tables, the rest line by line."""
        if isinstance(found, list):
            self.stdout.write(f"\n{name}")
            self._table([_flat(row) for row in found])
        elif isinstance(found, dict):
            plain = {key: value for key, value in found.items() if not isinstance(value, list)}
            if plain:
                self._print(name, [plain])
            for key, value in found.items():
                if isinstance(value, list):
                    self._print(f"{name}: {key}", value)

    def _table(self, rows: list[Row]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = [[str(row.get(name, "")) for name in names] for row in rows]
        widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        for line in (names, *cells):
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _end(number: int, _: object) -> NoReturn:
    """Leave by an exception, so that everything that was started ends."""
    sys.exit(128 + number)


def _flat(row: Row) -> Row:
    """A row whose values are no rows themselves."""
    return dict(_pairs(row.items()))


def _pairs(items: Iterable[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    for name, value in items:
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", one) for inner, one in value.items())
        else:
            yield name, value
