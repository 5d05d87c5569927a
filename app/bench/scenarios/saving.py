"""What a user's save costs: milliseconds and statements, beside the same save of a model that nobody captures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

from app.bench.cell import Cell
from app.bench.figures import Metrics, percentile

SUBSCRIBERS = {"nobody": 0, "one": 1, "five": 5}
TEXTS = {"description": "Screen repair: the glass is cracked.", "comments": "Dropped on concrete. No water damage."}


def uncaptured_model() -> Any:
    """Return a model with the columns and the table of WorkItem that is saved by Django alone."""
    from django.db import models

    from tasks.models import WorkItem

    fields: dict[str, Any] = {}
    for one in WorkItem._meta.local_fields:
        copy = one.clone()
        if isinstance(copy, models.ForeignKey):
            copy.remote_field.related_name = "+"
        fields[one.name] = copy
    meta = type("Meta", (), {"app_label": "app", "managed": False, "db_table": WorkItem._meta.db_table})
    return type("UncapturedItem", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


class Statements:
    """Counts the statements of a connection (BEGIN, COMMIT and savepoints are not counted by Django)."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.count += 1
        return execute(sql, params, many, context)


def saves(cell: Cell) -> dict[str, Metrics]:
    """Create, update and change the status: uncaptured, nobody, one and five subscribers, in turn."""
    if delay := cell.settings.get("network_ms"):
        _put_network_between(cell, delay)
    from django.db import connection, transaction

    from app.bench import ours as side
    from tasks.models import WorkItem
    from tenants.models import Tenant

    uncaptured = uncaptured_model()
    tenants = {}
    subscribed: list[int] = []
    for name, count in SUBSCRIBERS.items():
        tenants[name] = Tenant.objects.create(name=name)
        for number in range(count):
            subscribed.append(side.add_integration(f"{name} {number}", cell.receiver.url(), tenants[name]).pk)
    side.start_workers(cell)

    def calm_down() -> None:
        """Let the workers finish: each save finds its lanes idle, as it mostly does, and has to send its hints."""
        cell.wait(lambda: side.settled(subscribed), "the rows to be settled", 60, pause=0.002)
        time.sleep(0.004)

    makers: dict[str, Callable[[], Any]] = {
        "plain": lambda: uncaptured(tenant_id=tenants["nobody"].pk, reference_id="R", **TEXTS)
    }
    for name, tenant in tenants.items():
        makers[name] = lambda tenant=tenant: WorkItem(tenant=tenant, reference_id="R", **TEXTS)  # type: ignore[misc]
    modes: dict[str, Callable[[], AbstractContextManager[Any]]] = {"auto": nullcontext, "atomic": transaction.atomic}
    times: dict[str, dict[str, list[float]]] = {name: {} for name in makers}
    counts: dict[str, dict[str, int]] = {name: {} for name in makers}
    repeats = cell.settings["repeats"]
    for turn in range(repeats + 3):
        for name, make in makers.items():
            for mode, context in modes.items():
                for kind, seconds, statements in _three_saves(make, context, connection, turn):
                    if name in ("one", "five"):
                        calm_down()
                    if turn >= 3:  # the first ones prepare statements and fill caches
                        times[name].setdefault(f"{kind}_{mode}", []).append(seconds * 1000)
                    counts[name][f"{kind}_{mode}"] = statements
    found: dict[str, Metrics] = {}
    for name in makers:
        found[name] = {key: percentile(values, 0.5) for key, values in times[name].items()}
        found[name] |= {f"{key}_statements": value for key, value in counts[name].items()}
        found[name]["create_auto_p95"] = percentile(times[name]["create_auto"], 0.95)
    if delay:
        found["plain"]["round_trip"] = _round_trip()
    return found


def _three_saves(
    make: Callable[[], Any], context: Callable[[], AbstractContextManager[Any]], connection: Any, turn: int
) -> Iterator[tuple[str, float, int]]:
    item = make()
    for kind in ("create", "update", "status"):
        if kind == "update":
            item.comments = f"{item.comments} {turn}"
        elif kind == "status":
            item.status = "in_progress"
        statements = Statements()
        with connection.execute_wrapper(statements):
            begun = time.perf_counter()
            with context():
                item.save()
            seconds = time.perf_counter() - begun
        yield kind, seconds, statements.count


def _put_network_between(cell: Cell, milliseconds: float) -> None:
    """Let this process reach the database through a proxy that delays (the broker and the workers are near)."""
    from django.db import connections

    parts = urlsplit(os.environ["DATABASE_URL"])
    words = ["-m", "app.bench.delay_proxy", parts.hostname or "", str(parts.port or 5432), str(milliseconds)]
    port = int(cell.python("network", words, talks=True).first_line())
    settings = connections["default"].settings_dict
    connections["default"].close()
    settings["HOST"], settings["PORT"] = "127.0.0.1", str(port)


def _round_trip() -> float:
    from django.db import connection

    found = []
    for _ in range(50):
        begun = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        found.append((time.perf_counter() - begun) * 1000)
    return percentile(found, 0.5)


# -- many saves, one after the other ------------------------------------------------------------------


def saves_alone(cell: Cell) -> Metrics:
    """Save and let nobody deliver."""
    from app.bench import ours as side

    integration = side.add_integration("Bench", cell.receiver.url())
    side.save_item(integration.tenant, "warm-up")
    begun = time.perf_counter()
    for number in range(cell.settings["saves"]):
        side.save_item(integration.tenant, f"S{number}")
    return {"saves": time.perf_counter() - begun}


def saves_received(cell: Cell) -> Metrics:
    """Save while the workers deliver; the time until the last one has arrived, beside that of the saves."""
    from app.bench import ours as side

    integration = side.add_integration("Bench", cell.receiver.url())
    side.start_workers(cell)
    side.save_item(integration.tenant, "warm-up")
    cell.wait_received(1, 60)
    cell.receiver.reset()
    begun = time.monotonic_ns()
    for number in range(cell.settings["saves"]):
        side.save_item(integration.tenant, f"S{number}")
    saved = time.monotonic_ns() - begun
    cell.wait_received(cell.settings["saves"], 120)
    received = max(arrival.at for arrival in cell.receiver.arrivals()) - begun
    return {"saves": saved / 1e9, "received": max(saved, received) / 1e9, "share": max(1.0, received / saved)}


# -- bulk writes --------------------------------------------------------------------------------------


def bulk(cell: Cell) -> dict[str, Metrics]:
    """bulk_create and update(): uncaptured, captured with nobody who subscribes, and with one subscriber."""
    from app.bench import ours as side
    from tasks.models import WorkItem
    from tenants.models import Tenant

    uncaptured = uncaptured_model()
    silent = Tenant.objects.create(name="silent")
    nobody = Tenant.objects.create(name="nobody")
    one = side.add_integration("one", cell.receiver.url()).tenant
    found: dict[str, Metrics] = {}
    cases: tuple[tuple[str, Any, Tenant], ...] = (
        ("plain", uncaptured, silent),
        ("nobody", WorkItem, nobody),
        ("one", WorkItem, one),
    )
    for name, model, tenant in cases:
        items = [model(tenant_id=tenant.pk, reference_id=f"R{n}", **TEXTS) for n in range(cell.settings["creates"])]
        with _timed() as created:
            model.objects.bulk_create(items)
        chosen = model.objects.filter(tenant_id=tenant.pk)
        last = chosen.order_by("id").values_list("id", flat=True)[cell.settings["updates"] - 1]
        with _timed() as updated:
            chosen.filter(id__lte=last).update(status="in_progress")
        found[name] = {"create": created[0], "update": updated[0]}
    return found


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Yield a list that holds the milliseconds afterwards."""
    found: list[float] = []
    begun = time.perf_counter()
    yield found
    found.append((time.perf_counter() - begun) * 1000)
