"""GitHub: issues."""

from .connector import GitHubConnector

__all__ = ["GitHubConnector"]
