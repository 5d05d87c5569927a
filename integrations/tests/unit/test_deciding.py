"""Why a condition was met or not, in the values that decided."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connections.conditions import decided_by

BODY: dict[str, Any] = {
    "workitem": {"priority": "Standard", "price": "150.00", "customer": None, "tags": [{"n": 1}, {"n": 2}]},
    "changes": {"status": {"new": "Done"}},
}


@pytest.mark.parametrize(
    ("condition", "decided"),
    [
        ("", []),
        ("workitem.priority == 'Urgent'", [("workitem.priority", "Standard")]),
        ("workitem.priority == 'Urgent' && workitem.customer", [("workitem.priority", "Standard")]),
        ("changes && workitem.customer.name", [("workitem.customer.name", None)]),
        ("changes.status.new == 'Done' || workitem.customer", [("changes.status.new", "Done")]),
        (
            "workitem.customer || workitem.priority == 'Urgent'",
            [("workitem.customer", None), ("workitem.priority", "Standard")],
        ),
        ("!(workitem.customer) && workitem.price > `200`", [("workitem.price", "150.00")]),
        ("workitem.tags[0].n == workitem.tags[1].n", [("workitem.tags[0].n", 1), ("workitem.tags[1].n", 2)]),
        ("workitem.tags[?n > `2`]", [("workitem.tags", BODY["workitem"]["tags"])]),
        ("contains(workitem.priority, 'x')", [("workitem.priority", "Standard")]),
        ("length(workitem.tags[0].n) > `1`", [("workitem.tags[0].n", 1)]),
        ("no expression", []),
    ],
)
def test_what_decided(condition: str, decided: list[tuple[str, Any]]) -> None:
    assert decided_by(condition, BODY) == decided
