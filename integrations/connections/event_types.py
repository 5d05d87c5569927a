"""The event types that exist: what can be subscribed to.

Trigger handlers (signals/) register theirs when Django starts; everybody else reads.
"""

from __future__ import annotations

_labels: dict[str, str] = {}


def register(event_type: str, label: str) -> None:
    """Make `event_type` known, with the `label` that people see."""
    _labels[event_type] = label


def choices() -> list[tuple[str, str]]:
    """Return ``[(event_type, label), …]`` in the order of registration, as Django's choices."""
    return list(_labels.items())
