"""How fast rows that are due are delivered: ours, peers, and loops that do nothing else."""

from __future__ import annotations

import time
from pathlib import Path

from app.bench import limits
from app.bench.cell import Cell
from app.bench.figures import Metrics
from app.bench.processes import Usage, all_processes

WARM_UP = 30
PATIENCE = 600.0


def ours(cell: Cell) -> Metrics:
    """Rows are inserted beforehand; the time is from the sweep's request until everything is settled."""
    from app.bench import ours as side
    from app.bench import rows
    from integrations.models import ExecutionLog
    from tasks.models import Note

    lanes, count = cell.settings["lanes"], cell.settings["rows"]
    integrations = side.add_integrations(cell, lanes)
    ids = [one.pk for one in integrations]
    body = rows.template_body(integrations[0])
    side.start_workers(cell, cell.settings["processes"])
    rows.add_due(integrations, WARM_UP, body)
    side.sweep()
    cell.wait(lambda: side.settled(ids), "the warm-up", 60)
    rows.add_due(integrations, count // lanes, body)
    rows.analyze()
    cell.receiver.reset()
    total = count // lanes * lanes
    with cell.usage() as usage:
        begun = time.perf_counter()
        side.sweep()
        cell.wait_received(total, PATIENCE)
        cell.wait(lambda: side.settled(ids), "the rows to be settled", 60)
        seconds = time.perf_counter() - begun
    expected = total + WARM_UP * lanes
    found = {"log entries": ExecutionLog.objects.filter(action="deliver").count(), "notes": Note.objects.count()}
    if any(value != expected for value in found.values()):
        raise RuntimeError(f"expected {expected} of each, found {found}")
    return _metrics(total, seconds, usage) | {"copies": cell.receiver.count() - total}


def peer(cell: Cell) -> Metrics:
    """The same for a peer: its messages or rows are there beforehand, its worker begins when it is told to."""
    from app.bench.peers.project import PEERS

    found = PEERS[cell.settings["peer"]]
    lanes = cell.settings["lanes"]
    sizes = [cell.settings[name] for name in ("rows", "peer_rows", "most_rows") if name in cell.settings]
    each = min(sizes) // lanes
    total = each * lanes
    found.set_up(cell, lanes)
    found.start(cell, cell.settings["processes"])
    for number in range(lanes):
        found.queue(number, each)
    cell.receiver.reset()
    with cell.usage() as usage:
        begun = time.perf_counter()
        found.release()
        cell.wait_received(total, PATIENCE)
        cell.wait(found.finished, "everything to be written down", 60)
        seconds = time.perf_counter() - begun
    return _metrics(total, seconds, usage)


def bare(cell: Cell) -> Metrics:
    """The loops of limits.py on the same rows: one process, or several that share the lanes."""
    from app.bench import ours as side
    from app.bench import rows

    lanes, count, processes = cell.settings["lanes"], cell.settings["rows"], cell.settings["processes"]
    integrations = side.add_integrations(cell, lanes)
    rows.add_due(integrations, count // lanes, rows.template_body(integrations[0]))
    rows.analyze()
    total = count // lanes * lanes
    for number in range(min(processes, lanes)):
        ids = ",".join(str(one.pk) for one in integrations[number::processes])
        words = ["-m", "app.bench.limits", cell.settings["client"], ids]
        cell.workers.append(cell.python(f"limit{number}", words, talks=True))
    for worker in cell.workers:
        worker.first_line()
    with cell.usage() as usage:
        begun = time.perf_counter()
        for worker in cell.workers:
            assert worker.process.stdin is not None
            worker.process.stdin.write(b"go\n")
            worker.process.stdin.flush()
        for worker in cell.workers:
            worker.first_line()
        seconds = time.perf_counter() - begun
    if cell.receiver.count() != total:
        raise RuntimeError(f"{cell.receiver.count()} of {total} requests arrived")
    return _metrics(total, seconds, usage)


def sends(cell: Cell) -> Metrics:
    """Requests only, without a database: what a client can send, and how much of a processor the receiver takes."""
    count, url, body = cell.settings["rows"], cell.receiver.url("/hook/0"), b'{"reference_id":"x"}' + b" " * 900
    before = _receiver_cpu(cell)
    with Usage([]):
        if (client := cell.settings["client"]) == "none":
            count = count // 50 * 50
            seconds = limits.pipelined_sends(url, count, body)
        else:
            seconds = limits.bare_sends(client, url, count, body)
    used = _receiver_cpu(cell) - before
    return {"rate": count / seconds, "receiver_us": used / count * 1e6}


def _receiver_cpu(cell: Cell) -> float:
    if not Path("/proc").exists():
        return float("nan")
    return all_processes()[cell.receiver.process.pid][1]


def _metrics(count: int, seconds: float, usage: Usage) -> Metrics:
    metrics = {"rate": count / seconds, "worker_ms": usage.cpu("worker") / count * 1000}
    if database := usage.cpu("database"):
        metrics["database_ms"] = database / count * 1000
    return metrics
