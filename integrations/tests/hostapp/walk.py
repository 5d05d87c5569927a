"""Inside of the fresh project: run the examples of the page one after the other, and tell what each one left."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import django

django.setup()

from connectors.models import Connection  # noqa: E402
from connectors.sync import sync_all_shop_orders  # noqa: E402

COLUMNS = ("is_enabled", "is_connected", "auth_failure_count", "disabled_reason", "config", "credentials_encrypted")


def row_of(connection: Connection) -> dict[str, Any]:
    return Connection.objects.values(*COLUMNS).get(pk=connection.pk)


def main(examples: list[str]) -> None:
    names: dict[str, Any] = {}
    found = []
    disabled: Any = None
    for example in examples:
        if ".re_enable()" in example:
            for _ in range(3):
                names["connection"].record_auth_failure()
            disabled = row_of(names["connection"])
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(example, names)
        mine, tests = names["connection"], names.get("result")
        found.append(
            {
                "shown": shown.getvalue(),
                "row": row_of(mine),
                "test": [tests.success, tests.message] if tests else None,
                "logs": list(mine.execution_logs.order_by("pk").values("action", "response_status")),
            }
        )
    stored: list[str] = []
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        sync_all_shop_orders(lambda items, its: stored.extend(each.order_id for each in items if its == mine))
    pulled = {"shown": shown.getvalue(), "stored": stored, **mine.sync_states.values("status", "resource_type").get()}
    print(json.dumps({"examples": found, "disabled": disabled, "pulled": pulled}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
