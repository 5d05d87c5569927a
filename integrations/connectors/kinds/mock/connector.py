"""A pretend ERP: it answers as its configuration says, without a network.

For tests, demonstrations and training. It may be chosen in production, where a new tenant tries the whole way of an
order before the real ERP is there; its label says what it is, and nothing it "took" exists anywhere.

    success        takes the order
    slow           takes it after `seconds`
    flaky          fails `failures` times with "temporary", then takes it: counted by the attempt's number
    temporary, permanent, auth, rate_limited, timeout     the error of that kind (integrations/errors.py)
"""

from __future__ import annotations

import time

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Logo, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

MODES = ("success", "slow", "flaky", "temporary", "permanent", "auth", "rate_limited", "timeout")


@register
class MockConnector(BaseConnector):
    """Takes orders and keeps none."""

    manifest = Manifest(
        key="MOCK",
        label="Mock ERP (sends nothing)",
        family="erp",
        description="Answers as configured, without a network: for tests and demonstrations.",
        needs=("Nothing: it sends nothing",),
        logo=Logo(path="M9 4h6m-5 0v6l-5 9h14l-5-9V4M8 15h8", colour="#5c636a"),
        allow_multiple=False,
        fields=(
            Field(name="mode", kind="choice", choices=MODES, default="success", help="How it answers."),
            Field(name="failures", kind="integer", minimum=0, maximum=100, default=2, help="For flaky."),
            Field(name="seconds", kind="integer", minimum=0, maximum=20, default=1, help="For slow."),
            Field(
                name="retry_after",
                kind="integer",
                minimum=1,
                maximum=3600,
                default=60,
                help="For rate_limited: seconds.",
            ),
            Field(name="password", kind="secret", help="Not used; shows how a secret is kept."),
        ),
        does=("deliver", "export", "check"),
    )

    def deliver(self, envelope: Envelope) -> Receipt:
        self._answer(envelope.attempt)
        return Receipt(external_id=f"MOCK-{envelope.idempotency_key[-8:]}", details={"mode": self._mode})

    def check(self) -> str:
        self._answer(attempt=1)
        return "The mock answers."

    @property
    def _mode(self) -> str:
        return str(self.settings["mode"])

    def _answer(self, attempt: int) -> None:
        if self._mode == "slow":
            time.sleep(self.settings["seconds"])
        if (error := self._error(attempt)) is not None:
            raise error

    def _error(self, attempt: int) -> IntegrationError | None:
        mode = self._mode
        if mode == "temporary" or (mode == "flaky" and attempt <= self.settings["failures"]):
            return IntegrationTemporaryError("the mock is out of order", status=503)
        if mode == "timeout":
            return IntegrationTemporaryError("the mock did not answer in time", code="timeout")
        if mode == "permanent":
            return IntegrationPermanentError("the mock does not want this order", status=422)
        if mode == "auth":
            return IntegrationAuthError("the mock refuses the credentials", status=401)
        if mode == "rate_limited":
            wait = float(self.settings["retry_after"])
            return IntegrationRateLimited("the mock asks to slow down", status=429, retry_after=wait)
        return None
