"""``send_integration_webhook`` as the source document calls it: by hand, with an object and a payload."""

from __future__ import annotations

import logging
from typing import Any

from django.db import IntegrityError, transaction

from integrations.connections import event_types
from integrations.connections.models import TenantIntegration
from integrations.outbox.models import new_idempotency_key, object_id_of
from integrations.outbox.objects import model_of
from integrations.outbox.record import Occurrence, record
from integrations.tenancy.boundary import OtherTenant, refuse_foreign_key

logger = logging.getLogger("integrations.delivery")


def record_manual(
    integration_id: int,
    content_type_id: int | None,
    object_id: Any,
    event_type: str,
    payload: Any,
    message_id: str | None,
) -> bool:
    """Record one hand-made event for one integration; return False if it was not recorded.

    Args:
        payload: any JSON object; sent as it is.
        message_id: the broker's id of the call; the same message again records nothing.

    Raises:
        OtherTenant: the object belongs to another tenant than the integration; nothing was recorded.
        ValueError: the event type is longer than its column.
    """
    integration = TenantIntegration.objects.filter(pk=integration_id).first()
    if integration is None or not integration.is_active:
        logger.warning("event %s not recorded: integration %s is off or unknown", event_type, integration_id)
        return False
    if content_type_id is None or object_id is None:
        logger.error("event %s not recorded: content_type_id and object_id are needed", event_type)
        return False
    try:
        refuse_foreign_key(model_of(int(content_type_id)), object_id, integration.tenant_id, using="default")
    except OtherTenant as error:
        logger.error("event %s not recorded: %s", event_type, error)
        raise
    body = payload if isinstance(payload, dict) else {"payload": payload}
    occurrence = Occurrence(
        tenant_id=integration.tenant_id,
        event_type=str(event_type),
        content_type_id=int(content_type_id),
        object_id=object_id_of(object_id),
        payload=body,
        minimal={"event_type": event_type},
        payload_version=event_types.newest_version(str(event_type)),
        integration_ids=[integration.pk],
        idempotency_key=f"evt_{message_id}" if message_id else new_idempotency_key(),
    )
    try:
        with transaction.atomic():
            record([occurrence])
    except IntegrityError:
        logger.info("message %s came twice; its event is recorded already", message_id)
        return False
    return True
