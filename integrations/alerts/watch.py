"""Look every minute at what is wrong, remember it, and tell: an event for each alert, and mails (mail.py).

The state of integrations is judged by the one rule of health/. Bounded: only integrations with something to say, or
about which something was said, are read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.urls import NoReverseMatch, reverse

from integrations import clock, conf
from integrations.capture.publishing import publish
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.counted import counted
from integrations.delivery.wakeup import QUEUE, SLOW_QUEUE
from integrations.health.alert import ALERTS, BACKLOG, DISABLED, FAILING, GIVEN_UP, LABELS, RECOVERED, SILENT, Alert
from integrations.health.reading import health_of
from integrations.health.rule import Health, State
from integrations.observability.backlog import late_lanes
from integrations.observability.processes import is_consumed
from integrations.origin import caused_by
from integrations.outbox.models import IntegrationSync
from integrations.statistics.models import MINUTE, IntegrationFigures
from integrations.statistics.rolling import GRACE
from integrations.tenancy.tenant import tenant_model

from .rule import Told, may_tell, seen

logger = logging.getLogger("integrations.alerts")

AT_ONCE = 5000  # integrations in one look
COUNTED = 1000  # deliveries that were given up, when each is looked at
DAY = 1440  # minutes


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that is told.

    Attributes:
        integration: the one it is about; None: the whole product.
        url: a path of the console.
    """

    name: str
    integration: TenantIntegration | None
    title: str
    why: str
    what_to_do: str
    since: datetime
    count: int | None = None
    url: str = ""


def watch(now: datetime | None = None) -> list[Word]:
    """Tell what there is to tell: publish an event for each word, in one transaction with the memory of it.

    A look that fails is logged and tells nothing; it looks again in a minute. What the others told is returned all the
    same: nobody would tell it by mail later.

    Args:
        now: by the database's clock; None: what it says.
    """
    now = now or clock.now()
    told: list[Word] = []
    for look in (_states, _backlogs, _given_up, _silent):
        try:
            with transaction.atomic():
                words = list(look(now))
                for word in words:
                    _publish(word)
        except Exception as error:
            name = look.__name__.strip("_").replace("_", " ")
            logger.error("nothing was told of %s (%s)", name, type(error).__name__, exc_info=True)
            continue
        told += words
    if told:
        logger.info("told %s", counted(len(told), "alert"))
    return told


# -- states ------------------------------------------------------------------------------------------------------------


def _states(now: datetime) -> Iterator[Word]:
    """Failing for ALERT_AFTER_SECONDS, disabled; and what is over."""
    known = _known((FAILING, DISABLED))
    wrong = Q(is_enabled=False) | Q(lane__failing_since__isnull=False) | ~Q(lane__attention="")
    unsettled = {pk for (_, pk), alert in known.items() if alert.is_open or not alert.is_told}
    rows = _present().filter(Q(is_active=True) & wrong | Q(pk__in=unsettled))
    integrations = {row.pk: row for row in rows.select_related("tenant").order_by("pk")[:AT_ONCE]}
    health = health_of(integrations.values(), now)
    for pk, integration in integrations.items():
        disabled, failing = known.get((DISABLED, pk)), known.get((FAILING, pk))
        yield from _disabled(disabled, integration, health[pk], now)
        yield from _failing(failing, integration, health[pk], now)


def _disabled(alert: Alert | None, integration: TenantIntegration, health: Health, now: datetime) -> Iterator[Word]:
    is_wrong = health.state == State.DISABLED
    told, is_news = seen(_told(alert), is_wrong=is_wrong, since=health.since or now, now=now)
    if told is None:
        return
    _keep(alert, DISABLED, integration, told)
    if is_news and is_wrong:
        yield _word(DISABLED, integration, health.why, health.what_to_do, health.since or now)


def _failing(alert: Alert | None, integration: TenantIntegration, health: Health, now: datetime) -> Iterator[Word]:
    """Failing for long enough, and "works again" for what failed or was disabled."""
    before, since = _told(alert), health.since or now
    told_at, was_wrong = (before.told_at, before.is_open) if before is not None else (None, False)
    if health.state == State.DISABLED:
        if not was_wrong:  # that is told under its own name
            _keep(alert, FAILING, integration, Told(True, since, told_at, is_told=True))
        return
    is_old = now - since >= timedelta(seconds=conf.ALERT_AFTER_SECONDS)
    is_wrong = health.state in (State.FAILING, State.ATTENTION) and (is_old or was_wrong)
    if was_wrong and not is_wrong and health.state != State.WORKING:
        return  # off, paused, resting, re-enabled and not tried: nobody knows yet
    told, is_news = seen(before, is_wrong=is_wrong, since=since if is_wrong else now, now=now)
    if told is None:
        return
    _keep(alert, FAILING, integration, told)
    if is_news and is_wrong:
        yield _word(FAILING, integration, health.why, health.what_to_do, since)
    elif is_news:
        yield _word(RECOVERED, integration, health.why, "", now)


# -- what waits --------------------------------------------------------------------------------------------------------


def _backlogs(now: datetime) -> Iterator[Word]:
    """What is due waits for BACKLOG_ALERT_SECONDS, though nothing holds it back."""
    known = _known((BACKLOG,))
    late = late_lanes(conf.BACKLOG_ALERT_SECONDS, AT_ONCE)
    found = {row.pk: row for row in _present().filter(pk__in=late).select_related("tenant").order_by("pk")}
    is_open = {pk for (_, pk), alert in known.items() if alert.is_open}
    over = _present().filter(pk__in=is_open - found.keys()).select_related("tenant")
    for pk, integration in {**found, **{row.pk: row for row in over}}.items():
        alert = known.get((BACKLOG, pk))
        is_wrong = pk in found
        since = now - timedelta(seconds=late[pk]) if is_wrong else now
        told, is_news = seen(_told(alert), is_wrong=is_wrong, since=since, now=now)
        if told is None:
            continue
        _keep(alert, BACKLOG, integration, told)
        if is_news and is_wrong:
            number = integration.syncs.filter(status=IntegrationSync.Status.PENDING)[:COUNTED].count()
            many = f"{COUNTED} or more deliveries wait" if number == COUNTED else _waiting(number)
            why = f"{many}, the oldest since {since:%H:%M} UTC, though nothing holds them back."
            yield _word(BACKLOG, integration, why, "Are there enough workers?", since, number)


def _waiting(number: int) -> str:
    return "1 delivery waits" if number == 1 else f"{number} deliveries wait"


def _given_up(now: datetime) -> Iterator[Word]:
    """What was given up since it was told last, summed; from the figures, never from counting the outbox."""
    minute = int(now.timestamp() // 60) - GRACE  # up to which nothing is added any more
    figures = IntegrationFigures.objects.filter(
        resolution=MINUTE, start__gte=minute - DAY, start__lt=minute, given_up__gt=0
    )
    wanted = set(figures.order_by().values_list("integration", flat=True).distinct()[:AT_ONCE])
    known = {pk: alert for (_, pk), alert in _known((GIVEN_UP,)).items()}
    rows = _present().filter(pk__in=wanted).select_related("tenant")
    for integration in rows.order_by("pk"):
        alert = known.get(integration.pk)
        if alert is not None and not may_tell(alert.told_at, now):
            continue
        start = max(alert.counted_to if alert else 0, minute - DAY)
        of_it = figures.filter(integration=integration, start__gte=start)
        number = of_it.aggregate(number=Sum("given_up"))["number"] or 0
        since = datetime.fromtimestamp(start * 60, UTC)
        if number and EventSubscription.objects.filter(integration=integration, event_type__in=ALERTS).exists():
            number = _without_alerts(integration, since, datetime.fromtimestamp(minute * 60, UTC))
        if not number:
            continue
        told = Told(is_open=False, since=since, told_at=now, is_told=True)
        _keep(alert, GIVEN_UP, integration, told, counted_to=minute)
        last = health_of([integration], now).get(integration.pk)
        why = "1 delivery was given up" if number == 1 else f"{number} deliveries were given up"
        why = f"{why}: {last.why}" if last is not None and last.is_failing else f"{why}."
        yield _word(GIVEN_UP, integration, why, "Mend what it says, then replay what failed.", since, number)


def _without_alerts(integration: TenantIntegration, since: datetime, until: datetime) -> int:
    """Count what was given up and is no alert itself: what became of alerts is no reason for alerts."""
    settled = {"settled_at__gte": since, "settled_at__lt": until}
    failed = integration.syncs.filter(status=IntegrationSync.Status.FAILED, **settled)
    types = failed.order_by("-id").values_list("event__event_type", flat=True)[:COUNTED]
    return sum(event_type not in ALERTS for event_type in types)


# -- the whole ---------------------------------------------------------------------------------------------------------


def _silent(now: datetime) -> Iterator[Word]:
    """Nobody takes messages from one of the queues. (If nobody takes any, nobody runs this: docs/observability.md.)"""
    known = {alert.about: alert for alert in Alert.objects.select_for_update().filter(name=SILENT, integration=None)}
    for queue in (QUEUE, SLOW_QUEUE):
        alert, is_wrong = known.get(queue), not is_consumed(queue)
        told, is_news = seen(_told(alert), is_wrong=is_wrong, since=now, now=now)
        if told is None:
            continue
        _keep(alert, SILENT, None, told, about=queue)
        if is_news and is_wrong:
            why = f"No worker takes messages from the queue {queue}; nothing is lost, but deliveries may be late."
            title = f"{LABELS[SILENT]}: {queue}"
            yield Word(SILENT, None, title, why, "The people who run the product must start one.", now)


# -- telling -----------------------------------------------------------------------------------------------------------


def _word(
    name: str, integration: TenantIntegration, why: str, what_to_do: str, since: datetime, count: int | None = None
) -> Word:
    try:
        url = reverse("console:integration", args=[integration.public_id])
    except NoReverseMatch:
        url = ""
    return Word(name, integration, f"{LABELS[name]}: {integration.name}", why, what_to_do, since, count, url)


def payload_of(word: Word) -> dict[str, Any]:
    """Return what the event of `word` says, as `event_types.example` has it."""
    about = word.integration
    alert = {
        "title": word.title,
        "since": word.since,
        "why": word.why,
        "what_to_do": word.what_to_do,
        "count": word.count,
        "url": f"{conf.PUBLIC_URL.rstrip('/')}{word.url}" if conf.PUBLIC_URL and word.url else word.url,
    }
    named = about and {
        "id": str(about.public_id),
        "name": about.name,
        "connector_type": about.integration_type,
    }
    return {"alert": alert, "integration": named}


def _publish(word: Word) -> None:
    payload = payload_of(word)
    if word.integration is not None:
        with caused_by(word.integration.pk, may_loop=False):  # it is not told about itself
            publish(event_type=word.name, tenant=word.integration.tenant, obj=word.integration, payload=payload)
        return
    wanted = EventSubscription.objects.filter(event_type=word.name, integration__is_active=True)
    tenants = tenant_model()._default_manager.filter(pk__in=wanted.values("integration__tenant"))
    for tenant in tenants.order_by("pk")[:AT_ONCE]:
        publish(event_type=word.name, tenant=tenant, obj=tenant, payload=payload)


# -- what was told -----------------------------------------------------------------------------------------------------


def _present() -> QuerySet[TenantIntegration]:
    return TenantIntegration.unannounced.filter(lane__deleting_since=None)


def _known(names: Iterable[str]) -> dict[tuple[str, int], Alert]:
    """Return {(name, integration): alert} of what may change, locked: two who look at once tell it once."""
    alerts = Alert.objects.select_for_update().filter(name__in=names, integration__isnull=False)
    return {(alert.name, alert.integration_id): alert for alert in alerts.order_by("pk") if alert.integration_id}


def _told(alert: Alert | None) -> Told | None:
    return None if alert is None else Told(alert.is_open, alert.since, alert.told_at, alert.is_told)


def _keep(
    alert: Alert | None,
    name: str,
    integration: TenantIntegration | None,
    told: Told,
    *,
    about: str = "",
    counted_to: int = 0,
) -> None:
    """Write down what people know."""
    values = {
        "is_open": told.is_open,
        "since": told.since,
        "told_at": told.told_at,
        "is_told": told.is_told,
        "counted_to": counted_to,
    }
    if alert is None:
        Alert.objects.create(name=name, integration=integration, about=about, **values)
    elif any(getattr(alert, column) != value for column, value in values.items()):
        Alert.objects.filter(pk=alert.pk).update(**values)
