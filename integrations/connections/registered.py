"""Models that a setting or a message names: only those that may be meant."""

from __future__ import annotations

from typing import Any, TypeVar

from django.apps import apps
from django.db import models

from integrations import conf, label
from integrations.errors import IntegrationPermanentError

from .abstract import AbstractConnection

M = TypeVar("M", bound=models.Model)


def model_of(app_label: str, model_name: str, base: type[M]) -> type[M]:
    """Return the model ``app_label.model_name``, a concrete subclass of `base`.

    Raises:
        IntegrationPermanentError: there is none, or it is something else: whoever can write to the broker must not
            reach ``auth.User``.
    """
    found: Any = _installed(str(app_label), str(model_name))
    if found is None and app_label == "integrations":  # as our defaults have it; our label may be set apart
        found = _installed(label.app_label(), str(model_name))
    if not (isinstance(found, type) and issubclass(found, base) and not found._meta.abstract):
        name = f"{str(app_label)[:50]}.{str(model_name)[:50]}"
        raise IntegrationPermanentError(f"{name} is not an installed model derived from {base.__name__}")
    return found


def _installed(app_label: str, model_name: str) -> Any:
    try:
        return apps.get_model(app_label, model_name)
    except (LookupError, ValueError):
        return None


def connection_model() -> type[AbstractConnection]:
    """Return the model whose webhooks the built-in view takes in (CONNECTION_MODEL)."""
    return model_of(*_parts(conf.CONNECTION_MODEL), AbstractConnection)


def _parts(name: str) -> tuple[str, str]:
    label, _, model = str(name).partition(".")
    return label, model
