"""No row is left out while the shop goes on selling; pages end; a run begins where the last one ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connectors.kinds.woocommerce import WooCommerceConnector
from integrations.connectors.kinds.woocommerce.window import (
    DIGEST,
    MAX_SIZE,
    REMEMBERED,
    Listing,
    Place,
    on_every_clock,
    read,
)
from integrations.connectors.page import MAX_CURSOR, Page
from integrations.errors import IntegrationPermanentError, IntegrationTemporaryError
from integrations.tests.woocommerce_server import Shop

from .conftest import connector_on

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Clock:
    """The shop's clock: stands until it is told to go on."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment

    def passes(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def run(
    connector: WooCommerceConnector, cursor: str | None = "", between: Callable[[], Any] = lambda: None, most: int = 200
) -> tuple[list[Any], str | None]:
    """Read to the end of a run, calling `between` after each page; return the orders and the last cursor."""
    found: list[Any] = []
    for _ in range(most):
        page = connector.get_orders(cursor=cursor)
        found += page.items
        before, cursor = cursor, cursor if page.cursor is None else page.cursor
        assert len(cursor or "") <= MAX_CURSOR
        if not page.has_more:
            return found, cursor
        assert cursor != before, "a page led to itself"
        between()
    pytest.fail(f"a run of more than {most} pages")


def ids(orders: list[Any]) -> list[int]:
    return [int(order.order_id) for order in orders]


@pytest.fixture
def clock(shop: Shop) -> Clock:
    shop.clock = Clock()
    return shop.clock


def test_an_empty_shop(shop: Shop) -> None:
    assert connector_on(shop).get_orders() == Page([], None, False)


def test_one_page_is_one_request(shop: Shop, clock: Clock) -> None:
    for _ in range(3):
        shop.add_order()
        clock.passes(10)
    orders, cursor = run(connector_on(shop))
    assert ids(orders) == [1, 2, 3], "the oldest change first"
    assert len(shop.requests) == 1
    assert run(connector_on(shop), cursor) == ([], cursor), "nothing changed, so nothing comes again"
    assert len(shop.requests) == 2


@pytest.mark.parametrize("gap", [0, 1, 3600])
def test_several_pages_bring_each_order_once(shop: Shop, clock: Clock, gap: int) -> None:
    """Also of a bulk edit, which changes more rows in one second than a page holds."""
    for _ in range(25):
        shop.add_order()
        clock.passes(gap)
    orders, cursor = run(connector_on(shop, page_size=10))
    assert sorted(ids(orders)) == list(range(1, 26))
    assert len(shop.requests) <= 5
    assert run(connector_on(shop, page_size=10), cursor)[0] == []


def test_a_bulk_edit_comes_twice_at_most(shop: Shop, clock: Clock) -> None:
    """More changed in the last minute than a cursor remembers: it is read once more, and then it is over."""
    for _ in range(150):
        shop.add_order()
    connector = connector_on(shop)
    orders, cursor = run(connector)
    assert len(orders) == 150
    clock.passes(61)
    again, cursor = run(connector, cursor)
    assert len(again) == 150 - REMEMBERED
    assert run(connector, cursor)[0] == []
    assert len(str(cursor)) < 100


def test_what_changed_comes_with_the_next_run(shop: Shop, clock: Clock) -> None:
    for _ in range(5):
        shop.add_order()
        clock.passes(60)
    connector = connector_on(shop)
    _, cursor = run(connector)
    shop.change_order(2, status="completed")
    shop.add_order()
    orders, cursor = run(connector, cursor)
    assert sorted(ids(orders)) == [2, 6]
    assert run(connector, cursor)[0] == []


def test_a_second_change_within_one_second_is_a_change(shop: Shop, clock: Clock) -> None:
    shop.add_order()
    connector = connector_on(shop)
    _, cursor = run(connector)
    shop.change_order(1, status="completed")  # the clock stands: the time of the change is the same
    orders, _ = run(connector, cursor)
    assert [order.shop_status for order in orders] == ["completed"]


def test_a_change_in_the_second_in_which_a_run_begins_moves_no_other_row(shop: Shop, clock: Clock) -> None:
    """An old row that changes in that very second would enter the window, and push another out of the pages to come."""
    for _ in range(3):
        shop.add_order()
    connector = connector_on(shop, page_size=2)
    _, cursor = run(connector)
    clock.passes(61)
    _, cursor = run(connector, cursor)
    for _ in range(6):
        clock.passes(100)
        shop.add_order()
    meanwhile = iter([lambda: None, lambda: shop.change_order(1), lambda: shop.change_order(2)])
    orders, cursor = run(connector, cursor, lambda: next(meanwhile, lambda: None)())
    assert set(ids(orders)) >= set(range(4, 10))
    assert set(ids(run(connector, cursor)[0])) >= {1, 2}


def test_a_row_that_was_committed_late_is_not_lost(shop: Shop, clock: Clock) -> None:
    shop.add_order()
    clock.passes(30)
    shop.add_order()
    connector = connector_on(shop)
    _, cursor = run(connector)
    shop.add_order(date_modified_gmt=(START + timedelta(seconds=1)).isoformat()[:19])  # another server's, slower
    assert ids(run(connector, cursor)[0]) == [3]


@pytest.mark.parametrize("late", [0, 3, 10, 55])
@pytest.mark.parametrize("burst", [1, 3])
def test_what_is_committed_late_pushes_no_row_out_of_the_window(
    shop: Shop, clock: Clock, late: int, burst: int
) -> None:
    """An old row enters a page that is still to come, and pushes another one out to a page that was read."""
    for _ in range(3):
        shop.add_order()
    connector = connector_on(shop, page_size=2)
    _, cursor = run(connector)
    clock.passes(61)
    _, cursor = run(connector, cursor)
    for _ in range(6):
        clock.passes(100)
        shop.add_order()
    for _ in range(burst - 1):
        shop.add_order()
    written = (clock() - timedelta(seconds=late)).isoformat()[:19]
    meanwhile = iter(
        [lambda number=number: shop.change_order(number, date_modified_gmt=written) for number in (1, 2, 3)]
    )
    first, cursor = run(connector, cursor, lambda: next(meanwhile, lambda: None)())
    second, _ = run(connector, cursor)
    assert set(ids(first)) | set(ids(second)) >= set(range(1, 9 + burst))


def test_a_row_of_the_future_hides_nothing(shop: Shop) -> None:
    shop.add_order(date_modified_gmt="2099-01-01T00:00:00")
    connector = connector_on(shop)
    orders, cursor = run(connector)
    assert ids(orders) == [1]
    shop.add_order()
    assert ids(run(connector, cursor)[0]) == [2]


def test_a_shop_whose_clock_is_ahead(shop: Shop) -> None:
    """More than a page of rows that are newer than now, as we see it: all of them come, and what changes later."""
    shop.clock = Clock(datetime.now(UTC) + timedelta(hours=3))
    for _ in range(5):
        shop.add_order()
    connector = connector_on(shop, page_size=2)
    found: set[int] = set()
    cursor: str | None = ""
    for _ in range(4):
        orders, cursor = run(connector, cursor)
        found |= set(ids(orders))
    assert found == set(range(1, 6))


@pytest.mark.parametrize(
    "since", [START + timedelta(seconds=120), (START + timedelta(seconds=120)).replace(tzinfo=None)]
)
def test_since(shop: Shop, clock: Clock, since: datetime) -> None:
    """`since` of the printed ``fetch_recent_orders``, which goes on with the run that it began."""
    for _ in range(5):
        shop.add_order()
        clock.passes(60)
    connector = connector_on(shop, page_size=2)
    first = connector.get_orders(since=since)
    second = connector.get_orders(since=since, cursor=first.cursor)
    assert sorted(ids([*first.items, *second.items])) == [3, 4, 5]
    assert first.has_more and not second.has_more
    earlier = connector.get_orders(since=START, cursor=second.cursor)
    assert earlier.items == [], "what was read is not read again because `since` is earlier"


@pytest.mark.parametrize("since", ["2026-03-02T09:00:00Z", 1772442000, START.date()])
def test_what_is_no_time(shop: Shop, since: Any) -> None:
    with pytest.raises(IntegrationPermanentError, match="since: must be a datetime"):
        connector_on(shop).get_orders(since=since)
    assert shop.requests == []


@pytest.mark.parametrize("cursor", [None, "", "1"])
def test_the_beginning(shop: Shop, cursor: str | None) -> None:
    shop.add_order()
    assert ids(connector_on(shop).get_orders(cursor=cursor).items) == [1]


@pytest.mark.parametrize(
    "cursor",
    [
        "2",
        "x",
        "[]",
        "null",
        "{",
        '{"page":3}',
        '{"after":"2026"}',
        '{"after":-1}',
        '{"page":true,"size":10,"until":5,"border":5}',
        '{"page":1,"size":101,"until":5,"border":5}',
        '{"unknown":1}',
        '{"seen":[]}',
        "[" * 100_000,
    ],
)
def test_a_cursor_of_somebody_else(shop: Shop, cursor: str) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        connector_on(shop).get_orders(cursor=cursor)
    assert caught.value.code == "bad_cursor"
    assert shop.requests == []


def test_the_longest_cursor_fits() -> None:
    second = 10**10
    longest = Place(second, second, 10**6, MAX_SIZE, second, second, second, "x" * (DIGEST * REMEMBERED))
    assert len(str(longest)) <= MAX_CURSOR
    assert Place.parse(str(longest)) == longest


def test_a_shop_that_does_not_say_how_many(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some proxies drop X-WP-Total: fine while all fits into one page, and not to be guessed when it does not."""
    answer = shop.answer
    monkeypatch.setattr(shop, "answer", lambda *args: (200, {}, answer(*args)[2]))
    shop.add_order()
    assert ids(connector_on(shop, page_size=2).get_orders().items) == [1]
    shop.add_order()
    with pytest.raises(IntegrationTemporaryError):
        connector_on(shop, page_size=2).get_orders()


def test_the_page_size_may_change_within_a_run(shop: Shop, clock: Clock) -> None:
    for _ in range(12):
        shop.add_order()
        clock.passes(60)
    first = connector_on(shop, page_size=4).get_orders()
    rest, _ = run(connector_on(shop, page_size=3), first.cursor)
    assert sorted(ids([*first.items, *rest])) == list(range(1, 13))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk"])
def test_the_hour_that_a_clock_leaps_over(shop: Shop, clock: Clock, zone: str) -> None:
    """WordPress reads our bound in the shop's zone, where it may not exist: it would become an hour later."""
    shop.zone = ZoneInfo(zone)
    naive = datetime(2026, 1, 1)
    while naive.replace(tzinfo=shop.zone).astimezone(UTC).astimezone(shop.zone).replace(tzinfo=None) == naive:
        naive += timedelta(minutes=10)
    clock.moment = (naive + timedelta(minutes=11)).replace(tzinfo=UTC)
    shop.add_order()
    connector = connector_on(shop)
    _, cursor = run(connector)
    clock.passes(30)
    shop.add_order()
    assert ids(run(connector, cursor)[0]) == [2]


def test_bounds_that_exist_everywhere_are_asked_as_they_are() -> None:
    moment = datetime(2026, 6, 15, 12)
    assert on_every_clock(moment) == moment
    in_berlin = datetime(2026, 3, 29, 2, 20)
    assert on_every_clock(in_berlin) <= datetime(2026, 3, 29, 1, 59, 59)


# -- while it goes on changing ------------------------------------------------------------------------------

CHANGE = st.tuples(st.sampled_from(["change", "add", "delete"]), st.integers(0, 39), st.integers(0, 3))


@settings(max_examples=150)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 1, 7, 90]), min_size=1, max_size=30),
    changes=st.lists(st.lists(CHANGE, max_size=4), min_size=1, max_size=15),
    size=st.integers(1, 7),
)
def test_no_row_is_left_out(gaps: list[int], changes: list[list[tuple[str, int, int]]], size: int) -> None:
    """Whatever changes between two pages: in the end everything was seen as it is, and what came is what was."""
    shop, clock = Shop(), Clock()
    shop.clock = clock
    for gap in gaps:
        shop.add_order(total="0")
        clock.passes(gap)
    left = iter(changes)

    def meanwhile() -> None:
        for what, which, seconds in next(left, ()):
            clock.passes(seconds)
            numbers = sorted(shop.orders)
            if what == "add":
                shop.add_order(total="0")
            elif numbers and what == "change":
                number = numbers[which % len(numbers)]
                shop.change_order(number, total=str(int(shop.orders[number]["total"]) + 1))
            elif numbers:
                del shop.orders[numbers[which % len(numbers)]]

    connector = connector_on(shop, page_size=size)
    known: dict[int, str] = {}
    cursor: str | None = ""
    for _ in range(3):
        orders, cursor = run(connector, cursor, meanwhile)
        known |= {int(order.order_id): str(order.total) for order in orders}
        meanwhile()
    left = iter(())
    orders, cursor = run(connector, cursor)
    known |= {int(order.order_id): str(order.total) for order in orders}
    missed = {number: row["total"] for number, row in shop.orders.items() if known.get(number) != row["total"]}
    assert not missed, f"left out, or seen as they were before: {missed}"
    if len(shop.orders) <= 40:
        again, _ = run(connector, cursor)
        assert len(again) <= len(shop.orders)


class BusyShop:
    """A model of a shop: seconds, versions, and servers that commit what they wrote a while ago."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, int]] = {}  # id → (second of the last change, version)
        self.now = int(START.timestamp())
        self.left: list[list[Write]] = []  # what is written after each answer

    def write(self, some: Iterable[Write]) -> None:
        for seconds, which, late in some:
            self.now += seconds
            number = which % (len(self.rows) + 2) + 1  # a new one, now and then
            number = min(number, len(self.rows) + 1)
            before, version = self.rows.get(number, (0, 0))
            self.rows[number] = max(before, self.now - late), version + 1

    def fetch(self, bounds: Mapping[str, Any]) -> Listing:
        after, until = (_second(bounds.get(name)) for name in ("modified_after", "modified_before"))
        found = [
            {"id": number, "version": version, "date_modified_gmt": _text(second)}
            for number, (second, version) in self.rows.items()
            if (after is None or second > after) and (until is None or second < until)
        ]
        is_by_id = bounds["orderby"] == "id"
        found.sort(key=lambda row: (*([] if is_by_id else [row["date_modified_gmt"]]), row["id"]))
        if bounds["order"] == "desc":
            found.reverse()
        start = (bounds["page"] - 1) * bounds["per_page"]
        answer = Listing(found[start : start + bounds["per_page"]], len(found), self.now)
        if self.left:
            self.write(self.left.pop(0))
        return answer

    def run(self, place: Place, size: int, seen: dict[int, int]) -> Place:
        """Read to the end of a run; `seen` gets the versions."""
        for _ in range(1000):
            rows, following, more = read(self.fetch, place, size)
            for row in rows:
                seen[row["id"]] = max(seen.get(row["id"], 0), row["version"])
            place = place if following is None else Place.parse(str(following))
            if not more:
                return place
        pytest.fail("the run does not end")


def _second(bound: str | None) -> int | None:
    return None if bound is None else int(datetime.fromisoformat(bound).replace(tzinfo=UTC).timestamp())


def _text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()


Write = tuple[int, int, int]  # seconds until it begins, which row, by how many seconds it is committed late
LATE = st.sampled_from([0, 0, 1, 6, 20, 55])
WRITE = st.tuples(st.sampled_from([0, 0, 1, 4]), st.integers(0, 11), LATE)


@settings(max_examples=120)
@given(
    old=st.integers(0, 4),
    gaps=st.lists(st.sampled_from([0, 1, 70, 70]), min_size=3, max_size=8),
    meanwhile=st.lists(st.lists(WRITE, max_size=2), max_size=6),
    later=st.lists(st.lists(WRITE, max_size=2), max_size=3),
    size=st.integers(1, 3),
)
def test_a_busy_shop_with_several_servers(
    old: int, gaps: list[int], meanwhile: list[list[Write]], later: list[list[Write]], size: int
) -> None:
    """Bursts within one second, and servers that commit a row with a second that was read long ago: after any answer
    of a run that reads what is new, and of the next one. Once nothing is written any more, all was seen as it is."""
    shop, place, seen = BusyShop(), Place(), dict[int, int]()
    shop.write([(1, number, 0) for number in range(old)])
    for _ in range(2):  # read, and found quiet
        shop.now += 61
        place = shop.run(place, size, seen)
    shop.write([(gap, old + number, 0) for number, gap in enumerate(gaps)])
    for writes in (meanwhile, later, []):
        shop.left = list(writes)
        place = shop.run(place, size, seen)
    assert seen == {number: version for number, (_, version) in shop.rows.items()}


@settings(max_examples=60)
@given(st.integers(0, 60), st.integers(1, 10), st.sampled_from([0, 1, 61]))
def test_a_quiet_shop_brings_each_row_once(count: int, size: int, gap: int) -> None:
    shop, clock = Shop(), Clock()
    shop.clock = clock
    for _ in range(count):
        shop.add_order()
        clock.passes(gap)
    orders, cursor = run(connector_on(shop, page_size=size), "")
    assert sorted(ids(orders)) == list(range(1, count + 1))
    assert run(connector_on(shop, page_size=100), cursor)[0] == [] or count > 40
