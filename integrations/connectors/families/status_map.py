"""A shop's own words for where an order stands, and ours.

In: a kind's defaults, and what a tenant put over them: ``status_map_inbound`` {shop's word: ours} and
``status_map_outbound`` {ours: shop's word}. Out: the other word. Never raises: a word that nobody mapped stays as it
is, since a shop's plugins invent statuses every day, and an order must not get stuck in one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from integrations.connectors.manifest import Field

from .shop import OrderStatus

INBOUND, OUTBOUND = "status_map_inbound", "status_map_outbound"
MAX_WORD = 100
_OURS = ", ".join(OrderStatus)

STATUS_MAP_FIELDS = (
    Field(
        name=INBOUND,
        label="Statuses of the shop",
        kind="json",
        advanced=True,
        help=f'What the shop\'s own statuses mean: {{"wc-custom-status": "processing"}}. Ours are: {_OURS}.',
    ),
    Field(
        name=OUTBOUND,
        label="Statuses for the shop",
        kind="json",
        advanced=True,
        help='What the shop gets for ours: {"shipped": "wc-custom-shipped"}.',
    ),
)


@dataclass(frozen=True)
class StatusMap:
    """Translates both ways.

    Attributes:
        inbound, outbound: the words of this kind of shop, without `prefix`, in lower case.
        prefix: what a shop may put before its words, and what does not count (``wc-``).
    """

    inbound: Mapping[str, OrderStatus]
    outbound: Mapping[OrderStatus, str]
    prefix: str = ""

    def over(self, settings: Mapping[str, Any]) -> StatusMap:
        """Return this map with the tenant's own entries in it; one that means nothing is left out."""
        inbound, outbound = dict(self.inbound), dict(self.outbound)
        for word, ours in _entries(settings.get(INBOUND)):
            if status := as_status(ours):
                inbound[self.bare(word)] = status
        for ours, word in _entries(settings.get(OUTBOUND)):
            if status := as_status(ours):
                outbound[status] = self.bare(word)
        return StatusMap(inbound, outbound, self.prefix)

    def ours(self, word: str) -> OrderStatus | str:
        """Return what the shop's `word` means; `word` itself if nobody said."""
        return self.inbound.get(self.bare(word), word)

    def theirs(self, status: OrderStatus | str) -> str:
        """Return the shop's word for `status`; one that is none of ours is taken for the shop's own."""
        known = as_status(status)
        return self.bare(status) if known is None else self.outbound.get(known, known.value)

    def bare(self, word: str) -> str:
        """Return the shop's word as it is compared and sent."""
        return word.strip().lower().removeprefix(self.prefix)


def as_status(value: object) -> OrderStatus | None:
    """Return the OrderStatus that a text names (its value or its name, in any case), None if it names none."""
    try:
        return OrderStatus(str(value).strip().lower().replace("-", "_"))
    except ValueError:
        return None


def status_map_problems(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return {field: what is wrong} for the two maps, for a kind's ``validate_config``."""
    problems = {}
    for name, ours_first in ((INBOUND, False), (OUTBOUND, True)):
        given = settings.get(name)
        if given in (None, "", {}):
            continue
        pairs = list(_entries(given))
        if not isinstance(given, Mapping) or len(pairs) < len(given):
            problems[name] = 'must be an object of texts, such as {"from": "to"}'
        elif any(as_status(pair[0] if ours_first else pair[1]) is None for pair in pairs):
            problems[name] = f"must {'lead from' if ours_first else 'lead to'} one of: {_OURS}"
    return problems


def _entries(given: object) -> Iterator[tuple[str, str]]:
    for left, right in given.items() if isinstance(given, Mapping) else ():
        if all(isinstance(word, str) and 0 < len(word.strip()) <= MAX_WORD for word in (left, right)):
            yield left, right
