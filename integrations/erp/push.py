"""``PushOrchestrator``: push an order to a tenant's ERP, once, and wait for the answer.

A push is an event ``order_push`` owed to the ERP connection: the same rows, lane, settlement and log as everything
else (docs/adr/0016). It is recorded first, so nothing that happens afterwards loses it; then it is sent while the
caller waits: four attempts, 1, 2 and 4 s apart, PUSH_WAIT_SECONDS in all. What that does not finish the lane's workers
do.

An order that failed and was mended is another one: under the next number it is pushed anew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from integrations import conf, retry_policy
from integrations.audit.patience import commits_at_once
from integrations.connections.models import TenantIntegration
from integrations.connectors.orders import order_dict, order_id
from integrations.database import clock
from integrations.delivery.send_now import not_before_us, send_now
from integrations.delivery.wakeup import wake_on_commit
from integrations.errors import ConfigurationError, IntegrationDisabled, IntegrationError, IntegrationNotConfigured
from integrations.outbox.canonical_json import encode, sanitise
from integrations.outbox.models import IntegrationSync, object_id_of
from integrations.outbox.record import Occurrence, record
from integrations.tenancy.boundary import OtherTenant, only_of, refuse_foreign
from integrations.tenancy.tenant import find_tenant, name_of, tenant_key

from .connection import ERPConnection, active_connections
from .push_log import ORDER_PUSH, ERPPushLog
from .result import PushResult, Status, result_of

NO_TENANT = "there is no such tenant; pass its id or its slug"
SWITCHED_OFF = "the ERP connection is switched off; set it to ACTIVE"


class PushOrchestrator:
    """Pushes orders.

    Args:
        db_session: ignored; for callers that pass one. Django finds the database itself.
    """

    def __init__(self, db_session: Any = None) -> None:
        self.db_session = db_session

    def push_order(
        self,
        org_id: Any,
        draft_order: Any,
        max_retries: int = 3,
        retry_delay_base: float = 1.0,
        *,
        attempt: int = 0,
        connection: TenantIntegration | None = None,
        wait: bool = True,
        not_before: datetime | None = None,
        max_wait: float | None = None,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> PushResult:
        """Push `draft_order` to the tenant's ERP and return what came of it.

        Args:
            org_id: the tenant: its id, its slug, or a Tenant.
            draft_order: anything with an ``id``: a dict, a dataclass, a Django model, any object.
            max_retries: attempts beside the first one, while the caller waits.
            retry_delay_base: seconds; the waits are base · 2ⁿ.
            attempt: number of a deliberate repetition. The same order with the same number is pushed once; one that
                failed and has changed since gets the next number by itself.
            connection: which ERP, if the tenant may have several; None: the active one.
            wait: False: a worker sends it; the result says PENDING. Inside a transaction nobody can wait: the push is
                recorded with it, and sent after the commit.
            not_before: a worker sends it then (aware); nobody waits.
            max_wait: seconds after which the lane has it, however it is; None: PUSH_WAIT_SECONDS.
            sleep: for tests.

        Raises:
            ConfigurationError: the order has no id, cannot be sent as it is or belongs to another tenant, or the
                connection does. What is wrong with the connection itself is in the result.
        """
        tenant = find_tenant(org_id)
        number = tenant.pk if tenant is not None else org_id
        if connection is not None and str(connection.tenant_id) != str(number):
            raise ConfigurationError({"connection": "belongs to another tenant"})
        wanted = attempt
        attempt, existing = self._last_attempt(number, draft_order, attempt)
        if existing is not None:
            return existing
        key = self.generate_idempotency_key(number, order_id(draft_order), attempt)
        is_unknown = tenant is None and connection is None
        target = IntegrationNotConfigured(NO_TENANT) if is_unknown else connection or _only_connection(number)
        if not isinstance(target, TenantIntegration) or not target.is_active:
            error = target if isinstance(target, IntegrationError) else IntegrationDisabled(SWITCHED_OFF)
            return PushResult(Status.FAILED, error.message, key, error=error)
        is_waited_for = wait and not_before is None and commits_at_once("default")
        occurrence = _occurrence(target, draft_order, key, _times(not_before, is_waited_for))
        try:
            with transaction.atomic():
                (event,) = record([occurrence])
                if not is_waited_for and not_before is None:
                    wake_on_commit([target.pk])
        except IntegrityError:
            # Somebody was quicker with the same key: that is what the key is for.
            if (existing := self.check_idempotency(key)) is None:
                raise
            return existing
        sync_id = IntegrationSync.objects.values_list("pk", flat=True).get(event=event)
        reason = ""
        if is_waited_for:
            policy = retry_policy.push(max_retries, retry_delay_base)
            longest = conf.PUSH_WAIT_SECONDS if max_wait is None else max_wait
            reason = send_now(target.pk, sync_id, policy, max_wait=longest, sleep=sleep)
        note = f"The order was changed after its push failed: this is a new one, attempt {attempt}."
        return result_of(ERPPushLog.objects.get(pk=sync_id), reason=reason, note=note if attempt != wanted else "")

    def _last_attempt(self, org_id: Any, order: Any, attempt: int) -> tuple[int, PushResult | None]:
        """Return the number under which `order` is to be pushed, and the push that stands in its way.

        From `attempt` on, the last push of this order counts. One that failed is in nobody's way if the order has
        changed since. What succeeded, or still may, is: a changed copy could be the second order of one.
        """
        found: PushResult | None = None
        while True:
            key = self.generate_idempotency_key(org_id, order_id(order), attempt)
            if (later := self.check_idempotency(key)) is None:
                break
            found, attempt = later, attempt + 1
        if found is None or found.push_log is None:
            return attempt, None
        with only_of(org_id):  # as it was recorded
            values = _exact(order, org_id)
        if values == found.push_log.request_json.get("order"):
            return attempt - 1, found
        if found.status == Status.FAILED:
            return attempt, None
        note = f"The order has changed since and is not sent again; push it with attempt={attempt} to send it as it is."
        return attempt - 1, result_of(found.push_log, already_pushed=True, note=note)

    @staticmethod
    def generate_idempotency_key(org_id: Any, order_id: Any, attempt: int = 0) -> str:
        """Return the key of this push: the same for the same tenant, order and number, and no secret in it.

        Args:
            org_id: the tenant: its id, its slug, or a Tenant.
        """
        is_key = tenant_key(org_id) is not None
        tenant = None if is_key else find_tenant(org_id)
        parts = json.dumps([str(org_id if tenant is None else tenant.pk), str(order_id), int(attempt)])
        return f"push_{hashlib.sha256(parts.encode()).hexdigest()[:48]}"

    @staticmethod
    def check_idempotency(key: str) -> PushResult | None:
        """Return what became of the push with this key, None if there was none."""
        push = ERPPushLog.objects.filter(idempotency_key=key).first()
        return None if push is None else result_of(push, already_pushed=True)


def _only_connection(org_id: Any) -> ERPConnection | IntegrationError:
    """Return the tenant's active ERP, or why there is none; which of several, the caller must say."""
    found = list(active_connections(org_id)[:2])
    if len(found) > 1:
        raise ConfigurationError({"connection": "missing; the tenant has several active ones"})
    if found:
        return found[0]
    if ERPConnection.objects.filter(org_id=org_id).exists():
        return IntegrationDisabled(SWITCHED_OFF)
    return IntegrationNotConfigured("the tenant has no ERP connection; add one and set it to ACTIVE")


def _occurrence(target: TenantIntegration, order: Any, key: str, times: dict[str, Any]) -> Occurrence:
    if isinstance(order, models.Model):
        try:
            refuse_foreign(order, target.tenant_id, using="default")
        except OtherTenant:
            raise ConfigurationError({"draft_order": "belongs to another tenant"}) from None
    now = clock.now()
    tenant = {"id": target.tenant_id, "name": name_of(target.tenant)}
    frame = {"event_type": ORDER_PUSH, "timestamp": now, "tenant": tenant}
    with only_of(target.tenant_id):  # the order's relations, too
        payload = {**frame, "order": _exact(order, target.tenant_id)}
    if len(encode(payload).encode()) > conf.MAX_BODY_BYTES:
        # Another event may shrink to its ids; half an order is no order.
        raise ConfigurationError({"draft_order": f"is larger than {conf.MAX_BODY_BYTES} bytes (MAX_BODY_BYTES)"})
    is_model = isinstance(order, models.Model)
    content_type = ContentType.objects.get_for_model(order if is_model else ERPPushLog, for_concrete_model=is_model)
    return Occurrence(
        tenant_id=target.tenant_id,
        event_type=ORDER_PUSH,
        content_type_id=content_type.pk,
        object_id=object_id_of(order_id(order)),
        payload=payload,
        minimal=frame,
        integration_ids=[target.pk],
        occurred_at=now,
        idempotency_key=key,
        sync_values=times,
    )


def _exact(order: Any, tenant_id: Any) -> dict[str, Any]:
    """Return the order as JSON values; refuse what could only be sent as something else."""
    values = order_dict(order, tenant_id)
    if sanitise(values) != values:
        raise ConfigurationError(
            {
                "draft_order": "contains a value that JSON cannot represent: NaN or infinity, a NUL character, half a "
                "character, or nesting over 30 levels"
            }
        )
    return values


def _times(not_before: datetime | None, is_waited_for: bool) -> dict[str, Any]:
    """Return when the row is due, and since when its retries are counted, where that is not now."""
    if not_before is None:
        return {"next_attempt_at": not_before_us()} if is_waited_for else {}
    if timezone.is_naive(not_before):
        raise ConfigurationError({"not_before": "must be aware, e.g. from django.utils.timezone"})
    return {"next_attempt_at": not_before, "not_before": not_before}
