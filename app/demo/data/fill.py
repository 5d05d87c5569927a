"""Write the week into the database: who, what they did, what came of it. Bulk inserts, in the order of time."""

from __future__ import annotations

import random
import re
import secrets
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from integrations import retry_policy
from integrations.acting import CONSOLE, acting_as
from integrations.audit import notes
from integrations.audit.models import ExecutionLog
from integrations.audit.trail import AuditEntry, entry_of
from integrations.capture.trigger_handler import TriggerHandler, handlers
from integrations.connections.binding import bind, fingerprint
from integrations.connections.conditions import judge, why_unmet
from integrations.connections.models import TenantIntegration
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import URL
from integrations.connectors.registry import ConnectorRegistry
from integrations.counted import counted
from integrations.database import clock
from integrations.delivery.models import CLOSED, Lane
from integrations.erp.push_log import ORDER_PUSH
from integrations.errors import DESTINATION, SETUP, IntegrationError, IntegrationTemporaryError
from integrations.models import IntegrationEvent, IntegrationSync, SyncState, WebhookEvent
from tasks.models import Customer, CustomerAsset, DropoffPoint, Note, WorkItem
from tenants.models import Membership, Tenant

from . import business, figures, lane, others, wire
from .places import COMPANIES, Company, Place, answer_of, milliseconds

BATCH = 500
LOOPBACK = re.compile(r"^http://127\.0\.0\.1:[0-9]+")
DAYS = 7
PAUSED_SINCE = timedelta(hours=52)
LIMITED_SINCE = timedelta(days=3, hours=2)
EXACT_SECONDS = 20 * 3600  # of the attempts in this time, what went over the wire is kept
PEOPLE = (("viewer", "Vera", "Viewer"), ("operator", "Oscar", "Operator"), ("manager", "Mona", "Manager"))
TECHNICIANS = ("Bob Tech", "Rita Bench", "Sam Solder")


@dataclass(slots=True)
class Account:
    """A person made just now; the password is told once and stored nowhere else."""

    username: str
    password: str
    role: str
    tenant: str


@dataclass(slots=True)
class Filled:
    """What was made."""

    accounts: list[Account] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Target:
    place: Place
    integration: TenantIntegration
    connector: BaseConnector | None
    is_new: bool
    rows: list[lane.Owed] = field(default_factory=list)
    skipped: list[tuple[int, str]] = field(default_factory=list)  # the place of the event, why


def fill(
    receiver: str, *, seed: int = 1, since: datetime | None = None, now: datetime | None = None, pace: float = 1.0
) -> Filled:
    """Make what is missing of the demo's tenants, people and integrations, and their traffic from `since` until now.

    Args:
        receiver: where all destinations are: ``http://127.0.0.1:8098``.
        seed: an empty database gets the same week for it, at whatever hour; what is missing later is another each time.
        since: None: a week ago.
        pace: how much happens; 1.0: some 800 work items a week.
    """
    now = now or timezone.now()
    since = since or now - timedelta(days=DAYS)
    luck = f"{seed} {since:%F %T}" if WorkItem.objects.exists() else f"{seed}"
    filled = Filled()
    with transaction.atomic(), _dated(ExecutionLog, Note, TenantIntegration):
        casts, targets = [], []
        for company in (replace(each, a_day=each.a_day * pace) for each in COMPANIES):
            cast = _cast(company, filled, luck)
            casts.append(cast)
            targets += [_target(cast.tenant, place, receiver, now) for place in company.places]
        pushed = _pushes(targets, since, now, luck)
        _traffic(casts, targets, pushed, since, now, luck, filled)
        _others(targets, since, now, luck, filled)
        if any(target.is_new for target in targets):
            _in_order({str(cast.tenant.pk) for cast in casts})
    return filled


def _in_order(tenant_keys: set[str]) -> None:
    """Let the audit trail of these tenants be in the order of its times, as it is where it is written as time goes."""
    entries = AuditEntry.objects.filter(tenant_key__in=tenant_keys)
    kept = sorted(entries, key=lambda entry: (entry.created_at, entry.pk))
    entries.delete()
    for entry in kept:
        entry.pk = None
    AuditEntry.objects.bulk_create(kept, batch_size=BATCH)


# -- who -------------------------------------------------------------------------------------------------------


def _cast(company: Company, filled: Filled, luck: str) -> business.Cast:
    chance = random.Random(f"{luck} {company.name}")  # noqa: S311
    tenant, _ = Tenant.objects.get_or_create(name=company.name)
    people = _people(tenant, company, filled)
    counters = [DropoffPoint.objects.get_or_create(tenant=tenant, name=name)[0] for name in company.counters]
    assets = list(CustomerAsset.objects.filter(tenant=tenant, name__in=company.things).select_related("customer"))
    if len(assets) < len(company.things):  # `make run` has made one for the story that it tells
        for name in business.customer_names(company, chance):
            email = f"{name.split()[0].lower()}.{name.split()[1].lower()}@example.com"
            customer = Customer.objects.create(tenant=tenant, name=name, email=email)
            thing = chance.choice(company.things)
            assets.append(CustomerAsset.objects.create(tenant=tenant, customer=customer, name=thing))
    return business.Cast(company, tenant, people, assets, counters)


def _people(tenant: Tenant, company: Company, filled: Filled) -> list[User]:
    short = tenant.name.split()[0].lower()
    found = []
    for role, first, last in PEOPLE if company.has_people else ():
        user, is_new = User.objects.get_or_create(
            username=f"{short}-{role}", defaults={"first_name": first, "last_name": last}
        )
        if is_new:
            password = secrets.token_urlsafe(9)
            user.set_password(password)
            user.save()
            filled.accounts.append(Account(user.username, password, role, tenant.name))
        _give_role(tenant, user, role)
        found.append(user)
    for name in TECHNICIANS:
        first, last = name.split()
        defaults = {"first_name": first, "last_name": last}
        user, _ = User.objects.get_or_create(username=f"{short}-{first.lower()}", defaults=defaults)
        _give_role(tenant, user, "viewer")
        found.append(user)
    return found


def _give_role(tenant: Tenant, user: User, role: str) -> None:
    Membership.objects.get_or_create(tenant=tenant, user=user, defaults={"role": role})


def _target(tenant: Tenant, place: Place, receiver: str, now: datetime) -> _Target:
    integration = TenantIntegration.objects.filter(tenant=tenant, name=place.name).first()
    is_new = integration is None
    if integration is None:
        integration = TenantIntegration(tenant=tenant, name=place.name, integration_type=place.kind)
        integration.created_at = now - (timedelta(days=37) if place.hours is None else timedelta(hours=place.hours))
        integration.credentials_rotated_at = integration.created_at
        _settings(integration, place, receiver)
        integration.rate_limit_per_minute = place.limit
        integration.inbound_actions = list(place.actions)
        _set_up(integration, place, tenant, now)
    elif _moved(integration, receiver):
        saved_at = integration.updated_at  # nobody's settings were changed
        integration.save()
        TenantIntegration.unannounced.filter(pk=integration.pk).update(updated_at=saved_at)
    try:
        connector = bind(integration)
    except IntegrationError:
        connector = None
    return _Target(place, integration, connector, is_new)


def _set_up(integration: TenantIntegration, place: Place, tenant: Tenant, now: datetime) -> None:
    """Save a new integration; the audit trail says that a manager made it then."""
    manager = User.objects.filter(membership__tenant=tenant, membership__role="manager").first()
    known = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    with acting_as(manager or "admin", source=CONSOLE):
        integration.save()
        integration.subscribe(*place.wants, conditions=dict(place.wants))
        AuditEntry.objects.filter(pk__gt=known).update(created_at=integration.created_at)
        if place.state == "paused":
            off = entry_of("changed", integration, changes={"is_active": [True, False]})
            off.created_at = now - PAUSED_SINCE
            off.save()
        if place.limit:
            slower = entry_of("changed", integration, changes={"rate_limit_per_minute": [None, place.limit]})
            slower.created_at = now - LIMITED_SINCE
            slower.save()


def _moved(integration: TenantIntegration, receiver: str) -> bool:
    """Let a destination of the demo be where it listens this time; what people changed stays."""
    old = integration.webhook_url or integration.config.get("store_url", "")
    new = LOOPBACK.sub(receiver, old)
    if new != old and integration.webhook_url:
        integration.webhook_url = new
    elif new != old:
        integration.config = {**integration.config, "store_url": new}
    return new != old


def _settings(integration: TenantIntegration, place: Place, receiver: str) -> None:
    manifest = ConnectorRegistry.type_of(place.kind).manifest
    address = f"{receiver}/{place.path}"
    if manifest.field(URL) is not None and place.state != "set up":
        integration.webhook_url = address
    kept = integration.credentials
    made: dict[str, Any] = {}
    if place.actions:
        made["webhook_secret"] = secrets.token_urlsafe(24)
    if place.kind == "woocommerce":
        made |= {"consumer_key": f"ck_{secrets.token_hex(20)}", "consumer_secret": f"cs_{secrets.token_hex(20)}"}
        integration.config = {"store_url": address}
    if place.kind == "salesforce":
        made |= {"client_secret": secrets.token_hex(16)}
        integration.config = {
            "base_url": "https://acme.my.salesforce.com", "grant": "authorization_code",
            "client_id": "3MVG9demo", "sobject": "Case", "external_id_field": "Outbox_Id__c",
            "mapping": ["Subject: workitem.description", "Priority: workitem.priority"],
        }  # fmt: skip
    if place.config:
        integration.config = dict(place.config)
    integration.credentials = {**made, **kept}


# -- what happened and where it went ---------------------------------------------------------------------------


def _traffic(
    casts: Sequence[business.Cast],
    targets: Sequence[_Target],
    pushed: others.Pushes,
    since: datetime,
    now: datetime,
    luck: str,
    filled: Filled,
) -> None:
    handler = next(each for each in handlers() if each.model is WorkItem)
    items = _items(casts, since, now, luck)
    happened, said = _lives(items, handler, now, luck)
    WorkItem.unannounced.bulk_update(
        [item for _, item in items],
        ["status", "priority", "technician", "estimated_price", "final_price", "comments"],
        batch_size=100,
    )
    by_tenant: dict[Any, list[_Target]] = defaultdict(list)
    for target in targets:
        by_tenant[target.integration.tenant_id].append(target)
    kept: list[business.Happened] = []
    for event in happened:
        subscribed = [each for each in by_tenant[event.cast.tenant.pk] if _subscribes(each, event, now)]
        for target in subscribed:
            condition = target.place.wants[event.event_type]
            if judge(condition, event.payload).is_met:
                target.rows.append(lane.Owed(event.at.timestamp(), str(event.item.pk), len(kept)))
            else:
                target.skipped.append((len(kept), why_unmet(condition, event.payload)))
        if subscribed:
            kept.append(event)
    content_type = ContentType.objects.get_for_model(WorkItem)
    keys = random.Random(f"{luck} {since:%F %T}")  # noqa: S311
    events = [
        IntegrationEvent(
            tenant=event.cast.tenant,
            event_type=event.event_type,
            content_type=content_type,
            object_id=str(event.item.pk),
            body=event.body,
            occurred_at=event.at,
            idempotency_key=f"evt_{uuid.UUID(int=keys.getrandbits(128)).hex}",
            actor=event.actor,
        )
        for event in kept
    ]
    # Ids ascend with time, whoever caused what.
    everything = sorted([*events, *pushed.events], key=lambda event: event.occurred_at)
    IntegrationEvent.objects.bulk_create(everything, batch_size=BATCH)
    filled.counts |= {"work items": len(items), "events": len(events)}
    _deliver(targets, kept, events, pushed, content_type, said, now, luck, filled)


def _items(
    casts: Sequence[business.Cast], since: datetime, now: datetime, luck: str
) -> list[tuple[business.Cast, WorkItem]]:
    born: list[tuple[datetime, business.Cast]] = []
    for cast in casts:
        chance = random.Random(f"{luck} {cast.company.name}")  # noqa: S311
        born += [(at, cast) for at in business.moments(since, now, cast.company.a_day, chance)]
    born.sort(key=lambda each: each[0])
    numbers = {cast.tenant.pk: 4000 + WorkItem.objects.filter(tenant=cast.tenant).count() for cast in casts}
    items = []
    for at, cast in born:
        number = numbers[cast.tenant.pk] = numbers[cast.tenant.pk] + 1
        chance = random.Random(f"{luck} {cast.company.name} {number}")  # noqa: S311
        items.append((cast, business.new_item(cast, number, at, chance)))
    WorkItem.unannounced.bulk_create([item for _, item in items], batch_size=BATCH)
    return items


def _lives(
    items: Sequence[tuple[business.Cast, WorkItem]], handler: TriggerHandler, now: datetime, luck: str
) -> tuple[list[business.Happened], list[Note]]:
    happened: list[business.Happened] = []
    said: list[Note] = []
    for cast, item in items:
        chance = random.Random(f"{luck} {item.reference_id}")  # noqa: S311
        for change in business.life(cast, item, now, chance):
            happened += business.events_of(change, handler)
            if change.remark:
                author = chance.choice(cast.people)
                note = Note(tenant=cast.tenant, work_item=item, author=author, text=change.remark)
                note.created_at = change.at + timedelta(minutes=2)
                said.append(note)
    happened.sort(key=lambda each: each.at)
    return happened, [note for note in said if note.created_at < now]


def _subscribes(target: _Target, event: business.Happened, now: datetime) -> bool:
    if event.event_type not in target.place.wants or event.at < target.integration.created_at:
        return False
    return target.place.state != "paused" or event.at <= now - PAUSED_SINCE


def _deliver(
    targets: Sequence[_Target],
    kept: Sequence[business.Happened],
    events: Sequence[IntegrationEvent],
    pushed: others.Pushes,
    content_type: ContentType,
    said: list[Note],
    now: datetime,
    luck: str,
    filled: Filled,
) -> None:
    sent: list[tuple[lane.Owed, _Target]] = []
    skipped: list[IntegrationSync] = []
    for target in targets:
        chance = random.Random(f"{luck} {target.place.name}")  # noqa: S311
        is_sent = target.connector is not None and target.place.state != "no grant"
        until = now - PAUSED_SINCE if target.place.state == "paused" else now
        ended = lane.send(
            target.rows if is_sent else [],
            _asked(target, events, now, chance),
            now=until.timestamp(),
            policy=replace(_policy(target), chance=chance.random),
            chance=chance,
        )
        if target.place.state == "paused":
            _cancel(target.rows, until)
        _add_pushes(ended, [sync for sync in pushed.syncs if sync.integration == target.integration])
        _write_lane(target, ended, now)
        sent += [(row, target) for row in target.rows]
        skipped += [_skipped(events[place], why, target, content_type) for place, why in target.skipped]
    clock.forget()
    syncs = [_sync(row, events[row.event], target, content_type) for row, target in sent]
    everything = sorted([*syncs, *skipped, *pushed.syncs], key=lambda sync: (sync.event.pk, sync.integration_id))
    IntegrationSync.objects.bulk_create(everything, batch_size=BATCH)  # in the order of their recording
    logs, told = list(pushed.logs), said
    for (row, target), sync in zip(sent, syncs, strict=True):
        host = target.connector.host if target.connector is not None else ""
        logs += [_log(attempt, sync, target, host) for attempt in row.log]
        if row.settled is not None:
            told.append(_note(row, kept[row.event], target))
    ExecutionLog.objects.bulk_create(sorted(logs, key=lambda log: log.created_at), batch_size=BATCH)
    Note.unannounced.bulk_create(sorted(told, key=lambda note: note.created_at), batch_size=BATCH)
    figures.write(((row, target.integration.pk) for row, target in sent), pushed.logs, now)
    filled.counts |= {
        "deliveries": len(syncs),
        "skipped": len(skipped),
        "pushes": len(pushed.syncs),
        "attempts": len(logs),
        "notes": len(told),
    }


def _policy(target: _Target) -> retry_policy.RetryPolicy:
    manifest = ConnectorRegistry.type_of(target.place.kind).manifest
    return retry_policy.webhook(target.integration.max_attempts, repeats_answers=manifest.repeats_answers)


def _asked(
    target: _Target, events: Sequence[IntegrationEvent], now: datetime, chance: random.Random
) -> Callable[[float, lane.Owed], lane.Answer]:
    """Return what the destination answers, judged as its connector judges; of the last hours the connector itself
    makes the request."""
    place, end = target.place, now.timestamp()
    if target.connector is None:
        return lambda at, row: (None, "", None, 0, None)
    connector = target.connector
    netloc = urlsplit(connector.base_url).netloc
    client = wire.Wire(netloc)
    bound = bind(target.integration, client)

    def ask(at: float, row: lane.Owed) -> lane.Answer:
        status, body = answer_of(place, hours_ago=(end - at) / 3600, subject=row.subject, chance=chance)
        ms = milliseconds(place, status, chance)
        response = wire.answer(status, body, ms) if status else None
        if end - at < EXACT_SECONDS:
            client.answer = response
            with wire.clock_at(at):
                excerpt, error, exchanges = wire.deliver(bound, events[row.event], row.attempts + 1)
            return status or None, excerpt, error, ms, exchanges
        if response is None:
            silent = IntegrationTemporaryError(f"{connector.host} did not answer in time", code="timeout")
            return None, "", silent, ms, None
        return status, body, connector.classify(response), ms, None

    return ask


def _add_pushes(ended: lane.Lane, syncs: Sequence[IntegrationSync]) -> None:
    for sync in syncs:
        if sync.settled_at is not None and sync.status == "synced":
            ended.delivered, ended.last_success = ended.delivered + 1, sync.settled_at.timestamp()
        elif sync.last_failed_at is not None:
            ended.failed, ended.last_failure = ended.failed + 1, sync.last_failed_at.timestamp()


def _cancel(rows: Sequence[lane.Owed], at: datetime) -> None:
    """End what was pending when the tenant switched the integration off."""
    for row in rows:
        if row.status == "pending":
            row.status, row.reason = "cancelled", "the integration is switched off"
            row.settled = max(at.timestamp(), row.last_failed or 0.0)


def _spell(rows: Sequence[lane.Owed], ended: lane.Lane) -> dict[str, Any]:
    """Return what a lane keeps of its failures, as settling would (delivery/settle.py)."""
    failed = [(attempt, row) for row in rows for attempt in row.log if attempt.error is not None]
    failed.sort(key=lambda pair: pair[0].ended)
    since = ended.last_success or 0.0
    spell = [(attempt, row) for attempt, row in failed if attempt.ended > since and (row.first_failed or 0.0) >= since]
    waiting = Counter(row.response_status for row in rows if row.status == "pending" and row.attempts)
    given_up = [row.settled for row in rows if row.status == "failed" and row.settled]
    values: dict[str, Any] = {
        "failing_since": _time(spell[0][0].ended) if spell else None,
        "failing_rows": len({id(row) for _, row in spell}),
        "failing_attempts": sum(attempt.error.fault in (DESTINATION, SETUP) for attempt, _ in spell if attempt.error),
        "gave_up_at": _time(max(given_up)) if given_up else None,
        "last_error": failed[-1][0].error.message[:500] if failed and failed[-1][0].error else "",
    }
    if waiting and ended.delivered:
        count = sum(waiting.values())
        answers = ", ".join(f"{status or 'no answer'} for {number}" for status, number in waiting.most_common(4))
        wait, look = ("waits", "this event") if count == 1 else ("wait", "these events")
        values["trouble"] = (
            f"{counted(count, 'event')} {wait} for a retry ({answers}), while {counted(ended.delivered, 'other')} were "
            f"taken: look at {look}."
        )
    return values


def _write_lane(target: _Target, ended: lane.Lane, now: datetime) -> None:
    integration = target.integration
    if not target.is_new:  # what is known of it since, workers and people have written
        more = {
            "delivered_count": F("delivered_count") + ended.delivered,
            "failed_count": F("failed_count") + ended.failed,
        }
        Lane.objects.filter(integration=integration).update(**more)
        return
    values: dict[str, Any] = {
        **CLOSED,
        "breaker": Lane.Breaker.OPEN if ended.breaker.is_probing else Lane.Breaker.CLOSED,
        "consecutive_failures": ended.breaker.failures,
        "times_opened": ended.breaker.times_opened,
        "opened_at": _time(ended.opened),
        "last_success_at": _time(ended.last_success),
        "last_failure_at": _time(ended.last_failure),
        "delivered_count": ended.delivered,
        "failed_count": ended.failed,
        "mean_seconds": sum(ended.seconds) / len(ended.seconds) if ended.seconds else None,
        "taken_with": fingerprint(integration) if ended.delivered else "",
    }
    values |= _spell(target.rows, ended)
    if ended.paused_until > now.timestamp():
        values |= {"paused_until": _time(ended.paused_until), "pause_reason": ended.pause_reason}
    values["is_slow"] = (values["mean_seconds"] or 0) > 0.5
    Lane.objects.update_or_create(integration=integration, defaults=values)
    is_tested = bool(ended.delivered) or target.place.kind in ("woocommerce", "MOCK")
    columns: dict[str, Any] = {
        "is_active": target.place.state != "paused",
        "is_enabled": ended.disabled_at is None,
        "is_connected": is_tested and ended.disabled_at is None,
        "last_test_at": integration.created_at if is_tested else None,
        "auth_failure_count": ended.refusals,
        "last_auth_failure_at": _time(ended.last_refused),
        "disabled_reason": ended.disabled_reason,
        "updated_at": _saved_at(target, now),
    }
    TenantIntegration.unannounced.filter(pk=integration.pk).update(**columns)
    for name, value in columns.items():
        setattr(integration, name, value)


def _saved_at(target: _Target, now: datetime) -> datetime:
    """Return when somebody saved the settings last, as the audit trail has it."""
    if target.place.state == "paused":
        return now - PAUSED_SINCE
    return now - LIMITED_SINCE if target.place.limit else target.integration.created_at


def _skipped(event: IntegrationEvent, why: str, target: _Target, content_type: ContentType) -> IntegrationSync:
    return IntegrationSync(
        event=event,
        integration=target.integration,
        object_key=f"{content_type.pk}:{event.object_id}",
        status=IntegrationSync.Status.SKIPPED,
        reason=why,
        created_at=event.occurred_at,
        settled_at=event.occurred_at,
        next_attempt_at=event.occurred_at,
    )


def _sync(row: lane.Owed, event: IntegrationEvent, target: _Target, content_type: ContentType) -> IntegrationSync:
    return IntegrationSync(
        event=event,
        integration=target.integration,
        object_key=f"{content_type.pk}:{event.object_id}",
        status=row.status,
        attempts=row.attempts,
        next_attempt_at=business.utc(row.due or row.made),
        first_failed_at=_time(row.first_failed),
        last_failed_at=_time(row.last_failed),
        last_error=row.last_error[:1100],
        response_status=row.response_status,
        reason=row.reason[:500],
        created_at=business.utc(row.made),
        synced_at=_time(row.settled) if row.status == "synced" else None,
        settled_at=_time(row.settled),
    )


def _log(attempt: lane.Attempt, sync: IntegrationSync, target: _Target, host: str) -> ExecutionLog:
    return ExecutionLog(
        integration=target.integration,
        sync=sync,
        action="deliver",
        method="POST",
        url=f"http://{host}" if host else "",
        response_status=attempt.status,
        response_payload=(attempt.error.excerpt if attempt.error is not None else attempt.excerpt) or None,
        duration_ms=attempt.ms,
        error=attempt.error.message if attempt.error is not None else "",
        attempt=attempt.number,
        exchanges=attempt.exchanges,
        created_at=business.utc(attempt.ended),
    )


def _note(row: lane.Owed, event: business.Happened, target: _Target) -> Note:
    about = (target.integration.name, event.event_type)
    if row.status == "synced":
        text = notes.received(*about, status=row.response_status, attempt=row.attempts)
    elif row.status == "failed":
        error = row.log[-1].error
        text = notes.not_received(*about, attempts=row.attempts, why=error.message if error else "")
    else:
        text = notes.not_sent(*about, ended_as=row.status, why=row.reason)
    note = Note(tenant=event.cast.tenant, work_item=event.item, text=text)
    note.created_at = business.utc(row.settled or row.made)
    return note


# -- what came in and what was handed over -----------------------------------------------------------------------


def _others(targets: Sequence[_Target], since: datetime, now: datetime, luck: str, filled: Filled) -> None:
    chance = random.Random(f"{luck} others")  # noqa: S311
    received: list[WebhookEvent] = []
    wrote: list[Note] = []
    for target in targets:
        if target.place.actions:
            items = list(WorkItem.objects.filter(tenant=target.integration.tenant_id).order_by("pk"))
            times = list(business.moments(since, now, 14, chance))
            calls, said = others.calls(target.integration, items, times, chance)
            received += calls
            wrote += said
    received.sort(key=lambda event: event.received_at)
    WebhookEvent.objects.bulk_create(received, batch_size=BATCH)
    Note.unannounced.bulk_create([note for note in wrote if note.created_at < now], batch_size=BATCH)
    shops = [target.integration for target in targets if target.place.kind == "woocommerce"]
    if not SyncState.objects.filter(connection__in=shops).exists():
        SyncState.objects.bulk_create(others.pulls(shops, now))
    filled.counts |= {"inbound webhooks": len(received)}


def _pushes(targets: Sequence[_Target], since: datetime, now: datetime, luck: str) -> others.Pushes:
    chance = random.Random(f"{luck} pushes")  # noqa: S311
    found = others.Pushes()
    for target in targets:
        if target.place.kind == "MOCK":
            times = list(business.moments(since, now - timedelta(minutes=5), 9, chance))
            have = IntegrationEvent.objects.filter(event_type=ORDER_PUSH, tenant=target.integration.tenant_id).count()
            others.add_pushes(found, target.integration, times, chance, first=20_001 + have)
    return found


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else business.utc(seconds)


@contextmanager
def _dated(*kinds: type[models.Model]) -> Iterator[None]:
    """Let rows of these models bring their own time of making."""
    columns: list[Any] = [each for kind in kinds for each in kind._meta.fields if getattr(each, "auto_now_add", False)]
    for column in columns:
        column.auto_now_add = False
    try:
        yield
    finally:
        for column in columns:
            column.auto_now_add = True
