"""An order of whatever class becomes the same JSON, once."""

from __future__ import annotations

import json
import re
import uuid
from collections import deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cached_property
from itertools import count
from pathlib import PurePosixPath
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple

import pydantic
import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.orders import Order, order_body, order_dict, order_id, order_key
from integrations.errors import ConfigurationError
from tasks.models import WorkItem

KEY = uuid.UUID("12345678-1234-5678-1234-567812345678")


class Colour(Enum):
    RED = "red"


@dataclass
class Line:
    sku: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class DataclassOrder:
    id: uuid.UUID = KEY
    placed: datetime = datetime(2026, 1, 5, 9, tzinfo=UTC)
    due: date = date(2026, 2, 1)
    lines: tuple[Line, ...] = (Line("A-1", Decimal("10.10")),)
    more: dict[str, Any] = field(default_factory=lambda: {"colour": Colour.RED, "gift": True, "weight": 1.5})


EXPECTED = {
    "id": str(KEY),
    "placed": "2026-01-05T09:00:00+00:00",
    "due": "2026-02-01",
    "lines": [{"sku": "A-1", "price": "10.10"}],
    "more": {"colour": "red", "gift": True, "weight": 1.5},
}


class SlottedOrder:
    __slots__ = ("_hidden", "due", "id", "lines", "missing", "more", "placed")

    def __init__(self) -> None:
        source = DataclassOrder()
        self._hidden = "hidden"
        self.id, self.placed, self.due = source.id, source.placed, source.due
        self.lines, self.more = source.lines, source.more


class PropertyOrder:
    """Its id is computed: a plain `vars()` would not see it."""

    def __init__(self) -> None:
        self.reference = "R-7"
        self._cache = "hidden"

    @property
    def id(self) -> str:
        return self.reference


NamedOrder = namedtuple("NamedOrder", "id due")
SHAPES = [
    DataclassOrder(),
    vars(SimpleNamespace(**{name: getattr(DataclassOrder(), name) for name in EXPECTED})),
    SimpleNamespace(**{name: getattr(DataclassOrder(), name) for name in EXPECTED}, _state="hidden"),
    SlottedOrder(),
]


@pytest.mark.parametrize("order", SHAPES, ids=lambda order: type(order).__name__)
def test_every_shape_gives_the_same_json(order: Any) -> None:
    assert order_dict(order) == EXPECTED
    assert json.loads(order_body(order)) == {"event_type": "order_push", "order": EXPECTED}
    assert order_key(order) == order_key(DataclassOrder())


def test_other_shapes() -> None:
    assert order_dict(PropertyOrder()) == {"reference": "R-7", "id": "R-7"}
    assert order_dict(NamedOrder(7, date(2026, 2, 1))) == {"id": 7, "due": "2026-02-01"}


def test_a_django_model_without_a_query() -> None:
    order = WorkItem(id=7, tenant_id=3, customer_id=None)
    found = order_dict(order)
    assert found["id"] == 7 and found["tenant_id"] == 3 and found["customer_id"] is None
    assert set(found) == {column.attname for column in WorkItem._meta.concrete_fields}
    json.loads(order_body(order))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.1"), "0.1"),
        (Decimal("1E+2"), "1E+2"),
        (time(8, 30), "08:30:00"),
        (b"\x00\xff", "AP8="),
        (range(2), [0, 1]),
        ({1: {Decimal("2")}}, {"1": ["2"]}),
        ("\ud800", "?"),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    assert json.loads(order_body({"id": 1, "value": value}))["order"]["value"] == expected


class PlainLine:
    currency = "EUR"
    TAX = "not the order's"

    def __init__(self, sku: str, quantity: int) -> None:
        self.sku, self.quantity, self._cache = sku, quantity, object()

    @property
    def total(self) -> Decimal:
        return self.quantity * Decimal("1.50")

    @property
    def missing(self) -> str:
        raise AttributeError

    def as_text(self) -> str:
        return self.sku


PLAIN = {"sku": "A", "quantity": 2, "currency": "EUR", "total": "3.00"}


@dataclass
class PricedLine(Line):
    @cached_property
    def gross(self) -> Decimal:
        return self.price * 2


class PydanticLine(pydantic.BaseModel):
    sku: str
    placed: date = date(2026, 2, 1)
    secret: str = pydantic.Field(default="x", exclude=True)

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def label(self) -> str:
        return f"Part {self.sku}"


class Frozen(NamedTuple):
    sku: str
    quantity: int


class Basket:
    """Its lines are what one goes through."""

    def __iter__(self) -> Iterator[PlainLine]:
        return iter([PlainLine("A", 2)])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([PlainLine("A", 2)], [PLAIN]),
        ((PlainLine(sku, 2) for sku in "A"), [PLAIN]),
        (deque([PlainLine("A", 2)]), [PLAIN]),
        (Basket(), [PLAIN]),
        ({"first": PlainLine("A", 2)}.values(), [PLAIN]),
        ({"first": PlainLine("A", 2)}, {"first": PLAIN}),
        ([PricedLine("A", Decimal("1.10"))], [{"sku": "A", "price": "1.10", "gross": "2.20"}]),
        ([PydanticLine(sku="A")], [{"sku": "A", "placed": "2026-02-01", "label": "Part A"}]),
        ([Frozen("A", 2)], [{"sku": "A", "quantity": 2}]),
        ({"b", "a"}, ["a", "b"]),
        ([timedelta(hours=1)], ["P0DT01H00M00S"]),
        ([gettext_lazy("Yes")], ["Yes"]),
        ([PurePosixPath("/a/b")], ["/a/b"]),
    ],
)
def test_lines_of_any_class_are_written_down(lines: Any, expected: Any) -> None:
    order = SimpleNamespace(id=1, lines=lines)
    assert json.loads(order_body(order))["order"] == {"id": 1, "lines": expected}


class Broken:
    id = 1

    @property
    def total(self) -> Decimal:
        raise ValueError("a secret")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([Line], "lines[0]: the class Line"),
        ([len], "lines[0]: a builtin_function_or_method"),
        ([{"by": lambda: 1}], "lines[0].by: a function"),
        ([object()], "lines[0]: a object"),
        ([Lock()], "lines[0]: a lock"),
        ([{"x": re.compile("a")}], "lines[0].x: a Pattern"),
        ([complex(1, 2)], "lines[0]: a complex"),
        ({(1, 2): 3}, "lines: a tuple as a key"),
        ({1: "a", "1": "b"}, "lines.1: two keys"),
        ([{"total": float("nan")}], "lines[0].total: NaN"),
        (count(), "lines: a list over 10,000 items"),
        ([10**5000], "lines[0]: a number of thousands"),
    ],
)
def test_what_nobody_could_write_down_is_refused_by_its_place(value: Any, place: str) -> None:
    with pytest.raises(
        ConfigurationError, match=re.escape(f"draft_order: contains a value that JSON cannot represent at {place}")
    ):
        order_body({"id": 1, "lines": value})


def test_a_property_that_fails_is_named_and_not_quoted() -> None:
    with pytest.raises(ConfigurationError, match=r"could not be read at lines\[0\].total: ValueError$"):
        order_body({"id": 1, "lines": [Broken()]})


def test_a_line_that_points_back_is_refused_by_its_place() -> None:
    order = SimpleNamespace(id=1, lines=[SimpleNamespace(sku="A")])
    order.lines[0].order = order
    with pytest.raises(ConfigurationError, match=r"contains itself at lines\[0\].order"):
        order_body(order)


def test_the_same_line_twice_is_no_circle() -> None:
    line = PlainLine("A", 2)
    assert order_dict({"id": 1, "lines": [line, line]})["lines"] == [PLAIN, PLAIN]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [{"total": float("-inf")}]])
def test_what_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="draft_order: contains a value that JSON cannot represent"):
        order_body({"id": 1, "value": value})


def test_an_order_that_contains_itself_is_refused() -> None:
    order: dict[str, Any] = {"id": 1}
    order["self"] = order
    with pytest.raises(ConfigurationError, match="draft_order: contains itself"):
        order_body(order)


@pytest.mark.parametrize("order", [{}, {"id": None}, {"id": ""}, SimpleNamespace(number=7), object()])
def test_an_order_without_an_id_is_refused(order: Any) -> None:
    with pytest.raises(ConfigurationError, match="draft_order: has no id"):
        order_id(order)


def test_zero_is_an_id() -> None:
    assert order_id({"id": 0}) == 0


def test_the_key_depends_on_the_id_alone() -> None:
    assert order_key({"id": 7, "total": 1}) == order_key(SimpleNamespace(id="7")) != order_key({"id": 8})
    assert order_key({"id": "x" * 5000}).startswith("ord_") and len(order_key({"id": "x" * 5000})) == 44


def test_an_order_read_back() -> None:
    order = Order.from_payload({"order": {"id": 7, "lines": []}}, "evt_1")
    assert (order.id, order["lines"]) == (7, [])
    with pytest.raises(AttributeError, match="the order has no 'total'"):
        _ = order.total


def test_any_event_can_be_read_as_an_order() -> None:
    assert Order.from_payload({"workitem": {"id": 7}}, "evt_1") == {"workitem": {"id": 7}, "id": "evt_1"}
    assert Order.from_payload({"order": "none"}, "evt_1").id == "evt_1"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.decimals()
    | st.dates()
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_whatever_is_in_it_becomes_strict_json(values: dict[str, Any]) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(order_body({**values, "id": 1}), parse_constant=refuse)
