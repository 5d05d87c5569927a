"""What a connector for an ERP imports, in one place."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from integrations.connectors.port import ConnectorError, ERPConnectorPort, ExportResult, TestResult

__all__ = ["ConnectorError", "ERPConnectorPort", "ExportResult", "ReversibleExport", "TestResult"]


@runtime_checkable
class ReversibleExport(Protocol):
    """What a connector may offer beside the port: take back what it exported.

    Declared so that connectors agree on the name; nothing here calls it, and no connector has to have it.
    """

    def reverse(self, export_result: ExportResult) -> ExportResult:
        """Cancel at the ERP what `export_result` tells of, or raise a ConnectorError."""
        ...
