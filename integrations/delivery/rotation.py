"""Credentials that are too old, and connectors that can renew their own.

A connector whose system has a call for it writes `rotate`. It is asked when the credentials are older than
ROTATE_EVERY_DAYS; for all others the age stands in the admin, on the dashboard, and in `overdue`.

Our own signing secrets are renewed too, where the tenant wishes (`renew_secret_days`).

Nothing fails meanwhile: the lane waits while it is done, and its next slice reads the new credentials.
The old ones are ended when the new ones are durable (`retire`).
Not promised: a crash between the provider's answer and our commit loses the new credentials; the old ones work on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from integrations import conf
from integrations.acting import NOBODY, doing
from integrations.audit.trail import record
from integrations.connections.binding import SETTINGS_COLUMNS, fingerprint, settings_of
from integrations.connections.models import TenantIntegration
from integrations.connections.settings import apply_settings
from integrations.connections.signing_keys import has_unseen_secret, rotate_signing_secret
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.errors import IntegrationError
from integrations.transport.deadline import within

from .lanes import lock_lanes
from .lease import release, take
from .models import Lane
from .wakeup import wake_idle

logger = logging.getLogger("integrations.delivery")
RETIRE_SECONDS = 10.0


def overdue() -> QuerySet[TenantIntegration]:
    """Return the active integrations whose credentials are older than ROTATE_EVERY_DAYS."""
    return TenantIntegration.objects.operational().overdue()


def rotate_overdue() -> dict[str, int]:
    """Renew what can be renewed; return how many are overdue, were renewed, and failed."""
    kinds = [kind.manifest.key for kind in ConnectorRegistry.all() if kind.rotation_is_offered()]
    counts = {"overdue": overdue().count(), "rotated": 0, "failed": 0}
    oldest_first = overdue().filter(integration_type__in=kinds).order_by("credentials_rotated_at")
    for pk in list(oldest_first.values_list("pk", flat=True)):
        counts["rotated" if rotate(pk) else "failed"] += 1
    for integration in _with_old_secrets():
        if (is_renewed := _renew_secret(integration)) is not None:
            counts["rotated" if is_renewed else "failed"] += 1
    return counts


def _with_old_secrets() -> Iterator[TenantIntegration]:
    """Yield the integrations whose signing secret is older than their tenant wishes."""
    signing = [kind.manifest.key for kind in ConnectorRegistry.all() if kind.manifest.signs]
    wished = TenantIntegration.objects.operational().exclude(renew_secret_days=None).filter(is_signed=True)
    for row in wished.filter(integration_type__in=signing).order_by("pk"):
        since = row.secret_renewed_at or row.credentials_rotated_at or row.created_at
        if clock.now() - since > timedelta(days=row.renew_secret_days or 0):
            yield row


def _renew_secret(integration: TenantIntegration) -> bool | None:
    """Make a new signing secret that waits to be seen; both sign until then. None: one waits already."""
    try:
        if has_unseen_secret(integration):
            return None
        before = fingerprint(integration)
        rotate_signing_secret(integration, is_seen=False)
        # The old secret signs beside it: what the destination took speaks for these settings, too.
        trusted = Lane.objects.filter(pk=integration.pk, taken_with=before)
        trusted.update(taken_with=fingerprint(integration))
    except IntegrationError as error:
        words = "the signing secret of integration %s was not renewed: %s"
        logger.error(words, integration.pk, error.message, extra=integration.log_ids())
        _note_failure(integration, NOBODY, error.message)
        return False
    words = "integration %s has a new signing secret; show it on its page"
    logger.warning(words, integration.pk, extra=integration.log_ids())
    return True


def _note_failure(integration: TenantIntegration, actor: str, problem: str) -> None:
    named = None if actor == NOBODY else actor
    record("could not rotate", integration, actor=named, details={"error": problem})


def rotate(integration_id: int, *, actor: str = "system") -> bool:
    """Renew the credentials of one integration now; return whether it worked. Leaves an entry in the audit trail.

    Holds the lane's lease meanwhile, so that nothing is under way with the old credentials when they end, and nobody
    else renews them too. A lane that is busy or paused is left for the next time.
    """
    lease = take(integration_id)
    if lease is None:
        return False
    try:
        return _rotate(integration_id, actor)
    finally:
        release(lease)
        wake_idle([integration_id])  # what came due meanwhile


def _rotate(integration_id: int, actor: str) -> bool:
    integration = TenantIntegration.objects.get(pk=integration_id)
    renewed: dict[str, Any] = {}
    problem = ""
    try:
        with within(conf.TIMEOUT_SECONDS):  # all of its calls together: the lease must outlive them
            adapter = integration.get_adapter(attempts=1)
            renewed = adapter.rotate()
    except Exception as error:
        problem = _words_of(error)
    with transaction.atomic():
        lock_lanes([integration_id])  # as settle does: the lane first, then the integration
        row = TenantIntegration.objects.select_for_update().get(pk=integration_id)
        if renewed:
            apply_settings(row, {**settings_of(row), **renewed})
            row.credentials_rotated_at = clock.now()
            with doing("rotated", actor):
                row.save(update_fields=[*SETTINGS_COLUMNS, "credentials_rotated_at", "updated_at"])
        if problem:
            _note_failure(row, actor, problem)
    if renewed:
        try:  # the new ones are durable; if the old ones cannot be ended, there are two that work
            with within(RETIRE_SECONDS):
                adapter.retire()
        except Exception as error:
            words = "the replaced credentials of integration %s still work: %s"
            logger.warning(words, integration_id, _words_of(error), extra={"integration_id": integration_id})
    if problem:
        words = "the credentials of integration %s were not renewed: %s"
        logger.error(words, integration_id, problem, extra={"integration_id": integration_id})
    return not problem


def _words_of(error: Exception) -> str:
    return error.message if isinstance(error, IntegrationError) else f"unexpected {type(error).__name__}"
