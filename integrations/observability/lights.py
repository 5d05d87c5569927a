"""What runs and what does not, in words: for people who run the product, and in one sentence for everybody else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from integrations import clock, conf
from integrations.counted import counted
from integrations.delivery.schedule import scheduled
from integrations.delivery.wakeup import QUEUE, SLOW_QUEUE

from . import health
from .models import ProcessHeartbeat
from .periodic import last_ends
from .processes import BEAT, QUIET_SECONDS, WEB, WORKER

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
        return f"{clock.described(self.skew)} the database's" if self.is_clock_off else "right"


def processes(now: datetime | None = None) -> list[Process]:
    """Return the processes that were seen lately, those that were lost included; by kind and name."""
    moment = now or clock.now()
    return [_process(row, moment) for row in ProcessHeartbeat.objects.order_by("kind", "name")[:MAX_PROCESSES]]


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
        return [Light("Database", BAD, "does not answer")]
    known = processes() if seen is None else seen
    return [
        _web(known),
        _workers("Workers", QUEUE, known, up["worker"]),
        _workers("Slow workers", SLOW_QUEUE, known, up["slow_worker"]),
        _beat(known, up["beat"]),
        Light("Broker", OK, "answers")
        if up["broker"]
        else Light("Broker", BAD, "does not answer: start it, or mend CELERY_BROKER_URL"),
        Light("Database", OK, "answers"),
        _clocks(known),
    ]


def sentence(of: Iterable[Light]) -> Light:
    """Return what people read who cannot mend it: whether deliveries go out."""
    bad = {light.name for light in of if light.kind == BAD}
    if bad & {"Database", "Broker", "Workers"}:
        words = "Deliveries are held up just now. Nothing is lost: they go out as soon as the service runs again."
        return Light("Service", BAD, words)
    if bad:
        return Light("Service", WARN, "Some deliveries may be late just now. Nothing is lost.")
    return Light("Service", OK, "Everything runs: deliveries go out at once.")


def _web(seen: Sequence[Process]) -> Light:
    running = [each for each in seen if each.kind == WEB and not each.is_lost]
    return Light("Web", OK, f"{counted(len(running), 'process', 'processes')} seen" if running else "answers")


def _workers(name: str, queue: str, seen: Sequence[Process], is_up: bool) -> Light:
    of_queue = [each for each in seen if each.kind == WORKER and queue in each.queues]
    running = [each for each in of_queue if not each.is_lost]
    lost = [each for each in of_queue if each.is_lost]
    if not running:
        words = f"none: start a worker with -Q {queue}"
        return Light(name, BAD, f"{words}; the last was seen {_ago(lost)}" if lost else words)
    words = f"{len(running)} running"
    if not is_up:
        return Light(name, WARN, f"{words}, and no sweep ended lately: does beat run?")
    return Light(name, WARN, f"{words}, {len(lost)} lost: last seen {_ago(lost)}") if lost else Light(name, OK, words)


def _beat(seen: Sequence[Process], is_up: bool) -> Light:
    found = [each for each in seen if each.kind == BEAT]
    if is_up:
        several = sum(not each.is_lost for each in found)
        return Light("Beat", OK, "running" if several < 2 else f"{several} running: one is enough")
    last = f"; it was last seen {_ago(found)}" if found else ""
    return Light("Beat", BAD, f"not running: start celery beat{last}")


def _clocks(seen: Sequence[Process]) -> Light:
    off = [each for each in seen if each.is_clock_off and not each.is_lost]
    if not off:
        return Light("Clocks", OK, "agree with the database's")
    worst = max(off, key=lambda each: abs(each.skew))
    return Light("Clocks", WARN, f"{worst.name} is {worst.clock_words}: set it (NTP)")


def _ago(found: Iterable[Process]) -> str:
    seconds = min(each.ago for each in found)
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


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
