"""Write audit entries for what is saved and deleted: integrations, their subscriptions, pulls, configurations, tenants.

A form, the API, a shell and a command save alike, so the models are watched and not the pages. The row is read once
more before each save, so that what is said to have been there was there. What no save shows is not seen:
``QuerySet.update()`` and raw SQL, and a fixture that is loaded.

None of these models is saved on the way of an event: workers write their run-time columns with updates.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import models
from django.db.models import Q
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from integrations.acting import NOBODY, deed
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.status_changes import RUN_TIME
from integrations.lifecycle import connection_disabled
from integrations.tenancy.tenant import is_tenant, tenant_model

from .differences import Changes, as_saved, changes_between
from .trail import CHANGED, CREATED, DELETED, AuditEntry, entry_of, record

SWITCHED_ON, SWITCHED_OFF = "switched on", "switched off"
VERSION = "payload version of "  # before the event type, in the names of changes; [old version, new version]
FIRST = 1  # the version that is not said of a subscription that is new or gone
PAYLOAD = "payload of "  # before the event type, in the names of changes; [old expression, new expression]
SUBSCRIPTION = "subscription "  # before the event type, in the names of changes; [old condition, new condition]

# Columns that follow from others, or that tests and workers write.
_FOLLOW = (RUN_TIME - {"is_enabled"}) | {
    "public_id",
    "provider_name",
    "provider_family",
    "connector_version",
    "exclusive_group",
    "credentials_rotated_at",
    "secret_renewed_at",
    "rotated_at",
}
_BEFORE, _STORED = "_audit_before", "_audit_stored"
WATCHED: set[type[models.Model]] = set()  # whose changes are written down, in whichever way


def watch(*senders: type[models.Model], ignored: Collection[str] = _FOLLOW, only_changes: bool = False) -> None:
    """Write down whoever saves rows of these models; proxies are named beside their models.

    Args:
        ignored: columns that say nothing about what a person did.
        only_changes: rows that are new are not told of.
    """
    noted = partial(_note_save, ignored=ignored, only_changes=only_changes)
    for sender in senders:
        WATCHED.add(sender)
        name = sender._meta.label
        pre_save.connect(_note_before, sender=sender, dispatch_uid=f"audit before {name}")
        post_save.connect(noted, sender=sender, weak=False, dispatch_uid=f"audit {name}")


def watch_deletions(*senders: type[models.Model]) -> None:
    """Write down whoever deletes rows of these models, where no deletion in batches does."""
    for sender in senders:
        WATCHED.add(sender)
        remember_before_deletion(sender)
        post_delete.connect(_note_deletion, sender=sender, dispatch_uid=f"audit deletion {sender._meta.label}")


def watch_subscriptions() -> None:
    """Write down changes of subscriptions, as changes of their integration."""
    WATCHED.add(EventSubscription)
    pre_save.connect(_note_before, sender=EventSubscription, dispatch_uid="audit before subscription")
    post_save.connect(_note_subscription, sender=EventSubscription, dispatch_uid="audit subscription")
    remember_before_deletion(EventSubscription)
    post_delete.connect(_note_end, sender=EventSubscription, dispatch_uid="audit end of subscription")


def note_deletion(sender: type[models.Model], pks: list[Any], using: str, actor: str = NOBODY, **_: Any) -> None:
    """Write one entry for each integration that is being deleted, and one for each tenant."""
    mine = Q(tenant__in=pks) if is_tenant(sender) else Q(pk__in=pks)
    integrations = TenantIntegration.unannounced.using(using).filter(mine)
    gone: list[models.Model] = list(integrations.select_related("tenant").order_by("pk"))
    if is_tenant(sender):
        gone += tenant_model()._base_manager.using(using).filter(pk__in=pks).order_by("pk")
    named = None if actor == NOBODY else actor  # else who acts now
    AuditEntry.objects.using(using).bulk_create([entry_of(DELETED, obj, actor=named) for obj in gone], batch_size=500)


def remember_before_deletion(sender: type[models.Model]) -> None:
    """Let `as_deleted` know what is stored of rows of `sender`."""
    pre_delete.connect(_read_stored, sender=sender, dispatch_uid=f"audit before deletion {sender._meta.label}")


def as_deleted(instance: Any) -> Any:
    """Return a row as it was stored when it was deleted: a form that says "delete" may have set other values on it."""
    return instance.__dict__.pop(_STORED, None) or instance


def watch_disabling() -> None:
    """Write down when we disable a connection."""

    def note(connection: Any, reason: str, **_: Any) -> None:
        record("disabled", connection, actor=NOBODY, details={"reason": reason})

    connection_disabled.connect(note, weak=False, dispatch_uid="audit disabled")


def _note_before(sender: type[models.Model], instance: Any, raw: bool, using: str, **_: Any) -> None:
    if not raw:
        old = None if instance._state.adding else sender._base_manager.using(using).filter(pk=instance.pk).first()
        instance.__dict__[_BEFORE] = old


def _read_stored(sender: type[models.Model], instance: Any, using: str, origin: Any = None, **_: Any) -> None:
    if origin is instance:  # all others were read for the deletion
        instance.__dict__[_STORED] = sender._base_manager.using(using).filter(pk=instance.pk).first()


def _note_save(
    instance: Any,
    raw: bool,
    created: bool,
    using: str,
    *,
    ignored: Collection[str],
    only_changes: bool,
    update_fields: Any = None,
    **_: Any,
) -> None:
    if raw:
        return
    before = instance.__dict__.pop(_BEFORE, None)
    saved = as_saved(instance, before, update_fields)
    changes = changes_between(before, saved, ignored=ignored)
    if (created and not only_changes) or (changes and not created):
        action, actor = deed()
        verb = CREATED if created else action or _verb(changes)
        record(verb, saved, changes=changes, actor=actor, using=_where(instance, using))


def _where(instance: Any, using: str) -> str | None:
    """Return the database of the entry: the row's, if our tables are there; None: where our tables are."""
    return using if instance._meta.app_label == AuditEntry._meta.app_label else None


def _verb(changes: Changes) -> str:
    switch = changes.get("is_active")
    if isinstance(switch, list) and len(changes) == 1:
        return SWITCHED_ON if switch[1] else SWITCHED_OFF
    return CHANGED


def _note_subscription(
    instance: Any, raw: bool, created: bool, using: str, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    before = instance.__dict__.pop(_BEFORE, None)
    if raw:
        return
    saved = as_saved(instance, before, update_fields)
    changes: Changes = {}
    if before is not None and before.event_type != saved.event_type:
        changes, before = _end(before), None
    old = None if before is None else before.condition
    if old != saved.condition:
        changes[SUBSCRIPTION + saved.event_type] = [old, saved.condition]
    sent = "" if before is None else before.payload
    if sent != saved.payload:
        changes[PAYLOAD + saved.event_type] = [sent, saved.payload]
    had = None if before is None else before.payload_version
    if (had or FIRST) != saved.payload_version:
        changes[VERSION + saved.event_type] = [had, saved.payload_version]
    if changes:
        record(CHANGED, saved.integration, changes=changes, using=using)


def _note_end(instance: Any, using: str, **_: Any) -> None:
    gone = as_deleted(instance)
    mine = TenantIntegration.unannounced.using(using).filter(pk=gone.integration_id, lane__deleting_since=None)
    if (integration := mine.first()) is not None:
        record(CHANGED, integration, changes=_end(gone), using=using)


def _end(subscription: Any) -> Changes:
    """Return what is said of a subscription that is no more."""
    event_type, version = subscription.event_type, subscription.payload_version
    found: Changes = {SUBSCRIPTION + event_type: [subscription.condition, None]}
    return found if version == FIRST else found | {VERSION + event_type: [version, None]}


def _note_deletion(instance: Any, using: str, **_: Any) -> None:
    gone = as_deleted(instance)
    if not _goes_with_its_integration(gone, using):
        record(DELETED, gone, using=_where(gone, using))


def _goes_with_its_integration(instance: Any, using: str) -> bool:
    """Tell whether the integration of the row is being deleted: of that it is told once."""
    keys = (field for field in instance._meta.concrete_fields if field.related_model is TenantIntegration)
    if (key := next(keys, None)) is None:
        return False
    mine = TenantIntegration.unannounced.using(using).filter(pk=getattr(instance, key.attname))
    return mine.exclude(lane__deleting_since=None).exists()
