"""Look every minute at what is wrong, remember it, and tell: an event for each alert, and what is to be mailed.

The state of integrations is judged by the one rule of health/. Only integrations with something to say, or about which
something was said, are read: in parts, each in a transaction of its own, with a few statements for each part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, F, Min, OuterRef, Q, QuerySet, Subquery, Sum

from integrations import conf
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.counted import BoundedCount, counted
from integrations.database import clock
from integrations.delivery.hints import QUEUE, SLOW_QUEUE
from integrations.health.alert import ALERTS, BACKLOG, DISABLED, FAILING, GIVEN_UP, LABELS, RECOVERED, SILENT, Alert
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.observability.backlog import late_lanes
from integrations.observability.heartbeat import is_alive
from integrations.observability.models import Heartbeat
from integrations.observability.processes import BEAT, is_consumed
from integrations.outbox.models import NEWEST, IntegrationEvent, IntegrationSync, of_lane
from integrations.pull.models import SyncState
from integrations.statistics.models import MINUTE, IntegrationFigures
from integrations.statistics.rolling import GRACE

from .mail import note
from .memory import Memory
from .publishing import publish_words
from .rule import QUIET, Told, may_tell, seen
from .word import Word, moment, word_about

logger = logging.getLogger("integrations.alerts")

PART = 500  # integrations in one transaction
LATE_LANES = 20_000  # that one look finds
COUNTED = 1000  # deliveries of one integration, when each is looked at
LATEST = 100  # deliveries of one integration, where one is looked for
DAY = 1440  # minutes
SECOND_LOOK = timedelta(seconds=45)  # what was so at one look alone is not told, such as in the minute after a restart

Look = Callable[[], list[Word]]


def watch(now: datetime | None = None) -> list[Word]:
    """Tell what there is to tell: events, and what is to be mailed, in one transaction with the memory of it.

    A look that fails is logged and tells nothing; it looks again in a minute. The others tell all the same.

    Args:
        now: by the database's clock; None: what it says.

    Returns:
        What was told.
    """
    now = now or clock.now()
    told: list[Word] = []
    for name, looks in (("states", _states), ("backlogs", _backlogs), ("given up", _given_up), ("silent", _silent)):
        try:
            for look in looks(now):
                told += _told_in(name, look, now)
        except Exception as error:
            _say(name, error)
    if told:
        logger.info("told %s", counted(len(told), "alert"))
    return told


def _told_in(name: str, look: Look, now: datetime) -> list[Word]:
    try:
        with transaction.atomic():
            words = look()
            publish_words(words)
            note(words, now)
            return words
    except Exception as error:  # it costs this part of the look alone
        _say(name, error)
        return []


def _say(name: str, error: Exception) -> None:
    logger.error("nothing was told of %s (%s)", name, type(error).__name__, exc_info=True)


def _parts(pks: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(pks)
    for start in range(0, len(ordered), PART):
        yield ordered[start : start + PART]


# -- states ------------------------------------------------------------------------------------------------------------


def _states(now: datetime) -> Iterator[Look]:
    """Failing for ALERT_AFTER_SECONDS, disabled; and what is over."""
    wrong = Q(is_enabled=False) | Q(lane__failing_since__isnull=False) | ~Q(lane__attention="")
    # What nothing is sent to: it is judged by tests, calls and pulls.
    wrong |= Q(is_connected=False, last_test_at__isnull=False) | Q(auth_failure_count__gt=0)
    wrong |= Q(lane__times_opened__gt=0) | Q(pk__in=SyncState.objects.filter(status="failed").values("connection"))
    unsettled = Alert.objects.filter(Q(is_open=True) | Q(is_told=False), name__in=(FAILING, DISABLED))
    rows = _present().filter(Q(is_active=True) & wrong | Q(pk__in=unsettled.values("integration")))
    for part in _parts(set(rows.values_list("pk", flat=True))):
        yield partial(_states_of, part, now)


def _states_of(part: Sequence[int], now: datetime) -> list[Word]:
    rows = _rows(part)
    health = health_of(rows.values(), now)
    known = set(Alert.objects.filter(name__in=(FAILING, DISABLED), integration__in=part).values_list("integration"))
    concerned = {pk for pk in rows if health[pk].is_failing or (pk,) in known}
    memory = Memory([(name, pk, "") for pk in concerned for name in (FAILING, DISABLED)], now)
    alone = _only_alerts_fail(concerned)
    words: list[Word] = []
    for pk in sorted(concerned):
        words += _disabled(memory, rows[pk], health[pk], now)
        words += _failing(memory, rows[pk], health[pk], pk in alone, now)
    memory.write()
    return words


def _disabled(memory: Memory, integration: TenantIntegration, health: Health, now: datetime) -> Iterator[Word]:
    is_wrong, since = health.state == State.DISABLED, health.since or now
    told, is_news = seen(memory.told(DISABLED, integration.pk), is_wrong=is_wrong, since=since, now=now)
    memory.keep(DISABLED, integration.pk, told)
    if is_news and is_wrong:
        yield word_about(DISABLED, integration, health.why, health.what_to_do, since)


def _failing(
    memory: Memory, integration: TenantIntegration, health: Health, only_alerts: bool, now: datetime
) -> Iterator[Word]:
    """Failing for long enough, and "works again" for what failed or was disabled."""
    before = memory.told(FAILING, integration.pk)
    if health.state == State.DISABLED:
        # That is told under its own name. Who heard of it, or that it failed, hears when it works again.
        knows = memory.told(DISABLED, integration.pk).is_told or (before.is_open and before.is_told)
        since = before.since if before.is_open else health.since or now
        memory.keep(FAILING, integration.pk, Told(True, since, before.told_at, is_told=knows))
        return
    is_wrong = health.is_failing
    if before.is_open and not is_wrong and health.state != State.WORKING:
        return  # off, paused, resting, re-enabled and not tried: nobody knows yet
    if before.is_open and before.is_quiet and is_wrong and not only_alerts:
        before = replace(before, is_quiet=False, is_told=False)  # now it is more than alerts, and others are told
    since = (health.since or (before.since if before.is_open else now)) if is_wrong else now
    patience = timedelta(seconds=conf.ALERT_AFTER_SECONDS)
    told, is_news = seen(before, is_wrong=is_wrong, since=since, now=now, patience=patience)
    if is_news and is_wrong:
        told = replace(told, is_quiet=only_alerts)
        yield word_about(FAILING, integration, health.why, health.what_to_do, since, is_quiet=told.is_quiet)
    elif is_news:
        yield word_about(RECOVERED, integration, health.why, "", now, is_quiet=told.is_quiet)
    memory.keep(FAILING, integration.pk, told)


def _only_alerts_fail(pks: Collection[int]) -> set[int]:
    """Return those of which nothing but alerts fails: what becomes of alerts is told as no further alert.

    Without that, two destinations that fail now and then could keep telling each other of it for ever.
    """
    channels = _hear_of_alerts(pks)
    rows = IntegrationSync.objects.exclude(event__event_type__in=ALERTS)
    waiting = rows.filter(integration=OuterRef("pk"), status="pending", first_failed_at__isnull=False)
    latest = IntegrationSync.objects.filter(of_lane(OuterRef(OuterRef("pk")))).order_by(*NEWEST).values("pk")[:LATEST]
    ended = rows.filter(pk__in=latest, status="failed", settled_at__gte=OuterRef("lane__failing_since"))
    failing = _present().filter(pk__in=channels, lane__failing_since__isnull=False)
    return set(failing.filter(~Exists(waiting), ~Exists(ended)).values_list("pk", flat=True))


def _hear_of_alerts(pks: Collection[int]) -> set[int]:
    wanted = EventSubscription.objects.filter(integration__in=pks, event_type__in=ALERTS)
    return set(wanted.values_list("integration", flat=True))


# -- what waits --------------------------------------------------------------------------------------------------------


def _backlogs(now: datetime) -> Iterator[Look]:
    """What is due waits for BACKLOG_ALERT_SECONDS, though nothing holds it back."""
    late = late_lanes(conf.BACKLOG_ALERT_SECONDS, LATE_LANES)
    is_open = Alert.objects.filter(name=BACKLOG, is_open=True).values_list("integration", flat=True)
    for part in _parts(late.keys() | {pk for pk in is_open if pk is not None}):
        yield partial(_backlogs_of, part, late, now)


def _backlogs_of(part: Sequence[int], late: dict[int, float], now: datetime) -> list[Word]:
    rows = _rows(part)
    memory = Memory([(BACKLOG, pk, "") for pk in rows], now)
    numbers = _waiting(rows.keys() & late.keys())
    words = []
    for pk, integration in rows.items():
        before, number = memory.told(BACKLOG, pk), numbers.get(pk, 0)
        first_seen = before.since if before.is_open else now
        told, is_news = seen(before, is_wrong=number > 0, since=first_seen, now=now, patience=SECOND_LOOK)
        memory.keep(BACKLOG, pk, told)
        if is_news and number:
            since = now - timedelta(seconds=late[pk])
            many = f"{COUNTED} or more deliveries wait" if number == COUNTED else _many(number, "wait", "waits")
            why = f"{many}, the oldest since {moment(since)}, though nothing holds them back."
            words.append(word_about(BACKLOG, integration, why, _MORE_WORKERS, since, number))
    memory.write()
    return words


_MORE_WORKERS = "The destination is not at fault. The people who run the product must see whether enough workers run."


def _waiting(pks: Collection[int]) -> dict[int, int]:
    """Return how many deliveries wait, up to COUNTED: alerts are not counted where there are any."""
    pending = IntegrationSync.objects.filter(integration=OuterRef("pk"), status="pending")
    pending = pending.order_by("integration", "object_key", "id")
    channels = _hear_of_alerts(pks)
    found: dict[int, int] = {}
    for some, wanted in (
        (set(pks) - channels, pending),
        (channels, pending.exclude(event__event_type__in=ALERTS)),
    ):
        rows = _present().filter(pk__in=some).annotate(number=BoundedCount(wanted.values("pk")[:COUNTED]))
        found.update(rows.values_list("pk", "number"))
    return found


def _many(number: int, verb: str, singular: str) -> str:
    return f"1 delivery {singular}" if number == 1 else f"{number} deliveries {verb}"


# -- what was given up -------------------------------------------------------------------------------------------------


def _given_up(now: datetime) -> Iterator[Look]:
    """What was given up since it was told last, summed; from the figures, never from counting the outbox."""
    until = int(now.timestamp() // 60) - GRACE  # the minute up to which nothing is added any more
    silent = Alert.objects.filter(name=GIVEN_UP, integration__isnull=False, told_at__gt=now - QUIET)
    wanted = (
        _figures(until)
        .exclude(integration__in=silent.values("integration"))
        .order_by()
        .values_list("integration", flat=True)
    )
    for part in _parts(set(wanted.distinct())):
        yield partial(_given_up_of, part, until, now)


def _figures(until: int) -> QuerySet[IntegrationFigures]:
    return IntegrationFigures.objects.filter(resolution=MINUTE, start__gte=until - DAY, start__lt=until, given_up__gt=0)


def _given_up_of(part: Sequence[int], until: int, now: datetime) -> list[Word]:
    rows = _rows(part)
    memory = Memory([(GIVEN_UP, pk, "") for pk in rows], now)
    before = Alert.objects.filter(name=GIVEN_UP, integration=OuterRef("integration"), about="")
    figures = _figures(until).filter(integration__in=list(rows))
    figures = figures.alias(counted_to=Subquery(before.values("counted_to")[:1])).filter(start__gte=F("counted_to"))
    sums = {
        pk: (number, first)
        for pk, number, first in figures.order_by()
        .values("integration")
        .annotate(number=Sum("given_up"), first=Min("start"))
        .values_list("integration", "number", "first")
    }
    channels = _hear_of_alerts(sums.keys())
    health = health_of([rows[pk] for pk in sums], now)
    words = []
    for pk, (number, first) in sums.items():
        told = memory.told(GIVEN_UP, pk)
        if not may_tell(told.told_at, now):
            continue
        since = datetime.fromtimestamp(first * 60, UTC)
        if pk in channels:
            number -= _alerts_given_up(pk, since, datetime.fromtimestamp(until * 60, UTC))
        if number > 0:
            told = replace(told, since=since, told_at=now)
            words.append(_given_up_word(rows[pk], number, since, health.get(pk)))
        memory.keep(GIVEN_UP, pk, told, counted_to=until)
    memory.write()
    return words


def _given_up_word(integration: TenantIntegration, number: int, since: datetime, health: Health | None) -> Word:
    why = _many(number, "were given up", "was given up")
    why = f"{why}: {health.why}" if health is not None and health.is_failing else f"{why}."
    to_do = "Look at its failed deliveries, mend what they say, then replay them."
    return word_about(GIVEN_UP, integration, why, to_do, since, number)


def _alerts_given_up(pk: int, since: datetime, until: datetime) -> int:
    """Return how many of the latest deliveries were alerts that were given up."""
    latest = IntegrationSync.objects.filter(of_lane(pk)).order_by(*NEWEST).values("pk")[:COUNTED]
    failed = IntegrationSync.objects.filter(pk__in=latest, status="failed", settled_at__gte=since, settled_at__lt=until)
    alerts = IntegrationEvent.objects.filter(pk__in=failed.values("event"), event_type__in=ALERTS)
    return alerts.count()


# -- the whole ---------------------------------------------------------------------------------------------------------


def _silent(now: datetime) -> Iterator[Look]:
    """Nobody takes messages from one of the queues, or beat sends none. (With no worker nobody runs this.)"""
    yield partial(_silent_parts, now)


def _silent_parts(now: datetime) -> list[Word]:
    silent = {queue for queue in (QUEUE, SLOW_QUEUE) if not is_consumed(queue)}
    if not is_alive(BEAT) and Heartbeat.objects.filter(name=BEAT).exists():
        silent.add(BEAT)
    known = set(Alert.objects.filter(name=SILENT, integration=None).values_list("about", flat=True))
    concerned = [part for part in (QUEUE, SLOW_QUEUE, BEAT) if part in silent or part in known]
    if not concerned:
        return []
    memory = Memory([(SILENT, None, part) for part in concerned], now)
    words = []
    for part in concerned:
        before = memory.told(SILENT, None, part)
        since = before.since if before.is_open else now
        told, is_news = seen(before, is_wrong=part in silent, since=since, now=now, patience=SECOND_LOOK)
        memory.keep(SILENT, None, told, about=part)
        if is_news and part in silent:
            words.append(Word(SILENT, None, *_SILENT_BEAT, since) if part == BEAT else _silent_queue(part, since))
    memory.write()
    return words


_SILENT_BEAT = (
    "Scheduler silent: beat",
    "Celery beat sends nothing; nothing is lost, but what failed is not tried again and nothing is pulled.",
    "The people who run the product must start it.",
)


def _silent_queue(queue: str, since: datetime) -> Word:
    why = f"No worker takes messages from the queue {queue}; nothing is lost, but deliveries may be late."
    to_do = "The people who run the product must start one."
    return Word(SILENT, None, f"{LABELS[SILENT]}: {queue}", why, to_do, since)


# -- rows --------------------------------------------------------------------------------------------------------------


def _present() -> QuerySet[TenantIntegration]:
    return TenantIntegration.unannounced.filter(lane__deleting_since=None)


def _rows(part: Sequence[int]) -> dict[int, TenantIntegration]:
    """Return these integrations with their tenants, without those that are being deleted."""
    return {row.pk: row for row in _present().filter(pk__in=part).select_related("tenant").order_by("pk")}
