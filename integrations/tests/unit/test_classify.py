"""What a status means: the default table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations import errors
from integrations.tests.case_files import params
from integrations.tests.effort import computing
from integrations.transport.classify import error_for
from integrations.transport.response import Headers, Response

NOW = datetime(2025, 11, 20, 20, 0, tzinfo=UTC)
RESULTS = {
    "synced": type(None),
    "temporary": errors.IntegrationTemporaryError,
    "rate_limited": errors.IntegrationRateLimited,
    "permanent": errors.IntegrationPermanentError,
    "auth_failed": errors.IntegrationAuthError,
}


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    return Response(status, Headers([(name.replace("_", "-"), v) for name, v in headers.items()]), body)


def error(status: int, body: bytes = b"", secrets: tuple[str, ...] = (), **headers: str) -> Any:
    return error_for(answer(status, body, **headers), host="hooks.example.com", secrets=secrets, now=NOW)


@pytest.mark.parametrize(
    "case", params("bad-inputs", lambda case: case["area"] == "response" and case["name"].isdigit())
)
def test_case(case: dict[str, Any]) -> None:
    word = case["expect"]["result"].replace(",", " ").replace(";", " ").split()[0]
    assert isinstance(error(int(case["name"])), RESULTS[word])


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (100, errors.IntegrationTemporaryError, "http_100"),
        (300, errors.IntegrationTemporaryError, "redirect"),
        (301, errors.IntegrationMoved, "redirect"),
        (302, errors.IntegrationTemporaryError, "redirect"),
        (308, errors.IntegrationMoved, "redirect"),
        (401, errors.IntegrationAuthError, "auth"),
        (403, errors.IntegrationAuthError, "auth"),
        (404, errors.IntegrationPermanentError, "http_404"),
        (408, errors.IntegrationTemporaryError, "http_408"),
        (410, errors.IntegrationGone, "gone"),
        (421, errors.IntegrationTemporaryError, "http_421"),
        (425, errors.IntegrationTemporaryError, "http_425"),
        (429, errors.IntegrationRateLimited, "rate_limited"),
        (499, errors.IntegrationPermanentError, "http_499"),
        (600, errors.IntegrationTemporaryError, "http_600"),
    ],
)
def test_kind_and_code(status: int, kind: type, code: str) -> None:
    found = error(status)
    assert (type(found), found.code, found.status) == (kind, code, status)
    assert f"hooks.example.com answered {status}" in found.message


@pytest.mark.parametrize(
    ("status", "wait"), [(429, 120.0), (503, 120.0), (529, 120.0), (500, None), (301, None), (404, None)]
)
def test_retry_after_counts_only_where_it_is_defined(status: int, wait: float | None) -> None:
    assert error(status, retry_after="120").retry_after == wait


def test_retry_after_on_success_has_no_effect() -> None:
    assert error(200, retry_after="120") is None


def test_retry_after_date_is_measured_against_the_answers_own_clock() -> None:
    found = error(429, retry_after="Thu, 20 Nov 2025 20:15:00 GMT", date="Thu, 20 Nov 2025 20:10:00 GMT")
    assert found.retry_after == 300.0


def test_moved_names_the_place_without_its_path() -> None:
    found = error(308, location="https://user:hush@new.example.net/hooks/hush?k=hush")
    assert "https://new.example.net/•••" in found.message
    assert "hush" not in found.message


def test_excerpt_is_redacted_before_it_is_cut() -> None:
    body = b"x" * 490 + b' "token": "abcdefghijklmnop" ' + b"y" * 5000
    found = error(400, body)
    assert len(found.excerpt) <= 500
    assert "abc" not in found.excerpt
    assert "s3cr3t-key" not in error(400, b"your key s3cr3t-key is wrong", ("s3cr3t-key",)).excerpt


def test_the_excerpt_of_megabytes_costs_no_seconds() -> None:
    with computing() as computed:
        found = error(500, b"https://" * 1_000_000)
    assert len(found.excerpt) <= 500 and computed.seconds < 3  # it was a quarter of a minute


@given(st.integers(100, 999), st.binary(max_size=600), st.text(max_size=40), st.text(max_size=40))
def test_never_raises(status: int, body: bytes, value: str, location: str) -> None:
    found = error(status, body, retry_after=value, location=location, date=value)
    assert (found is None) == (200 <= status < 300)
    if found is not None:
        assert len(found.excerpt) <= 500
        assert found.excerpt.isprintable()
        assert len(found.message) <= 500
