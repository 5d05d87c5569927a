"""One page of what a provider has: what every ``get_…(cursor=None)`` of a port returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

MAX_CURSOR = 500  # characters; AbstractSyncState.cursor holds no more

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page, and where the next one is.

    Attributes:
        items: in the order in which they should be processed.
        cursor: what the next call gets; only the connector that made it reads it. On the last page it is where the
            next run begins, None there says: where this one began. At most `MAX_CURSOR` characters.
        has_more: whether there is another page in this run.
    """

    items: Sequence[Item]
    cursor: str | None = None
    has_more: bool = False

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
