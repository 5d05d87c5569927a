"""n8n's Webhook node (docs/N8N_WEBHOOK_SETUP.md)."""

from __future__ import annotations

from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.transport.response import Response

from .registry import register
from .webhook import WebhookConnector


@register
class N8nConnector(WebhookConnector):
    """A webhook whose 404 means that the workflow is not active just now, so it is tried again."""

    key = "n8n"
    label = "n8n Webhook"

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is not None and response.status == 404:
            return IntegrationTemporaryError(
                f"{self._host}: the n8n workflow is not active, or the path is wrong (HTTP 404)",
                code="workflow_inactive",
                status=404,
                excerpt=error.excerpt,
            )
        return error
