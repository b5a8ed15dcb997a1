"""Measures this machine: `bench engine` (memory and CPU of a worker), `bench http` (our transport beside httpx's)."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from swwbot_site.bench import engine, transport


class Command(BaseCommand):
    """`manage.py bench {engine,http} [--json]`. Starts what it needs, on loopback only, and removes it."""

    help = "Measure: engine (memory and CPU of a real worker), http (requests a second through our client and httpx's own pool)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["engine", "http"])
        parser.add_argument("--in-flight", type=int, default=50, help="engine: generations in flight (default 50)")
        parser.add_argument("--seconds", type=float, default=5.0, help="engine: how long each state is watched (default 5)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["what"] == "http":
            rows = transport.run()
            self._print(options["json"], rows, rows)
            return
        result = engine.run(options["in_flight"], options["seconds"])
        samples = [{"state": name, **sample} for name, sample in result.items() if isinstance(sample, dict)]
        self._print(options["json"], result, samples)

    def _print(self, as_json: bool, result: object, rows: list[dict[str, object]]) -> None:
        if as_json:
            self.stdout.write(json.dumps(result))
            return
        names = list(rows[0])
        widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in names}
        self.stdout.write("  ".join(name.ljust(widths[name]) for name in names))
        for row in rows:
            self.stdout.write("  ".join(str(row[name]).ljust(widths[name]) for name in names))
