"""Reading everything that changed, once, while it goes on changing: which page is asked for next, and where a run ends.

In: `fetch`, which asks the shop for one page, and the cursor of the page before. Out: rows, the next cursor, and
whether there are more. Nothing here knows orders from products.

WooCommerce pages by number, so a row that leaves a list moves all later ones to other pages. Two rules keep every row:

1.  A run that does not fit into one page reads a window with two ends: changed after `after`, and not after `until`,
    a second of the shop's own clock that has been over for a minute, for all of a shop's servers: one of them may
    commit a row with an older second than those that we have read. Rows may leave that window (what changes, changes
    now), and none enters it. It is listed by id, and read from its last page to its first: what leaves moves only rows
    that are still to come, and only to pages that are still to come. What left comes with the next run.
2.  What is newer came with the first answer. If a burst filled that, the last minute is read page by page before the
    window. Rows still enter it, and each may push another one out; so nothing of it counts as read: the next run
    begins with that minute. What was given and still looks the same is not given again: the cursor remembers it by
    digests, up to forty. Once a later run has found the minute quiet, it is over.

So a row may come twice; none is left out, pages run out (their number only falls), and the only clock that counts is
the shop's. Not reported: rows that were deleted; a shop's webhooks do that.

Times are UTC and go out without a zone: WordPress takes such a time for its own column as it is, and one with a zone
for its local time (WP_Date_Query). It also moves a time that its zone's clock leaps over, an hour forward, although
it is UTC; such times are not asked for (`on_every_clock`), and what comes too early is dropped here.
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
OVERLAP = 60  # seconds; a second that is this old is over, on all of a shop's servers
SIZING, LAST_MINUTE = 1, 2
REMEMBERED, DIGEST = 40, 8  # rows, characters of each: they and the rest stay below 500
NO_TOTAL = "the shop does not say how many there are (X-WP-Total)"
_VOLATILE = frozenset({"_links", "related_ids"})  # WooCommerce shuffles related products at every answer
_LATEST = 253402300000  # the last seconds of the year 9999

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """One answer: the rows, how many there are in all (None: it does not say), and the shop's clock, in seconds."""

    rows: Sequence[Row]
    total: int | None
    now: int


Fetch = Callable[[Mapping[str, Any]], Listing]
Read = tuple[list[Row], "Place | None", bool]


@dataclass(frozen=True)
class Place:
    """The cursor; times are seconds since 1970, 0 is none.

    Attributes:
        after, until: rows that changed after this second, and not after that one.
        page: the page to ask for, 0 at the start of a run. size: rows in each.
        border: where the next run begins; up to there all is over. newest: the last change that this one saw.
        at: when that was seen first.
        seen: digests of rows that were given and might come again.
        base: where the window begins that comes after the last minute. rest: LAST_MINUTE while that is read, SIZING
            before it is known how many pages the window has.
    """

    after: int = 0
    until: int = 0
    page: int = 0
    size: int = 0
    border: int = 0
    newest: int = 0
    at: int = 0
    seen: str = ""
    base: int = 0
    rest: int = 0

    def __str__(self) -> str:
        return json.dumps({name: value for name, value in asdict(self).items() if value}, separators=(",", ":"))

    @classmethod
    def parse(cls, cursor: str | None) -> Place:
        """Return the place that `cursor` names; None, "" and "1" (the first page): the start.

        Raises:
            IntegrationPermanentError: it is none of ours (``bad_cursor``).
        """
        if cursor in (None, "", "1"):
            return cls()
        try:
            place = cls(**json.loads(str(cursor)))
        except (TypeError, ValueError, RecursionError):
            place = None
        if place is None or not place._makes_sense():
            raise IntegrationPermanentError(
                "the cursor does not belong to this shop; start again with a full resync", code="bad_cursor"
            )
        return place

    def _makes_sense(self) -> bool:
        numbers = [value for name, value in asdict(self).items() if name != "seen"]
        return (
            all(type(number) is int and 0 <= number <= _LATEST for number in numbers)
            and isinstance(self.seen, str)
            and self.size <= MAX_SIZE
            and self.rest <= LAST_MINUTE
            and {bool(self.page)} == {bool(self.size), bool(self.until), bool(self.border)}
        )

    def starting_at(self, since: datetime | None) -> Place:
        """Return the start of a run that leaves out what changed before `since` (a naive one is UTC).

        Raises:
            IntegrationPermanentError: it is none (``bad_since``): a task's arguments may hold a text.
        """
        if since is None:
            return self
        if not isinstance(since, datetime):
            raise IntegrationPermanentError("since: must be a datetime", code="bad_since")
        if self.page:
            return self
        moment = since.replace(tzinfo=UTC) if since.tzinfo is None else since
        return replace(self, after=max(self.after, int(moment.timestamp()) - 1))

    def holds(self, row: Row) -> bool:
        """Tell whether `row` belongs here: more may have been asked for (`_asked`)."""
        return not self.after or changed(row) > self.after

    def given(self, rows: Sequence[Row]) -> tuple[list[Row], Place]:
        """Return those of `rows` that were not given before as they are now, and the place that remembers them."""
        known = [self.seen[at : at + DIGEST] for at in range(0, len(self.seen), DIGEST)]
        digests = [(row, _digest(row)) for row in rows]
        fresh = [row for row, digest in digests if digest not in known]
        late = [digest for row, digest in digests if changed(row) > self.border]
        seen = [*(digest for digest in known if digest not in late), *late][-REMEMBERED:]
        return fresh, replace(self, seen="".join(seen))

    def next_run(self) -> Place:
        """Return where the next run begins."""
        is_over = self.border == self.newest
        return Place(after=self.border, newest=self.newest, at=self.at, seen="" if is_over else self.seen)


def read(fetch: Fetch, place: Place, size: int) -> Read:
    """Return (rows, where the next page or run begins, whether there is a next page); None: where this run began."""
    return _pages(fetch, place) if place.page else _first(fetch, place, size)


def _first(fetch: Fetch, place: Place, size: int) -> Read:
    """Ask for the newest rows: all of them, most of the time. If there are more, they tell where the window ends."""
    bounds = {"per_page": size, "page": 1, "orderby": "modified", "order": "desc", **_asked(place)}
    found = fetch(bounds)
    if found.total is None and len(found.rows) >= size:
        raise IntegrationTemporaryError(NO_TOTAL, code="bad_answer")
    total, now = found.total or 0, found.now
    rows = sorted(filter(place.holds, found.rows), key=_in_time)
    if not rows and total <= size:
        return [], None, False
    # A row of the future, which some plugin wrote, must not hide all that change before that.
    newest = max((at for at in map(changed, rows) if at <= now), default=now)
    if not any(map(changed, rows)):
        raise IntegrationTemporaryError("the shop's rows have no date_modified_gmt", code="bad_answer")
    at = place.at if newest == place.newest else now
    border = newest if at + OVERLAP <= now else max(newest - OVERLAP, place.after, 1)
    place = replace(place, border=border, newest=newest, at=at)
    if total <= size:
        fresh, place = place.given(rows)
        return fresh, place.next_run(), False
    pages = _pages_of(total, size)
    tail = [row for row in rows if changed(row) > border]
    if len(tail) < len(rows) or border == newest:
        place = replace(place, until=border, page=pages, size=size)
    else:  # as after a bulk edit: of the last minute more came than fits, and perhaps nothing is older
        rest = LAST_MINUTE if border > place.after else 0
        place = replace(place, base=place.after, rest=rest, after=border, until=newest, page=pages, size=size)
        tail = []
    fresh, place = place.given(tail)
    return (fresh, place, True) if fresh else _pages(fetch, place)


def _pages(fetch: Fetch, place: Place) -> Read:
    """Ask for one page of the window, or for its last one, if it has become shorter than that."""
    while True:
        bounds = {"per_page": place.size, "page": place.page, "orderby": "id", "order": "asc", **_asked(place)}
        found = fetch(bounds)
        last = place.page if found.total is None else max(_pages_of(found.total, place.size), 1)
        if place.rest == SIZING:
            place = replace(place, rest=0)
            if found.total is None and len(found.rows) >= place.size:
                raise IntegrationTemporaryError(NO_TOTAL, code="bad_answer")
        elif place.page <= last:
            break
        if place.page == last:
            break
        place = replace(place, page=last)
    fresh, place = place.given(list(filter(place.holds, found.rows)))
    if place.page > 1:
        return fresh, replace(place, page=place.page - 1), True
    if place.rest:  # now what is over
        window = replace(place, after=place.base, until=place.border, page=1, base=0, rest=SIZING)
        return (fresh, window, True) if fresh else _pages(fetch, window)
    return fresh, place.next_run(), False


def changed(row: Row) -> int:
    """Return the second of the last change; 0 if the shop does not say."""
    try:
        moment = datetime.fromisoformat(str(row.get("date_modified_gmt") or ""))
    except ValueError:
        return 0
    return max(int(moment.replace(tzinfo=UTC).timestamp()), 0)


def _asked(place: Place) -> dict[str, Any]:
    """Return the bounds as WooCommerce takes them: both exclusive, UTC, and without a zone."""
    bounds: dict[str, Any] = {"dates_are_gmt": True}
    if place.after:
        bounds["modified_after"] = on_every_clock(_utc(place.after)).isoformat(timespec="seconds")
    if place.until:
        bounds["modified_before"] = _utc(place.until + 1).isoformat(timespec="seconds")
    return bounds


def _utc(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def _pages_of(total: int, size: int) -> int:
    return -(-total // size)


def _in_time(row: Row) -> tuple[int, int]:
    number = row.get("id")
    return changed(row), number if isinstance(number, int) else 0


def _digest(row: Row) -> str:
    """Return 48 bits of what `row` holds: a second change within one second looks different."""
    held = {name: value for name, value in row.items() if name not in _VOLATILE}
    return urlsafe_b64encode(hashlib.sha256(json.dumps(held, sort_keys=True).encode()).digest()[:6]).decode()


STEP = timedelta(minutes=30)


# WordPress reads a time without a zone as one of its own zone, also where it is compared with a column in UTC. In the
# night when summer begins, 02:20 does not exist there, and PHP makes 03:20 of it: a bound would move an hour, and what
# changed in that hour would be left out. We do not know the shop's zone, so all of them count.
def on_every_clock(moment: datetime) -> datetime:
    """Return the naive `moment`, or a time up to some hours before it that every zone's clock shows."""
    while _is_leapt_over(moment):
        moment -= STEP
    return moment


@lru_cache(maxsize=256)
def _is_leapt_over(moment: datetime) -> bool:
    if not datetime.min + timedelta(days=2) < moment < datetime.max - timedelta(days=2):
        return False
    for zone in _zones():
        local = moment.replace(tzinfo=zone)
        if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
            return True
    return False


@lru_cache(maxsize=1)
def _zones() -> tuple[ZoneInfo, ...]:
    return tuple(map(ZoneInfo, sorted(available_timezones())))
