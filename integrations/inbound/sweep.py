"""The periodic look at stored webhooks: those whose hint was lost, whose worker died, and those due again.

The guarantee behind "what we answered 200 to is processed"; hints only make it faster. It processes nothing itself: a
receiver that hangs must not hold the look at all others.
"""

from __future__ import annotations

import logging
from typing import Any

from django.apps import apps
from django.db import OperationalError, ProgrammingError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from integrations.counted import counted
from integrations.delivery.hints import together
from integrations.delivery.sweep import SENDING_SECONDS

from .models import AbstractWebhookEvent
from .receive import hint

AT_ONCE = 250  # asked for by one look of each model's fresh rows, and of those tried before; the next one goes on

logger = logging.getLogger("integrations.inbound")


def stored_models() -> list[type[AbstractWebhookEvent]]:
    """Return every model in which webhooks may be stored: whoever gave one to `WebhookService` need say no more."""
    found = [
        model
        for model in apps.get_models()
        if issubclass(model, AbstractWebhookEvent)
        and any(field.name == "connection" and field.is_relation for field in model._meta.get_fields())
    ]
    # The rows of a model's own table; those of a child or a proxy are rows of its parent too.
    return [model for model in found if not any(parent in found for parent in model._meta.get_parent_list())]


def request_processing() -> dict[str, int]:
    """Ask workers for what is due, oldest first; return how many were found and how many were asked for.

    A message may be lost (the next look finds the row still due), doubled or late (whoever comes second finds it
    taken). Rows that were tried before go to the slow queue: what hangs or kills its worker does so there, and has a
    share of its own here, so that fresh ones do not stand behind it.
    """
    found = asked = 0
    with together(SENDING_SECONDS):
        for model in stored_models():
            for tried_before in (Q(attempts=0), Q(attempts__gt=0)):
                try:
                    rows = list(due(model).filter(tried_before).values_list("pk", "attempts")[:AT_ONCE])
                except (ProgrammingError, OperationalError) as error:
                    # One model whose table is not migrated yet must not cost the others their look.
                    name = type(error).__name__
                    logger.error("sweep: the webhooks of %s cannot be read: %s", model._meta.label, name)
                    break
                found += len(rows)
                asked += sum(bool(hint(model, pk, is_slow=attempts > 0)) for pk, attempts in rows)
    if asked < found:
        logger.info("sweep: %s due, %s asked for", counted(found, "webhook"), asked)
    return {"due": found, "asked": asked}


def due(model: type[AbstractWebhookEvent]) -> QuerySet[Any]:
    """Return the rows that a worker should look at now; those of a connection that is switched off wait."""
    rows = model._base_manager.filter(_is_on(model), signature_valid=True, next_attempt_at__lte=Now())
    return rows.order_by("next_attempt_at", "pk")


def waiting(model: type[AbstractWebhookEvent]) -> QuerySet[Any]:
    """Return the rows that are to be processed when somebody switches their connection on."""
    return model._base_manager.filter(~_is_on(model), signature_valid=True, next_attempt_at__isnull=False)


def _is_on(model: type[AbstractWebhookEvent]) -> Q:
    is_on = Q(connection__is_enabled=True)
    meta: Any = model._meta  # the subclass has the key, and its target
    connection = meta.get_field("connection").related_model
    if any(field.name == "is_active" for field in connection._meta.get_fields()):  # a host's model may have none
        is_on &= Q(connection__is_active=True)
    return Q(connection=None) | is_on
