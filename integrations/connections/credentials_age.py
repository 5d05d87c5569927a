"""Which credentials are due to be changed: older than ROTATE_EVERY_DAYS."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db.models import Q

from integrations import conf
from integrations.database import clock

if TYPE_CHECKING:
    from .models import TenantIntegration


def credentials_age(integration: TenantIntegration) -> int | None:
    """Return the days since the credentials were last changed, None if nobody knows."""
    changed = integration.credentials_rotated_at
    return (clock.now() - changed).days if changed else None


def overdue_days(integration: TenantIntegration) -> int | None:
    """Return the credentials' age in days if they are due to be changed, else None."""
    age = credentials_age(integration)
    has_any = integration.credentials_encrypted or integration.headers_encrypted or integration.webhook_url_encrypted
    return age if has_any and age is not None and age > conf.ROTATE_EVERY_DAYS else None


def is_overdue() -> Q:
    """Return the same as a condition on rows."""
    limit = clock.now() - timedelta(days=conf.ROTATE_EVERY_DAYS + 1)
    nothing = Q(credentials_encrypted="", headers_encrypted="", webhook_url_encrypted="")
    return Q(credentials_rotated_at__lte=limit) & ~nothing
