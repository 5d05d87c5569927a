"""The project: settings, Celery, URLs. It wires the rooms together and nothing imports it."""

from .celery import app as celery_app

__all__ = ["celery_app"]
