"""What people know of integrations, locked while somebody decides what to tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from integrations.health.alert import Alert

from .rule import Told

BATCH = 500  # rows in one statement
_COLUMNS = ("is_open", "since", "told_at", "is_told", "is_quiet", "counted_to")


class Memory:
    """What is known under some names of some integrations; the same for a queue, whose key is None.

    Must be made in a transaction. Who else looks at the same waits until that is over, so that nothing is told twice.
    """

    def __init__(self, wanted: Iterable[tuple[str, int | None, str]], now: datetime) -> None:
        """Read and lock what is known of `wanted`: (name, integration, about)."""
        keys = set(wanted)
        names, pks = {name for name, _, _ in keys}, {pk for _, pk, _ in keys}
        rows = Alert.objects.filter(name__in=names)
        rows = rows.filter(integration=None) if pks == {None} else rows.filter(integration__in=pks)
        there = set(rows.values_list("name", "integration_id", "about"))
        # A row that is not there cannot be locked: it is written down first, as something of which nothing is to say.
        missing = [
            Alert(name=name, integration_id=pk, about=about, is_open=False, is_told=True, since=now)
            for name, pk, about in sorted(keys - there, key=str)
        ]
        Alert.objects.bulk_create(missing, batch_size=BATCH, ignore_conflicts=True)
        self._rows = {(row.name, row.integration_id, row.about): row for row in rows.select_for_update().order_by("pk")}
        self._changed: dict[int, Alert] = {}

    def told(self, name: str, pk: int | None, about: str = "") -> Told:
        """Return what people know."""
        row = self._rows[name, pk, about]
        return Told(row.is_open, row.since, row.told_at, row.is_told, row.is_quiet)

    def counted_to(self, name: str, pk: int) -> int:
        """Return up to which minute was counted."""
        return self._rows[name, pk, ""].counted_to

    def keep(self, name: str, pk: int | None, told: Told, *, about: str = "", counted_to: int | None = None) -> None:
        """Remember what people know now; `write` writes it down."""
        row = self._rows[name, pk, about]
        values: dict[str, Any] = {column: getattr(told, column) for column in _COLUMNS if column != "counted_to"}
        values["counted_to"] = row.counted_to if counted_to is None else counted_to
        if any(getattr(row, column) != value for column, value in values.items()):
            for column, value in values.items():
                setattr(row, column, value)
            self._changed[row.pk] = row

    def write(self) -> None:
        """Write down what has changed."""
        Alert.objects.bulk_update(self._changed.values(), _COLUMNS, batch_size=BATCH)
