"""What interprets the kinds without code, each a connector.yaml."""

from .connector import RestConnector

__all__ = ["RestConnector"]
