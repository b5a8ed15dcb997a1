"""A plugin that stops the world at one step: for tests that kill a worker there.

`PAUSE_DIR` names a folder. Whoever reaches the step whose name stands in its file `at` takes that file away, writes the number of
its process into `pid`, and then waits for ever.
"""

import os
import threading
from pathlib import Path

from swwbot_site.lib.hooks import hookimpl

FOLDER = Path(os.environ["PAUSE_DIR"])


@hookimpl
def on_step(step: str) -> None:
    """Stay here, if this is the place and nobody was here before."""
    token = FOLDER / "at"
    try:
        if token.read_text() != step:
            return
        token.rename(FOLDER / "taken")
    except FileNotFoundError:
        return
    draft = FOLDER / "pid.new"
    draft.write_text(str(os.getpid()))
    draft.rename(FOLDER / "pid")
    threading.Event().wait()
