"""Whose snapshots can be taken: who knows how registers here (trigger handlers do), as with audit notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from integrations.connections.models import TenantIntegration


@dataclass(frozen=True, slots=True)
class Shown:
    """An object in a preview: its name, and the body that would be sent."""

    name: str
    body: dict[str, Any]
    is_wanted: bool


class SnapshotSource(Protocol):
    """Takes snapshots of the objects of one model. Keys are as JSON has them."""

    label: str  # of the model, as "tasks.workitem"
    plural: str  # the word for such objects
    event_type: str

    def count(self, tenant_id: Any, most: int) -> int:
        """Return how many objects the tenant has, `most` at most."""

    def last(self, tenant_id: Any) -> Any:
        """Return the key that is last now; None where keys do not ascend."""

    def keys(self, tenant_id: Any, after: Any, last: Any, limit: int) -> list[Any]:
        """Return the next keys of the tenant's objects, ascending; `last`: not beyond that one."""

    def record(self, keys: Sequence[Any], integration: TenantIntegration, condition: str) -> tuple[int, int]:
        """Record snapshots of these objects for `integration` alone, as far as the first one that somebody else is
        just changing; part of the caller's transaction.

        Not of those that are another tenant's, or do not meet the condition.

        Returns:
            Of how many of `keys` that is all, and how many snapshots they have now.
        """

    def shown(
        self, tenant_id: Any, condition: str, limit: int, integration: TenantIntegration | None = None
    ) -> list[Shown]:
        """Return the first `limit` objects for a preview, their bodies as `integration` gets them."""


_sources: dict[str, SnapshotSource] = {}


def register_source(source: SnapshotSource) -> None:
    """Offer backfills of the objects of `source`."""
    _sources[source.label] = source


def forget_source(label: str) -> None:
    """Offer them no more."""
    _sources.pop(label, None)


def sources() -> list[SnapshotSource]:
    """Return what can be backfilled, by its plural."""
    return sorted(_sources.values(), key=lambda source: source.plural)


def source_of(label: str) -> SnapshotSource | None:
    """Return the source of the objects of this model, None if there is none."""
    return _sources.get(label)
