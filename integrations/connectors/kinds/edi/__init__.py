"""Orders by EDI."""

from .connector import EDIConnector, control_reference

__all__ = ["EDIConnector", "control_reference"]
