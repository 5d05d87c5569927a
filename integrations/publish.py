"""The address from which ``publish`` is imported: ``from integrations.publish import publish``."""

from integrations.capture.publishing import publish

__all__ = ["publish"]
