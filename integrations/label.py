"""The label of this app, which a project may set apart from an `integrations` of its own.

    class OutboxConfig(IntegrationsConfig):
        label = "outbox"

Tables, permissions, admin URLs and content types carry it.
"""

from __future__ import annotations

from django.apps import apps


def app_label() -> str:
    """Return the label under which this app is installed."""
    config = apps.get_containing_app_config(__name__)
    return config.label if config is not None else "integrations"


def permission(action: str, model_name: str) -> str:
    """Return the name of a permission of ours, as ``integrations.view_integrationsync``."""
    return f"{app_label()}.{action}_{model_name}"
