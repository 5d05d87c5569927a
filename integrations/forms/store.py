"""Write what a person has set, from whichever form."""

from __future__ import annotations

from typing import Any

from integrations.connections.models import TenantIntegration
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import EncryptionError

from .settings_form import SettingsForm


def store(form: SettingsForm, *, is_new: bool) -> str | None:
    """Save the integration of a valid form that was saved with ``commit=False``; wake its lane when that commits.

    Of one that exists only what was changed: the workers write the switches of the same row.

    Returns:
        a signing secret that was made now, to be shown once; None: none was.
    """
    integration = form.instance
    if is_new:
        integration.save()
    elif form.columns:
        integration.save(update_fields=form.columns)
    secret = None
    if form.connector is not None and form.connector.manifest.signs:
        secret = first_secret(integration, is_new=is_new)
    wake_on_commit({integration.pk})  # an address was mended, or pending rows are to be cancelled
    return secret


def first_secret(integration: TenantIntegration, *, is_new: bool) -> str | None:
    """Return the signing secret of an integration that signs from now on, None if it has had one before.

    One that was saved just now has it already; one that begins to sign later gets it here.
    """
    if not integration.is_signed:
        return None
    keys = _signing_keys(integration)
    if keys is None or (keys and not is_new):
        return None
    return str(keys[0]["secret"]) if keys else rotate_signing_secret(integration)


def _signing_keys(integration: TenantIntegration) -> list[dict[str, Any]] | None:
    try:
        return integration.credentials.get("signing_keys") or []
    except EncryptionError:
        return None  # unreadable is not missing; the page says so
