"""Find the model that a setting or a message names, if it is one of ours or derived from one."""

from __future__ import annotations

from typing import TypeVar

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
    # Our defaults say "integrations"; a project may have set our label apart from an app of its own (label.py).
    labels = (app_label, label.app_label()) if app_label == "integrations" else (app_label,)
    for each in labels:
        try:
            found = apps.get_model(str(each), str(model_name))
        except (LookupError, ValueError):
            continue
        if issubclass(found, base) and not found._meta.abstract:
            return found
    name = f"{str(app_label)[:50]}.{str(model_name)[:50]}"
    raise IntegrationPermanentError(f"{name} is not an installed model derived from {base.__name__}")


def connection_model() -> type[AbstractConnection]:
    """Return the model whose webhooks the built-in view takes in (CONNECTION_MODEL)."""
    app_label, _, model_name = str(conf.CONNECTION_MODEL).partition(".")
    return model_of(app_label, model_name, AbstractConnection)
