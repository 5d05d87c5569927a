"""What came of asking a provider for one page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SyncResult:
    """One page, committed; or why there is none.

    Attributes:
        items: what the page held, as the connector returns it. Customers' data: not in the repr.
        items_fetched: how many.
        has_more: another page follows; ask again. False after an error, so that a loop over it ends.
        cursor: where the next page begins, already saved; after an error the old one.
        errors: why it failed, in our own words; empty after success.
        is_skipped: somebody else is reading, nothing was asked; no error.
        pages: 1 if a page was committed, else 0.
    """

    items: list[Any] = field(default_factory=list, repr=False)
    items_fetched: int = 0
    has_more: bool = False
    cursor: str = field(default="", repr=False)  # a provider may hide anything in it
    errors: list[str] = field(default_factory=list)
    is_skipped: bool = False
    pages: int = 0
