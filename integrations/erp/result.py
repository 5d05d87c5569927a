"""What a push came to, for whoever asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from integrations.errors import IntegrationError

from .push_log import ERPPushLog

Status = ERPPushLog.Status
_OF_THE_LOG = ("status", "answer", "external_id", "location")


@dataclass(frozen=True, slots=True)
class PushResult:
    """The answer to ``push_order``.

    Attributes:
        status: SUCCESS; FAILED: it will not be tried again; RETRYING: it failed, and the lane goes on; PENDING: it
            waits for the lane, for its time, or for a person. As it was when the result was made.
        message: the same in a sentence, without secrets.
        push_log: the row; None if nothing was recorded.
        already_pushed: the key was used before; this is what became of it then, and nothing was sent now.
        note: that the order has changed since it was pushed before, and what came of that; part of the message.
        error: why nothing could be recorded: IntegrationDisabled or IntegrationNotConfigured.
    """

    status: str
    message: str
    idempotency_key: str
    push_log: ERPPushLog | None = None
    already_pushed: bool = False
    error: IntegrationError | None = None
    note: str = ""

    @property
    def success(self) -> bool:
        return self.status == Status.SUCCESS

    @property
    def error_message(self) -> str | None:
        """What went wrong last; None after success."""
        if self.push_log is None:
            return self.message
        return self.push_log.error_message or None

    @property
    def export_id(self) -> str:
        """The ERP's own id of the order, "" if it told none."""
        return str(self._response.get("external_id", ""))

    @property
    def storage_key(self) -> str:
        """Where the export lies, "" if nowhere."""
        return str(self._response.get("location", ""))

    @property
    def connector_metadata(self) -> dict[str, Any]:
        """What else the connector told."""
        return {name: value for name, value in self._response.items() if name not in _OF_THE_LOG}

    @property
    def _response(self) -> Mapping[str, Any]:
        return self.push_log.response_json if self.push_log is not None else {}


def result_of(push: ERPPushLog, *, reason: str = "", already_pushed: bool = False, note: str = "") -> PushResult:
    """Return the result that `push` stands for; `reason`: why the lane has it now."""
    status = str(push.status)
    words = {
        Status.SUCCESS: f"{push.integration.name} has order {push.draft_order_id}",
        Status.FAILED: f"order {push.draft_order_id} was not pushed: {push.error_message}",
        Status.RETRYING: f"order {push.draft_order_id} failed and is tried again: {reason or push.error_message}",
        Status.PENDING: f"order {push.draft_order_id} waits to be pushed" + (f": {reason}" if reason else ""),
    }[Status(status)]
    if already_pushed:
        words = f"already pushed: {words}"
    words = f"{words.rstrip('.')}."
    words = f"{words} {note}".rstrip()
    return PushResult(status, words, push.idempotency_key, push, already_pushed, note=note)
