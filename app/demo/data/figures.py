"""The console's figures of the traffic that was made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from integrations import conf
from integrations.audit.models import ExecutionLog
from integrations.statistics.figures import Figures
from integrations.statistics.models import DAY, HOUR
from integrations.statistics.rolling import roll_up
from integrations.statistics.writing import add_past

from .lane import Owed

_Sums = dict[tuple[int, int], Figures]  # of an integration and a minute


def write(rows: Iterable[tuple[Owed, int]], pushes: Iterable[ExecutionLog], now: datetime) -> None:
    """Write what settling would have counted for these rows, each with the key of its integration; sum it up.

    Args:
        pushes: the attempts at orders.
    """
    found: _Sums = defaultdict(Figures)
    for row, integration_id in rows:
        _count(found, row, integration_id, now)
    for log in pushes:
        _count_push(found, log, now)
    add_past(found)
    roll_up()


def _minute(at: float, now: datetime) -> int:
    """Return the minute of `at`; of what is older than figures are kept by the minute, the first one of its hour."""
    minute = int(at // 60)
    return minute if now.timestamp() / 60 - minute < conf.FIGURES_MINUTE_DAYS * DAY else minute // HOUR * HOUR


def _count(found: _Sums, row: Owed, integration_id: int, now: datetime) -> None:
    for attempt in row.log:
        figures = found[integration_id, _minute(attempt.ended, now)]
        figures.add_duration(attempt.ms)
        if attempt.error is None:
            figures.delivered += 1
            figures.add_age(max(0, round((attempt.ended - row.made) * 1000)))
        elif row.status == "failed" and attempt is row.log[-1]:
            figures.given_up += 1
        else:
            figures.retrying += 1
    if row.status == "cancelled" and row.settled is not None:
        found[integration_id, _minute(row.settled, now)].cancelled += 1


def _count_push(found: _Sums, log: ExecutionLog, now: datetime) -> None:
    sync, at = log.sync, log.created_at.timestamp()
    if sync is None or log.integration_id is None:
        return
    figures = found[log.integration_id, _minute(at, now)]
    figures.add_duration(log.duration_ms)
    if not log.error:
        figures.delivered += 1
        figures.add_age(round((at - sync.created_at.timestamp()) * 1000))
    elif log.attempt == sync.attempts:
        figures.given_up += 1
    else:
        figures.retrying += 1
