"""Retry-After: seconds or nothing, whatever a receiver writes there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from integrations.tests.case_files import params
from integrations.transport.classify import LIMIT, parse_retry_after

NOW = datetime(2025, 11, 20, 20, 0, tzinfo=UTC)
SCHEDULE, CAP = 60.0, 86400.0


def imf(moment: datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    "case",
    params("bad-inputs", lambda case: case["area"] == "retry-after" and not case["name"].startswith("on ")),
)
def test_case(case: dict[str, Any]) -> None:
    value = case["input"].removeprefix("Retry-After: ")
    date_header, clock = None, NOW
    if "receiver clock" in value:
        clock = NOW + timedelta(minutes=10)
        value, date_header = "<IMF date now+300s>", imf(clock)
    if value == "<IMF date now+300s>":
        value = imf(clock + timedelta(seconds=300))
    seconds = parse_retry_after(value, now=NOW, date_header=date_header)
    expected = float(re.match(r"\d+", case["expect"]["next_attempt"])[0])
    assert min(max(SCHEDULE, seconds or 0.0), CAP) == expected
    if "ignored" in case["expect"]["next_attempt"] or "past" in case["expect"]["next_attempt"]:
        assert seconds is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("0000000000120", 120.0),
        ("120, 60", None),
        ("1_0", None),
        ("\uff15", None),
        ("\u0665", None),
        ("12\u00a0", None),
        ("5.5", None),
        ("nan", None),
        ("9" * 5000, LIMIT),
        ("Thu, 20 Nov 2025 20:01:00 GMT", 60.0),
        ("Thursday, 20-Nov-25 20:01:00 GMT", 60.0),
        ("Thu Nov 20 20:01:00 2025", 60.0),
        ("Mon Dec  1 20:00:00 2025", 11 * 86400.0),
        ("Sunday, 01-Jan-76 00:00:00 GMT", None),  # more than 50 years ahead: 1976
        ("Thu, 20 Nov 2025 20:00:60 GMT", 59.0),  # leap second
        ("Thu, 20 Nov 2025 21:01:00 +0100", None),
        ("Sun, 30 Feb 2031 20:01:00 GMT", None),
        ("Thu, 20 Nov 2025 25:01:00 GMT", None),
        ("Thu, 20 Nov 0000 20:01:00 GMT", None),
        ("thu, 20 nov 2025 20:01:00 gmt", None),
        ("Thu, 20 Nov 2025 20:60:00 GMT", None),  # no leap minute
    ],
)
@time_machine.travel(NOW, tick=False)  # a year of two digits is read by the calendar
def test_more(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


def test_unreadable_date_header_means_our_clock() -> None:
    assert parse_retry_after(imf(NOW + timedelta(seconds=9)), now=NOW, date_header="yesterday") == 9.0


@given(st.text(), st.text())
def test_never_raises(value: str, date_header: str) -> None:
    seconds = parse_retry_after(value, now=NOW, date_header=date_header)
    assert seconds is None or 0 <= seconds <= LIMIT
