"""Anything in, JSON text out."""

from __future__ import annotations

import enum
import json
import re
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings
from django.utils.functional import lazystr
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.outbox.canonical_json import MAX_STRING, encode, sanitise
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
        pytest.param({1: 2, None: 3, (1,): 4}, {"1": 2, "None": 3, "[truncated]": 4}, id="keys"),
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


def test_long_strings_are_cut_with_a_sign() -> None:
    cut = sanitise("x" * 100_000)
    assert len(cut) == MAX_STRING and cut.endswith("…")


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
