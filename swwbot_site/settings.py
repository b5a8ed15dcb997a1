"""Settings, once, typed and loud: every one comes from the environment and is documented in docs/settings.md.

What an operator changes while the system runs is not here but in rows: the cluster policy, servers, feeds, entities.
"""

import os
import socket
import sys
from pathlib import Path

from environs import Env, validate

from swwbot_site import environment, logs, openapi, theme

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent

VAR_DIR = Path(env.str("VAR_DIR", "") or BASE_DIR / "var").resolve()
VERSION = "1.1.0"
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = environment.confidential(os.environ, "SECRET_KEY") or environment.signing_key(VAR_DIR)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])

# Served through a proxy that speaks TLS: cookies travel encrypted only, plain requests are sent there.
HTTPS = env.bool("HTTPS", False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("HSTS_SUBDOMAINS", False)
# Whether a whole domain speaks TLS only is decided by its owner, not by one program under it: without these two nothing is wrong.
SILENCED_SYSTEM_CHECKS = ["security.W021", *([] if SECURE_HSTS_INCLUDE_SUBDOMAINS else ["security.W005"])]

# Whom the bot speaks to, and who may look at it without a login.
ALLOWED_NETWORKS: list[str] = environment.listed("ALLOWED_NETWORKS", env.list("ALLOWED_NETWORKS", []))
METRICS_NETWORKS: list[str] = environment.listed("METRICS_NETWORKS", env.list("METRICS_NETWORKS", ["loopback"]))
METRICS_TOKEN = environment.confidential(os.environ, "METRICS_TOKEN")

LOG_LEVEL = env.str("LOG_LEVEL", "INFO", validate=validate.OneOf(logs.LEVELS))
LOG_FORMAT = env.str("LOG_FORMAT", "console", validate=validate.OneOf(logs.FORMATS))
LOGGING = logs.configure(LOG_LEVEL, LOG_FORMAT)

# --- what the bot does -------------------------------------------------------------------------------------------
CONFIG = env.str("CONFIG", "")
LM_STUDIO_URL = env.str("LM_STUDIO_URL", "")
FEED_URL = env.str("FEED_URL", "")
FEED_GENERATION = env.str("FEED_GENERATION", "") or "auto"
POLLING_INTERVAL = env.int("POLLING_INTERVAL", None)
DRY_RUN = env.bool("DRY_RUN", False)
ENABLE_RESPONSE_CACHE = env.bool("ENABLE_RESPONSE_CACHE", True)
ENABLE_HEALTH_MONITOR = env.bool("ENABLE_HEALTH_MONITOR", False)
ENABLE_MULTI_INSTANCE = env.bool("ENABLE_MULTI_INSTANCE", True)
ENABLE_METRICS = env.bool("ENABLE_METRICS", True)
PLUGINS: list[str] = env.list("PLUGINS", [])
ENGINE_PLUGINS = [
    "cluster.plugin",
    "conversations.plugin",
    "conversations.behaviors",
    "swwbot_site.config.watch",
    "swwbot_site.monitoring.reckon",
    "swwbot_site.retention.rounds",
    "swwbot_site.webhooks.sending",
]
OTEL_ENABLED = env.bool("OTEL_ENABLED", False)
ENGINE_PLUGINS += environment.tracing(OTEL_ENABLED)
ENGINE_IN_FLIGHT = env.int("ENGINE_IN_FLIGHT", 256)
SHIFT_SECONDS = env.int("SHIFT_SECONDS", 300)
WORKERS = env.int("WORKERS", 2)

# --- Django ------------------------------------------------------------------------------------------------------
# The workers answer no requests: without the admin's theme and pages a worker needs 3 MB less, without the REST API 8 MB.
LEAN = sys.argv[1:2] == ["qcluster"]
PAGES = ["unfold", "unfold.contrib.filters", "unfold.contrib.simple_history", "django.contrib.admin"]
INTERFACES = ["rest_framework", "drf_spectacular", "drf_spectacular_sidecar"]
INSTALLED_APPS = [
    *(["django.contrib.admin.apps.SimpleAdminConfig"] if LEAN else [*PAGES, *INTERFACES]),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_q",
    "simple_history",
    "entities",
    "cluster",
    "conversations",
    "swwbot_site",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "swwbot_site.headers.Headers",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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
database_url = environment.confidential(os.environ, "DATABASE_URL")  # no setting: it may hold a password
EMBEDDED = not database_url
DATABASES = {"default": environment.database(database_url, VAR_DIR)}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    # Seen by every process of this machine: a django-q cluster writes there whether it is stopping, its workers read it.
    "machine": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": VAR_DIR / "cache"},
}
AUTHENTICATION_BACKENDS = ["swwbot_site.entrance.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = "swwbot_site.formats"
USE_TZ = True
STATIC_URL = "static/"
# The web server reads the files where the packages have them; there is nothing to collect before a start.
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
UNFOLD = theme.UNFOLD
REST_FRAMEWORK = openapi.REST_FRAMEWORK
SPECTACULAR_SETTINGS = openapi.spectacular(VERSION)

# --- the worker --------------------------------------------------------------------------------------------------
# A queue per machine, so that each machine's watchdog keeps an engine running there. A task is only an alarm clock: it is
# delivered at most once, and a shift that died is started again by the watchdog.
Q_CLUSTER = {
    "name": "swwbot",
    "cluster_name": env.str("QUEUE", "") or f"swwbot-{socket.gethostname()}",
    "orm": "default",
    "cache": "machine",
    "workers": WORKERS,
    "recycle": 1,
    # Watchdogs gather behind a running shift. By default the queue in memory holds no more tasks than workers squared; once that is full,
    # a cluster that is told to stop can put no pill behind them and hangs.
    "queue_limit": 100,
    # A shift that is over still finishes the answers it has in flight, beside its successor.
    "timeout": SHIFT_SECONDS + 720,
    "retry": SHIFT_SECONDS + 780,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": 100,
    "catch_up": False,
    "poll": 0.5,
    "guard_cycle": 0.5,
    "label": "Background tasks",
    "log_level": "WARNING",
}
