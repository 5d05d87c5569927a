"""Work items of a repair shop over some days, what people change of them, and the events in which that shows."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from integrations.capture.trigger_handler import TriggerHandler
from integrations.outbox.canonical_json import encode, sanitise_object
from tasks.models import CustomerAsset, DropoffPoint, WorkItem
from tenants.models import Tenant

from .places import Company

HOURS = (1, 1, 1, 1, 1, 2, 4, 9, 14, 16, 15, 13, 11, 13, 14, 14, 12, 10, 7, 4, 3, 2, 2, 1)  # how busy each is
WEEKEND = 0.45
SHOPS_NOW = datetime(2026, 1, 8, 15, 30, tzinfo=UTC)  # a Thursday; so late it is where the shops are, always
FIRST = ("Anna", "Ben", "Chloe", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kemal", "Lena", "Marta",
         "Noah", "Olga", "Paul", "Rosa", "Samir", "Tessa", "Victor")  # fmt: skip
LAST = ("Adler", "Bianchi", "Costa", "Dubois", "Eriksen", "Fischer", "García", "Horvat", "Ivanova", "Jansen", "Kaya",
        "Lindgren", "Moreau", "Novak", "Okafor", "Petrov", "Rossi", "Schmidt", "Tanaka", "Weber")  # fmt: skip
REMARKS = ("Customer waits for a call.", "Part is ordered.", "Warranty checked, valid until June.",
           "No damage on the outside.", "Customer agreed to the price.", "Second visit this year.")  # fmt: skip
SAID = ("Called the customer: tomorrow is fine.", "The spare part came in.", "Price agreed on the phone.",
        "Tested for an hour, works.", "Could not reach the customer, tried twice.")  # fmt: skip
Status, Priority = WorkItem.Status, WorkItem.Priority


@dataclass(frozen=True, slots=True)
class Cast:
    """A tenant with who and what its work items are about."""

    company: Company
    tenant: Tenant
    people: Sequence[Any]
    assets: Sequence[CustomerAsset]  # with their customers
    counters: Sequence[DropoffPoint]


@dataclass(slots=True)
class Change:
    """A moment at which `item` is saved, new (no `values`) or with `values`."""

    at: datetime
    cast: Cast
    item: WorkItem
    values: Mapping[str, Any]
    actor: str = ""
    remark: str = ""  # a note that a person wrote then


@dataclass(slots=True)
class Happened:
    """An event as it is to be stored."""

    at: datetime
    cast: Cast
    item: WorkItem
    event_type: str
    payload: dict[str, Any]
    actor: str = ""

    @property
    def body(self) -> str:
        return encode(self.payload)


def customer_names(company: Company, chance: random.Random) -> list[str]:
    names = [f"{first} {last}" for first in FIRST for last in LAST]
    return chance.sample(names, min(len(names), int(12 + company.a_day)))


def new_item(cast: Cast, number: int, at: datetime, chance: random.Random) -> WorkItem:
    """Return a work item that somebody brings in, not saved."""
    asset = chance.choice(cast.assets)
    fault = chance.choice(cast.company.faults)
    kind = chance.choices(list(WorkItem.Type), (6, 3, 2))[0]
    return WorkItem(
        tenant=cast.tenant,
        reference_id=f"{cast.tenant.name[:3].upper()}-{number}",
        description=f"{asset.name}: {fault}",
        type=kind,
        priority=chance.choices(list(Priority), (2, 12, 4, 1))[0],
        created_date=at,
        due_date=at.replace(minute=0, second=0, microsecond=0) + timedelta(days=chance.randint(2, 9)),
        customer=asset.customer,
        customer_asset=asset,
        owner=cast.people[0],
        dropoff_point=chance.choice(cast.counters),
        intake_method=chance.choices(list(WorkItem.IntakeMethod), (6, 2, 2, 3))[0],
        comments=chance.choice(REMARKS) if chance.random() < 0.5 else "",
    )


def next_values(item: WorkItem, cast: Cast, chance: random.Random) -> dict[str, Any]:
    """Return what somebody does to `item` next; {} when it is done."""
    if item.status == Status.NEW:
        found: dict[str, Any] = {"status": Status.IN_PROGRESS, "technician": chance.choice(cast.people[1:])}
        return {"status": Status.CANCELLED} if chance.random() < 0.05 else found
    if item.status == Status.IN_PROGRESS and item.estimated_price is None:
        return {"estimated_price": Decimal(chance.randint(30, 420)) + Decimal("0.90")}
    if item.status == Status.IN_PROGRESS and chance.random() < 0.4:
        return {"status": Status.WAITING, "comments": chance.choice(REMARKS)}
    if item.status == Status.WAITING:
        return {"status": Status.IN_PROGRESS, "priority": Priority.HIGH} if chance.random() < 0.5 else _done(item)
    return {} if item.status in (Status.COMPLETED, Status.CANCELLED) else _done(item)


def _done(item: WorkItem) -> dict[str, Any]:
    return {"status": Status.COMPLETED, "final_price": item.estimated_price}


def busy(at: datetime, now: datetime) -> float:
    """Return how busy the shops are at `at`. Whoever looks, at whatever hour, finds them at work."""
    local = SHOPS_NOW - (now - at)
    return HOURS[local.hour] * (WEEKEND if local.weekday() >= 5 else 1)


def moments(start: datetime, end: datetime, a_day: float, chance: random.Random) -> Iterator[datetime]:
    """Yield times between `start` and `end`, about now, denser where shops are open."""
    hour = start
    while hour < end:
        expected = a_day * busy(hour, end) / sum(HOURS)
        # A Poisson number, by its steps.
        passed = chance.expovariate(1.0)
        found = []
        while passed < expected:
            found.append(hour + timedelta(hours=chance.random()))
            passed += chance.expovariate(1.0)
        yield from sorted(at for at in found if at < end)
        hour += timedelta(hours=1)


def life(cast: Cast, item: WorkItem, end: datetime, chance: random.Random) -> Iterator[Change]:
    """Yield what becomes of a work item until now (`end`); each change is applied before the next is asked for."""
    at = item.created_date
    yield Change(at, cast, item, {}, chance.choice(cast.people[1:]).get_username())
    while True:
        hours = chance.lognormvariate(0, 1.1) * (1.5 if item.status == Status.NEW else 5)
        at += timedelta(hours=max(0.02, hours))
        values = next_values(item, cast, chance)
        if not values or at >= end:
            return
        if HOURS[(SHOPS_NOW - (end - at)).hour] < 3:  # nobody is in the shop
            at += timedelta(hours=8)
            continue
        who = values.get("technician") or item.technician or cast.people[0]
        yield Change(at, cast, item, values, who.get_username(), chance.choice(SAID) if chance.random() < 0.25 else "")


def events_of(change: Change, handler: TriggerHandler) -> Iterator[Happened]:
    """Yield the events of a change that was applied to its item, as the trigger handler tells them."""
    item, old = change.item, {}
    if not change.values:
        yield _happened(change, handler, handler.created, {})
        return
    old = {name: _shown(item, name) for name in change.values}
    for name, value in change.values.items():
        setattr(item, name, value)
    changes = {name: {"old": old[name], "new": _shown(item, name)} for name in change.values}
    changes = {name: both for name, both in changes.items() if both["old"] != both["new"]}
    if "status" in changes:
        yield _happened(change, handler, handler.status_changed, {"changes": changes})
    if changes.keys() - {"status"}:
        yield _happened(change, handler, handler.updated, {"changes": changes})


def _shown(item: WorkItem, name: str) -> Any:
    """Return a value as events show it: the label of a choice, the key of a relation."""
    field: Any = WorkItem._meta.get_field(name)
    value = getattr(item, getattr(field, "attname", name))
    return dict(field.flatchoices).get(value, value) if getattr(field, "choices", None) else value


def _happened(change: Change, handler: TriggerHandler, event_type: str, extra: Mapping[str, Any]) -> Happened:
    tenant = change.cast.tenant
    about = {"event_type": event_type, "timestamp": change.at, "tenant": {"id": tenant.pk, "name": tenant.name}}
    told = handler.happening(event_type, change.item, extra, using="default")
    payload = sanitise_object({**about, **told.payload}, limit=1 << 20)
    return Happened(change.at, change.cast, change.item, event_type, payload, change.actor)


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
