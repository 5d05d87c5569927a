"""What a receipt says beside its excerpt (the ERP's order number, the file's name), fit to be stored and shown.

Connectors of others fill it in too, so nothing is taken on trust: flat, short, few, and without known secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.port import Receipt
from integrations.errors import MAX_MESSAGE, printable
from integrations.transport.redaction import redact

MAX_FACTS = 20
MAX_NAME = 50


def redacted(receipt: Receipt, connector: BaseConnector) -> Receipt:
    """Return `receipt` with facts that may be stored; most receipts have none, and cost nothing here.

    Raises:
        TypeError: the connector returned something else, or a status that is no number.
    """
    if not isinstance(receipt, Receipt) or not isinstance(receipt.status, int | None):
        raise TypeError("a connector returns a Receipt, with the HTTP status or None")
    if not (receipt.external_id or receipt.location or receipt.details or receipt.remark):
        return receipt
    secrets = connector.secrets

    def clean(value: Any) -> str:
        return redact(printable(str(value)), secrets)[:MAX_MESSAGE]

    details = list(receipt.details.items())[:MAX_FACTS]
    return replace(
        receipt,
        external_id=clean(receipt.external_id),
        location=clean(receipt.location),
        remark=clean(receipt.remark),
        details={str(name)[:MAX_NAME]: clean(value) for name, value in details if value not in (None, "")},
    )


def without_facts(receipt: Receipt) -> Receipt:
    """Return `receipt` without anything that the receiver said."""
    return replace(receipt, excerpt="", external_id="", location="", details={}, remark="")


def answer_of(receipt: Receipt) -> str | Mapping[str, Any] | None:
    """Return what the log keeps of a success: the excerpt, or with facts an object that holds both."""
    facts = {"external_id": receipt.external_id, "location": receipt.location, **receipt.details}
    facts = {name: value for name, value in facts.items() if value}
    if not facts:
        return receipt.excerpt or None
    return {"answer": receipt.excerpt, **facts} if receipt.excerpt else facts
