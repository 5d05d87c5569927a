"""SAP S/4HANA: sales orders."""

from .connector import SAPConnector

__all__ = ["SAPConnector"]
