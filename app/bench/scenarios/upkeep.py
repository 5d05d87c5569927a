"""The periodic look, deletion, and memory over many deliveries."""

from __future__ import annotations

import resource
import sys
import time

from app.bench.cell import Cell
from app.bench.figures import Metrics
from app.bench.processes import BenchError

MIB = 1024 * 1024


def sweep(cell: Cell) -> Metrics:
    """Look at many lanes of which each has something due, twice: nobody works at what was found the first time."""
    from app.bench import ours as side
    from app.bench import rows
    from integrations.models import TenantIntegration
    from integrations.tasks import retry_failed_syncs

    integration = side.add_integration("Bench", cell.receiver.url())
    body = rows.template_body(integration)
    rows.add_lanes(cell.settings["lanes"])
    rows.add_due(list(TenantIntegration.objects.filter(name="Crowd")), 1, body, with_items=False)
    rows.analyze()
    found: Metrics = {}
    for name in ("first", "again"):
        begun = time.perf_counter()
        retry_failed_syncs()
        found[name] = time.perf_counter() - begun
    return found


def delete(cell: Cell) -> Metrics:
    """Delete an integration with a long history: what its user waits for, and how long until its rows are gone."""
    from app.bench import ours as side
    from app.bench import rows
    from integrations.models import IntegrationSync, TenantIntegration

    integration = side.add_integration("Bench", cell.receiver.url())
    pk = integration.pk
    source = f"(SELECT id, tenant_id FROM {rows.table(TenantIntegration)} WHERE id = {pk}) AS t"
    rows.add_settled(source, cell.settings["rows"])
    rows.analyze()
    before, begun = _peak(), time.perf_counter()
    integration.delete()
    found = {"call": time.perf_counter() - begun, "caller_mib": (_peak() - before) / MIB}

    def gone() -> bool:
        return not (
            TenantIntegration.objects.filter(pk=pk).exists()
            or IntegrationSync.objects.filter(integration_id=pk).exists()
        )

    if not gone():
        side.start_workers(cell, beat=True)
        with cell.usage() as usage:
            cell.wait(gone, "the rows to be deleted", 900, pause=0.5)
        found["worker_mib"] = (max(usage.memory) - usage.memory[0]) / MIB
    found["gone"] = time.perf_counter() - begun
    return found


def _peak() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory(cell: Cell) -> Metrics:
    """Deliver many rows in several portions; the size of the largest worker process at start, middle and end."""
    from app.bench import ours as side
    from app.bench import rows

    integrations = side.add_integrations(cell, cell.settings["lanes"])
    ids = [one.pk for one in integrations]
    body = rows.template_body(integrations[0])
    side.start_workers(cell, beat=True)
    portions, count = cell.settings["portions"], cell.settings["rows"]
    sizes: list[float] = []
    worker_seconds = database_seconds = 0.0
    seconds = 0.0
    for _ in range(portions):
        each = count // portions // len(ids)
        rows.add_due(integrations, each, body)
        with cell.usage() as usage:
            begun = time.perf_counter()
            side.sweep()
            cell.wait(lambda: side.settled(ids), "the rows to be settled", 900, pause=0.1)
            seconds += time.perf_counter() - begun
        sizes.append(usage.memory[-1] / MIB)
        worker_seconds += usage.cpu("worker")
        database_seconds += usage.cpu("database")
    total = count // portions // len(ids) * len(ids) * portions
    if not sizes[-1]:
        raise BenchError("this system does not tell how large a process is")
    return {
        "start": sizes[0],
        "middle": sizes[len(sizes) // 2],
        "end": sizes[-1],
        "rate": total / seconds,
        "worker_ms": worker_seconds / total * 1000,
        "database_ms": database_seconds / total * 1000,
    }
