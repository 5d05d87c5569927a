"""Mail through any server: out by SMTP, in by IMAP."""

from .connector import EmailConnector

__all__ = ["EmailConnector"]
