"""The Celery application: ``celery -A app worker``, ``celery -A app beat``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
# Celery has each worker run Django's checks, and throws away what they find. One of them loads every URL, and with them
# API and console: 20 MiB that a worker has no use for. `manage.py check` is what tells (docs/OPERATIONS.md).
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("app")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
