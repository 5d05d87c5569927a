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
Errors name the shop's code and what to do; its own message is in the shop's language, and only in the redacted excerpt.
A 410 is about one object in the waste bin, and says nothing about the shop: permanent.
Source: https://woocommerce.github.io/woocommerce-rest-api-docs/, WooCommerce 5.8 and
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
from integrations.connectors.families.shop import FAMILY, Order, OrderStatus, Product, ShopPort
from integrations.connectors.families.status_map import STATUS_MAP_FIELDS, StatusMap, status_map_problems
from integrations.connectors.incoming import WebhookDTO
from integrations.connectors.manifest import Field, Inbound, Logo, Manifest
from integrations.connectors.page import Page
from integrations.connectors.registry import register
from integrations.database import clock
from integrations.errors import (
    SETUP,
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    forgets_locals,
)
from integrations.faults import Fault
from integrations.transport.classify import parse_http_date
from integrations.transport.response import Response

from . import rows
from .window import MAX_SIZE, Listing, Place, Row, read

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

MANIFEST = Manifest(
    key="woocommerce",
    label="WooCommerce",
    family=FAMILY,
    description="Reads orders and products of a WooCommerce shop, and sets the status of orders.",
    needs=(
        "The shop's address",
        "A REST API key: consumer key and secret",
    ),
    logo=Logo(path="M3 5h3l2 10h9l3-7H7M9 19h.01M16 19h.01", colour="#7b4f9d"),
    docs_url="https://woocommerce.github.io/woocommerce-rest-api-docs/",
    fields=(
        Field(
            name="store_url",
            label="Shop address",
            kind="url",
            required=True,
            pattern=r"[^?#\s]+",
            hint="must be an address without ? and #, such as https://myshop.com",
            help="https://myshop.com, with the folder that WordPress is in, if it is in one.",
        ),
        Field(
            name="consumer_key",
            kind="secret",
            trim=True,
            required=True,
            help="ck_…, from WooCommerce, Settings, Advanced, REST API. Its permission: Read; Read/Write to set "
            "statuses. Its user must be one who manages the shop.",
        ),
        Field(
            name="consumer_secret", kind="secret", trim=True, required=True, help="cs_…, shown once, beside the key."
        ),
        Field(
            name="prices_include_vat",
            label="Prices include VAT",
            kind="boolean",
            default=False,
            help="As in the shop: WooCommerce, Settings, Tax, “Prices entered with tax”.",
        ),
        Field(
            name="vat_rate",
            label="VAT rate",
            pattern=r"0([.][0-9]{1,6})?",
            hint="must be a number from 0 to below 1, such as 0.19 for 19 %",
            help="0.19 for 19 %. By it a product's price is reckoned with or without VAT; orders say their tax.",
        ),
        *STATUS_MAP_FIELDS,
        Field(
            name="currency",
            pattern=r"[A-Z]{3}",
            hint="must be three capital letters, such as EUR",
            help="Of the products' prices. Empty: the shop is asked.",
            advanced=True,
        ),
        Field(
            name="page_size",
            kind="integer",
            default=MAX_SIZE,
            minimum=1,
            maximum=MAX_SIZE,
            help="Orders or products in one answer. Less if answers become too large for the shop, or for us.",
            advanced=True,
        ),
        Field(
            name="webhook_secret",
            kind="secret",
            multiline=True,
            help="The secret of the shop's webhooks: WooCommerce, Settings, Advanced, Webhooks. One per line while it "
            "is changed. Empty: none of its webhooks is accepted.",
        ),
    ),
    inbound=Inbound(
        scheme="woocommerce",
        id_header="X-WC-Webhook-Delivery-ID",
        event_header="X-WC-Webhook-Topic",
        sends_forms=True,  # the ping alone
    ),
    timeout=30,
    does=("check", "read"),
)


# The most frequent trouble with this API, a 401 ``woocommerce_rest_cannot_view``, has three causes that look alike: the
# key's user may not; the address is not the shop's own (http, or another host, so that WooCommerce takes us for a
# visitor); or the web server drops the header Authorization.
_CANNOT = (
    "the key may not do this; check its permission and that its user manages the shop, that the address is the shop's "
    "own with https, and that the web server passes on the header Authorization"
)
_ADVICE = {
    "woocommerce_rest_cannot_view": _CANNOT,
    "woocommerce_rest_cannot_read": _CANNOT,
    "woocommerce_rest_cannot_edit": _CANNOT,
    "woocommerce_rest_authentication_error": "the consumer key or secret is wrong, or was revoked; or the key may only "
    "read, and setting a status needs Read/Write",
    "woocommerce_rest_shop_order_invalid_id": "there is no such order",
    "rest_no_route": "WooCommerce is not active there, or is older than 3.5",
    "rest_not_logged_in": "a plugin of the shop shuts the REST API for all but its own users",
    "rest_forbidden": "a plugin of the shop shuts the REST API",
}
_NO_API = (
    "there is no REST API at this address; check the shop's address, and choose any structure but “Plain” in "
    "WordPress, Settings, Permalinks"
)
FAULTS = (
    Fault("401, 403 with a code", "auth", _CANNOT),
    *(Fault(code, "auth", _ADVICE[code]) for code in ("woocommerce_rest_authentication_error", "rest_not_logged_in")),
    Fault("rest_no_route", "setup", _ADVICE["rest_no_route"]),
    Fault("404 without a code", "setup", _NO_API),
    Fault("rest_invalid_param", "event", "the answer names the parameters that the shop does not take"),
    Fault("410 of one object", "event", "it is in the waste bin"),
)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_-]{1,79}", re.ASCII)
_PARAMETER = re.compile(r"[a-z_]{1,40}")


@register
class WooCommerceConnector(BaseConnector, ShopPort):
    """Orders and products of one WooCommerce shop."""

    manifest = MANIFEST
    faults = FAULTS

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
        return error and refined(error, response, self.host)

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
        return self._order(self.shaped(self.http.get(f"orders/{_checked_id(order_id)}"), dict))

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
        order = self.http.put(f"orders/{_checked_id(order_id)}", json={"status": word})
        return self._order(self.shaped(order, dict))

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
            code = str(self.shaped(self.http.parsed(response), dict).get("code", ""))
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
        return [self.shaped(row, dict) for row in self.shaped(self.http.parsed(response), list)]


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


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what the shop means where the default table says `error`."""
    answer = response.json_object
    code = str(answer.get("code", ""))
    if not _CODE.fullmatch(code):
        code = ""
    fault = SETUP if code == "rest_no_route" else None
    kind = IntegrationPermanentError if response.status == 410 else type(error)
    if code:
        advice = _ADVICE.get(code, "") or _about(code, answer)
        words = f"{host} answered {response.status} {code}" + (f": {advice}" if advice else "")
    elif response.status == 404:
        fault = SETUP
        words = f"{host} answered 404: {_NO_API}"
    elif kind is not type(error):
        words = f"{host} answered {response.status}"
    else:
        return error
    return kind(
        words,
        code=code or error.code,
        status=error.status,
        retry_after=error.retry_after,
        excerpt=error.excerpt,
        fault=fault,
    )


def _about(code: str, answer: dict[str, Any]) -> str:
    """Return what is wrong with a request of ours; names of parameters, never values."""
    if code != "rest_invalid_param":
        return ""
    data = answer.get("data")
    params = data.get("params") if isinstance(data, dict) else None
    names = sorted(name for name in params if _PARAMETER.fullmatch(name)) if isinstance(params, dict) else []
    if "orderby" in names or "modified_after" in names:
        return "it cannot list by the time of the last change; update WooCommerce to 5.8 or later"
    if names == ["status"]:
        return "the shop has no such order status; check “Statuses for the shop”"
    return f"it does not take {', '.join(names[:10])}" if names else ""
