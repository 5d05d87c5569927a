"""The console's figures of the traffic that was made up."""

from __future__ import annotations

from collections.abc import Iterable

from integrations.statistics.figures import Figures
from integrations.statistics.rolling import roll_up
from integrations.statistics.writing import add_past

from .lane import Owed


def write(rows: Iterable[tuple[Owed, int]]) -> None:
    """Write what settling would have counted for these rows, each with the key of its integration; sum it up."""
    found: dict[tuple[int, int], Figures] = {}
    for row, integration_id in rows:
        for attempt in row.log:
            figures = found.setdefault((integration_id, int(attempt.ended // 60)), Figures())
            figures.add_duration(attempt.ms)
            if attempt.error is None:
                figures.delivered += 1
                figures.add_age(max(0, round((attempt.ended - row.made) * 1000)))
            elif row.status == "failed" and attempt is row.log[-1]:
                figures.given_up += 1
            else:
                figures.retrying += 1
        if row.status == "cancelled" and row.settled is not None:
            found.setdefault((integration_id, int(row.settled // 60)), Figures()).cancelled += 1
    add_past(found)
    roll_up()
