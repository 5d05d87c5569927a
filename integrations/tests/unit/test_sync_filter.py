"""Which deliveries a query string, a form or a stored job means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.http import QueryDict
from pydantic import ValidationError

from integrations.database import clock
from integrations.outbox.filters import SyncFilter, statuses

PUBLIC_ID = "7f1dd1a6-7f0e-4c3b-9d8e-2f5f6a7b8c9d"


def read(query: str) -> tuple[SyncFilter, dict[str, str]]:
    return SyncFilter.from_query(QueryDict(query))


def test_a_query_string_says_all_of_it_and_round_trips() -> None:
    found, errors = read(
        f"status=failed&status=retrying&response_status=4xx,none&error=+time+out+&event_type=a,b&page=3"
        f"&object=tasks.workitem:42&integration={PUBLIC_ID}&tenant=acme&since=2026-11-30T12:00Z&until=2026-12-01"
    )
    assert errors == {}
    assert found.status == ("failed", "retrying")
    assert found.response_status == ("4xx", "none")
    assert (found.error, found.event_type, found.object) == ("time out", ("a", "b"), "tasks.workitem:42")
    assert (found.integration, found.tenant) == (UUID(PUBLIC_ID), "acme")
    assert found.since == datetime(2026, 11, 30, 12, tzinfo=UTC)
    assert found.until == datetime(2026, 12, 2, tzinfo=UTC)  # that day included
    assert read(urlencode(found.to_query(), doseq=True)) == (found, {})
    assert SyncFilter.model_validate(json.loads(json.dumps(found.to_json()))) == found


def test_nothing_said_means_everything() -> None:
    for query in ("", "status=&error=&integration=&since=&until=&response_status=,"):
        found, errors = read(query)
        assert (found, errors, found.is_empty) == (SyncFilter(), {}, True)
    assert (SyncFilter().to_json(), SyncFilter().in_words()) == ({}, "all deliveries")
    assert SyncFilter.from_query({"status": ["failed", "synced"], "error": "x"})[0].status == ("failed", "synced")


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("status=lost", "status", "“lost” is no status; there are: pending,"),
        ("response_status=999", "response_status", "“999” is no HTTP status; write 404"),
        ("response_status=4xx,x", "response_status", "“x”"),
        ("integration=7", "integration", "“7” is no integration's id"),
        ("since=yesterday", "since", "“yesterday” is no time; write"),
        ("since=2026-13-45", "since", "is no time"),
        ("since=0h", "since", "is no time"),
        ("until=0001-01-01", "until", "out of range"),
        ("error=%00", "error", "control characters"),
        ("error=" + "x" * 201, "error", "has 201 characters; 200 are allowed"),
        ("event_type=" + "x" * 101, "event_type", "100 are allowed"),
        ("event_type=" + ",".join(map(str, range(51))), "event_type", "has 51 values; 50 are allowed"),
        ("since=2026-11-30T12:00Z&until=2026-11-30T12:00Z", "until", "is not after"),
        ("since=1h&until=24h", "until", "is not after"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_the_rest_stands(query: str, field: str, words: str) -> None:
    found, errors = read(f"{query}&object=42")
    assert list(errors) == [field]
    assert words in errors[field]
    assert found.object == "42"
    assert getattr(found, field) == SyncFilter.model_fields[field].default


def test_each_wrong_field_has_its_own_words() -> None:
    found, errors = read("status=x&since=y&until=z&tenant=acme")
    assert (set(errors), found) == ({"status", "since", "until"}, SyncFilter(tenant="acme"))


def test_a_plus_of_an_address_typed_by_hand_is_the_zone() -> None:
    found, errors = read("since=2026-11-30T12:00:00+01:00")
    assert (errors, found.since) == ({}, datetime(2026, 11, 30, 11, tzinfo=UTC))


def test_a_time_ago_counts_from_now_until_it_is_fixed() -> None:
    found = SyncFilter(since="24h")
    assert found.to_query() == {"since": ["24h"]}
    before = clock.now()
    fixed = found.fixed()
    assert isinstance(fixed.since, datetime)
    assert before - timedelta(hours=24) <= fixed.since <= clock.now() - timedelta(hours=24)
    assert SyncFilter.model_validate(fixed.to_json()) == fixed


def test_it_is_frozen_and_knows_no_other_fields() -> None:
    with pytest.raises(ValidationError):
        SyncFilter().error = "x"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        SyncFilter(colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"status": "failed", "since": "24h"}, "failed deliveries of the last 24 hours"),
        ({"status": ["failed", "cancelled"], "since": "1h"}, "failed or cancelled deliveries of the last hour"),
        ({"event_type": "a,b", "integration": PUBLIC_ID}, "deliveries of a or b to n8n"),
        ({"status": "failed", "integration": PUBLIC_ID, "response_status": "none"},
         "failed deliveries of n8n without an answer"),
        ({"object": "42", "tenant": "acme", "error": "timed out"},
         "deliveries for acme about 42 with “timed out” in the error"),
        ({"response_status": "4xx,500", "until": "7d"}, "deliveries answered 4xx or answered 500 until 7 days ago"),
        ({"since": "2020-01-02T03:04Z"}, "deliveries since 02 Jan 2020, 03:04"),
    ],
)  # fmt: skip
def test_in_words(said: dict[str, Any], words: str) -> None:
    assert SyncFilter(**said).in_words("n8n") == words


def test_every_state_of_a_row_may_be_asked_for() -> None:
    assert {"pending", "synced", "failed", "cancelled", "retrying"} <= set(statuses())
    assert SyncFilter(status=statuses()).status == statuses()
