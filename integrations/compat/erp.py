"""The tables ``erp_connection`` and ``erp_push_log`` of other guides, on an integration and on a sync.

`ERPConnection` (erp/connection.py) is the one, `ERPPushLog` (erp/push_log.py) the other. The words of their `status`:

    ACTIVE    switched on, by the tenant and by us          DISABLED  switched off by one of them
    SUCCESS   synced                                        FAILED    failed, cancelled or skipped
    PENDING   pending, never tried                          RETRYING  pending, tried
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy

from integrations.credentials.encryption import EncryptionService

from .columns import Renamed, RenamedColumns


class ConnectionStatus(models.TextChoices):
    ACTIVE = "ACTIVE", gettext_lazy("Active")
    DISABLED = "DISABLED", gettext_lazy("Disabled")


class PushStatus(models.TextChoices):
    SUCCESS = "SUCCESS", gettext_lazy("✓ Success")
    FAILED = "FAILED", gettext_lazy("✗ Failed")
    PENDING = "PENDING", gettext_lazy("⚠ Pending")
    RETRYING = "RETRYING", gettext_lazy("⚠ Retrying")


CONNECTION_STATUS = Case(
    When(is_active=True, is_enabled=True, then=Value(ConnectionStatus.ACTIVE)),
    default=Value(ConnectionStatus.DISABLED),
)
PUSH_STATUS = Case(
    When(status="synced", then=Value(PushStatus.SUCCESS)),
    When(status="pending", attempts=0, then=Value(PushStatus.PENDING)),
    When(status="pending", then=Value(PushStatus.RETRYING)),
    default=Value(PushStatus.FAILED),
)
PUSH_ALIASES = {
    "push_status": PUSH_STATUS,
    "push_error": Case(
        When(Q(status="synced") | Q(status="pending", attempts=0), then=Value("")),
        When(~Q(last_error=""), then="last_error"),
        default="reason",
    ),
    "push_retries": Case(When(attempts=0, then=0), default=F("attempts") - 1),
}


class RenamedConnectionColumns(RenamedColumns):
    """``filter(org_id=7, connector_type="SAP", status="ACTIVE")``; `connection_status` is `CONNECTION_STATUS`."""

    renamed: ClassVar = {
        "org_id": "tenant_id",
        "connector_type": "integration_type",
        "status": "connection_status",
        "uuid": "public_id",
    }


class ConnectionNames:
    """The columns of ``erp_connection`` as attributes; put it before the model's other bases."""

    Status = ConnectionStatus

    org_id = Renamed("tenant_id")

    @property
    def uuid(self: Any) -> UUID:
        """The id that may be shown outside; ``id`` is the row's number."""
        return self.public_id

    @property
    def connector_type(self: Any) -> str:
        return self.integration_type

    @connector_type.setter
    def connector_type(self: Any, value: str) -> None:
        self.set_type(value)

    @property
    def config_encrypted(self: Any) -> bytes:
        """All settings as ``EncryptionService.encrypt_config`` gives them; other bytes at every read (a new IV)."""
        return EncryptionService.encrypt_config(self.get_config())

    @config_encrypted.setter
    def config_encrypted(self: Any, value: bytes) -> None:
        self.set_config(EncryptionService.decrypt_config(value))

    @property
    def status(self: Any) -> str:
        return self.Status.ACTIVE if self.is_active and self.is_enabled else self.Status.DISABLED

    @status.setter
    def status(self: Any, value: str) -> None:
        if value not in self.Status.values:
            raise ValueError(f"Invalid status: {value}")
        self.is_active = value == self.Status.ACTIVE
        if self.is_active:
            # A person says so: our own switch goes on too, and the count of refused credentials starts anew.
            self.is_enabled, self.disabled_reason = True, ""
            self.auth_failure_count = self.refused_calls = 0


class RenamedPushColumns(RenamedColumns):
    """``filter(Q(status="SUCCESS"), org_id=7)``; the manager adds the aliases `PUSH_ALIASES`."""

    renamed: ClassVar = {
        "org_id": "event__tenant_id",
        "draft_order_id": "event__object_id",
        "connector_type": "integration__integration_type",
        "idempotency_key": "event__idempotency_key",
        "created_at": "event__occurred_at",
        "status": "push_status",
        "error_message": "push_error",
        "retry_count": "push_retries",
    }


class PushNames:
    """The columns of ``erp_push_log`` as attributes, to be read; put it before the model's other bases."""

    # Two columns of the sync have these names too, and hold our words and another clock; a row of the log is not saved.

    @property
    def status(self: Any) -> str:
        ours = super().status  # type: ignore[misc]
        if ours == "pending":
            return PushStatus.RETRYING if self.attempts else PushStatus.PENDING
        return PushStatus.SUCCESS if ours == "synced" else PushStatus.FAILED

    @status.setter
    def status(self, value: str) -> None:
        self.__dict__["status"] = value

    @property
    def created_at(self: Any) -> datetime:
        """When the push was asked for, by the clock of what goes over the wire."""
        return self.event.occurred_at

    @created_at.setter
    def created_at(self, value: datetime) -> None:
        self.__dict__["created_at"] = value

    @property
    def org_id(self: Any) -> Any:
        return self.event.tenant_id

    @property
    def draft_order_id(self: Any) -> str:
        return self.event.object_id

    @property
    def connector_type(self: Any) -> str:
        return self.integration.integration_type

    @property
    def idempotency_key(self: Any) -> str:
        return self.event.idempotency_key

    @property
    def request_json(self: Any) -> Any:
        """What is sent, exactly; an order holds no credential."""
        return json.loads(self.event.body)

    @property
    def response_json(self: Any) -> dict[str, Any]:
        """What the last attempt brought: HTTP status, answer (redacted), and the facts of a success."""
        answer = self.last_answer
        facts = answer if isinstance(answer, dict) else {"answer": answer}
        found = {"status": self.response_status, **facts}
        return {name: value for name, value in found.items() if value not in (None, "")}

    @property
    def error_message(self: Any) -> str:
        if self.status in (PushStatus.SUCCESS, PushStatus.PENDING):
            return ""
        return self.last_error or self.reason

    @property
    def retry_count(self: Any) -> int:
        return max(0, self.attempts - 1)
