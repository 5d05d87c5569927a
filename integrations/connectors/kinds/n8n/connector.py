"""n8n's Webhook node (docs/N8N_WEBHOOK_SETUP.md)."""

from __future__ import annotations

from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.manifest import Logo
from integrations.connectors.registry import register
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.transport.response import Response


@register
class N8nConnector(WebhookConnector):
    """A webhook whose 404 means that the workflow is not active just now, so it is tried again."""

    manifest = WebhookConnector.manifest.model_copy(
        update={
            "key": "n8n",
            "label": "n8n Webhook",
            "description": "Starts an n8n workflow through its Webhook node.",
            "needs": ("The production URL of a Webhook node in an active workflow",),
            "logo": Logo(
                path="M3.5 12a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM7.5 12h4c3 0 2-5 5-5m-5 5c3 0 2 5 5 5"
                "M16.5 7a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM16.5 17a2 2 0 1 0 4 0 2 2 0 0 0-4 0z",
                colour="#c2255c",
            ),
            "docs_url": "https://docs.n8n.io/integrations/builtin/core-nodes/n8n-nodes-base.webhook/",
        }
    )

    takes_only_actions = True  # a workflow says what to do here; a name with a slip must not be thanked for

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is not None and response.status == 404:
            return IntegrationTemporaryError(
                f"{self.host}: the n8n workflow is not active, or the path is wrong (HTTP 404)",
                code="workflow_inactive",
                status=404,
                excerpt=error.excerpt,
            )
        return error
