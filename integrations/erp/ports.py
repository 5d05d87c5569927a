"""The port of seeds/002 under the name that its guide imports; the port itself is connectors/port.py."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from integrations.connectors.port import ConnectorError, ERPConnectorPort, ExportResult, TestResult

__all__ = ["ConnectorError", "ERPConnectorPort", "ExportResult", "ReversibleExport", "TestResult"]


@runtime_checkable
class ReversibleExport(Protocol):
    """What a connector may offer beside the port: take back what it exported (the guide's future 6).

    Declared so that connectors agree on the name; nothing here calls it, and no connector has to have it.
    """

    def reverse(self, export_result: ExportResult) -> ExportResult:
        """Cancel at the ERP what `export_result` tells of, or raise a ConnectorError."""
        ...
