"""Inside of the fresh project: run the examples of the page one after the other, and tell what each one left."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from typing import Any

import django

django.setup()

from connectors.models import Connection, ExecutionLog, SyncState  # noqa: E402
from connectors.sync import sync_all_shop_orders  # noqa: E402

COLUMNS = ("is_enabled", "is_connected", "auth_failure_count", "disabled_reason", "config", "provider_family")


def main(examples: list[str]) -> None:
    names: dict[str, Any] = {}
    found = []
    disabled: Any = None
    for example in examples:
        if ".re_enable()" in example:
            for _ in range(3):
                names["connection"].record_auth_failure()
            disabled = Connection.objects.values(*COLUMNS).get()
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(example, names)
        row = Connection.objects.values(*COLUMNS, "credentials_encrypted").first()
        tests = names.get("result")
        found.append(
            {
                "shown": shown.getvalue(),
                "row": row,
                "test": [tests.success, tests.message] if tests else None,
                "logs": list(ExecutionLog.objects.order_by("pk").values("action", "response_status", "connection__pk")),
            }
        )
    stored: list[str] = []
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        sync_all_shop_orders(lambda items, connection: stored.extend(order.order_id for order in items))
    pulled = {"shown": shown.getvalue(), "stored": stored, **SyncState.objects.values("status", "resource_type").get()}
    print(json.dumps({"examples": found, "disabled": disabled, "pulled": pulled}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
