"""A pretend ERP, for tests, demonstrations and training."""

from .connector import MODES, MockConnector

__all__ = ["MODES", "MockConnector"]
