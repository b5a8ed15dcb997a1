"""A configuration on disk, one file or a folder of them: read as a whole, and written."""

import os
from pathlib import Path
from typing import Final
from zlib import crc32

from swwbot_site.config.folder import ENTITIES, Bundle

TRIES: Final = 3
"""So often a folder is read again that changed while it was read."""

Stamp = tuple[int, ...] | None
"""What a file or a folder looks like from outside; None for one that cannot be seen, () for one never looked at."""


class Unsteady(OSError):
    """A folder changed each time it was read."""


def read(path: Path) -> bytes | Bundle:
    """The content of a file, or of all files of a folder as they stood together at one moment. Raises OSError."""
    if not path.is_dir():
        return path.read_bytes()
    for _ in range(TRIES):
        before = stamp(path)
        try:
            files = tuple((name, (path / name).read_bytes()) for name in names(path))
        except FileNotFoundError:
            continue
        if before is not None and stamp(path) == before:
            return Bundle(files=files)
    raise Unsteady(f"{path} changes while it is read; try again when it is complete")


def names(path: Path) -> list[str]:
    """The files of a folder and of its entities, by name; hidden ones are nobody's."""
    found = [entry.name for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    inside = path / ENTITIES
    if inside.is_dir():
        found += [f"{ENTITIES}/{entry.name}" for entry in inside.iterdir() if entry.is_file() and not entry.name.startswith(".")]
    return sorted(found)


def stamp(path: Path) -> Stamp:
    """What changes when a file changes, or a file of a folder: names, times in ns, sizes, inodes. None if it cannot be seen."""
    try:
        if not path.is_dir():
            return _stamp(path)
        return tuple(number for name in names(path) for number in (crc32(name.encode(errors="replace")), *_stamp(path / name)))
    except OSError:
        return None


def _stamp(path: Path) -> tuple[int, ...]:
    seen = path.stat()
    return seen.st_mtime_ns, seen.st_size, seen.st_ino


def write(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it. Raises OSError."""
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
