"""What a tenant has here goes with it, whoever deletes it: ``account.delete()``, a queryset, the project's admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.models.signals import pre_delete

from integrations.tenancy.deletion import begin, delete_keyed, is_under_way
from integrations.tenancy.tenant import tenant_model


def connect() -> None:
    """Listen to the deletion of tenants; Django names a proxy, or a child, as itself."""
    for model in _family(tenant_model()):
        pre_delete.connect(_delete_ours, sender=model, dispatch_uid=f"delete what {model._meta.label} has")


def _family(model: type[models.Model]) -> Iterator[type[models.Model]]:
    yield model
    for child in model.__subclasses__():
        yield from _family(child)


def _delete_ours(instance: Any, using: str, origin: Any = None, **_: Any) -> None:
    """Delete integrations and events of a tenant, in the transaction of its deletion."""
    if not is_under_way(instance):
        begin(tenant_model(), [instance.pk], using=using)
    delete_keyed(instance, using=using, origin=origin)
