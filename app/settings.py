"""Settings, from the environment or a ``.env`` file beside manage.py (docs/settings.md lists them).

``ENV_FILE`` names another file, or none if it is empty: what is meant to be thrown away (the demo, tests, benchmarks)
never obeys an installation's file.

Safe by default: no debug, secure cookies, no key that two installations share. With nothing set, a fresh
checkout runs on SQLite; ``make run`` adds the embedded broker.
"""

import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from kombu.entity import Queue

from integrations.conf import from_environment

from .local_secret import local_secret

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = BASE_DIR / ".local"  # what this checkout makes for itself; never committed

env = environ.Env()
if _env_file := os.environ.get("ENV_FILE", str(BASE_DIR / ".env")):
    environ.Env.read_env(_env_file)


def _whole(name: str, default: int) -> int:
    raw = env.str(name, default=str(default)).strip()
    if not (raw.isascii() and raw.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a whole number from 0, not {raw!r}.")
    return int(raw)


def _switch(name: str, *, default: bool) -> bool:
    raw = env.str(name, default="").strip().lower() or str(default).lower()
    if raw not in (*env.BOOLEAN_TRUE_STRINGS, "false", "off", "no", "n", "f", "0"):  # env.bool() takes them for false
        raise ImproperlyConfigured(f"{name} must be true or false, not {raw!r}.")
    return raw in env.BOOLEAN_TRUE_STRINGS


# -- security -----------------------------------------------------------------------------------------
DEBUG = _switch("DEBUG", default=False)
HTTPS = _switch("HTTPS", default=not DEBUG)  # behind TLS: secure cookies, redirects, HSTS
SECRET_KEY_IS_LOCAL = "SECRET_KEY" not in os.environ  # `check --deploy` speaks up: it dies with the container
SECRET_KEY = local_secret(LOCAL_DIR / "secret_key") if SECRET_KEY_IS_LOCAL else env.str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ENCRYPTION_MASTER_KEY = env.str("ENCRYPTION_MASTER_KEY", default="")
BAPP_CONNECTORS = {"ENCRYPTION_KEY": env.str("BAPP_CONNECTORS_ENCRYPTION_KEY", default="")}
FERNET_KEYS = env.list("FERNET_KEYS", default=[])  # only read, to migrate what they encrypted
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/(live|ready)?$", r"^metrics$"]  # asked over plain HTTP, from inside
SECURE_HSTS_SECONDS = _whole("SECURE_HSTS_SECONDS", 31_536_000 if HTTPS else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _switch("BEHIND_PROXY", default=False) else None
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "integrations.console.trouble.views.csrf_failure"

# -- apps ---------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "tenants",
    "tasks",
    "integrations",
    "app",
]
MIDDLEWARE = [
    "integrations.middleware.RefuseNul",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "integrations.middleware.ActingUser",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- database -----------------------------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{LOCAL_DIR / 'db.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        # Writers queue at BEGIN instead of failing at their first write.
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # A file, so that worker processes started by a test can open it.
    _database["TEST"] = {"NAME": env.str("TEST_DATABASE", default=str(LOCAL_DIR / "test.sqlite3"))}
else:
    # Shared by the threads of a process: a worker has a hundred, and those that wait for receivers need none.
    _pool_size = _whole("DATABASE_POOL_SIZE", 10)
    # A server that accepts and says nothing must not hold a request: a provider that calls back is told 503 instead.
    _options: dict[str, Any] = {"connect_timeout": 5, "tcp_user_timeout": 30_000}
    if _switch("PREPARED_STATEMENTS", default=True):  # off behind a pooler that shares connections by transaction
        # Planning the join of a payload takes six times as long as running it.
        _options |= {"server_side_binding": True, "prepare_threshold": 3}
    if _pool_size:
        _options["pool"] = {"min_size": 1, "max_size": _pool_size, "timeout": 5.0, "max_idle": 60.0}
    _database["CONN_MAX_AGE"] = 0 if _pool_size else _whole("CONN_MAX_AGE", 600)
    _database["OPTIONS"] = {**_options, **_database.get("OPTIONS", {})}
    _database["CONN_HEALTH_CHECKS"] = True

# -- Celery -------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="redis://localhost:6379/0")
CELERY_RESULT_BACKEND = env.str("CELERY_RESULT_BACKEND", default="redis://localhost:6379/0")
CELERY_TASK_IGNORE_RESULT = True  # the outcome of a delivery is a row, not a Celery result
CELERY_ACCEPT_CONTENT = ["json"]  # pickle and yaml messages are refused
CELERY_TASK_SERIALIZER = "json"
CELERY_TIMEZONE = "UTC"
CELERY_TASK_QUEUES = [Queue(name, routing_key=name) for name in ("deliveries", "slow")]  # slow lanes: own slots
CELERY_TASK_DEFAULT_QUEUE = "deliveries"
CELERY_TASK_TIME_LIMIT = _whole("CELERY_TASK_TIME_LIMIT", 1800)
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_MEMORY_PER_CHILD = _whole("CELERY_WORKER_MAX_MEMORY_PER_CHILD", 300_000)  # KiB
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives its broker's restart
CELERY_BROKER_POOL_LIMIT = 10
# A broker that accepts and says nothing is waited for that long, by whatever sends: beat, a worker, your own tasks. A
# worker that waits for messages is answered by Redis every second, and by RabbitMQ's heartbeats.
_IN_TIME = {
    "redis": {"socket_timeout": 5, "socket_connect_timeout": 5, "retry_on_timeout": False},
    "amqp": {"connect_timeout": 5, "write_timeout": 5},
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **_IN_TIME.get(CELERY_BROKER_URL.partition(":")[0].partition("+")[0].replace("rediss", "redis"), {}),
    **env.json("CELERY_BROKER_TRANSPORT_OPTIONS", default={}),
}
CELERY_BEAT_SCHEDULER = "integrations.observability.scheduler:DatabaseClockScheduler"
# Celery's Django support closes the database connection around every task unless told otherwise; a login
# per task costs three times the throughput. Broken connections are dropped by close_old_connections.
CELERY_DB_REUSE_MAX = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# -- mail ---------------------------------------------------------------------------------------------
# Alerts go through it: smtp+tls://user:password@mail.example.com:587; by default nowhere.
vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="outbox@localhost")

# -- cache --------------------------------------------------------------------------------------------
# Holds no secret and nothing that matters. One that processes share lets them see a changed configuration at once.
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}

# -- tenants ------------------------------------------------------------------------------------------
INTEGRATIONS_TENANT_MODEL = "tenants.Tenant"
INTEGRATIONS_TENANTS_OF = "tenants.scope.tenants_of"
INTEGRATIONS_ROLE_OF = "tenants.scope.role_of"
INTEGRATIONS_ROLES_OF = "tenants.scope.roles_of"
INTEGRATIONS_PEOPLE = "tenants.people.People"

# -- integrations -------------------------------------------------------------------------------------
INTEGRATIONS = from_environment(os.environ)

# -- web ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = LOCAL_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # WhiteNoise warns of a folder that is not there
WHITENOISE_USE_FINDERS = True  # the admin looks right without a collectstatic step

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "app.json_logs.LineFormatter",
            "format": "%(asctime)s %(levelname)-7s %(name)s  %(message)s",
            "datefmt": "%H:%M:%S",
        },
        "json": {"()": "app.json_logs.JSONFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": env.str("LOG_FORMAT", default="text")}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"psycopg.pool": {"level": "WARNING"}},  # it tells of every connection that is taken and given back
}
