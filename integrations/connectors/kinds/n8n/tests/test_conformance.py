"""n8n on the conformance suite."""

from __future__ import annotations

from integrations.connectors.kinds.n8n import N8nConnector
from integrations.connectors.kinds.webhook.tests import test_conformance as webhook
from integrations.errors import IntegrationTemporaryError


class TestN8n(webhook.TestWebhook):
    connector = N8nConnector
    statuses = {404: IntegrationTemporaryError}  # the workflow is being edited
