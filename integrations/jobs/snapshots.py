"""Registry of the models of which snapshots can be taken for backfills; trigger handlers register theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from integrations.connections.models import TenantIntegration


@dataclass(frozen=True, slots=True)
class Shown:
    """An object in a preview, and what would become of it.

    Attributes:
        name: what people call it.
        payload: what would go out: the event's body, or what the subscription's payload makes of it; "" if nothing.
        left_out: why the condition leaves it out, with the values that decided; "".
        problem: why no payload can be made of it, which would end the delivery as failed; "".
    """

    name: str
    payload: str = ""
    left_out: str = ""
    problem: str = ""

    @property
    def outcome(self) -> str:
        """Return ``sent``, ``failing`` or ``left_out``."""
        return "left_out" if self.left_out else "failing" if self.problem else "sent"


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

    def shown(self, integration: TenantIntegration, condition: str, limit: int) -> Iterator[Shown]:
        """Yield the first `limit` objects, and what `record` would do with each."""

    def payload_for(self, integration: TenantIntegration) -> tuple[str, int]:
        """Return what `integration` gets in the place of a snapshot's body, "" if nothing of its own, and the version
        of the payload."""


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
