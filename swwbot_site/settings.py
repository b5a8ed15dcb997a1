"""Settings, once, typed and loud: every one comes from the environment and is documented in docs/settings.md.

What an operator changes while the system runs is not here but in rows: the cluster policy, servers, feeds, entities.
"""

import socket
from pathlib import Path

from environs import Env

from swwbot_site import postgres

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

VAR_DIR = Path(env.str("VAR_DIR", "") or BASE_DIR / "var").resolve()
VERSION = "1.1.0"
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env.str("SECRET_KEY", "") or postgres.secret(VAR_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", [])

# --- what the bot does -------------------------------------------------------------------------------------------
CONFIG = env.str("CONFIG", "")
LM_STUDIO_URL = env.str("LM_STUDIO_URL", "")
POLLING_INTERVAL = env.int("POLLING_INTERVAL", None)
DRY_RUN = env.bool("DRY_RUN", False)
ENABLE_RESPONSE_CACHE = env.bool("ENABLE_RESPONSE_CACHE", True)
ENABLE_HEALTH_MONITOR = env.bool("ENABLE_HEALTH_MONITOR", False)
ENABLE_MULTI_INSTANCE = env.bool("ENABLE_MULTI_INSTANCE", True)
ENABLE_METRICS = env.bool("ENABLE_METRICS", True)
PLUGINS = env.list("PLUGINS", [])
ENGINE_IN_FLIGHT = env.int("ENGINE_IN_FLIGHT", 256)
SHIFT_SECONDS = env.int("SHIFT_SECONDS", 300)

# --- Django ------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.simple_history",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_q",
    "simple_history",
    "entities",
    "cluster",
    "conversations",
    "swwbot_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]
ROOT_URLCONF = "swwbot_site.urls"
ASGI_APPLICATION = "swwbot_site.asgi.application"
WSGI_APPLICATION = "swwbot_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
DATABASES = {"default": postgres.database(env.str("DATABASE_URL", ""), VAR_DIR)}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Seen by every process of this machine: a django-q cluster writes there whether it is stopping, its workers read it.
    "machine": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": VAR_DIR / "cache"},
}
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"

# --- the worker --------------------------------------------------------------------------------------------------
# A queue per machine, so that each machine's watchdog keeps an engine running there. A task is only an alarm clock: it is
# delivered at most once, and a shift that died is started again by the watchdog.
Q_CLUSTER = {
    "name": "swwbot",
    "cluster_name": env.str("QUEUE", "") or f"swwbot-{socket.gethostname()}",
    "orm": "default",
    "cache": "machine",
    "workers": env.int("WORKERS", 2),
    "recycle": 1,
    "timeout": SHIFT_SECONDS + 120,
    "retry": SHIFT_SECONDS + 180,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": 100,
    "catch_up": False,
    "poll": 0.5,
    "guard_cycle": 0.5,
    "label": "Background tasks",
}
