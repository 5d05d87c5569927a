"""What runs and what does not, in words: for people who run the product, and in one sentence for everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations import conf
from integrations.database import clock
from integrations.delivery.hints import QUEUE, SLOW_QUEUE
from integrations.delivery.schedule import scheduled

from . import health
from .models import ProcessHeartbeat
from .periodic import last_ends
from .processes import BEAT, FORGOTTEN_SECONDS, QUIET_SECONDS, WEB, WORKER

OK, WARN, BAD = "ok", "warn", "bad"
MAX_PROCESSES = 500


@dataclass(frozen=True, slots=True)
class Light:
    """One part of the system.

    Attributes:
        kind: ``ok``; ``warn``: it works, and somebody should look; ``bad``: deliveries wait for it.
        words: what is so, and what to do about it.
    """

    name: str
    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Process:
    """One process that was seen within the last hour.

    Attributes:
        ago: seconds since it was seen.
        is_lost: it went without saying so; one that is stopped takes its row with it.
        is_clock_off: its machine's clock is too far from the database's.
    """

    name: str
    kind: str
    host: str
    pid: int
    queues: tuple[str, ...]
    skew: float
    ago: float
    is_lost: bool

    @property
    def is_clock_off(self) -> bool:
        return abs(self.skew) > clock.OFF_SECONDS

    @property
    def clock_words(self) -> str:
        return (
            _("{described} the database's").format(described=clock.described(self.skew))
            if self.is_clock_off
            else _("right")
        )


def processes(now: datetime | None = None) -> list[Process]:
    """Return the processes that were seen within the last hour, those that were lost included; by kind and name.

    Of more than MAX_PROCESSES those that were seen last: web processes that are often replaced leave many rows.
    """
    moment = now or clock.now()
    rows = ProcessHeartbeat.objects.filter(beaten_at__gt=moment - timedelta(seconds=FORGOTTEN_SECONDS))
    latest = rows.order_by("-beaten_at", "name")[:MAX_PROCESSES]
    return [_process(row, moment) for row in sorted(latest, key=lambda row: (row.kind, row.name))]


def _process(row: ProcessHeartbeat, now: datetime) -> Process:
    ago = max(0.0, (now - row.beaten_at).total_seconds())
    silence = conf.HEARTBEAT_STALE_SECONDS
    if row.kind == WEB:  # one that nobody asks anything is quiet, and no dead one
        silence = max(silence, QUIET_SECONDS)
    queues = tuple(row.queues.split(",")) if row.queues else ()
    return Process(row.name, row.kind, row.host, row.pid, queues, row.skew_seconds, ago, ago > silence)


def lights(seen: Sequence[Process] | None = None, parts: dict[str, bool] | None = None) -> list[Light]:
    """Return the state of every part: web, the workers of each queue, beat, broker, database, clocks.

    Args:
        seen: what `processes` returned; None: ask.
        parts: what `health.status` returned; None: ask.
    """
    up = health.status() if parts is None else parts
    if not up["database"]:
        return [Light(_("Database"), BAD, _("does not answer"))]
    known = processes() if seen is None else seen
    return [
        _web(known),
        _workers(_("Workers"), QUEUE, known, up["worker"]),
        _workers(_("Slow workers"), SLOW_QUEUE, known, up["slow_worker"]),
        _beat(known, up["beat"]),
        Light(_("Broker"), OK, _("answers"))
        if up["broker"]
        else Light(_("Broker"), BAD, _("does not answer: start it, or mend CELERY_BROKER_URL")),
        Light(_("Database"), OK, _("answers")),
        _clocks(known),
    ]


def sentence(of: Iterable[Light]) -> Light:
    """Return what people read who cannot mend it: whether deliveries go out."""
    bad = {light.name for light in of if light.kind == BAD}
    if bad & {_("Database"), _("Broker"), _("Workers")}:
        words = _("Deliveries are held up just now. Nothing is lost: they go out as soon as the service runs again.")
        return Light(_("Service"), BAD, words)
    if bad:
        return Light(_("Service"), WARN, _("Some deliveries may be late just now. Nothing is lost."))
    return Light(_("Service"), OK, _("Everything runs: deliveries go out at once."))


def _web(seen: Sequence[Process]) -> Light:
    running = [each for each in seen if each.kind == WEB and not each.is_lost]
    words = ngettext("{count} process seen", "{count} processes seen", len(running)).format(count=len(running))
    return Light(_("Web"), OK, words if running else _("answers"))


def _workers(name: str, queue: str, seen: Sequence[Process], is_up: bool) -> Light:
    of_queue = [each for each in seen if each.kind == WORKER and queue in each.queues]
    running = [each for each in of_queue if not each.is_lost]
    lost = [each for each in of_queue if each.is_lost]
    if not running:
        words = _("none: start a worker with -Q {queue}").format(queue=queue)
        return Light(
            name, BAD, _("{words}; the last was seen {ago}").format(words=words, ago=_ago(lost)) if lost else words
        )
    words = _("{count} running").format(count=len(running))
    if not is_up:
        return Light(name, WARN, _("{words}, and no sweep ended lately: does beat run?").format(words=words))
    return (
        Light(
            name, WARN, _("{words}, {lost} lost: last seen {ago}").format(words=words, lost=len(lost), ago=_ago(lost))
        )
        if lost
        else Light(name, OK, words)
    )


def _beat(seen: Sequence[Process], is_up: bool) -> Light:
    found = [each for each in seen if each.kind == BEAT]
    if is_up:
        several = sum(not each.is_lost for each in found)
        return Light(
            _("Beat"),
            OK,
            _("running") if several < 2 else _("{several} running: one is enough").format(several=several),
        )
    last = _("; it was last seen {ago}").format(ago=_ago(found)) if found else ""
    return Light(_("Beat"), BAD, _("not running: start celery beat{last}").format(last=last))


def _clocks(seen: Sequence[Process]) -> Light:
    off = [each for each in seen if each.is_clock_off and not each.is_lost]
    if not off:
        return Light(_("Clocks"), OK, _("agree with the database's"))
    worst = max(off, key=lambda each: abs(each.skew))
    return Light(
        _("Clocks"),
        WARN,
        _("{name} is {clock_words}: set it (NTP)").format(name=worst.name, clock_words=worst.clock_words),
    )


def _ago(found: Iterable[Process]) -> str:
    seconds = min(each.ago for each in found)
    return (
        _("{count:.0f} s ago").format(count=seconds)
        if seconds < 120
        else _("{count:.0f} min ago").format(count=seconds / 60)
    )


@dataclass(frozen=True, slots=True)
class Periodic:
    """One task that beat sends.

    Attributes:
        every: seconds.
        ended_at: when a run of it last ended; None: that is not noted.
        is_late: it should have run again since then.
    """

    name: str
    task: str
    every: float
    ended_at: datetime | None
    is_enabled: bool = True
    is_late: bool = False


def periodic_tasks(now: datetime | None = None) -> list[Periodic]:
    """Return our periodic tasks with the end of their last run."""
    moment, ends = now or clock.now(), last_ends()
    found = []
    for each in scheduled():
        ended = ends.get(each.task)
        is_late = ended is not None and (moment - ended).total_seconds() > 2 * each.seconds + 60
        found.append(Periodic(each.name, each.task, each.seconds, ended, each.is_enabled, is_late and each.is_enabled))
    return found
