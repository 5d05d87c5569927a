"""A made-up shop: it calls back, and two kinds of things can be pulled from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported
from integrations.connectors.manifest import Field, Inbound, Manifest
from integrations.connectors.registry import ConnectorRegistry

KEY = "corner-shop"
VALID = {
    "store_url": "https://north.example.com",
    "consumer_secret": "canary-consumer",
    "webhook_secret": "canary-hook-7f3a91",
}


class CornerShop(BaseConnector):
    """It answers nothing; the pages only look at what it says of itself."""

    manifest = Manifest(
        key=KEY,
        label="Corner Shop",
        family="shop",
        description="Sells what is round the corner.",
        does=("check", "read"),
        inbound=Inbound(scheme="hmac-sha256-hex", signature_header="X-Shop-Signature"),
        fields=(
            Field(name="store_url", kind="url", required=True),
            Field(name="consumer_secret", kind="secret", required=True),
            Field(name="webhook_secret", kind="secret", label="Webhook secret"),
            Field(name="prices_include_vat", kind="boolean"),
        ),
    )

    @exported
    def get_orders(self, cursor: str | None = None) -> Any:
        """Nothing was ordered."""

    @exported
    def get_products(self, cursor: str | None = None) -> Any:
        """Nothing is on offer."""

    def check(self) -> str:
        return "The shop is open."


@contextmanager
def registered() -> Iterator[type[CornerShop]]:
    """Have the kind known for a while."""
    ConnectorRegistry.register(CornerShop)
    try:
        yield CornerShop
    finally:
        ConnectorRegistry.unregister(KEY)
