"""Anything in, JSON text out."""

from __future__ import annotations

import array
import enum
import ipaddress
import itertools
import json
import re
import uuid
from collections import OrderedDict, UserDict, UserList, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils.functional import lazystr
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.outbox.canonical_json import (
    TooLarge,
    encode,
    encode_within,
    sanitise,
    sanitise_object,
)
from tasks.models import Customer


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


class Colour(enum.Enum):
    RED = "red"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(float("nan"), None, id="B001-nan"),
        pytest.param(float("inf"), None, id="B002"),
        pytest.param("a\0b", "a\ufffdb", id="B004-nul"),
        pytest.param({"a\0": 1}, {"a\ufffd": 1}, id="B005"),
        pytest.param("\ud800", "\ufffd", id="B006"),
        pytest.param("😀 \u202e \u0301", "😀 \u202e \u0301", id="B008"),
        pytest.param(Decimal("150"), "150.00", id="decimal"),
        pytest.param(Decimal("1E+2"), "100.00", id="B011"),
        pytest.param(Decimal("1.2345"), "1.2345", id="decimal-exact"),
        pytest.param(Decimal("NaN"), None, id="decimal-nan"),
        pytest.param(Decimal("1E+999999"), "1E+999999", id="decimal-huge"),
        pytest.param(datetime(2025, 11, 5, 20, 30), "2025-11-05T20:30:00Z", id="B013"),
        pytest.param(datetime(2025, 11, 5, 20, 30, 0, 123456, UTC), "2025-11-05T20:30:00Z", id="B014"),
        pytest.param(
            datetime(2025, 11, 5, 22, 30, tzinfo=timezone(timedelta(hours=2))), "2025-11-05T20:30:00Z", id="zone"
        ),
        pytest.param(date(2025, 11, 5), "2025-11-05", id="date"),
        pytest.param(uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005", id="B016-uuid"),
        pytest.param(lazystr("New"), "New", id="B016-lazy"),
        pytest.param(Path("/a/b"), "/a/b", id="B016-path"),
        pytest.param(Colour.RED, "Colour.RED", id="B016-enum"),
        pytest.param(b"\xff", "/w==", id="B017"),
        pytest.param(
            Customer(id=45, name="J", email="j@x.example"), {"id": 45, "name": "J", "email": "j@x.example"}, id="B019"
        ),
        pytest.param(9007199254740993, 9007199254740993, id="B021"),
        pytest.param(10**4000, str(10**4000), id="B022"),
        pytest.param(circle(), {"self": "[circular]"}, id="B025"),
        pytest.param({1: 2, None: 3, (1,): 4}, {"1": 2, "None": 3, "[1]": 4}, id="keys"),
        pytest.param(Broken(), "[Broken]", id="broken"),
        pytest.param({"b": {2, 1}}, {"b": [1, 2]}, id="set"),
        pytest.param(True, True, id="bool"),
    ],
)
@override_settings(TIME_ZONE="UTC")
def test_values(value: Any, expected: Any) -> None:
    assert sanitise(value) == expected
    json.loads(encode({"value": value}))


@pytest.mark.parametrize("moment", [datetime.min, datetime.max, datetime.min.replace(tzinfo=UTC)])
@override_settings(TIME_ZONE="Pacific/Auckland")
def test_b015_the_ends_of_the_calendar(moment: datetime) -> None:
    assert sanitise(moment).endswith("Z")


@pytest.mark.parametrize("digits", [4000, 5000, 100_000])
def test_b022_long_integers_become_text(digits: int) -> None:
    assert isinstance(sanitise(10**digits), str)


def test_b024_deep_nesting_is_cut() -> None:
    assert "[truncated]" in encode({"deep": deep(5000)})


LIMIT = 2000


def sent(payload: Any, limit: int = LIMIT) -> dict[str, Any]:
    """Return the body of `payload` as its receiver reads it."""
    text, cut = encode_within(sanitise_object(payload, limit=limit), limit)
    assert text is not None and len(text.encode()) <= limit
    body: dict[str, Any] = json.loads(text)
    assert set(cut[:10]) <= set(body.get("truncated", []))
    return body


@pytest.mark.parametrize(
    "value", ["x" * 1900, "é" * 900, list(range(400)), dict.fromkeys(map(str, range(200)), 1), deque([1] * 900)]
)
def test_what_a_body_has_room_for_is_whole(value: Any) -> None:
    assert sent({"a": value}) == {"a": list(value) if isinstance(value, deque) else value}
    assert sanitise("x" * 1_000_000) == "x" * 1_000_000


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        pytest.param({"item": {"text": "x" * 3000}}, ["item.text"], id="text"),
        pytest.param({"item": {"text": "é" * 1500}}, ["item.text"], id="bytes, not characters"),
        pytest.param({"item": {"raw": b"x" * 3000}}, ["item.raw"], id="base64"),
        pytest.param({"item": {"lines": list(range(5000))}}, ["item.lines"], id="items"),
        pytest.param({"item": {"map": {str(n): n for n in range(5000)}}}, ["item.map"], id="keys"),
        pytest.param({"item": {"x" * 3000: 1}}, ["item"], id="a key"),
        pytest.param({"lines": [{"a": 1}, {"a": "x" * 3000}]}, ["lines[1].a"], id="in a list"),
        pytest.param({"a": itertools.count()}, ["a"], id="endless"),
        pytest.param({"deep": deep(40)}, ["deep" + ".a" * 31], id="depth"),
        pytest.param({"a": deep(40), "b": "x" * 3000}, ["a" + ".a" * 31, "b"], id="both"),
        pytest.param({"a": set(range(5000))}, ["a"], id="set"),
    ],
)
def test_what_is_cut_is_named(payload: Any, paths: list[str]) -> None:
    body = sent({"event_type": "x", "small": "stays", **payload})
    assert body["truncated"] == paths
    assert (body["event_type"], body["small"]) == ("x", "stays")


def test_an_endless_row_of_texts_ends() -> None:
    body = sent({"a": ("x" * 90 for _ in itertools.count())})
    assert body["truncated"][0] == "a" and 5 < len(body["a"]) < 30


def test_only_the_longest_are_cut() -> None:
    body = sent({"long": "x" * 5000, "short": "y" * 300})
    assert body["short"] == "y" * 300 and body["truncated"] == ["long"]
    assert len(body["long"]) >= LIMIT / 4 and body["long"].endswith("…")


def test_many_cut_texts_are_counted() -> None:
    body = sent({"lines": ["x" * 500 for _ in range(24)]}, 4000)
    assert body["truncated"] == [*(f"lines[{n}]" for n in range(20)), "and 4 more"]


@given(
    over=st.integers(1, 5 * LIMIT),
    letter=st.sampled_from("xé…🛠"),
    parts=st.integers(1, 5),
    beside=st.lists(st.integers(0, 9999), max_size=50),
)
@settings(max_examples=200)
def test_no_more_is_cut_than_is_needed(over: int, letter: str, parts: int, beside: list[int]) -> None:
    """One byte too many cut the body to half of it."""
    empty = len(encode({"beside": beside, "texts": [""] * parts}).encode())
    length = -(-(LIMIT + over - empty) // (parts * len(letter.encode())))
    payload = sanitise_object({"beside": beside, "texts": [letter * length] * parts}, limit=LIMIT)
    text, cut = encode_within(payload, LIMIT)
    assert text is not None and cut and json.loads(text)["beside"] == beside
    assert LIMIT - LIMIT // 16 <= len(text.encode()) <= LIMIT


@given(count=st.integers(LIMIT // 5, 600), item=st.sampled_from([1234, "a text", {"sku": "A-1", "count": 3}]))
def test_of_a_list_as_many_items_are_kept_as_there_is_room_for(count: int, item: Any) -> None:
    text, _ = encode_within(sanitise_object({"items": [item] * count}, limit=LIMIT), LIMIT)
    assert text is not None and LIMIT - LIMIT // 16 <= len(text.encode()) <= LIMIT


def test_too_many_small_parts_do_not_fit() -> None:
    assert sent({f"{n}": {"a": {"b": {"c": [n]}}} for n in range(400)})["truncated"]
    assert encode_within({"a" * 60: {"b": "c" * 60}}, 100)[0] is None


def test_lists_that_are_one_and_the_same_list_have_an_end() -> None:
    value: list[Any] = []
    for _ in range(30):
        value = [value, value]
    with pytest.raises(TooLarge):
        sanitise_object({"a": value}, limit=LIMIT)
    with pytest.raises(TooLarge):
        sanitise_object({"a": ["x" * LIMIT] * 900}, limit=LIMIT)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({1: "a", "1": "b"}, {"1": "a", "1 (2)": "b"}, id="1"),
        pytest.param({"1": "b", 1: "a"}, {"1": "b", "1 (2)": "a"}, id="order"),
        pytest.param({None: 1, "None": 2}, {"None": 1, "None (2)": 2}, id="none"),
        pytest.param({True: 1, "True": 2, "True (2)": 3}, {"True": 1, "True (2)": 2, "True (2) (2)": 3}, id="true"),
        pytest.param({(1,): 1, (2,): 2}, {"[1]": 1, "[2]": 2}, id="tuples"),
        pytest.param({"a\0": 1, "a\ufffd": 2}, {"a\ufffd": 1, "a\ufffd (2)": 2}, id="nul"),
        pytest.param({date(2026, 1, 2): 1, "2026-01-02": 2}, {"2026-01-02": 1, "2026-01-02 (2)": 2}, id="date"),
    ],
)
def test_keys_that_become_the_same_text_keep_both_values(value: Any, expected: Any) -> None:
    assert sanitise(value) == expected


@dataclass
class Line:
    sku: str
    amount: Decimal


class Plain:
    pass


class Nested:
    def __repr__(self) -> str:
        return f"Nested({Plain()!r})"


class Numbered:
    def __str__(self) -> str:
        return f"number {id(self)}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(lambda: (n for n in range(3)), [0, 1, 2], id="generator"),
        pytest.param(lambda: range(3), [0, 1, 2], id="range"),
        pytest.param(lambda: deque("ab"), ["a", "b"], id="deque"),
        pytest.param(lambda: {"b": 1, "a": 2}.keys(), ["b", "a"], id="keys"),
        pytest.param(lambda: {"b": 1}.values(), [1], id="values"),
        pytest.param(lambda: {"b": 1}.items(), [["b", 1]], id="items"),
        pytest.param(lambda: map(str, [1, 2]), ["1", "2"], id="map"),
        pytest.param(lambda: zip([1], [2], strict=True), [[1, 2]], id="zip"),
        pytest.param(lambda: iter([1]), [1], id="iterator"),
        pytest.param(lambda: array.array("i", [1, 2]), [1, 2], id="array"),
        pytest.param(lambda: UserList([1]), [1], id="user list"),
        pytest.param(lambda: UserDict(a=1), {"a": 1}, id="user dict"),
        pytest.param(lambda: OrderedDict(b=1, a=2), {"b": 1, "a": 2}, id="ordered"),
        pytest.param(lambda: {"bb", "a", "ccc"}, ["a", "bb", "ccc"], id="set"),
        pytest.param(lambda: [Line("A", Decimal(2))], [{"sku": "A", "amount": "2.00"}], id="dataclass"),
        pytest.param(lambda: ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8", id="has words"),
        pytest.param(object, "[object]", id="object"),
        pytest.param(Plain, "[Plain]", id="plain"),
        pytest.param(Nested, "[Nested]", id="address inside"),
        pytest.param(Numbered, "[Numbered]", id="its id"),
        pytest.param(lambda: lambda: 1, "[function]", id="function"),
        pytest.param(lambda: Plain().__init__, "[method-wrapper]", id="method"),
        pytest.param(lambda: {"a": {Plain(): Plain()}}, {"a": {"[Plain]": "[Plain]"}}, id="as key"),
    ],
)
def test_what_can_be_gone_through_is_a_list_and_the_rest_a_marker(value: Any, expected: Any) -> None:
    assert sanitise(value()) == expected
    assert encode({"a": value()}) == encode({"a": value()})


def refuse(*_: Any) -> Any:
    raise ValueError("not today")


class OddInt(int):
    __int__ = __index__ = __str__ = bit_length = refuse


class OddStr(str):
    __getitem__ = __str__ = refuse


class OddFloat(float):
    __float__ = __str__ = refuse


@pytest.mark.parametrize(("kind", "expected"), [(OddInt, 5), (OddStr, "x"), (OddFloat, 1.5)])
def test_subclasses_are_what_they_are_underneath(kind: Any, expected: Any) -> None:
    found = sanitise(kind(expected))
    assert found == expected and type(found) is type(expected)


def test_bytes_are_the_same_each_time_and_in_the_order_given() -> None:
    assert encode({"b": 1, "a": "ü"}) == '{"b":1,"a":"ü"}'


VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.binary(), st.decimals(), st.datetimes(),
        st.text(st.characters(codec=None)), st.uuids(), st.timedeltas(),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.text(), st.integers()), inner)),
)  # fmt: skip


@given(VALUES)
@settings(max_examples=300)
def test_everything_becomes_storable_json(value: Any) -> None:
    text = encode({"value": value})
    assert "\0" not in text and not re.search(r"(?<!\\)(?:\\\\)*\\u0000", text)
    text.encode()
    json.loads(text, parse_constant=pytest.fail)
    assert encode(json.loads(text)) == text or isinstance(value, dict)  # stable: sanitised stays as it is
