"""The settings of a test run: the project's own, in a folder and a database that belong to this run alone."""

import os
from pathlib import Path

HERMETIC = ("CONFIG", "LM_STUDIO_URL", "FEED_URL", "FEED_GENERATION", "POLLING_INTERVAL", "DRY_RUN", "PLUGINS", "QUEUE", "WORKERS", "DEBUG")
for name in HERMETIC:
    os.environ.pop(name, None)
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.pop("VAR_DIR", None)  # of the process that shares the tests out; each that runs some has its own
os.environ.setdefault("VAR_DIR", str(Path(__file__).resolve().parent.parent / "var" / "test" / str(os.getpid())))
os.environ.setdefault("SECRET_KEY", "a key for tests, long enough to sign with and known to everybody")

from swwbot_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
