"""The keys that sign an integration's requests, and how one replaces another without a lost delivery.

``credentials["signing_keys"]`` is a list, newest first: ``{"secret": "whsec_…", "until": null | ISO time}``.
A rotated key goes on signing beside the new one until its time is over; receivers accept either signature.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from integrations import clock, conf
from integrations.transport import signing

from .models import TenantIntegration

MOST_KEPT = 4  # earlier keys that sign beside the new one: each costs every request


def rotate_signing_secret(integration: TenantIntegration, secret: str | None = None) -> str:
    """Give `integration` a new signing secret and return it: the one time it is shown.

    The previous one signs beside it for ROTATION_OVERLAP_SECONDS.

    Args:
        secret: a ``whsec_…`` of the receiver's choosing; None: a new random one.

    Raises:
        ValueError: `secret` is not a usable key; the message says why.
    """
    secret = signing.check_secret(secret or signing.generate_secret())
    now = clock.now()
    with transaction.atomic():
        row = TenantIntegration.objects.select_for_update().get(pk=integration.pk)
        until = (now + timedelta(seconds=conf.ROTATION_OVERLAP_SECONDS)).isoformat()
        kept: list[dict[str, str]] = []
        for key in row.credentials.get("signing_keys") or []:
            end = key.get("until") or until
            if datetime.fromisoformat(end) > now and len(kept) < MOST_KEPT:
                kept.append({"secret": key["secret"], "until": end})
        row.credentials = {**row.credentials, "signing_keys": [{"secret": secret, "until": None}, *kept]}
        row.credentials_rotated_at = now
        row.save(update_fields=["credentials_encrypted", "credentials_rotated_at", "updated_at"])
    integration.refresh_from_db()
    return secret
