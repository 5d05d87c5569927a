"""A provider that is registered in tests alone: a gate with a key, and one exported call."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.errors import IntegrationAuthError, IntegrationError
from integrations.transport.response import Response


class GatePort(ABC):
    """What a gate can do."""

    @exported
    @abstractmethod
    def get_visits(self) -> Any:
        """Return who came."""


class Gate(BaseConnector, GatePort):
    """Says ``{"ok": false}`` with a 200 when it does not know the key, as some systems do."""

    manifest = Manifest(
        key="gate",
        label="Gate",
        family="building",
        fields=(
            Field(name="base_url", kind="url", required=True),
            Field(name="token", kind="secret", required=True),
            Field(name="pin", kind="secret"),
            Field(name="opens_at", pattern=r"[0-2][0-9]:[0-5][0-9]", hint="must be a time such as 08:30"),
            Field(name="is_loud", kind="boolean", default=False),
        ),
        does=("deliver", "check", "read"),
    )

    def default_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings['token']}", "X-Pin": str(self.settings.get("pin") or "")}

    def classify(self, response: Response) -> IntegrationError | None:
        if response.status == 200 and b'"ok":false' in response.body.replace(b" ", b""):
            return IntegrationAuthError(f"{self.host} does not know the key", status=200)
        return super().classify(response)

    def check(self) -> str:
        self.http.get("/check")
        return "The gate opens."

    def get_visits(self) -> Any:
        return self.http.get("/visits")

    def deliver(self, envelope: Envelope) -> Receipt:
        return Receipt(status=self.http.send("POST", "/events", data=envelope.body).status)
