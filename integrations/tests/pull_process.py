"""What a worker of its own imports to know the corner shop: ``celery worker -I integrations.tests.pull_process``."""

from __future__ import annotations

from integrations.connectors.registry import ConnectorRegistry
from integrations.pull.handlers import handles
from integrations.tests.pull_world import KEY, CornerShop, store_orders

ConnectorRegistry.register(KEY, CornerShop)
handles("shop", "orders")(store_orders)
