"""Run the scenarios: each subject in a process of its own, in turn with the others, round by round."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from . import machine, receiver
from .catalogue import Scenario, Subject
from .processes import Started
from .services import Services, services

CELL_SECONDS = 1800.0
Say = Callable[[str], None]


def run(
    scenarios: Iterable[Scenario],
    scale: str,
    *,
    rounds: int | None,
    sizes: dict[str, float],
    embedded: bool,
    say: Say,
    keep: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Measure `scenarios` and return the run: what the report is made of.

    Args:
        rounds: how often each subject runs; None: as the scenarios say.
        sizes: replace settings of the same name in the scenarios that have it.
        embedded: use the embedded wheels even if services answer.
        keep: gets the run after each scenario, so that a long one is not lost.
    """
    chosen = [one for one in scenarios if one.settings(scale) is not None]
    projects = {subject.project for one in chosen for subject in one.subjects}
    begun = time.monotonic()
    with services(projects, embedded=embedded) as found:
        record: dict[str, Any] = {
            "format": 1,
            "scale": scale,
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.describe(),
            "database": found.database.kind,
            "broker": found.broker.kind,
            "receiver": receiver.kind(),
            "load": [machine.load()],
            "scenarios": {},
        }
        say(f"{found.database.kind}, {found.broker.kind}; receiver: {record['receiver']}")
        if machine.is_busy(record["load"][0]):
            say(f"load average {record['load'][0]:.1f}: this machine is busy, and the figures will say little")
        try:
            for one in chosen:
                if one.needs_postgres and not found.database.is_server:
                    say(f"{one.key}: needs PostgreSQL, left out")
                    continue
                record["scenarios"][one.key] = entry = _entry(one, scale, sizes)
                _measure(one, entry, rounds or one.rounds_at(scale), sizes, found, say)
                keep(record)
        except KeyboardInterrupt:
            say("stopped; what was measured so far is kept")
            record["is_partial"] = True
        record["load"].append(machine.load())
        record["seconds"] = round(time.monotonic() - begun, 1)
    return record


def _entry(one: Scenario, scale: str, sizes: dict[str, float]) -> dict[str, Any]:
    settings = dict(one.settings(scale) or {})
    settings |= {name: value for name, value in sizes.items() if name in settings}
    return {"settings": settings, "load": [], "runs": {subject.key: [] for subject in one.subjects}, "errors": {}}


def _measure(
    one: Scenario, entry: dict[str, Any], count: int, sizes: dict[str, float], found: Services, say: Say
) -> None:
    """Run each subject `count` times, in turn, and write into `entry` what comes of it."""
    errors: dict[str, str] = entry["errors"]
    for turn in range(count):
        for subject in one.subjects:
            if subject.run is None or subject.key in errors:
                continue
            if subject.needs_postgres and not found.database.is_server:
                errors[subject.key] = "it needs PostgreSQL"
                continue
            begun = time.monotonic()
            entry["load"].append(round(machine.load(), 2))
            answer = _cell(subject, entry["settings"], sizes, found)
            took = f"{one.key} · {subject.label} · {turn + 1}/{count} ({time.monotonic() - begun:.0f} s)"
            if "error" in answer:
                errors[subject.key] = answer["error"]
                say(f"{took}: {answer['error'].splitlines()[0][:300]}")
                continue
            result = answer["result"]
            if not all(isinstance(value, dict) for value in result.values()):
                result = {subject.key: result}
            for key, metrics in result.items():
                entry["runs"][key].append(metrics)
            say(f"{took}: {_brief(one, result)}")


def _brief(one: Scenario, result: dict[str, dict[str, float]]) -> str:
    keys = [metric for metric in one.metrics if metric.key in one.chart]
    words = []
    for subject, metrics in result.items():
        values = [f"{m.label} {metrics[m.key]:.{max(m.digits, 1)}f}" for m in keys if m.key in metrics]
        words.append(f"{subject}: {', '.join(values)}" if len(result) > 1 else ", ".join(values))
    return "; ".join(words)


def _cell(subject: Subject, settings: dict[str, Any], sizes: dict[str, float], found: Services) -> dict[str, Any]:
    """Run one measurement in a fresh database; whatever happens, nothing of it is left running."""
    own = {name: sizes.get(name, value) for name, value in subject.settings.items()}
    merged = {**settings, **own}
    found.database.renew(subject.project)
    found.broker.forget()
    command = [sys.executable, "-m", "app.bench.cell"]
    cell = Started("cell", command, env={**found.env(subject.project), **merged.pop("env", {})}, talks=True)
    order = json.dumps({"run": subject.run, "settings": merged}).encode() + b"\n"
    try:
        output, _ = cell.process.communicate(order, timeout=CELL_SECONDS)
    except subprocess.TimeoutExpired:
        output = b""
    finally:
        cell.end(patience=20)  # it ends what it started
    try:
        return dict(json.loads(output))
    except ValueError:
        return {"error": f"it ended without a result ({cell.process.returncode}): {cell.log[-1500:]}"}
