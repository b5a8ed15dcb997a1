"""Runs an emulated peer: an LM Studio server or a message backend that is none."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

import cluster.lmstudio.emulator.command as lmstudio
import conversations.feed.emulator.command as feed

PEERS = {"lmstudio": lmstudio, "feed": feed}


class Command(BaseCommand):
    """`manage.py emulate lmstudio …` or `manage.py emulate feed …`, until Ctrl-C."""

    help = "Run an emulated LM Studio server or an emulated message backend."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        peers = parser.add_subparsers(dest="peer", required=True, metavar="{lmstudio,feed}")
        for name, peer in PEERS.items():
            peer.add_arguments(peers.add_parser(name, help=(peer.__doc__ or "").partition("\n")[0]))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            PEERS[options["peer"]].handle(options)
        except (OSError, ValueError) as exc:
            raise CommandError(str(exc)) from exc
