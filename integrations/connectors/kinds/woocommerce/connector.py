"""WooCommerce's REST API v3: orders and products, page by page, and the status of an order.

    page = shop.get_orders()
    shop.get_order("727").total  # Decimal("29.35")
    shop.update_order_status("727", OrderStatus.SHIPPED)

A first run reads everything, the next one what changed since; no row is left out while the shop goes on selling, and
how that is done stands in window.py. A row that changed within the last minute of a run may come again with the next.
Not reported: what was deleted, and the variations of a product.

Statuses: WooCommerce has no “shipped”, so SHIPPED and DELIVERED become ``completed``, unless the maps say otherwise.
``wc-custom-status`` and ``custom-status`` are the same word: the API leaves the prefix out. A status that no map knows
stays the shop's own word.

Webhooks: the event is the topic (``order.created``), the payload is what the shop sent. The form ``webhook_id=7`` that
comes when a webhook is saved is unsigned, so it is answered and not stored; a signed one is the event ``ping``.
WooCommerce makes a delivery's id of the webhook's number and the second, so two orders of one second share it; ours has
a digest of topic and body beside it.

The key goes in the header Authorization (Basic, https), never in the address, which everybody logs. A shop whose web
server drops that header must be mended there. “Plain” permalinks have no such API; WooCommerce itself wants others.
Errors: errors.py beside this. Source: https://woocommerce.github.io/woocommerce-rest-api-docs/, WooCommerce 5.8 and
later (modified_after), and what its own controllers do.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

from integrations.auth.scheme import Auth, BasicAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.config_check import check
from integrations.connectors.families.shop import Order, OrderStatus, Product, ShopPort
from integrations.connectors.families.status_map import StatusMap, status_map_problems
from integrations.connectors.incoming import WebhookDTO
from integrations.connectors.page import Page
from integrations.connectors.registry import register
from integrations.database import clock
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
    forgets_locals,
)
from integrations.transport.response import Response
from integrations.transport.retry_after import parse_http_date

from . import errors, rows
from .manifest import MANIFEST
from .window import Listing, Place, Row, read

STATUSES = StatusMap(
    inbound={
        "pending": OrderStatus.PENDING,
        "checkout-draft": OrderStatus.PENDING,
        "draft": OrderStatus.PENDING,
        "on-hold": OrderStatus.ON_HOLD,
        "processing": OrderStatus.PROCESSING,
        "shipped": OrderStatus.SHIPPED,  # of plugins, as is the next one
        "delivered": OrderStatus.DELIVERED,
        "completed": OrderStatus.COMPLETED,
        "cancelled": OrderStatus.CANCELLED,
        "refunded": OrderStatus.REFUNDED,
        "failed": OrderStatus.FAILED,
    },
    outbound={
        OrderStatus.ON_HOLD: "on-hold",
        OrderStatus.SHIPPED: "completed",
        OrderStatus.DELIVERED: "completed",
    },
    prefix="wc-",
)
_ORDER_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_WORD = re.compile(r"[a-z0-9_-]{1,50}", re.ASCII)
_PING = re.compile(rb"webhook_id=[0-9]{1,20}")
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@register
class WooCommerceConnector(BaseConnector, ShopPort):
    """Orders and products of one WooCommerce shop."""

    manifest = MANIFEST
    faults = errors.FAULTS

    @property
    def base_url(self) -> str:
        """The API below the shop's address; people paste an address with parts of it already."""
        shop = str(self.settings.get("store_url") or "").partition("/wp-json")[0].rstrip("/")
        return f"{shop}/wp-json/wc/v3" if shop else ""

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        clean, problems = check(cls.manifest, config)
        return {**status_map_problems(clean), **problems}

    def make_auth(self) -> Auth:
        self.validate_required_fields(self.settings, ("consumer_key", "consumer_secret"))
        return BasicAuth(self.settings["consumer_key"], self.settings["consumer_secret"])

    def default_headers(self) -> Mapping[str, str]:
        return {"Accept": "application/json"}

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        return error and errors.refined(error, response, self.host)

    def check(self) -> str:
        response = self.http.send("GET", "orders", params={"per_page": 1, "_fields": "id"})
        self._list(response)
        total = _total_of(response)
        return "The key may read orders" + (f"; there are {total}." if total is not None else ".")

    # -- the port -----------------------------------------------------------------------------------------

    @forgets_locals
    def get_orders(self, since: datetime | None = None, cursor: str | None = None) -> Page[Order]:
        found, following, more = self._read("orders", Place.parse(cursor).starting_at(since))
        return Page([self._order(row) for row in found], following, more)

    @forgets_locals
    def get_order(self, order_id: str) -> Order:
        return self._order(self._object(self.http.send("GET", f"orders/{_checked_id(order_id)}")))

    @forgets_locals
    def get_products(self, cursor: str | None = None) -> Page[Product]:
        found, following, more = self._read("products", Place.parse(cursor))
        currency = self._currency if found else ""
        return Page([self._product(row, currency) for row in found], following, more)

    @forgets_locals
    def update_order_status(self, order_id: str, status: OrderStatus | str) -> Order:
        word = self._statuses.theirs(status) if isinstance(status, str) else ""  # a task's arguments may hold anything
        if not _WORD.fullmatch(word):
            raise IntegrationPermanentError(
                "status: must be an OrderStatus, or a status of the shop such as on-hold", code="bad_status"
            )
        response = self.http.send("PUT", f"orders/{_checked_id(order_id)}", json={"status": word})
        return self._order(self._object(response))

    # -- the way back -------------------------------------------------------------------------------------

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookDTO:
        found = super().parse_webhook(headers, body)
        is_ping = bool(_PING.fullmatch(body))
        digest = hashlib.sha256(found.event_type.encode() + b"\0" + body).hexdigest()[:32]
        return WebhookDTO("ping" if is_ping else found.event_type, found.payload, f"{found.event_id}-{digest}")

    def is_trial(self, body: bytes) -> bool:
        return bool(_PING.fullmatch(body))

    # -- how ----------------------------------------------------------------------------------------------

    def _read(self, resource: str, place: Place) -> tuple[list[Row], str | None, bool]:
        def fetch(params: Mapping[str, Any]) -> Listing:
            response = self.http.send("GET", resource, params=params)
            return Listing(self._list(response), _total_of(response), _clock_of(response))

        found, following, more = read(fetch, place, self.settings["page_size"])
        return found, str(following) if following is not None else None, more

    def _order(self, row: Row) -> Order:
        return rows.order(row, self._statuses, with_vat=bool(self.settings["prices_include_vat"]))

    def _product(self, row: Row, currency: str) -> Product:
        rate = str(self.settings.get("vat_rate") or "")
        return rows.product(
            row,
            currency,
            with_vat=bool(self.settings["prices_include_vat"]),
            vat_rate=Decimal(rate) if rate else None,
        )

    @cached_property
    def _statuses(self) -> StatusMap:
        return STATUSES.over(self.settings)

    @cached_property
    def _currency(self) -> str:
        """The shop's currency: no product names it."""
        if own := self.settings.get("currency"):
            return str(own)
        code = ""
        with suppress(IntegrationPermanentError):
            response = self.http.send("GET", "data/currencies/current", classify=self._optional)
            code = str(self._object(response).get("code", ""))
        if not _CURRENCY.fullmatch(code):
            raise ConfigurationError({"currency": "the shop does not say its currency; enter it, such as EUR"})
        return code

    def _optional(self, response: Response) -> IntegrationError | None:
        """A key that may read products and not settings is no refused credential, which would count."""
        error = self.classify(response)
        if isinstance(error, IntegrationAuthError):
            return IntegrationPermanentError(error.message, status=error.status, excerpt=error.excerpt)
        return error

    def _list(self, response: Response) -> list[dict[str, Any]]:
        found = self.http.parsed(response)
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            return found
        raise self._strange()

    def _object(self, response: Response) -> dict[str, Any]:
        found = self.http.parsed(response)
        if isinstance(found, dict):
            return found
        raise self._strange()

    def _strange(self) -> IntegrationTemporaryError:
        return IntegrationTemporaryError(f"{self.host} answered, but not as WooCommerce does", code="bad_answer")


def _total_of(response: Response) -> int | None:
    total = response.headers.get("x-wp-total", "")
    return int(total) if re.fullmatch(r"[0-9]{1,12}", total, re.ASCII) else None


def _clock_of(response: Response) -> int:
    """Return the seconds that the shop's clock shows; ours, if it does not say."""
    return int((parse_http_date(response.headers.get("date", "")) or clock.now()).timestamp())


def _checked_id(order_id: object) -> str:
    found = str(order_id).strip()
    if not _ORDER_ID.fullmatch(found):
        raise IntegrationPermanentError("order_id: must be a number, as WooCommerce counts orders", code="bad_order_id")
    return found
