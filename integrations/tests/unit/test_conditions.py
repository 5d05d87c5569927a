"""Conditions can look, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from integrations.connections.conditions import validate_condition, wants

PAYLOAD: dict[str, Any] = {
    "event_type": "workitem_created",
    "workitem": {"priority": "Urgent", "estimated_price": "150.00", "customer": None, "tags": [{"n": 1}, {"n": 2}]},
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", True),
        ("workitem.priority == 'Urgent'", True),
        ("workitem.priority == 'Low' || event_type == 'workitem_created'", True),
        ("workitem.customer", False),
        ("workitem.customer == `null` && workitem.tags[?n > `1`]", True),
        ("to_number(workitem.estimated_price) > `200`", False),
        ("contains(workitem.priority, 'rgen') && length(workitem.tags) == `2`", True),
        ("workitem.tags[0].n == `1`", True),
        ("starts_with(workitem.priority, 'U') | @ == `true`", True),
        ("length(workitem.customer) > `0`", False),
        ("length(workitem.customer) == `null`", True),
    ],
)
def test_what_people_write(condition: str, expected: bool) -> None:
    validate_condition(condition)
    assert wants(condition, PAYLOAD) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "workitem.",
        "!" * 499 + "a",
        "|".join(["[@,@]"] * 40),
        "|".join(["[@,@][]"] * 26),
        "{a: @, b: @}",
        "to_string(workitem)",
        "join('', [workitem.priority])",
        "map(&n, workitem.tags)",
        "workitem.priority | [@] | [::0]",
        "ceil(`1e999`)",
        " || ".join(["a"] * 200),
        "nosuchfunction(@)",
    ],
    ids=lambda condition: condition[:24],
)
def test_what_could_grow_or_break_is_refused_and_never_breaks_a_save(condition: str) -> None:
    with pytest.raises(ValidationError, match="JMESPath"):
        validate_condition(condition)
    assert wants(condition, PAYLOAD) is True  # one event too many is better than one lost


def test_a_condition_that_fails_on_this_payload_lets_it_pass() -> None:
    assert wants("length(event_type) > length(workitem.tags[0].n)", PAYLOAD) is True
