"""What one click did to the rows that were chosen in a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NOT_YOURS = "skipped: you may not act on it"

May = Callable[[Any], bool]  # whether the person may act on that row


@dataclass
class Done:
    """Which rows, why not the others, and whether some were not looked at; a subclass puts it in words."""

    did: str
    rows: list[Any] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False

    @property
    def count(self) -> int:
        return len(self.rows)
