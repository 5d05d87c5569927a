"""Draw horizontal bars as SVG: one group for each subject, one bar for each metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .figures import Spread, written

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
