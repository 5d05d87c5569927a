"""The scheduler of ``celery beat``: django-celery-beat's, by the database's clock.

Theirs goes by the machine's clock and keeps its times in the database, so whatever a clock that was ahead has left
there stops the schedule until the others have caught up with it.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from celery.utils.time import maybe_make_aware

from integrations.database import clock
from integrations.errors import missing_extra

try:
    from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
except ImportError as error:
    raise missing_extra("CELERY_BEAT_SCHEDULER names the database's schedule", "beat", error) from error

from . import processes

MAX_STEP = 5.0  # seconds by which the time may jump at a comparison before the order is worked out anew

logger = logging.getLogger("integrations.observability")


class Entry(ModelEntry):
    """One periodic task, due by the database's clock."""

    last_run_at: datetime

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        if getattr(self.schedule, "nowfun", None) is not None:
            # An interval asks for the time in Django's zone, a crontab in its own; the moment is what matters.
            self.schedule.nowfun = self._default_now

    def _default_now(self) -> datetime:
        zone = getattr(getattr(self, "schedule", None), "tz", None) or self.app.timezone
        return clock.now().astimezone(zone)

    def is_due(self) -> Any:
        """Return (is it due, seconds until it is looked at again).

        A run in the future is one of a clock that was ahead: it counts as one of now, and the next is a period away.
        """
        now = self._default_now()
        if maybe_make_aware(self.last_run_at) > now:
            logger.warning("the last run of %r lies ahead (%s); it counts as one of now", self.name, self.last_run_at)
            self.last_run_at = self.model.last_run_at = now
        return super().is_due()


class DatabaseClockScheduler(DatabaseScheduler):
    """Reads the rows of django-celery-beat; ``CELERY_BEAT_SCHEDULER`` names it."""

    Entry = Entry

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        processes.beat(processes.BEAT)  # before any time is looked at
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Run what is due; return the seconds until the next look."""
        was, at = clock.timestamp(), clock.elapsed()
        processes.beat_if_due(processes.BEAT)
        if abs(clock.timestamp() - was - (clock.elapsed() - at)) > MAX_STEP:
            self._heap = None  # its times are of another clock
        return super().tick(*args, **kwargs)

    def schedule_changed(self) -> bool:
        """Tell whether somebody edited a row. Their clocks write when: an earlier time than the last is news too."""
        before = self._last_timestamp
        changed = super().schedule_changed()
        return bool(changed or (before is not None and self._last_timestamp not in (None, before)))
