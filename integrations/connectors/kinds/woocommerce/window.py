"""Reading everything that changed, once, while it goes on changing: which page is asked for next, and where a run ends.

In: `fetch`, which asks the shop for one page, and the cursor of the page before. Out: rows, the next cursor, and
whether there are more. Nothing here knows orders from products.

WooCommerce pages by number, so a row that leaves a list moves all later ones to other pages. Two rules keep every row:

1.  A run that does not fit into one page reads a window with two ends: changed after `after`, and not after `until`,
    a second of the shop's own clock that is over. Rows may leave that window (who changes, changes now), and none
    enters it. It is listed by id, and read from its last page to its first: what leaves moves only rows of pages
    that are still to come to other pages that are still to come. What was newer comes with the first answer, and
    what left comes with the next run.
2.  The next run begins a minute before the newest row of this one, since a shop with several servers may commit a
    row with an older second than one that we have read. Rows of that minute that look the same are not given again:
    the cursor remembers them by a digest of what they hold, up to forty of them.

So a row may come twice; none is left out, pages run out (their number only falls), and the clocks that count are the
shop's own. What is not reported: rows that were deleted. A shop's webhooks do that.

Times are UTC and go out without a zone: WordPress takes such a time for its own column as it is, and one with a zone
for its local time (WP_Date_Query). It also moves a time that its zone's clock leaps over, an hour forward, wherever
it stands; such times are not asked for (`asked`), and what comes too early is dropped here.
Source: WooCommerce's WC_REST_CRUD_Controller and OrdersTableQuery, and the issues on paging while rows change.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError

MAX_SIZE = 100  # rows in one answer; WooCommerce gives no more
OVERLAP = timedelta(seconds=60)
SETTLED = timedelta(seconds=5)  # a second that is this old is over, on all of a shop's servers
REMEMBERED = 40  # digests of 8 characters: they and the rest stay below 500
_VOLATILE = frozenset({"_links", "related_ids"})  # WooCommerce shuffles related products at every answer

Row = Mapping[str, Any]
Fetch = Callable[[Mapping[str, Any]], tuple[Sequence[Row], int | None]]


@dataclass(frozen=True)
class Place:
    """The cursor.

    Attributes:
        after: rows that changed after this second, and `until`: not after this one; "" for no bound.
        page: the page to ask for, 0 at the start of a run. size: rows in each.
        newest: what the next run begins before.
        seen: digests of rows that the next run shall not give again.
    """

    after: str = ""
    until: str = ""
    page: int = 0
    size: int = 0
    newest: str = ""
    seen: str = ""

    def __str__(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value}, separators=(",", ":"))

    @classmethod
    def parse(cls, cursor: str | None) -> Place:
        """Return the place that `cursor` names; None, "" and "1" (the first page, as seeds/000 writes it): the start.

        Raises:
            IntegrationPermanentError: it is none of ours (``bad_cursor``).
        """
        if cursor in (None, "", "1"):
            return cls()
        try:
            values = json.loads(str(cursor))
            place = cls(**values)
            place._refuse_nonsense()
        except (AttributeError, TypeError, ValueError, RecursionError):
            place = None
        if place is None:
            raise IntegrationPermanentError(
                "the cursor is none of this shop's; begin again with a full resync", code="bad_cursor"
            )
        return place

    def _refuse_nonsense(self) -> None:
        for moment in (self.after, self.until, self.newest):
            if moment and _text(_parsed(moment)) != moment:
                raise ValueError
        if not all(type(number) is int and 0 <= number < 10**9 for number in (self.page, self.size)):
            raise ValueError
        in_window = bool(self.page)
        if self.size > MAX_SIZE or {bool(self.size), bool(self.until), bool(self.newest)} != {in_window}:
            raise ValueError
        if not isinstance(self.seen, str):
            raise TypeError

    def starting_at(self, since: datetime | None) -> Place:
        """Return the start of a run that leaves out what changed before `since` (a naive one is UTC)."""
        if since is None or self.page:
            return self
        moment = since if since.tzinfo is None else since.astimezone(UTC)
        bound = _before(_text(moment.replace(tzinfo=None)), timedelta(seconds=1))
        return replace(self, after=bound) if bound > self.after else self

    def holds(self, row: Row) -> bool:
        """Tell whether `row` belongs here: more was asked for than `after` says where a clock leaps (`asked`)."""
        return not self.after or changed(row) > self.after


def read(fetch: Fetch, place: Place, size: int) -> tuple[list[Row], Place | None, bool]:
    """Return (rows, where the next page or run begins, whether there is a next page); None: where this run began."""
    return _pages(fetch, place) if place.page else _first(fetch, place, size)


def _first(fetch: Fetch, place: Place, size: int) -> tuple[list[Row], Place | None, bool]:
    """Ask for the newest rows: all of them, most of the time. If there are more, they tell where the window ends."""
    bounds = {"per_page": size, "page": 1, "orderby": "modified", "order": "desc", **_asked(place)}
    found, total = fetch(bounds)
    if total is None and len(found) >= size:
        raise IntegrationTemporaryError("the shop does not say how many there are (X-WP-Total)", code="bad_answer")
    rows = list(filter(place.holds, found))
    if not rows and (total or 0) <= size:
        return [], None, False
    # A shop, or a plugin that writes times, may be ahead of us; what is new then would be older than "newest".
    newest = min(max(map(changed, rows), default=""), _text(datetime.now(UTC).replace(tzinfo=None)))
    if not newest:
        raise IntegrationTemporaryError("the shop's rows have no date_modified_gmt", code="bad_answer")
    border = _before(newest, OVERLAP)
    on_border = [row for row in rows if changed(row) > border][:REMEMBERED]
    following = Place(after=border, seen="".join(map(_digest, on_border)))
    fresh = sorted((row for row in rows if not _is_seen(row, place.seen)), key=_in_time)
    if (total or 0) <= size:
        return fresh, following, False
    until = _before(newest, SETTLED)
    tail = [row for row in fresh if changed(row) > until]
    if until <= place.after or changed(rows[-1]) > until:
        # Everything here changed within seconds, as after a bulk edit, and so did what did not fit.
        until, tail = newest, []
    window = replace(following, after=place.after, until=until, page=_count(total or 0, size), size=size, newest=newest)
    return (tail, window, True) if tail else _pages(fetch, window)


def _pages(fetch: Fetch, place: Place) -> tuple[list[Row], Place | None, bool]:
    """Ask for one page of the window, or for its last one, if it has become shorter than that."""
    while True:
        bounds = {"per_page": place.size, "page": place.page, "orderby": "id", "order": "asc", **_asked(place)}
        found, total = fetch(bounds)
        last = place.page if total is None else max(_count(total, place.size), 1)
        if place.page <= last:
            break
        place = replace(place, page=last)
    rows = list(filter(place.holds, found))
    if place.page > 1:
        return rows, replace(place, page=place.page - 1), True
    return rows, Place(after=_before(place.newest, OVERLAP), seen=place.seen), False


def changed(row: Row) -> str:
    """Return the second of the last change, UTC and comparable as a text; "" if the shop does not say."""
    try:
        return _text(_parsed(str(row.get("date_modified_gmt") or "")))
    except ValueError:
        return ""


def _asked(place: Place) -> dict[str, Any]:
    """Return the bounds as WooCommerce takes them: both exclusive, UTC, and without a zone."""
    bounds: dict[str, Any] = {"dates_are_gmt": True}
    if place.after:
        bounds["modified_after"] = _text(asked(_parsed(place.after)))
    if place.until:
        bounds["modified_before"] = _text(_parsed(place.until) + timedelta(seconds=1))
    return bounds


def asked(moment: datetime) -> datetime:
    """Return `moment`, or the last half hour before it that no clock on earth leaps over."""
    while _is_leapt_over(moment):
        moment -= timedelta(minutes=30)
    return moment


@lru_cache(maxsize=256)
def _is_leapt_over(moment: datetime) -> bool:
    """Tell whether some zone's clock never shows `moment`, because summer begins there."""
    for zone in _zones():
        local = moment.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
            return True
    return False


@lru_cache(maxsize=1)
def _zones() -> tuple[ZoneInfo, ...]:
    return tuple(map(ZoneInfo, sorted(available_timezones())))


def _count(total: int, size: int) -> int:
    return -(-total // size)


def _in_time(row: Row) -> tuple[str, int]:
    number = row.get("id")
    return changed(row), number if isinstance(number, int) else 0


def _digest(row: Row) -> str:
    """Return 48 bits of what `row` holds: another second of the same text is another change."""
    held = {name: value for name, value in row.items() if name not in _VOLATILE}
    return urlsafe_b64encode(hashlib.sha256(json.dumps(held, sort_keys=True).encode()).digest()[:6]).decode()


def _is_seen(row: Row, seen: str) -> bool:
    digest = _digest(row) if seen else ""
    return any(seen[at : at + 8] == digest for at in range(0, len(seen), 8))


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=None, microsecond=0)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _before(second: str, ago: timedelta) -> str:
    try:
        return _text(_parsed(second) - ago)
    except OverflowError:
        return second
