"""Say how many of something there are: "1 event", "3 events"."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `number` with `noun` in the form that fits.

    Args:
        plural: the noun's plural where that is not its singular and an "s".
    """
    return f"{number} {noun}" if number == 1 else f"{number} {plural or f'{noun}s'}"
