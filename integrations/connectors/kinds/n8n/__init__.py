"""n8n: a webhook that starts a workflow."""

from .connector import N8nConnector

__all__ = ["N8nConnector"]
