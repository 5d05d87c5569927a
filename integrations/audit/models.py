"""What was tried, and what came back: the base of execution logs, our own, and which there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.db import models

from integrations import conf
from integrations.connections.abstract import AbstractConnection
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import IntegrationSync
from integrations.tenancy.tenant import name_of


class AbstractExecutionLog(models.Model):
    """One call through a connector; redacted and capped before it is stored.

    A host subclasses it with a foreign key to its own connection (docs/your-own-models.md).
    """

    action = models.CharField(max_length=100)  # "deliver", "test", "GET https://…"
    method = models.CharField(max_length=10, blank=True)
    url = models.CharField(max_length=500, blank=True)  # scheme and host; the rest may be a secret
    request_payload = models.JSONField(null=True, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_payload = models.JSONField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["-id"]
        verbose_name = "execution log entry"
        verbose_name_plural = "execution log entries"

    def __str__(self) -> str:
        return f"{self.action} {self.pk}"

    @property
    def answer(self) -> str:
        """What came back, for reading."""
        found = self.response_payload
        return found if isinstance(found, str) else json.dumps(found, indent=2, ensure_ascii=False) if found else ""


class ExecutionLogQuerySet(models.QuerySet["ExecutionLog"]):
    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        rows = list(objs)
        _name_subjects(rows, self.db)
        return super().bulk_create(rows, *args, **kwargs)


class ExecutionLog(AbstractExecutionLog):
    """An attempt at a sync, a test, a call that somebody waited for; and where a person had a sync begin anew.

    It outlives what it tells about: whose integration it was stands in the row itself, and only retention deletes it
    (retention.py). Keys may therefore name what is gone; ids are never given twice.
    No database constraints: a log line must not hold up, or be held up by, the deletion of what it tells about
    (docs/adr/0003).
    """

    tenant = models.ForeignKey(
        conf.tenant_label(),
        on_delete=models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    tenant_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    integration = models.ForeignKey(
        TenantIntegration, on_delete=models.DO_NOTHING, null=True, related_name="logs", db_constraint=False
    )
    integration_name = models.CharField(max_length=200, blank=True, default="", db_default="")
    sync = models.ForeignKey(
        IntegrationSync, on_delete=models.DO_NOTHING, related_name="logs", null=True, blank=True, db_constraint=False
    )
    actor = models.CharField(max_length=150, default="system")  # the user's name, or which part of us
    attempt = models.PositiveIntegerField(default=0)
    # What went over the wire, in order and masked (transport/recording.py); None: nothing did, or it was not kept.
    exchanges = models.JSONField(null=True, blank=True, editable=False)

    objects = ExecutionLogQuerySet.as_manager()

    class Meta(AbstractExecutionLog.Meta):
        indexes = [models.Index(fields=["tenant", "-id"], name="log_of_tenant")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self._state.adding:
            _name_subjects([self], kwargs.get("using"))
        super().save(*args, **kwargs)


def _name_subjects(rows: list[ExecutionLog], using: str | None) -> None:
    """Write into new rows whose integration they tell of; one query for all whose integration is not at hand."""
    key: Any = ExecutionLog._meta.get_field("integration")
    unknown = {row.integration_id for row in rows if row.tenant_id is None and not key.is_cached(row)} - {None}
    found = TenantIntegration.unannounced.using(using).select_related("tenant").in_bulk(unknown) if unknown else {}
    for row in rows:
        row.actor = row.actor[:150]
        integration = row.integration if key.is_cached(row) else found.get(row.integration_id)
        if integration is not None and row.tenant_id is None:
            row.tenant_id, row.tenant_name = integration.tenant_id, name_of(integration.tenant)[:200]
            row.integration_name = integration.name


# -- our own log, and those that hosts derive ------------------------------------------------------------------------


def log_models() -> Iterator[type[AbstractExecutionLog]]:
    """Yield the models of all execution logs that have a table."""
    for model in apps.get_models():
        if issubclass(model, AbstractExecutionLog) and model._meta.managed and not model._meta.proxy:
            yield model


def key_to(connection: AbstractConnection, model: type[AbstractExecutionLog]) -> str | None:
    """Return the name of `model`'s key to the connection's model (``connection`` where there are several), or None."""
    keys = [
        field.name
        for field in model._meta.get_fields()
        if isinstance(field, models.ForeignKey)
        and isinstance(field.related_model, type)
        and isinstance(connection, field.related_model)
    ]
    return None if not keys else "connection" if "connection" in keys else keys[0]
