"""Values in SOQL are whole literals, whatever they hold."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.kinds.salesforce import format_soql
from integrations.connectors.kinds.salesforce.soql import checked_name


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("Bob's BBQ", r"'Bob\'s BBQ'"),
        ("a\\' OR Name != '", r"'a\\\' OR Name != \''"),
        ('say "hi"\n\r\t\b\f\x0b', r"'say \"hi\"\n\r\t\b\f\u000b'"),
        ("", "''"),
        ("日本 😀 {x}", "'日本 😀 {x}'"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (7, "7"),
        (-(10**20), "-100000000000000000000"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("150.00"), "150.00"),
        (date(2025, 11, 5), "2025-11-05"),
        (datetime(2025, 11, 5, 20, 30, tzinfo=UTC), "2025-11-05T20:30:00.000Z"),
        (datetime(2025, 11, 5, 20, 30, 1, 999, tzinfo=timezone(timedelta(hours=2))), "2025-11-05T18:30:01.000Z"),
        (["a", "b's"], r"('a', 'b\'s')"),
        ((1, None, True), "(1, null, true)"),
    ],
)
def test_literals(value: Any, literal: str) -> None:
    assert format_soql("SELECT Id FROM X WHERE A = {a}", a=value) == f"SELECT Id FROM X WHERE A = {literal}"


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[1]],
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        datetime(2025, 11, 5),
        b"x",
        {"a": 1},
        object(),
        "\0",
        "\ud800",
    ],
)
def test_what_has_no_place_in_a_query(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\{a\}"):
        format_soql("WHERE A = {a}", a=value)


def test_like_patterns() -> None:
    made = format_soql("WHERE A LIKE {a:contains} OR B LIKE {b:begins}", a="50%_'off", b="x")
    assert made == r"WHERE A LIKE '%50\%\_\'off%' OR B LIKE 'x%'"


@pytest.mark.parametrize(
    "pattern", ["{a:literal}", "{a:raw}", "{a!r}", "{a.b}", "{a[0]}", "{0}", "{}", "{a", "a}", "{{a}}"]
)
def test_no_other_way_in(pattern: str) -> None:
    with pytest.raises(ValueError):
        format_soql(pattern, a="x")


@pytest.mark.parametrize("pattern", ["Name = '{a}'", "Name = '%{a}'", "Name = '{a:contains}'", "Name = 'x"])
def test_no_placeholder_in_quotes(pattern: str) -> None:
    """``'{a}'`` with ``" OR Name != "`` would be two literals and a condition."""
    with pytest.raises(ValueError, match="without quotes"):
        format_soql(pattern, a=" OR Name != ")


def test_missing_and_unused_values_are_named_and_never_shown() -> None:
    with pytest.raises(ValueError, match=r"no value for \{a\}"):
        format_soql("WHERE A = {a}")
    with pytest.raises(ValueError, match="b, c") as caught:
        format_soql("SELECT Id FROM X", b="hush", c="hush")
    assert "hush" not in str(caught.value)


def test_literals_of_the_pattern_stay() -> None:
    pattern = r"SELECT Id FROM X WHERE A = 'it\'s' AND B = {b}"
    assert format_soql(pattern, b=1) == r"SELECT Id FROM X WHERE A = 'it\'s' AND B = 1"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_stays_one_literal(text: str) -> None:
    literal = format_soql("{a}", a=text)
    assert re.fullmatch(r"'(?:[^'\\\x00-\x1f]|\\(?:[\\'\"nrtbf]|u[0-9a-f]{4}))*'", literal)


@pytest.mark.parametrize("name", ["", "1a", "a-b", "a.b", "a/b", "a b", "a'", "é", "x" * 81, "a\n"])
def test_names(name: str) -> None:
    assert checked_name("Work_Item__c") == "Work_Item__c"
    with pytest.raises(ValueError):
        checked_name(name)
