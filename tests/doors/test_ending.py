"""The web server that is told to stop: those who listen to it are sent away at once."""

import os
import subprocess
import sys
from pathlib import Path

from swwbot_site.settings import BASE_DIR

PROGRAM = """
import os, signal, socket, threading, time, urllib.request
import uvicorn

with socket.socket() as one:
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]

def visit():
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz")
            break
        except OSError:
            time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)

def ended(number, frame):
    from swwbot_site.lib import streams
    print("closed" if streams._hall.closing.is_set() else "open")
    raise SystemExit

signal.signal(signal.SIGTERM, ended)
threading.Thread(target=visit).start()
uvicorn.run("swwbot_site.asgi:application", host="127.0.0.1", port=port, lifespan="off", log_level="warning")
"""


def test_streams_are_ended_when_the_server_is_told_to_stop(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "COVERAGE_PROCESS_START")}
    environment = kept | {"VAR_DIR": str(tmp_path), "PYTHONPATH": str(BASE_DIR), "ALLOWED_HOSTS": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "closed", done.stderr
