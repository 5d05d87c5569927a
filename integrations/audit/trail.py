"""The audit trail: who did what to which object, when, from where, with what was before and after.

    record("resumed", integration)
    record("retried", integration=integration, details={"syncs": 340, "filter": "failed, workitem_created"})

What is saved through the models is written down by itself (audit/watch.py); call `record` for what no save shows. It
writes in the caller's transaction: either both are there afterwards, or neither. An entry outlives what it is about:
it refers to nothing, and names stand in it. What was tried, and what came back, is in the execution log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

from django.db import connections, models, router
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy

from integrations import acting
from integrations.acting import Actor
from integrations.connections.models import TenantIntegration
from integrations.connections.remembered import Moment, moment
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.tenant import is_tenant, name_of

CHANGED = "changed"  # all that is said of a secret; also the word for an edit
CREATED, DELETED = "created", "deleted"
MOST = 500  # characters of a value
MOST_CHANGES = 100


class AuditEntry(models.Model):
    """One thing that somebody did. Never changed afterwards.

    Attributes:
        changes: ``{"name": [old, new], "credentials.api_key": "changed"}``; of a secret neither value nor length.
        details: what else is to be said, such as how many rows one action was for, and by which filter.
    """

    class Source(models.TextChoices):
        FORM = acting.FORM, gettext_lazy("form")
        CONSOLE = acting.CONSOLE, gettext_lazy("console")
        API = acting.API, gettext_lazy("API")
        COMMAND = acting.COMMAND, gettext_lazy("command")
        TASK = acting.TASK, gettext_lazy("task")
        SYSTEM = acting.SYSTEM, gettext_lazy("system")

    created_at = models.DateTimeField("when", db_default=Now())
    actor = models.CharField("who", max_length=150, default=acting.NOBODY)
    actor_key = models.CharField(max_length=64, blank=True)
    source = models.CharField(max_length=10, choices=Source.choices, default=Source.SYSTEM)
    address = models.GenericIPAddressField(null=True, blank=True)
    path = models.CharField(max_length=200, blank=True)
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=100, blank=True)  # a model's label, app_label.model
    object_key = models.CharField(max_length=255, blank=True)
    object_name = models.CharField(max_length=200, blank=True)
    integration_key = models.BigIntegerField(null=True, blank=True)  # whose history it belongs to
    integration_name = models.CharField(max_length=200, blank=True)
    tenant_key = models.CharField(max_length=64, blank=True)  # as text, whatever the type of a tenant's key
    tenant_name = models.CharField(max_length=200, blank=True)
    changes = models.JSONField(default=dict, blank=True)
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["tenant_key", "-id"], name="audit_of_tenant"),
            models.Index(fields=["integration_key", "-id"], name="audit_of_integration"),
            models.Index(fields=["object_type", "object_key", "-id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_name or self.object_type}".strip()


def record(action: str, obj: models.Model | None = None, *, using: str | None = None, **said: Any) -> AuditEntry:
    """Write down what was done, in the caller's transaction; return the entry.

    Several changes of one object by one request and in one transaction become one entry.

    Args:
        using: the database; None: where our tables are.
        said: see `entry_of`.
    """
    entry, who = entry_of(action, obj, **said), _who(said.get("request"), said.get("actor"))
    using = using or router.db_for_write(AuditEntry)
    connection: Any = connections[using]
    latest: _Latest | None = getattr(connection, "_audit_latest", None)
    if action == CHANGED and latest is not None and latest.takes(entry, who) and latest.add(entry.changes, using):
        return latest.entry
    entry.save(using=using, force_insert=True)
    at = moment(using)
    connection._audit_latest = _Latest(entry, who, at) if at is not None else None
    return entry


def record_rows(action: str, rows: Iterable[models.Model], *, noun: str) -> None:
    """Write down what was done to several rows that belong to connections: one entry for each connection.

    Args:
        noun: what such rows are called, in the plural.
    """
    of_each: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        of_each[getattr(row, "connection_id", None)].append(row)
    for mine in of_each.values():
        connection = getattr(mine[0], "connection", None)
        whose = {"integration": _integration_of(connection), "tenant": _tenant_of(connection)}
        if len(mine) == 1:
            record(action, mine[0], **whose)
        else:
            keys = [row.pk for row in mine]
            record(action, connection, details={noun: len(mine), "first": min(keys), "last": max(keys)}, **whose)


def entry_of(
    action: str,
    obj: models.Model | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    request: Any = None,
    actor: Any = None,
    integration: TenantIntegration | None = None,
    tenant: models.Model | None = None,
    name: str = "",
) -> AuditEntry:
    """Return an entry that is not saved, for whoever writes many at once.

    Args:
        action: a verb in the past tense: created, changed, deleted, resumed, retried, …
        obj: what it was done to; its tenant and integration are read from it.
        changes: name → [old, new], or "changed" for a secret; `changes_between` (differences.py) makes them.
        details: what else is to be said; JSON without secrets.
        request: where the acting code has one that the middleware does not know; None: who acts now (acting.py).
        actor: a user or a name, where it is somebody else than who sends the request.
        integration: whose history it belongs to, if `obj` does not say.
        tenant: whose it is, if neither of them says.
        name: what people call `obj`; "": its text.
    """
    who = _who(request, actor)
    integration = integration or _integration_of(obj)
    tenant = tenant or _tenant_of(obj) or (integration.tenant if integration is not None else None)
    subject = obj if obj is not None else integration
    return AuditEntry(
        actor=harmless(who.name)[:150],
        actor_key=who.key[:64],
        source=who.source,
        address=who.address,
        path=harmless(who.path)[:200],
        action=action[:60],
        object_type=_label(subject) if subject is not None else "",
        object_key=str(subject.pk)[:255] if subject is not None else "",
        object_name=harmless(name or (str(subject) if subject is not None else ""))[:200],
        integration_key=integration.pk if integration is not None else None,
        integration_name=harmless(integration.name)[:200] if integration is not None else "",
        tenant_key=str(tenant.pk)[:64] if tenant is not None else "",
        tenant_name=harmless(name_of(tenant))[:200] if tenant is not None else "",
        changes={_named(key): _shortened(value) for key, value in list((changes or {}).items())[:MOST_CHANGES]},
        details={str(key): _cut(value) for key, value in (details or {}).items()},
    )


def _label(obj: models.Model) -> str:
    concrete = obj._meta.concrete_model  # a proxy has the same rows
    return (concrete or type(obj))._meta.label_lower


def _who(request: Any, actor: Any) -> Actor:
    who = acting.actor_of(request) if request is not None else acting.acting()
    return who if actor is None else who.named(actor)


class _Latest:
    """The newest entry of a transaction that is still open: what the same person changes next belongs to it."""

    def __init__(self, entry: AuditEntry, who: Actor, at: Moment) -> None:
        self.entry = entry
        self._who = who
        self._at = at

    def takes(self, entry: AuditEntry, who: Actor) -> bool:
        mine = self.entry
        return (
            self._at.is_open
            and self._at.stands
            and mine.action in (CREATED, CHANGED)
            and (who, entry.object_type, entry.object_key) == (self._who, mine.object_type, mine.object_key)
        )

    def add(self, changes: Mapping[str, Any], using: str) -> bool:
        """Add `changes` to the row; return False if it is gone."""
        mine = AuditEntry.objects.using(using).filter(pk=self.entry.pk)
        stored = mine.values_list("changes", flat=True).first()  # a savepoint may have taken some back
        if stored is None:
            return False
        together = dict(stored)
        for name, value in changes.items():
            before = together.get(name)
            both_known = isinstance(before, list) and isinstance(value, list)
            together[name] = [before[0], value[1]] if both_known else value  # type: ignore[index]
        self.entry.changes = together
        return bool(mine.update(changes=together))


def _integration_of(obj: Any) -> TenantIntegration | None:
    if isinstance(obj, TenantIntegration):
        return obj
    found = (getattr(obj, name, None) for name in ("integration", "connection"))
    return next((each for each in found if isinstance(each, TenantIntegration)), None)


def _tenant_of(obj: Any) -> Any:
    if obj is None or is_tenant(type(obj)):
        return obj
    keys = (field for field in obj._meta.concrete_fields if field.is_relation and is_tenant(field.related_model))
    return next((getattr(obj, field.name) for field in keys), None)


def _shortened(value: Any) -> Any:
    return [_cut(each) for each in value] if isinstance(value, list | tuple) else CHANGED


def _named(key: Any) -> str:
    return harmless(str(key))[:200]


def _cut(value: Any) -> Any:
    """Return `value` as JSON keeps it, harmless to show and bounded."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else str(value)  # JSON has no NaN
    if isinstance(value, list | tuple):
        return [_cut(each) for each in list(value)[:MOST_CHANGES]]
    if isinstance(value, Mapping):
        return {_named(key): _cut(each) for key, each in list(value.items())[:MOST_CHANGES]}
    text = harmless(str(value))
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
