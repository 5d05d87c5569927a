"""A host's apps in this process, for as long as a module of tests runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace

from django.apps import apps
from django.conf import settings
from django.db import connection
from django.test import override_settings

CONNECTIONS = ("companies", "connectors")
INVOICING = ("invoicing",)


@contextmanager
def host_models(
    labels: tuple[str, ...] = CONNECTIONS, package: str = "integrations.tests.hostapp."
) -> Iterator[SimpleNamespace]:
    """Install the apps, make their tables, and hand out their models; afterwards nothing is left of either."""
    names = [f"{package}{label}" for label in labels]
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, *names]):
        for name in names:
            import_module(f"{name}.models")
        apps.clear_cache()  # whoever asked while they were away remembers no relation back to them
        models = [model for label in labels for model in apps.get_app_config(label).get_models()]
        with connection.schema_editor() as editor:
            for model in models:
                editor.create_model(model)
        try:
            yield SimpleNamespace(**{model.__name__: model for model in models})
        finally:
            with connection.schema_editor() as editor:
                for model in reversed(models):
                    editor.delete_model(model)
