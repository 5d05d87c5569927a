"""Turn a run (JSON) into a table for the terminal, Markdown for the documentation, and SVG charts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from . import machine
from .catalogue import SCENARIOS, Scenario, Target
from .figures import Spread, ratio, spread, times, written

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
FAILED = "no result"
Run = dict[str, Any]


def read(file: Path) -> Run:
    """Read a run that was written by ``python -m app.bench run``.

    Raises:
        ValueError: the file holds something else.
    """
    run: Run = json.loads(file.read_text())
    if run.get("format") != 1:
        raise ValueError(f"{file} is not a run of this benchmark: format is {run.get('format')!r}, expected 1")
    return run


def together(runs: list[Run]) -> Run:
    """Return one run that holds the scenarios of several; of a scenario that two measured, the later one's.

    `parts` keeps what each of them ran on: for its own scenarios alone is it true. A run that is several already brings
    its own parts.
    """
    scenarios: Run = {}
    for run in runs:
        scenarios |= run["scenarios"]
    parts = []
    for run in runs:
        kept = [key for key, found in run["scenarios"].items() if scenarios[key] is found]
        whole = {**{key: value for key, value in run.items() if key != "scenarios"}, "of": kept}
        for part in run.get("parts", [whole]):
            parts.append({**part, "of": [key for key in part["of"] if key in kept]})
    return {"format": 1, "parts": [part for part in parts if part["of"]], "scenarios": scenarios}


def measured(run: Run) -> Iterator[tuple[Scenario, Run]]:
    """Yield the scenarios of the run in the order of the catalogue; unknown ones are left out."""
    for one in SCENARIOS:
        if one.key in run["scenarios"]:
            yield one, run["scenarios"][one.key]


# -- tables -------------------------------------------------------------------------------------------


def rows(one: Scenario, found: Run) -> list[list[str]]:
    """Return the table of one scenario; the first row is the head."""
    metrics = [m for m in one.metrics if any(m.key in run for runs in found["runs"].values() for run in runs)]
    labels = {metric.key: metric.label for metric in one.metrics}
    head = ["", *(metric.label for metric in metrics)]
    if len(one.subjects) > 1:
        head.append(f"{labels[one.ratio]} ÷ {_label(one, one.base)}")
    table = [head]
    base = _spread(found, one.base, one.ratio)
    for subject in one.subjects:
        if error := found.get("errors", {}).get(subject.key):
            table.append([subject.label, f"{FAILED}: {error.splitlines()[0][:120]}", *[""] * (len(head) - 2)])
            continue
        cells = [cell(_spread(found, subject.key, metric.key), metric.digits) for metric in metrics]
        if len(one.subjects) > 1:
            own = _spread(found, subject.key, one.ratio)
            cells.append(times(ratio(_median(own), _median(base))))
        table.append([subject.label, *cells])
    is_wide = len(metrics) > 6 and all(len(row) == len(head) for row in table) and not found.get("errors")
    return [list(column) for column in zip(*table, strict=True)] if is_wide else table


def cell(found: Spread | None, digits: int) -> str:
    """Return a median, with the smallest and largest run where there are several that differ."""
    if found is None:
        return "–"
    value = written(found.median, digits)
    low, high = written(found.low, digits), written(found.high, digits)
    return value if found.runs == 1 or low == high else f"{value} ({low}–{high})"


def verdicts(one: Scenario, found: Run) -> list[tuple[Target, float, bool]]:
    """Return each target that can be judged: the value reached and whether it is within its bound."""
    judged = []
    for target in one.targets:
        value = _value(found, target)
        if value is not None:
            within = value <= target.bound if target.is_at_most else value >= target.bound
            judged.append((target, value, within))
    return judged


def _value(found: Run, target: Target) -> float | None:
    of = _spread(found, *target.of)
    if of is None:
        return None
    if target.over is not None:
        over = _spread(found, *target.over)
        return ratio(of.median, _median(over))
    if target.minus is not None:
        minus = _spread(found, *target.minus)
        return None if minus is None else of.median - minus.median
    return of.median


def _verdict(target: Target, value: float, within: bool) -> str:
    sign = "≤" if target.is_at_most else "≥"
    unit = " ×" if target.over is not None else f" {target.unit}" if target.unit else ""
    reached = "reached" if within else "not reached"
    return f"{target.label}: {value:.3g}{unit}, wanted {sign} {target.bound:g}{unit}: {reached}"


def _spread(found: Run, subject: str, metric: str) -> Spread | None:
    return spread(found["runs"].get(subject, []), metric)


def _median(found: Spread | None) -> float | None:
    return None if found is None else found.median


def _label(one: Scenario, key: str) -> str:
    return next(subject.label for subject in one.subjects if subject.key == key)


# -- for the terminal ---------------------------------------------------------------------------------


def text(run: Run) -> str:
    """Return all tables for a terminal."""
    lines = [*_circumstances(run), ""]
    for one, found in measured(run):
        table = rows(one, found)
        whole = [row for row in table if not row[1].startswith(FAILED)]
        widths = [max(len(row[column]) for row in whole) for column in range(len(table[0]))]
        lines.append(f"{one.title} ({_sizes(found)})")
        for row in table:
            if row in whole:
                cells = [value.rjust(width) for value, width in zip(row[1:], widths[1:], strict=True)]
            else:
                cells = row[1:2]
            lines.append("  " + "  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
        lines += [f"  {_verdict(*judged)}" for judged in verdicts(one, found)]
        lines.append("")
    return "\n".join(lines)


def _circumstances(run: Run) -> list[str]:
    """Return what it ran on; of several runs, what each ran on, and of which scenarios that is true."""
    if "parts" not in run:
        return _machine(run)
    lines = []
    for part in run["parts"]:
        lines += [f"{', '.join(f'`{key}`' for key in part['of'])}:", *(f"  {line}" for line in _machine(part))]
    return lines


def _machine(run: Run) -> list[str]:
    about = run["machine"]
    load = " → ".join(f"{value:.2f}" for value in run["load"])
    lines = [
        f"{about['processor']}, {about['memory']}, {about['system']}, {about['python']}",
        f"{run['database']}, {run['broker']}; receiver: {run['receiver']}",
        f"{about['packages']}; revision {about['revision']}",
        f"scale {run['scale']}, begun {run['begun']}, {run.get('seconds', 0):,.0f} s, load average {load}",
    ]
    if machine.is_busy(run["load"][0]):
        lines.append("others were using the machine when it began: compare ratios at most")
    return [*lines, "stopped before its end"] if run.get("is_partial") else lines


# -- for the documentation ----------------------------------------------------------------------------


def markdown(run: Run, charts: str = "performance") -> str:
    """Return the results section: how it was measured, what was reached, a table and a chart for each scenario."""
    listed = (f"    - {line.strip()}" if line.startswith(" ") else f"- {line}" for line in _circumstances(run))
    parts = ["\n".join(listed)]
    judged = [(one, *verdict) for one, found in measured(run) for verdict in verdicts(one, found)]
    if judged:
        parts.append("### Targets")
        lines = ["| scenario | target | measured | wanted | |", "| --- | --- | --- | --- | --- |"]
        for one, target, value, within in judged:
            unit = " ×" if target.over is not None else f" {target.unit}" if target.unit else ""
            sign = "≤" if target.is_at_most else "≥"
            mark = "✓" if within else "✗"
            lines.append(
                f"| [{one.title}](#{_anchor(one.title)}) | {target.label} | {value:.3g}{unit} "
                f"| {sign} {target.bound:g}{unit} | {mark} |"
            )
        parts.append("\n".join(lines))
    for one, found in measured(run):
        parts.append(f"### {one.title}")
        parts.append(f"{one.question} (`{one.key}`: {_sizes(found)})")
        table = [[value.replace("|", "\\|") for value in row] for row in rows(one, found)]
        lines = [f"| {' | '.join(row)} |" for row in table]
        lines.insert(1, f"| --- |{' ---: |' * (len(table[0]) - 1)}")
        parts.append("\n".join(lines))
        if less := [f"- {subject.label}: {subject.less}." for subject in one.subjects if subject.less]:
            parts.append("\n".join(["What does less:", "", *less]))
        parts.append(f"![{one.title}]({charts}/{one.key}.svg)")
    return "\n\n".join(parts) + "\n"


def _sizes(found: Run) -> str:
    return ", ".join(f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"
                     for name, value in found["settings"].items())  # fmt: skip


def _anchor(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def write(run: Run, directory: Path) -> None:
    """Write results.json, results.md and the charts into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(run, indent=1) + "\n")
    (directory / "results.md").write_text(markdown(run, "."))
    for name, drawing in drawings(run).items():
        (directory / name).write_text(drawing)


def publish(run: Run, page: Path) -> None:
    """Replace the results in the documentation's page and the files of the folder beside it.

    Raises:
        ValueError: the page has no place for results.
    """
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    folder = page.with_suffix("")
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.svg"):
        old.unlink()
    (folder / "results.json").write_text(json.dumps(run, indent=1) + "\n")
    for name, drawing in drawings(run).items():
        (folder / name).write_text(drawing)
    page.write_text(f"{before}{BEGIN}\n\n{markdown(run, folder.name)}\n{END}{after}")


# -- charts: horizontal bars, one group for each subject, one bar for each metric --------------------------

WIDTH, LABELS, RIGHT = 760, 230, 110
BAR, GAP, TOP = 18, 12, 58
COLOURS = ("#2563eb", "#60a5fa", "#bfdbfe")
FIRST = ("#0f766e", "#2dd4bf", "#99f6e4")  # the subject that it is about


@dataclass(frozen=True, slots=True)
class Bar:
    """One value with its spread over the runs."""

    label: str
    spread: Spread | None


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of one subject."""

    label: str
    bars: Sequence[Bar]
    is_ours: bool = False


STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#334155}.t{font-weight:600;font-size:15px}.s{fill:#64748b}</style>"
)


def chart(title: str, unit: str, groups: Sequence[Group], digits: int = 1) -> str:
    """Return an SVG document that reads on a light and on a dark page."""
    largest = max((bar.spread.high for group in groups for bar in group.bars if bar.spread), default=0) or 1
    lines, y = [], TOP
    for group in groups:
        colours = FIRST if group.is_ours else COLOURS
        lines.append(_text(LABELS - 10, y + BAR * 0.75, group.label, anchor="end"))
        for number, bar in enumerate(group.bars):
            lines += _bar(bar, y, colours[number % len(colours)], (WIDTH - LABELS - RIGHT) / largest, digits)
            y += BAR + 2
        y += GAP
    height = y + 8
    names = [bar.label for bar in groups[0].bars] if groups else []
    subtitle = f"{unit} · {', '.join(names)}" if len(names) > 1 else unit
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title, {chr(34): "&quot;"})}">'
    )
    page = f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>'
    titles = [_text(16, 26, title, kind="t"), _text(16, 44, f"{subtitle}; the line shows the runs", kind="s")]
    return "\n".join([head, STYLE, page, *titles, *lines, "</svg>"]) + "\n"


def _bar(bar: Bar, y: float, colour: str, scale: float, digits: int) -> list[str]:
    if bar.spread is None:
        return [_text(LABELS, y + BAR * 0.75, "no result", kind="s")]
    width = max(1.0, bar.spread.median * scale)
    middle, low, high = y + BAR / 2, LABELS + bar.spread.low * scale, LABELS + bar.spread.high * scale
    value = written(bar.spread.median, digits)
    return [
        f'<rect x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#334155" stroke-width="1.5"/>',
        _text(max(LABELS + width, high) + 6, y + BAR * 0.75, value),
    ]


def _text(x: float, y: float, words: str, *, anchor: str = "start", kind: str = "") -> str:
    group = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{group}>{escape(words)}</text>'


def drawings(run: Run) -> dict[str, str]:
    """Return file name → SVG for each scenario."""
    found = {}
    for one, result in measured(run):
        chosen = [metric for key in one.chart for metric in one.metrics if metric.key == key]
        groups = [
            Group(
                subject.label,
                [Bar(metric.label, _spread(result, subject.key, metric.key)) for metric in chosen],
                subject.key in ("ours", "trouble", "grown", "one", "delivered"),
            )
            for subject in one.subjects
        ]
        found[f"{one.key}.svg"] = chart(one.title, one.unit, groups, chosen[0].digits)
    return found
