"""Any HTTPS endpoint: a signed POST."""

from .connector import INBOUND, SIGNATURE_HEADER, WebhookConnector

__all__ = ["INBOUND", "SIGNATURE_HEADER", "WebhookConnector"]
