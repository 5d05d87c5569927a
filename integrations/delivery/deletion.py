"""Delete what people marked, in the background: integrations, and tenants with all they have (docs/adr/0026).

A tenant that is deleted in another way (``account.delete()``, a queryset, the project's admin) takes with it what it
has here, in the transaction of its deletion.

The page marks, the task deletes: batch after batch, in turn among everything that is marked, for less than a minute;
beat sends it again every minute until nothing is left. A task that dies, or whose message is lost, costs that minute.
Two that run at once take turns at the locks of each batch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db import connections, models
from django.db.models import F
from django.db.models.signals import pre_delete

from integrations.connections.models import TenantIntegration
from integrations.tenancy.deletion import Step, begin, count_owned, delete_keyed, is_under_way, steps
from integrations.tenancy.marks import MarkedDeletion
from integrations.tenancy.tenant import tenant_model

from .hints import SLOW_QUEUE, send_hint
from .models import Lane

logger = logging.getLogger("integrations.delivery")

TASK = "integrations.tasks.delete_marked"
RUN_SECONDS = 50.0  # less than beat's minute
TURN_SECONDS = 5.0  # of one integration or tenant, before the others have theirs
USING = "default"


def hint_on_commit(using: str, in_background: bool, **_: Any) -> None:
    """Ask a worker to begin, once what was marked is durable."""
    if in_background:
        connections[using].on_commit(_hint, robust=True)


def _hint() -> None:
    send_hint(TASK, {}, SLOW_QUEUE)


def delete_marked(seconds: float = RUN_SECONDS) -> dict[str, int]:
    """Go on deleting what is marked; return how many rows went, how many integrations and tenants are done and left.

    What fails is logged and left for the next run; it does not keep the others.
    """
    end = time.monotonic() + seconds
    waiting = [_Job(obj) for obj in _marked()]
    rows = done = failed = 0
    while waiting and time.monotonic() < end:
        for job in list(waiting):
            try:
                rows += job.go_on(min(end, time.monotonic() + TURN_SECONDS))
            except Exception as error:  # a host's receiver, a row that something protects, a deadlock
                logger.exception("%s could not be deleted further: %s", job, type(error).__name__)
                waiting.remove(job)
                failed += 1
            else:
                if job.is_done:
                    waiting.remove(job)
                    done += 1
                    logger.info("%s is deleted", job)
    return {"rows": rows, "done": done, "left": len(waiting) + failed}


def _marked() -> Iterator[models.Model]:
    """Yield what is marked, the longest waiting first; an integration goes with its tenant if that is marked."""
    tenants = tenant_model()
    alone = TenantIntegration.unannounced.using(USING)
    if issubclass(tenants, MarkedDeletion):
        marked = tenants._base_manager.using(USING).exclude(deleting_since=None)
        yield from marked.order_by("deleting_since", "pk")
        alone = alone.filter(tenant__deleting_since=None)
    yield from alone.exclude(lane__deleting_since=None).order_by(F("lane__deleting_since"), "pk")


class _Job:
    """One integration or tenant that is being deleted."""

    def __init__(self, obj: models.Model) -> None:
        self.is_done = False
        self._name = f"{obj._meta.verbose_name} {obj.pk}"
        self._say = partial(_say, type(obj), obj.pk)
        self._obj = obj
        self._steps: Iterator[Step] | None = None
        self._left = 0

    def __str__(self) -> str:
        return self._name

    def go_on(self, until: float) -> int:
        """Delete at least one batch, and more until that time (time.monotonic()); return how many rows."""
        if self._steps is None:
            self._left = count_owned(self._obj, using=USING)
            self._steps = steps(self._obj, using=USING)
        gone = 0
        self._say(self._left)
        for _, count in self._steps:
            gone += count
            if time.monotonic() > until:
                self._left = max(0, self._left - gone)
                self._say(self._left)
                return gone
        self.is_done = True
        return gone


def _say(model: type[models.Model], pk: Any, left: int) -> None:
    """Write down how many rows are left, for people to read."""
    if issubclass(model, MarkedDeletion):
        model._base_manager.using(USING).filter(pk=pk).update(deleting_rows_left=left)
    else:
        words = f"being deleted: {left:,} row{'' if left == 1 else 's'} left"
        Lane.objects.using(USING).filter(pk=pk).exclude(deleting_since=None).update(attention=words)


# -- tenants that are deleted in another way -------------------------------------------------------------------------


def delete_with_tenants() -> None:
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
