"""What of the host's models is an event: found by its name."""

from __future__ import annotations

from typing import Any

from integrations.capture import TriggerHandler

from .models import Invoice, Stock


class InvoiceEvents(TriggerHandler):
    """Two steps from the tenant."""

    model = Invoice
    tenant = "client__account"
    name = "invoice"
    tracked = ("number", "status", "amount", "client", "referrer")
    related = ("client",)

    def payload(self, obj: Invoice) -> dict[str, Any]:
        return {
            "id": obj.pk,
            "number": obj.number,
            "status": obj.get_status_display(),
            "amount": obj.amount,
            "client": obj.client.name,
        }


class StockEvents(TriggerHandler):
    """One step; not everything is told."""

    model = Stock
    name = "stock"
    tracked = ("count",)
    events = ("created", "updated", "deleted")

    def payload(self, obj: Stock) -> dict[str, Any]:
        return {"code": obj.code, "count": obj.count}


InvoiceEvents.connect()
StockEvents.connect()
