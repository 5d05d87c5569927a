"""The present state of captured objects as events of their own type, for one integration.

A snapshot is recorded under its object's row lock, as every event of a change is: whoever changes the object takes
turns with it. So of two events of an object the one with the larger sequence has the later state, snapshots included.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from django.db import connections, models
from django.db.models import Max, QuerySet
from django.utils.translation import gettext as _

from integrations import conf
from integrations.connections import event_types
from integrations.connections.conditions import wants, why_unmet
from integrations.connections.models import TenantIntegration
from integrations.connections.payloads import PayloadFailed, bytes_of
from integrations.jobs.snapshots import Shown
from integrations.outbox.canonical_json import sanitise_object
from integrations.tenancy.boundary import hosts_code, is_own
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.tenant import name_of

from .publishing import Happening, body_now, publish_all
from .questions import key_list, python_key
from .rows import RowReader

if TYPE_CHECKING:
    from .trigger_handler import TriggerHandler

logger = logging.getLogger("integrations.publish")
USING = "default"  # where the outbox is, and the job


class Snapshots:
    """Takes snapshots of what a trigger handler describes (jobs/snapshots.py says what is asked of it)."""

    def __init__(self, handler: TriggerHandler, rows: RowReader) -> None:
        meta = handler.model._meta
        self._handler, self._rows = handler, rows
        self._model: Any = handler.model
        self.label = str(meta.label_lower)
        self.plural = str(meta.verbose_name_plural)
        self.event_type = handler.snapshot

    def count(self, tenant_id: Any, most: int) -> int:
        return self._of(tenant_id).order_by()[:most].count()

    def last(self, tenant_id: Any) -> Any:
        if not isinstance(self._model._meta.pk, models.IntegerField):
            return None
        return self._of(tenant_id).aggregate(Max("pk"))["pk__max"]

    def keys(self, tenant_id: Any, after: Any, last: Any, limit: int) -> list[Any]:
        rows = self._of(tenant_id)
        if after is not None:
            rows = rows.filter(pk__gt=python_key(self._model, after))
        if last is not None:
            rows = rows.filter(pk__lte=last)
        return [_as_json(pk) for pk in rows.order_by("pk").values_list("pk", flat=True)[:limit]]

    def record(self, keys: Sequence[Any], integration: TenantIntegration, condition: str) -> tuple[int, int]:
        wanted = [python_key(self._model, key) for key in keys]
        held = set(self._locked(wanted))
        free = list(takewhile(held.__contains__, wanted))
        if not free:
            return 0, 0
        # Read by a statement of its own, after the locks were taken: what others committed meanwhile is in it.
        rows = [row for row in self._rows.stored(free, USING) if self._is_of(integration.tenant_id, row)]
        happenings = [each for each in map(self._happening, rows) if self._is_wanted(each, condition)]
        shaped, version = self.payload_for(integration)
        owed = (integration.pk, "", shaped, version)
        subscribers = {each.tenant.pk: {self.event_type: [owed]} for each in happenings}
        return len(free), len(publish_all(happenings, subscribers, model=self._model, using=USING))

    def payload_for(self, integration: TenantIntegration) -> tuple[str, int]:
        """Return the payload that `integration` wants of a new object, "" if none of its own, and its version: a
        snapshot's body is as that of ``…_created``, and what takes only the one shape would refuse the other."""
        of_new = integration.subscriptions.filter(event_type=self._handler.created)
        newest = event_types.newest_version(self.event_type)
        return of_new.values_list("payload", "payload_version").first() or ("", newest)

    def _locked(self, keys: list[Any]) -> QuerySet[Any]:
        """Lock those of these rows that nobody else has locked: whoever waited for one would keep the others from
        people who save them."""
        features = connections[USING].features
        rows: QuerySet[Any] = QuerySet(self._model, using=USING)
        if features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True, no_key=features.has_select_for_no_key_update)
        found = rows.filter(pk__in=key_list(self._model, keys, USING)).order_by("pk")
        return found.values_list("pk", flat=True)

    def shown(self, integration: TenantIntegration, condition: str, limit: int) -> Iterator[Shown]:
        tenant_id = integration.tenant_id
        keys = [python_key(self._model, key) for key in self.keys(tenant_id, None, None, limit)]
        shaped, version = self.payload_for(integration)
        for row in self._rows.stored(keys, USING) if keys else ():
            if self._is_of(tenant_id, row):
                yield self._shown(row, condition, shaped, version)

    def _shown(self, row: Any, condition: str, shaped: str, version: int) -> Shown:
        name = f"{self.label} {row.pk}"
        try:
            with hosts_code(USING):
                name = harmless(str(row))[:200]
                happening = self._happening(row)
                if not self._is_wanted(happening, condition):
                    return Shown(name, left_out=why_unmet(condition, self._body(happening)))
                body = body_now(happening, version, model=self._model, using=USING)
                return Shown(name, payload=bytes_of(shaped, body).decode() if shaped else body)
        except PayloadFailed as failure:
            return Shown(name, problem=failure.message)
        except Exception:  # anybody's code reads the object; the job would count it as failed
            logger.warning("no snapshot of %s %s can be shown", self.label, row.pk, exc_info=True)
            return Shown(name, problem=_("No snapshot can be taken of it; the log says why."))

    def _of(self, tenant_id: Any) -> QuerySet[Any]:
        rows: QuerySet[Any] = QuerySet(self._model, using=USING)  # of no manager: a host's may leave rows out
        return rows.filter(**{self._rows.path.key: tenant_id})

    def _is_of(self, tenant_id: Any, row: Any) -> bool:
        owner = self._rows.path.owner(row)
        return owner is not None and is_own(owner, tenant_id)

    def _happening(self, row: Any) -> Happening:
        return self._handler.happening(self.event_type, row, using=USING)

    def _body(self, happening: Happening) -> dict[str, Any]:
        tenant = {"id": happening.tenant.pk, "name": name_of(happening.tenant)}
        body: Mapping[str, Any] = {"event_type": self.event_type, "tenant": tenant, **happening.payload}
        return sanitise_object(body, limit=conf.MAX_BODY_BYTES)

    def _is_wanted(self, happening: Happening, condition: str) -> bool:
        return not condition or wants(condition, self._body(happening))


def _as_json(pk: Any) -> Any:
    if isinstance(pk, tuple):
        return [_as_json(part) for part in pk]
    return pk if isinstance(pk, int) and not isinstance(pk, bool) else str(pk)
