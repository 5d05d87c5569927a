"""One event reads the same wherever people read it, and no connector knows a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

import integrations.connectors
from integrations.connectors.kinds.email.compose import compose
from integrations.connectors.port import Envelope
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.summary import SummaryFormat
from integrations.testing import ConnectorConformance
from integrations.tests.receiver import Receiver
from integrations.tests.services import is_of_tests
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .test_hostile_text import CASES

LINK = "https://billing.example.com/invoices/7"
FORMAT = SummaryFormat(
    lines=("Customer: invoice.customer.name", "Total: invoice.total"), link=LINK[:-1] + "{invoice.id}"
)
INVOICE = {
    "id": 7,
    "number": "INV-7",
    "description": "Two days of work",
    "total": "99.00",
    "customer": {"name": "Jane"},
}
ENVELOPE = Envelope(
    "invoice_paid",
    "evt_7",
    json.dumps(
        {
            "event_type": "invoice_paid",
            "timestamp": "2026-01-05T09:00:00Z",
            "tenant": {"id": 1, "name": "Acme"},
            "invoice": INVOICE,
            "changes": {"status": {"old": "Open", "new": "Paid"}},
        }
    ).encode(),
    summary_format=FORMAT,
)
READS: dict[str, Callable[[Any], Any]] = {
    "discord": lambda body: body["content"],
    "github": lambda body: [body["title"], body["body"]],
    "microsoft_graph": lambda body: [body["message"]["subject"], body["message"]["body"]["content"]],
    "notion": lambda body: [body["properties"], body["children"]],
    "slack": lambda body: [body["text"], body["blocks"]],
    "teams": lambda body: body["attachments"][0]["content"],
    "weaviate": lambda body: [body["properties"]["title"], body["properties"]["text"]],
}


def sent(kind: type[ConnectorConformance], receiver: Receiver) -> Any:
    """What `kind` sends of the event, as JSON."""
    case = kind()
    case.server_place, case._answer = receiver.netloc, None
    receiver.answer_with(case.answer_to)
    client = GuardedClient(AddressPolicy.from_conf(), timeout=5)
    try:
        kind.connector.bound_to(case.settings(), client).deliver(ENVELOPE)
    finally:
        client.close()
    return next(request for request in reversed(receiver.requests) if request.method in ("POST", "PUT", "PATCH")).json


@pytest.mark.parametrize(
    "kind", [kind for kind in CASES if kind.connector.manifest.key in READS], ids=lambda kind: kind.__name__
)
def test_an_invoice_reads_the_same_everywhere(
    kind: type[ConnectorConformance], receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    key = kind.connector.manifest.key
    words = json.dumps(READS[key](sent(kind, receiver)), ensure_ascii=False)
    wanted = ["Invoice paid: INV-7", "Two days of work", "Customer", "Jane", "Total", "99.00", "Open → Paid"]
    if key != "weaviate":  # whose collection has the columns that it has
        wanted.append(LINK)
    assert [word for word in wanted if word not in words] == []


def test_and_in_a_mail() -> None:
    mail = message_from_bytes(compose(ENVELOPE, "a@x.example", ["b@x.example"]), policy=default)
    body = mail.get_body()
    assert mail["Subject"] == "Invoice paid: INV-7" and body is not None
    text = body.get_content().replace("\r\n", "\n")
    parts = ["Invoice paid: INV-7", "Two days of work", "Customer: Jane\nTotal: 99.00", "Status: Open → Paid", LINK]
    assert text.startswith("\n\n".join(parts) + "\n\n")


@pytest.mark.parametrize("key", ["webhook", "n8n"])
def test_who_gets_the_payload_gets_its_bytes_and_nothing_more(key: str, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    client = GuardedClient(AddressPolicy.from_conf(), timeout=5)
    try:
        connector = ConnectorRegistry.type_of(key).bound_to({"url": f"http://{receiver.netloc}/in"}, client)
        connector.deliver(ENVELOPE)
    finally:
        client.close()
    (request,) = receiver.requests
    assert request.body == ENVELOPE.body


def test_a_page_shows_status_and_due_date_of_any_object(receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    kind = next(kind for kind in CASES if kind.connector.manifest.key == "notion")
    case = kind()
    case.server_place, case._answer = receiver.netloc, None
    receiver.answer_with(case.answer_to)
    client = GuardedClient(AddressPolicy.from_conf(), timeout=5)
    columns = {"status_property": "Status", "due_property": "Due"}
    body = json.dumps({"invoice": {"number": "INV-7", "status": "Paid", "due_date": "2026-02-01"}}).encode()
    try:
        kind.connector.bound_to({**case.settings(), **columns}, client).deliver(Envelope("invoice_paid", "evt_8", body))
    finally:
        client.close()
    properties = receiver.requests[-1].json["properties"]
    assert properties["Status"] == {"select": {"name": "Paid"}} and properties["Due"] == {
        "date": {"start": "2026-02-01"}
    }


def test_no_connector_and_no_template_knows_a_model() -> None:
    folder = Path(integrations.connectors.__file__).parent
    code = [path for path in folder.rglob("*") if path.suffix in (".py", ".yaml", ".yml")]
    files = [path for path in code if not is_of_tests(path)]
    scaffold = folder.parent / "management" / "scaffold" / "files"
    naming = [
        str(path) for path in [*files, *scaffold.iterdir()] if re.search(r"work_?item", path.read_text(), re.IGNORECASE)
    ]
    assert len(files) > 60 and naming == []
