"""When to try again."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.retry_policy import RetryPolicy, webhook
from integrations.transport.classify import error_for, parse_retry_after
from integrations.transport.response import Headers, Response

CASES = json.loads((Path(__file__).parents[1] / "cases" / "bad-inputs.json").read_text())["cases"]
RETRY_AFTER = [case for case in CASES if case["area"] == "retry-after"]
NOW = datetime(2025, 11, 20, 20, 0, tzinfo=UTC)


def policy(**changes: Any) -> RetryPolicy:
    values: dict[str, Any] = {
        "base": 60, "factor": 2, "cap": 21600, "jitter": 0, "max_attempts": 24, "max_age": 259200,
    }  # fmt: skip
    return RetryPolicy(**{**values, **changes})


def test_doubles_up_to_the_cap() -> None:
    delays = [policy().delay(attempt, IntegrationTemporaryError(), 0) for attempt in range(1, 12)]
    assert delays == [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]


def test_the_default_lasts_about_three_days() -> None:
    default = webhook()
    steady = RetryPolicy(default.base, default.factor, default.cap, 0, default.max_attempts, default.max_age)
    age, attempt = 0.0, 1
    while (delay := steady.delay(attempt, IntegrationTemporaryError(), age)) is not None:
        age += delay
        attempt += 1
    assert timedelta(days=2.5) < timedelta(seconds=age) < timedelta(days=3.5)
    assert steady.delay(1, IntegrationTemporaryError(), 0) == 15


@pytest.mark.parametrize("error", [IntegrationPermanentError(), IntegrationGone()])
def test_permanent_errors_are_not_repeated(error: IntegrationError) -> None:
    assert policy().delay(1, error, 0) is None


def test_gives_up_by_count_and_by_age() -> None:
    assert policy(max_attempts=3).delay(3, IntegrationTemporaryError(), 0) is None
    assert policy().delay(2, IntegrationTemporaryError(), 259200) is None


def test_wrong_credentials_wait_for_a_person() -> None:
    assert policy().delay(2, IntegrationAuthError(), 30 * 86400) is not None
    assert policy(max_attempts=3).delay(3, IntegrationAuthError(), 0) is None  # a 403 for this one payload ends


@given(
    attempt=st.integers(1, 10_000),
    wish=st.one_of(st.none(), st.floats(0, 1e18)),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_never_undercuts_retry_after_and_never_explodes(attempt: int, wish: float | None, chance: float) -> None:
    steady = policy(jitter=0.2, max_attempts=100_000, chance=lambda: chance)
    delay = steady.delay(attempt, IntegrationRateLimited(retry_after=wish), 0)
    assert delay is not None
    assert min(wish or 0, 86400) <= delay <= 86400 * 1.1


def _given(case: dict[str, Any]) -> tuple[str, datetime, str | None]:
    text = case["input"].removeprefix("Retry-After: ")
    later = format_datetime(NOW + timedelta(seconds=300), usegmt=True)
    if "clock 10 min ahead" in text:
        ahead = NOW + timedelta(minutes=10)
        return format_datetime(ahead + timedelta(seconds=300), usegmt=True), NOW, format_datetime(ahead, usegmt=True)
    return text.replace("<IMF date now+300s>", later), NOW, None


@pytest.mark.parametrize("case", RETRY_AFTER, ids=lambda case: case["id"])
def test_retry_after_cases(case: dict[str, Any]) -> None:
    value, now, date_header = _given(case)
    expected = case["expect"]["next_attempt"]
    status = int(found[1]) if (found := re.search(r"^on (\d+)$", case["name"])) else 429

    if status != 429:
        error = error_for(Response(status, Headers({"Retry-After": value}.items()), b""), host="x")
        delay = policy().delay(1, error, 0) if error else None
        assert delay is None, expected
        return
    wish = parse_retry_after(value, now=now, date_header=date_header)
    delay = policy().delay(1, IntegrationRateLimited(retry_after=wish), 0)
    assert delay == float(expected.split(" ")[0])
