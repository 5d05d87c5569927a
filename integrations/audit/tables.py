"""Whose log is where: our own table, and those that hosts derived from `AbstractExecutionLog`."""

from __future__ import annotations

from collections.abc import Iterator

from django.apps import apps
from django.db import models

from integrations.connections.abstract import AbstractConnection

from .models import AbstractExecutionLog


def log_models() -> Iterator[type[AbstractExecutionLog]]:
    """Yield the models of all execution logs that have a table."""
    for model in apps.get_models():
        if issubclass(model, AbstractExecutionLog) and model._meta.managed and not model._meta.proxy:
            yield model


def key_to(connection: AbstractConnection, model: type[AbstractExecutionLog]) -> str | None:
    """Return the name of `model`'s key to the connection's model (``connection`` where there are several), or None."""
    keys = [
        field.name
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and isinstance(field.related_model, type)
        and isinstance(connection, field.related_model)
    ]
    return None if not keys else "connection" if "connection" in keys else keys[0]
