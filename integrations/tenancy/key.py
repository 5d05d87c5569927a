"""The foreign key of our own tables to the tenant model."""

from __future__ import annotations

from typing import Any

from django.db import models

from integrations import conf


class TenantKey(models.ForeignKey):
    """Leads to the tenant model; the rows go with their tenant, whoever deletes it, and are never loaded for that.

    Django's cascade would read all of them first. It leaves them alone (DO_NOTHING): when a tenant is about to be
    deleted, delivery/deletion.py deletes them in batches, in the same transaction.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"to": conf.tenant_label(), "on_delete": models.DO_NOTHING, **options})

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.ForeignKey", args, kwargs
