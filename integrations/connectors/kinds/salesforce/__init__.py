"""Salesforce: query, create, upsert; SOQL without string building."""

from .composite import SubResult
from .connector import SalesforceConnector
from .soql import format_soql

__all__ = ["SalesforceConnector", "SubResult", "format_soql"]
