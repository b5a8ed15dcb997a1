"""`manage.py exportconfig [FILE]`: the rows as a configuration file, or as a folder with a file for each entity."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from swwbot_site.config import export, folder, sheaf


class Command(BaseCommand):
    help = "Write servers, settings, feeds and entities as one configuration file, or as a folder, without tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", nargs="?", default="-", help="the file to write (default: standard output)")
        parser.add_argument("--folder", metavar="DIR", help="write config.json and ai-entities/*.json there instead")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["folder"]:
            if options["file"] != "-":
                raise CommandError("write either a FILE or a --folder")
            self._folder(Path(options["folder"]))
            return
        text = export.text()
        if options["file"] == "-":
            self.stdout.write(text, ending="")
            return
        path = Path(options["file"])
        self._write(path, text)
        self.stdout.write(f"{path} written")

    def _folder(self, path: Path) -> None:
        files = folder.split(export.document())
        left = sorted({*sheaf.names(path)} - {*files}) if path.is_dir() else []
        if left:
            raise CommandError(f"{path} holds {left[0]}, which an import of the folder would read too; choose an empty folder")
        try:
            (path / folder.ENTITIES).mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise CommandError(f"{path} cannot be made: {exc.strerror or exc}") from exc
        for name, text in files.items():
            self._write(path / name, text)
        self.stdout.write(f"{path} written: {len(files)} files")

    def _write(self, path: Path, text: str) -> None:
        try:
            sheaf.write(path, text)
        except OSError as exc:
            raise CommandError(f"{path} cannot be written: {exc.strerror or exc}") from exc
