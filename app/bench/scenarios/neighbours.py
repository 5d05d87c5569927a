"""A healthy lane beside trouble: endpoints that hang, backlogs, payloads that a receiver refuses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from app.bench.cell import Cell
from app.bench.figures import Metrics, percentiles

from .latency import delays, paced


class Healthy:
    """A tenant that saves at a steady rate, and how long each of its events takes."""

    def __init__(self, cell: Cell, path: str = "/hook/") -> None:
        from app.bench import ours as side

        self._cell = cell
        self._side = side
        self.integration = side.add_integration("Healthy", cell.receiver.url(path))

    def watch(self, name: str, seconds: float, bad_every: int = 0) -> Metrics:
        """Save for `seconds`; return the percentiles of the healthy events. Every `bad_every`th is refused for ever."""
        commits: dict[str, int] = {}

        def save(number: int) -> None:
            word = "BAD" if bad_every and number % bad_every == bad_every - 1 else "G"
            self._side.save_item(self.integration.tenant, f"{word}-{name}-{number}", commits)

        paced(self._cell.settings["rate"], seconds, save)
        good = {reference: at for reference, at in commits.items() if reference.startswith("G")}
        found = delays(self._cell.receiver, good, self._cell.settings["late"], answered=True)
        late = [delay for delay in found if delay > 1000]
        return {**percentiles(found), "late": 100 * len(late) / len(found)}


def _started(cell: Cell) -> Healthy:
    from app.bench import ours as side

    healthy = Healthy(cell, cell.settings.get("path", "/hook/"))
    side.start_workers(cell, beat=True)
    side.save_item(healthy.integration.tenant, "warm-up")
    cell.wait_received(1, 60)
    return healthy


def _in_background(act: Callable[[threading.Event], Any]) -> tuple[threading.Thread, threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=act, args=(stop,), daemon=True)
    thread.start()
    return thread, stop


def hanging(cell: Cell) -> dict[str, Metrics]:
    """Endpoints answer at first and then hang, all at once; events for them go on. Optionally much is due for them."""
    from app.bench import ours as side
    from app.bench import rows

    healthy = _started(cell)
    count = cell.settings["endpoints"]
    others = [side.add_integration(f"Hangs {n}", cell.elsewhere.url(f"/later/{n}")) for n in range(count)]
    for number, other in enumerate(others):
        side.save_item(other.tenant, f"known-{number}")
    cell.wait(lambda: cell.elsewhere.count() >= count, "the endpoints to be known as fast", 60)
    calm = healthy.watch("calm", cell.settings["calm"])
    cell.elsewhere.hang(True)
    if due := cell.settings.get("due"):
        body = rows.template_body(healthy.integration)
        rows.add_due(others, due // count, body, with_items=False)
        side.sweep()

    def go_on(stop: threading.Event) -> None:
        turn = 0
        while not stop.is_set():
            for number, other in enumerate(others):
                side.save_item(other.tenant, f"hangs-{turn}-{number}")
            turn += 1
            stop.wait(cell.settings["every"])
        side.close_connection()

    thread, stop = _in_background(go_on)
    trouble = healthy.watch("trouble", cell.settings["trouble"])
    stop.set()
    thread.join(30)
    return {"calm": calm, "trouble": trouble}


def backlogged(cell: Cell) -> dict[str, Metrics]:
    """Other lanes have a backlog and a fast destination: everybody wants the workers."""
    from app.bench import ours as side
    from app.bench import rows

    healthy = _started(cell)
    lanes = cell.settings["lanes"]
    others = [side.add_integration(f"Behind {n}", cell.elsewhere.url(f"/hook/{n}")) for n in range(lanes)]
    calm = healthy.watch("calm", cell.settings["calm"])
    rows.add_due(others, cell.settings["due"], rows.template_body(healthy.integration), with_items=False)
    rows.analyze()
    side.sweep()
    cell.wait(lambda: cell.elsewhere.count() > 0, "the backlog to be worked at", 60)
    before, begun = cell.elsewhere.count(), time.monotonic()
    trouble = healthy.watch("trouble", cell.settings["trouble"])
    trouble["neighbours_rate"] = (cell.elsewhere.count() - before) / (time.monotonic() - begun)
    return {"calm": calm, "trouble": trouble}


def refused(cell: Cell) -> dict[str, Metrics]:
    """One lane whose receiver answers 500 to every tenth event, for ever."""
    healthy = _started(cell)
    calm = healthy.watch("calm", cell.settings["calm"])
    return {"calm": calm, "trouble": healthy.watch("trouble", cell.settings["trouble"], bad_every=10)}
