"""Figures as people read them."""

from __future__ import annotations


def took(milliseconds: float | None) -> str:
    """Return a duration in the unit that fits: "85 ms", "1.2 s", "3 min", "2.5 h", "4 d"; "–": not known."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            value = seconds / size
            return f"{value:.0f} {unit}" if value >= 10 or unit == "min" else f"{_short(value)} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{_short(seconds)} s"


def ago(seconds: float) -> str:
    """Return since when something is so: "now", "40 s ago"."""
    return "now" if seconds < 1 else f"{took(seconds // 1 * 1000)} ago"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def percent(part: float | None) -> str:
    """Return a part (0 to 1) as "99.8 %"; nothing but all is "100 %", nothing but none is "0 %"; "–": not known."""
    if part is None:
        return "–"
    if part in (0, 1):
        return f"{part * 100:.0f} %"
    return f"{min(max(part * 100, 0.1), 99.9):.1f} %"
