"""A second version of the payload of work items, as a host writes one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from integrations.signals.workitem import WorkItemTrigger

_first = WorkItemTrigger.payload


def with_prices_apart(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body of version 2 as version 1 has it."""
    prices = body["workitem"].pop("prices")
    body["workitem"] |= {"estimated_price": prices["estimated"], "final_price": prices["final"]}
    return body


@contextmanager
def second_version(older: Any = None) -> Iterator[None]:
    """Let work items be sent with ``prices`` in the place of two fields, from now on.

    Args:
        older: the older versions that are still made; None: version 1.
    """

    def payload(self: WorkItemTrigger, obj: Any) -> dict[str, Any]:
        found = _first(self, obj)
        prices = {"estimated": found.pop("estimated_price"), "final": found.pop("final_price")}
        return {**found, "prices": prices}

    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(WorkItemTrigger, "payload", payload)
            patched.setattr(WorkItemTrigger, "payload_version", 2)
            patched.setattr(WorkItemTrigger, "older_payloads", {1: with_prices_apart} if older is None else older)
            WorkItemTrigger.connect()
            yield
    finally:
        WorkItemTrigger.connect()
