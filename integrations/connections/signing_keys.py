"""The keys that sign an integration's requests, and how one replaces another without a lost delivery.

``credentials["signing_keys"]`` is a list, newest first: ``{"secret": "whsec_…", "until": null | ISO time}``.
A rotated key goes on signing beside the new one until its time is over; receivers accept either signature.

With `renew_secret_days` the schedule makes new ones (delivery/rotation.py). Nobody sees such a secret at once: it is
marked ``"unseen"``, and the overlap with the old one begins when a person has seen it (`reveal_signing_secret`), so
that every receiver can follow.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from integrations import conf
from integrations.acting import doing
from integrations.database import clock
from integrations.transport import signing

from .models import TenantIntegration
from .row import SIGNING_KEYS

UNSEEN = "unseen"
_COLUMNS = ["credentials_encrypted", "updated_at"]

MOST_KEPT = 4  # earlier keys that sign beside the new one: each costs every request


def rotate_signing_secret(integration: TenantIntegration, secret: str | None = None, *, is_seen: bool = True) -> str:
    """Give `integration` a new signing secret and return it: the one time it is shown.

    The previous one signs beside it for ROTATION_OVERLAP_SECONDS.

    Args:
        secret: a ``whsec_…`` of the receiver's choosing; None: a new random one.
        is_seen: False if it is shown to no person now: the previous one then signs until the new one has been seen.

    Raises:
        ValueError: `secret` is not a usable key; the message says why.
    """
    secret = signing.check_secret(secret or signing.generate_secret())
    now = clock.now()
    with transaction.atomic():
        row = TenantIntegration.objects.select_for_update().get(pk=integration.pk)
        kept = _ending(row.credentials.get(SIGNING_KEYS) or [], now) if is_seen else row.credentials.get(SIGNING_KEYS)
        new = {"secret": secret, "until": None} | ({} if is_seen else {UNSEEN: True})
        row.credentials = {**row.credentials, SIGNING_KEYS: [new, *(kept or [])]}
        row.credentials_rotated_at = row.secret_renewed_at = now
        with doing("rotated"):
            row.save(update_fields=[*_COLUMNS, "credentials_rotated_at", "secret_renewed_at"])
    integration.refresh_from_db()
    return secret


def has_unseen_secret(integration: TenantIntegration) -> bool:
    """Tell whether the newest signing secret was made by the schedule, and nobody has seen it yet.

    Raises:
        EncryptionError: the stored keys cannot be opened.
    """
    keys = integration.credentials.get(SIGNING_KEYS) or []
    return bool(keys and keys[0].get(UNSEEN))


def reveal_signing_secret(integration: TenantIntegration) -> str | None:
    """Return the signing secret that nobody has seen yet, once; the overlap with the previous one begins now.

    None: there is no such secret.
    """
    with transaction.atomic():
        row = TenantIntegration.objects.select_for_update().get(pk=integration.pk)
        if not has_unseen_secret(row):
            return None
        newest, *others = row.credentials[SIGNING_KEYS]
        secret: str = newest["secret"]
        keys = [{"secret": secret, "until": None}, *_ending(others, clock.now())]
        row.credentials = {**row.credentials, SIGNING_KEYS: keys}
        with doing("secret shown"):
            row.save(update_fields=_COLUMNS)
    integration.refresh_from_db()
    return secret


def old_key_until(keys: list[dict[str, Any]]) -> datetime | None:
    """Return until when a replaced signing key still signs, None if there is none."""
    ends = [datetime.fromisoformat(key["until"]) for key in keys if key.get("until")]
    return max((end for end in ends if end > clock.now()), default=None)


def _ending(keys: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """Return those of `keys` that still sign, each with an end."""
    until = (now + timedelta(seconds=conf.ROTATION_OVERLAP_SECONDS)).isoformat()
    ends = [{"secret": key["secret"], "until": key.get("until") or until} for key in keys]
    return [key for key in ends if datetime.fromisoformat(key["until"]) > now][:MOST_KEPT]
