"""The demo's own environment: nothing that a ``.env`` or a shell says of an installation reaches it.

It migrates a database, makes users and prints a link that signs a superuser in: never in anything but its own.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from app.local_secret import local_secret

N8N = ("localhost:5678", "127.0.0.1:5678")  # where one listens by itself

# What app.settings reads and the demo has an opinion on, or none: the defaults are for a fresh checkout.
OF_AN_INSTALLATION = (
    "ALLOWED_HOSTS",
    "BAPP_CONNECTORS_ENCRYPTION_KEY",
    "BEHIND_PROXY",
    "CACHE_URL",
    "CELERY_BROKER_TRANSPORT_OPTIONS",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
    "CELERY_TASK_TIME_LIMIT",
    "CELERY_WORKER_MAX_MEMORY_PER_CHILD",
    "CONN_MAX_AGE",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_POOL_SIZE",
    "DEFAULT_FROM_EMAIL",
    "EMAIL_URL",
    "DATABASE_URL",
    "DEBUG",
    "ENCRYPTION_MASTER_KEY",
    "FERNET_KEYS",
    "HTTPS",
    "LOG_FORMAT",
    "PREPARED_STATEMENTS",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SECURE_HSTS_SECONDS",
    "TIME_ZONE",
    "WEBHOOK_RECEIVER_SECRETS",
)


def make_own(environment: MutableMapping[str, str], folder: Path) -> None:
    """Make `environment` the demo's: a database and a key in `folder`, or the database and broker named for the demo.

    ``DEMO_DATABASE_URL`` and ``DEMO_BROKER_URL`` are obeyed; without the latter the caller starts a broker.
    """
    for name in [*OF_AN_INSTALLATION, *(name for name in environment if name.startswith("INTEGRATIONS_"))]:
        environment.pop(name, None)
    environment["ENV_FILE"] = ""
    environment["SECRET_KEY"] = local_secret(folder / "secret_key")
    environment["DATABASE_URL"] = environment.get("DEMO_DATABASE_URL") or f"sqlite:///{folder / 'db.sqlite3'}"
    if broker := environment.get("DEMO_BROKER_URL"):
        environment["CELERY_BROKER_URL"] = broker
    environment["CELERY_RESULT_BACKEND"] = "disabled://"


def allowed_hosts(environment: Mapping[str, str]) -> list[str]:
    """Return the private addresses that the demo may call: an n8n on this machine, and ``DEMO_ALLOWED_HOSTS``."""
    more = environment.get("DEMO_ALLOWED_HOSTS", "").split(",")
    return [*N8N, *(host.strip() for host in more if host.strip())]
