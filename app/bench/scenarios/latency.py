"""From the commit of a change to its arrival at the receiver, at a steady rate of saves."""

from __future__ import annotations

import time
from collections.abc import Callable

from app.bench.cell import Cell
from app.bench.figures import Metrics, percentile, percentiles
from app.bench.receiver import Receiver

WARM_UP = 5
LATE_SECONDS = 20.0  # what has not arrived this long after the last save counts as this late


def ours(cell: Cell) -> Metrics:
    from app.bench import ours as side

    integration = side.add_integration("Bench", cell.receiver.url())
    side.start_workers(cell)
    commits: dict[str, int] = {}
    return measured(cell, lambda reference: side.save_item(integration.tenant, reference, commits), commits)


def peer(cell: Cell) -> Metrics:
    from app.bench.peers.apps import commits
    from app.bench.peers.project import PEERS

    found = PEERS[cell.settings["peer"]]
    found.set_up(cell, 1)
    found.start(cell, cell.settings["processes"])
    return measured(cell, found.save, commits)


def measured(cell: Cell, save: Callable[[str], object], commits: dict[str, int]) -> Metrics:
    """Save at the scenario's rate for its time; return the percentiles of commit → received in milliseconds."""
    for number in range(WARM_UP):
        save(f"warm-{number}")
        cell.wait(lambda number=number: f"warm-{number}" in references(cell.receiver), "the warm-up", 60)  # type: ignore[misc]
    saves: list[float] = []

    def timed(number: int) -> None:
        begun = time.perf_counter()
        save(f"S{number}")
        saves.append((time.perf_counter() - begun) * 1000)

    with cell.usage() as usage:
        count = paced(cell.settings["rate"], cell.settings["seconds"], timed)
        found = delays(cell.receiver, {name: at for name, at in commits.items() if name.startswith("S")})
    return {
        **percentiles(found),
        "save_p50": percentile(saves, 0.5),
        "worker_ms": usage.cpu("worker") / count * 1000,
        "saves": count,
    }


def paced(rate: float, seconds: float, act: Callable[[int], object]) -> int:
    """Call `act` at fixed times, whether or not earlier calls were late; return how often."""
    count, begun = int(rate * seconds), time.monotonic()
    for number in range(count):
        if (wait := begun + number / rate - time.monotonic()) > 0:
            time.sleep(wait)
        act(number)
    return count


def references(receiver: Receiver) -> set[str]:
    return {arrival.reference for arrival in receiver.arrivals()}


def delays(
    receiver: Receiver, commits: dict[str, int], late: float = LATE_SECONDS, *, answered: bool = False
) -> list[float]:
    """Wait for all of `commits`, at most `late` seconds; return the milliseconds from each commit to its first arrival.

    What did not arrive counts as if it arrived now. With `answered`, only arrivals that were answered with a 2xx count.
    """
    deadline = time.monotonic() + late
    while True:
        first: dict[str, int] = {}
        for arrival in receiver.arrivals():
            if not answered or 200 <= arrival.status < 300:
                first.setdefault(arrival.reference, arrival.at)
        now = time.monotonic_ns()
        if commits.keys() <= first.keys() or time.monotonic() > deadline:
            return [max(0, first.get(name, now) - at) / 1e6 for name, at in commits.items()]
        time.sleep(0.1)
