"""Inside of the fresh project: run the examples of the page one after the other, and tell what each one left."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from typing import Any

import django

django.setup()

from connectors.models import Connection, WebhookEvent  # noqa: E402
from connectors.sync import sync_all_shop_orders  # noqa: E402
from django.test import Client  # noqa: E402
from project import settings  # noqa: E402

from integrations.tasks import process_webhook  # noqa: E402

COLUMNS = ("is_enabled", "is_connected", "auth_failure_count", "disabled_reason", "config", "credentials_encrypted")


def row_of(connection: Connection) -> dict[str, Any]:
    return Connection.objects.values(*COLUMNS).get(pk=connection.pk)


class Said(logging.Handler):
    """What the receivers of the page log."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def called_back(mine: Connection, headers: dict[str, str], body: str) -> dict[str, Any]:
    """Deliver one webhook, twice, and process it as a worker would."""
    mine.credentials = {**mine.credentials, "webhook_secret": "walk-secret"}
    mine.save()
    answers = [
        Client().post(f"/webhooks/{mine.public_id}/orders/", body, "application/json", headers=headers).status_code
        for _ in range(2)
    ]
    event = WebhookEvent.objects.get(connection=mine)
    process_webhook(webhook_event_id=event.pk, app_label="connectors", model_name="WebhookEvent")
    event.refresh_from_db()
    return {"answers": answers, "status": event.status, "event_type": event.event_type}


def main(examples: list[str], webhook: tuple[dict[str, str], str]) -> None:
    said = Said()
    logging.getLogger("connectors").addHandler(said)
    logging.getLogger("connectors").setLevel(logging.INFO)
    settings.ALLOWED_HOSTS.append("testserver")
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
    answer = called_back(mine, *webhook)
    about = [text for text in said.texts if "a new order" in text or str(mine) in text]
    print(json.dumps({"examples": found, "disabled": disabled, "pulled": pulled, "inbound": answer, "said": about}))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
