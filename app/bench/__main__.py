"""``python -m app.bench run``, ``list`` and ``report``: what ``make bench`` and ``make bench-quick`` call."""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from app.embedded_broker import PROJECT
from app.terminal import print_anywhere

from . import report
from .catalogue import SCALES, SCENARIOS, Scenario
from .processes import BenchError
from .runner import run

OUTPUT = PROJECT / ".local" / "bench"
PAGE = PROJECT / "docs" / "performance.md"


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0; 1 where a subject failed, or the run was stopped or could not begin."""
    print_anywhere()
    parser = argparse.ArgumentParser(prog="python -m app.bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="measure, print a table, write JSON and SVG below .local/bench/")
    runs.add_argument("--scale", choices=SCALES, default="quick")
    runs.add_argument("--only", nargs="+", metavar="SCENARIO", help="names of scenarios, as `list` prints them")
    runs.add_argument("--rounds", type=int, help="how often each subject runs")
    runs.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="other sizes, e.g. rows=2000")
    runs.add_argument("--embedded", action="store_true", help="SQLite and the embedded broker, whatever answers")
    runs.add_argument("--output", type=Path, help="a directory for the results")
    commands.add_parser("list", help="print the scenarios")
    reports = commands.add_parser("report", help="render a run again")
    reports.add_argument(
        "files",
        type=Path,
        metavar="FILE",
        nargs="*",
        default=[OUTPUT / "latest" / "results.json"],
        help="results.json of one run, or of several: where two measured a scenario, the later one counts",
    )
    reports.add_argument("--publish", action="store_true", help=f"into {PAGE.relative_to(PROJECT)} and its folder")
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "list":
            return _list()
        return _run(asked) if asked.command == "run" else _report(asked)
    except KeyboardInterrupt:
        _say("stopped before anything was measured; everything that was started has ended")
        return 130
    except (BenchError, ValueError, FileNotFoundError) as error:
        _say(str(error))
        return 1


def _list() -> int:
    for one in SCENARIOS:
        sys.stdout.write(f"{one.key:16} {'quick, full' if one.quick is not None else 'full':12} {one.title}\n")
    return 0


def _run(asked: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    output = asked.output or OUTPUT / datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    sizes = dict(_size(word) for word in asked.set)
    result = run(
        _chosen(asked.only),
        asked.scale,
        rounds=asked.rounds,
        sizes=sizes,
        embedded=asked.embedded,
        say=_say,
        keep=lambda unfinished: report.write(unfinished, output),
    )
    report.write(result, output)
    latest = OUTPUT / "latest"
    if not asked.output:
        latest.unlink(missing_ok=True)
        latest.symlink_to(output.name)
    sys.stdout.write(f"\n{report.text(result)}\nWritten to {output}\n")
    return int(bool(result.get("is_partial")) or any(one["errors"] for one in result["scenarios"].values()))


def _chosen(names: list[str] | None) -> list[Scenario]:
    if unknown := set(names or ()) - {one.key for one in SCENARIOS}:
        raise ValueError(f"unknown scenario {', '.join(sorted(unknown))}; `python -m app.bench list` prints them")
    return [one for one in SCENARIOS if names is None or one.key in names]


def _size(word: str) -> tuple[str, float]:
    name, _, value = word.partition("=")
    try:
        return name, int(value) if value.isdigit() else float(value)
    except ValueError:
        raise ValueError(f"--set {word}: expected NAME=NUMBER, e.g. rows=2000") from None


def _report(asked: argparse.Namespace) -> int:
    runs = [report.read(file) for file in asked.files]
    found = runs[0] if len(runs) == 1 else report.together(runs)
    if asked.publish:
        report.publish(found, PAGE)
    elif len(runs) == 1:
        report.write(found, asked.files[0].parent)
    sys.stdout.write(report.text(found))
    return 0


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def _interrupt(number: int, frame: FrameType | None) -> None:
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # a second Ctrl-C must not leave anything behind
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
