"""Microsoft Graph: mail from a Microsoft 365 mailbox."""

from .connector import MicrosoftGraphConnector

__all__ = ["MicrosoftGraphConnector"]
