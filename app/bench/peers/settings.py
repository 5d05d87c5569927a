"""Settings of the peers' project; ``BENCH_TUNED=1`` keeps database connections between tasks."""

import os
from typing import Any

import environ

env = environ.Env()
TUNED = env.bool("BENCH_TUNED", default=False)

SECRET_KEY = env.str("SECRET_KEY")
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "app.bench.peers.apps.PeersConfig",  # first: its receiver of post_save notes the time before others send
    "django_webhook",
    "django_domain_events",
    "django_outbound_webhooks",
]
DATABASES = {"default": env.db_url("DATABASE_URL")}
_database: dict[str, Any] = DATABASES["default"]
if _database["ENGINE"].endswith("sqlite3"):
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
elif TUNED:
    _database["CONN_MAX_AGE"] = 600
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="memory://")
CELERY_BROKER_TRANSPORT_OPTIONS = env.json("CELERY_BROKER_TRANSPORT_OPTIONS", default={})
CELERY_RESULT_BACKEND = "disabled://"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "warm-up"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
if TUNED:
    CELERY_DB_REUSE_MAX = 1000

DJANGO_WEBHOOK = {"MODELS": ["bench_peers.Ticket"]}
DJANGO_OUTBOUND_WEBHOOKS = {"ALLOW_PRIVATE_ADDRESSES": True}  # the receiver is on loopback
SILENCED_SYSTEM_CHECKS = ["django_webhook.W001"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": os.environ.get("LOG_LEVEL", "WARNING")},
}
