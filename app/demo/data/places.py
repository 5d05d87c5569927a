"""Who is in the demo, where their events go, and how those destinations answer. Pure: the receiver of `make run`
(app/demo/receiver.py) and the simulated week answer by the same table.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALL = ("workitem_created", "workitem_status_changed", "workitem_updated")
CREATED, CHANGED, UPDATED = ALL
HEALTHY = '{"received":true}'


@dataclass(frozen=True, slots=True)
class Outage:
    """For a while every request gets `status` (0: no answer in time); `start`, `end` in hours before now."""

    start: float
    end: float
    status: int
    body: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """One destination: an integration, and the system behind it.

    Attributes:
        path: of its address, and its name in the table.
        wants: event type → condition, "" for none.
        hours: how long it is there; None: for weeks.
        state: "" if nothing is special; "paused" by its tenant, "set up" has no subscription yet, "no grant" waits for
            a person at the provider.
        median_ms: how long an answer takes.
        fails: the part of requests that get `failure` (status, body).
        rejects: the part of the objects whose events are never taken: 422, with a sentence.
    """

    path: str
    name: str
    kind: str
    wants: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    median_ms: float = 90.0
    fails: float = 0.0
    failure: tuple[int, str] = (503, "upstream connect error or disconnect/reset before headers")
    rejects: float = 0.0
    outages: tuple[Outage, ...] = ()
    answer: str = HEALTHY
    config: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None  # requests a minute
    actions: tuple[str, ...] = ()
    hours: float | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """One tenant: how busy it is (work items a day), what it repairs and why, its destinations."""

    name: str
    a_day: float
    things: tuple[str, ...]
    faults: tuple[str, ...]
    counters: tuple[str, ...]
    places: tuple[Place, ...]
    has_people: bool = False  # one of each role, who may sign in


def every(*types: str, only: str = "") -> dict[str, str]:
    return dict.fromkeys(types or ALL, only)


COMPANIES = (
    Company(
        "Acme Corp",
        64,
        ("iPhone 13 Pro", "iPhone 15", "Galaxy S23", "Pixel 8", "iPad Air", "MacBook Air M2"),
        ("screen is cracked", "does not switch on", "battery empty within an hour", "fell into water", "no sound"),
        ("Main Store", "Station Kiosk"),
        (
            Place(
                "acme/n8n-production",
                "Production n8n workflow",
                "n8n",
                every(),
                median_ms=70,
                answer='{"message":"Workflow was started"}',
                actions=("workitem-note", "workitem-status"),
            ),
            Place(
                "acme/services/T024BE7LD/B07ACMEOPS/workshop",
                "Slack #workshop",
                "slack",
                every(CREATED, CHANGED),
                median_ms=210,
                answer="ok",
                limit=60,
            ),
            Place(
                "acme/customer-portal",
                "Customer portal",
                "webhook",
                every(),
                median_ms=140,
                fails=0.42,
                rejects=0.02,
                failure=(502, "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.25.3</body></html>"),
                outages=(Outage(75, 73.6, 504, "upstream request timeout"),),
            ),
            Place(
                "acme/warehouse-lake",
                "Warehouse data lake",
                "webhook",
                every(),
                median_ms=45,
                outages=(
                    Outage(98, 97.2, 503, '{"error":"maintenance"}'),
                    Outage(3.4, 0, 503, '{"error":"no healthy upstream"}'),
                ),
            ),
            Place(
                "acme/insurance-claims",
                "Insurance claims",
                "webhook",
                every(CREATED, CHANGED),
                median_ms=320,
                outages=(Outage(43.2, 0, 401, '{"error":"invalid_token","error_description":"key was revoked"}'),),
            ),
            Place("acme/pager", "On-call pager", "webhook", every(CREATED, only="workitem.priority == 'Urgent'")),
            Place(
                "acme/legacy-crm",
                "Legacy CRM",
                "webhook",
                every(CREATED, UPDATED),
                state="paused",
                rejects=0.08,
                outages=(Outage(76, 52, 400, '{"error":"API version 1 was retired"}'),),
            ),
            Place("", "Warehouse ERP", "MOCK", config={"mode": "success"}),
            Place("", "Salesforce Service Cloud", "salesforce", every(CREATED, CHANGED), state="no grant", hours=20),
            Place("acme/teams-management", "Teams: management", "teams", state="set up"),
        ),
        has_people=True,
    ),
    Company(
        "Northwind Repairs",
        40,
        ("Espresso machine", "Dishwasher", "Washing machine", "Vacuum robot", "Mixer"),
        ("leaks after a few minutes", "makes a loud noise", "shows error E24", "does not switch on", "yearly service"),
        ("Harbour Street", "Pick-up van"),
        (
            Place(
                "northwind/n8n-cloud",
                "n8n Cloud",
                "n8n",
                every(),
                median_ms=95,
                answer='{"message":"Workflow was started"}',
                actions=("workitem-note",),
                outages=(Outage(30.5, 29.4, 404, '{"code":404,"message":"The requested webhook is not registered."}'),),
            ),
            Place(
                "northwind/discord/repairs",
                "Discord #repairs",
                "discord",
                every(CHANGED),
                median_ms=160,
                answer='{"id":"1312345678901234567","type":0}',
            ),
            Place(
                "northwind/route-planner",
                "Route planner",
                "webhook",
                every(CREATED, UPDATED),
                median_ms=620,
                rejects=0.015,
            ),
            Place("northwind/shop", "Spare parts shop", "woocommerce"),
        ),
        has_people=True,
    ),
    Company(
        "Contoso Bikes",
        26,
        ("City bike", "E-bike", "Cargo bike", "Mountain bike", "Child seat"),
        ("brakes squeal", "gears slip", "flat tyre", "spring service", "creaks at every turn"),
        ("Old Town", "Riverside"),
        (
            Place("contoso/fleet", "Fleet portal", "webhook", every(), median_ms=60),
            Place(
                "contoso/billing",
                "Billing",
                "webhook",
                every(CHANGED),
                median_ms=110,
                fails=0.06,
                failure=(429, '{"error":"rate limit exceeded"}'),
            ),
            Place("contoso/shop", "Web shop", "woocommerce"),
        ),
    ),
    Company(
        "Initech Field Service",
        8,
        ("Printer", "Copier", "Label printer"),
        ("paper jam", "prints stripes", "is not found in the network", "toner low"),
        ("Head office",),
        (
            Place("initech/archive", "Archive", "webhook", every("workitem_deleted")),
            Place("initech/ticketing", "Ticketing", "webhook", every(CREATED, CHANGED), median_ms=180),
        ),
    ),
)

REJECTION = json.dumps({"error": "customer.email: must not be empty"})


def all_places() -> dict[str, Place]:
    """Return the destinations by the path of their address."""
    return {place.path: place for company in COMPANIES for place in company.places if place.path}


def answer_of(place: Place, *, hours_ago: float, subject: str, chance: random.Random) -> tuple[int, str]:
    """Return (status, body) of an answer; status 0 stands for none in time.

    Args:
        hours_ago: when it is asked, before now; 0 is now.
        subject: what the event is about: whether it is ever taken depends on nothing else.
    """
    for outage in place.outages:
        if outage.end <= hours_ago < outage.start:
            return outage.status, outage.body
    if place.rejects and random.Random(f"{place.path} {subject}").random() < place.rejects:  # noqa: S311
        return 422, REJECTION
    if place.fails and chance.random() < place.fails:
        return place.failure
    return 204 if place.answer == "" else 200, place.answer


def milliseconds(place: Place, status: int, chance: random.Random) -> int:
    """Return how long an answer took: rarely long, as answers are."""
    if status == 0:
        return 30_000
    return max(4, round(chance.lognormvariate(0, 0.55) * place.median_ms))
