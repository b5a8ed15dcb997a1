"""Real django-q clusters for tests: `manage.py qcluster` with its sentinel and workers, each in a session of its own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from conversations.models import Engine
from swwbot_site import processes
from swwbot_site.lib import leases
from tests.harness import PATIENCE_S, until

ROOT = Path(__file__).resolve().parent.parent


class Workers:
    """A cluster that runs. `folder` is its own VAR_DIR and the place of the pause; `environment` is what differs from a plain start."""

    def __init__(self, database_url: str, folder: Path, queue: str = "swwbot-test", **environment: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "log"
        values = {name: value for name, value in os.environ.items() if name not in ("CONFIG", "LM_STUDIO_URL", "FEED_URL", "VAR_DIR")}
        values |= {
            "DJANGO_SETTINGS_MODULE": "swwbot_site.settings",
            "DATABASE_URL": database_url,
            "VAR_DIR": str(folder),
            "QUEUE": queue,
            "WORKERS": "1",
            "PLUGINS": "tests.pause",
            "PAUSE_DIR": str(folder),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster", "--skip-checks"],
                env=values | environment,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pause_at(self, step: str) -> None:
        """From now on the next worker that reaches `step` stays there."""
        (self.folder / "pid").unlink(missing_ok=True)
        draft = self.folder / "at.new"
        draft.write_text(step)
        draft.rename(self.folder / "at")

    def paused(self) -> int:
        """Wait until a worker is there; its process."""
        until((self.folder / "pid").exists, what=f"the pause at {self._wanted()!r}, {self.said()}")
        return int((self.folder / "pid").read_text())

    def _wanted(self) -> str:
        path = self.folder / "at"
        return path.read_text() if path.exists() else ""

    def said(self) -> str:
        """What the cluster wrote."""
        return self.log.read_text()

    def everybody(self) -> list[int]:
        """Every process of the cluster."""
        return processes.members(self.process.pid)

    def stop(self) -> float:
        """SIGTERM; the seconds until nobody was left."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE_S)
        left = processes.gone(self.everybody(), 30)
        assert left == [], f"{left} are left of the cluster\n{self.said()}"
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL to everybody at once, as when the machine loses its power."""
        if self.everybody():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        processes.gone(self.everybody(), 30)


def engines_alive() -> int:
    """The engines whose processes live."""
    return Engine.objects.filter(ended_at__isnull=True, owner__in=leases.living()).count()
