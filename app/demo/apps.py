"""The demo as an app of its own: what takes the orders of its tenants' shops."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Makes a work item of each order that is pulled."""

    name = "app.demo"
    label = "demo"

    def ready(self) -> None:
        from integrations.pull.handlers import handles

        handles("shop", "orders")(take_orders)


def take_orders(orders: list[Any], connection: Any) -> None:
    """Store what a shop sold as work to do."""
    from tasks.models import WorkItem

    for order in orders:
        WorkItem.objects.get_or_create(
            tenant_id=connection.tenant_id,
            reference_id=f"WEB-{order.order_id}",
            defaults={"description": "Order of the web shop", "intake_method": WorkItem.IntakeMethod.ONLINE},
        )
