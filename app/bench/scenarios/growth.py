"""The drain of one lane, and the look of an idle one, in an empty database and in one that has grown."""

from __future__ import annotations

import time

from app.bench.cell import Cell
from app.bench.figures import Metrics, percentiles

from .latency import delays, paced


def measured(cell: Cell) -> Metrics:
    """Grow the database as the settings say, then drain one lane, then save now and then.

    The planner's statistics are those from before the drained rows came, unless they are to be fresh.
    """
    from app.bench import ours as side
    from app.bench import rows
    from integrations.models import TenantIntegration

    integration = side.add_integration("Bench", cell.receiver.url())
    body = rows.template_body(integration)
    mine = f"(SELECT id, tenant_id FROM {rows.table(TenantIntegration)} WHERE id = {integration.pk}) AS t"
    settings = cell.settings
    if lanes := settings.get("lanes"):
        crowd = rows.add_lanes(lanes)
        if each := settings.get("settled_each"):
            rows.add_settled(crowd, each)
    if settled := settings.get("settled"):
        rows.add_settled(mine, settled)
    if due := settings.get("due_elsewhere"):
        # Due, and nobody works at them: their lanes rest. What they cost is what is in the way.
        crowd = rows.add_lanes(settings["resting_lanes"])
        _rest("Crowd")
        others = list(TenantIntegration.objects.filter(name="Crowd").order_by("id"))
        rows.add_due(others, due // len(others), body, with_items=False)
    rows.analyze()
    side.start_workers(cell)
    side.save_item(integration.tenant, "warm-up")
    cell.wait_received(1, 60)
    count = settings["rows"]
    rows.add_due([integration], count, body)
    if settings.get("statistics") == "fresh":
        rows.analyze()
    cell.receiver.reset()
    begun = time.perf_counter()
    side.sweep()
    cell.wait_received(count, 300)
    cell.wait(lambda: side.settled([integration.pk]), "the rows to be settled", 60)
    rate = count / (time.perf_counter() - begun)
    commits: dict[str, int] = {}
    paced(settings["rate"], settings["seconds"], lambda n: side.save_item(integration.tenant, f"S{n}", commits))
    return {"rate": rate, **percentiles(delays(cell.receiver, commits))}


def _rest(name: str) -> None:
    """Let the lanes of these integrations rest for a day."""
    from datetime import timedelta

    from django.utils import timezone

    from integrations.models import Lane

    Lane.objects.filter(integration__name=name).update(paused_until=timezone.now() + timedelta(days=1))
