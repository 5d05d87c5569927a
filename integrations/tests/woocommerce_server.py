"""A small WooCommerce on loopback: its REST API v3 as far as we use it, with its ways of paging, and its webhooks.

    with WooCommerceServer() as shop:
        order = shop.add_order(total="29.35")
        shop.change_order(order["id"], status="completed")
        shop.mode = "down"                        # "", "down", "rate_limited", "unauthorized", "closed"
        shop.send_webhook(url, "order.created", order, secret="…")

What it does is `Shop`, without a network: `Shop.answer(method, target, headers, body)`. What its columns hold is as in
WooCommerce: seconds, `modified_after` and `modified_before` exclusive, times without a zone taken for the column's own
(UTC with dates_are_gmt), unless the shop's clock leaps over them. Rows are dicts as the API gives them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import itertools
import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

CONSUMER_KEY = "ck_canary7f3a91c0ffee"
CONSUMER_SECRET = "cs_canary7f3a91c0ffee"
PREFIX = "/wp-json/wc/v3"
STATUSES = ["pending", "processing", "on-hold", "completed", "cancelled", "refunded", "failed", "checkout-draft"]
_ORDER_BY = {"date", "id", "include", "title", "slug", "modified"}
_UNKNOWN = "rest_no_route"

Row = dict[str, Any]
Mode = Literal["", "down", "rate_limited", "unauthorized", "closed"]
Reply = tuple[int, dict[str, str], bytes]


class Shop:
    """What the server holds and how it answers.

    Attributes:
        orders, products: {id: row}. statuses: what orders may have, without ``wc-``.
        clock: the shop's own, aware; a test may set it.
        zone: the shop's; only the hour that it leaps over matters.
        mode: how it answers everything: ``closed`` is a shop without a REST API.
        requests: (method, path, query) of all requests so far.
    """

    def __init__(self) -> None:
        self.orders: dict[int, Row] = {}
        self.products: dict[int, Row] = {}
        self.statuses = list(STATUSES)
        self.currency = "EUR"
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.zone = ZoneInfo("UTC")
        self.mode: Mode = ""
        self.keys = {CONSUMER_KEY: CONSUMER_SECRET}
        self.may_write = True
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    # -- for tests ------------------------------------------------------------------------------------

    def add_order(self, **fields: Any) -> Row:
        """Put an order into the shop and return it; `fields` win over an ordinary one's."""
        with self._lock:
            number = next(self._ids)
            row = {
                "id": number,
                "parent_id": 0,
                "number": str(number),
                "status": "processing",
                "currency": self.currency,
                "date_created_gmt": self.now(),
                "prices_include_tax": True,
                "total": "29.35",
                "total_tax": "4.69",
                "customer_id": 0,
                "customer_note": "",
                "billing": {
                    "first_name": "Erika",
                    "last_name": "Mustermann",
                    "company": "",
                    "address_1": "Heidestraße 17",
                    "address_2": "",
                    "city": "Köln",
                    "state": "",
                    "postcode": "51147",
                    "country": "DE",
                    "email": "erika@example.com",
                    "phone": "+49 221 1234567",
                },
                "shipping": {"first_name": "Erika", "last_name": "Mustermann", "city": "Köln", "country": "DE"},
                "line_items": [
                    {
                        "id": 1,
                        "name": "Screen protector",
                        "product_id": 93,
                        "variation_id": 0,
                        "quantity": 2,
                        "subtotal": "24.66",
                        "total": "24.66",
                        "total_tax": "4.69",
                        "sku": "SP-1",
                        "price": 12.33,
                    }
                ],
                "meta_data": [{"id": 1, "key": "_gift", "value": "yes"}],
                **fields,
            }
            return self._kept(self.orders, row, fields)

    def add_product(self, **fields: Any) -> Row:
        """Put a product into the shop and return it."""
        with self._lock:
            number = next(self._ids)
            row = {
                "id": number,
                "name": f"Product {number}",
                "sku": f"P-{number}",
                "status": "publish",
                "date_created_gmt": self.now(),
                "price": "12.50",
                "regular_price": "12.50",
                "tax_status": "taxable",
                "stock_quantity": None,
                "stock_status": "instock",
                "related_ids": [],
                "meta_data": [],
                **fields,
            }
            return self._kept(self.products, row, fields)

    def change_order(self, number: int, **fields: Any) -> Row:
        """Change an order, now, and return it."""
        with self._lock:
            self.orders[number].update({"date_modified_gmt": self.now(), **fields})
            return self.orders[number]

    def now(self) -> str:
        return self.clock().astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")

    def _kept(self, rows: dict[int, Row], row: Row, fields: Mapping[str, Any]) -> Row:
        row.setdefault("date_modified_gmt", fields.get("date_modified_gmt", self.now()))
        rows[row["id"]] = row
        return row

    # -- the API --------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Return (status, headers, body) of one request; `headers` have names in lower case."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        with self._lock:
            self.requests.append((method, parts.path, query))
            status, more, value = self._answer(method, parts.path, query, headers, body)
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        date = format_datetime(self.clock().astimezone(UTC), usegmt=True)
        return status, {"Content-Type": "application/json; charset=UTF-8", "Date": date, **more}, text

    def _answer(
        self, method: str, path: str, query: dict[str, str], headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        if self.mode == "down":
            return 503, {"Content-Type": "text/html"}, b"<h1>Briefly unavailable for scheduled maintenance.</h1>"
        if self.mode == "rate_limited":
            return 429, {"Retry-After": "7"}, {"code": "too_many_requests", "message": "Slow down", "data": {}}
        if self.mode == "closed" or not path.startswith(PREFIX):
            return 404, {"Content-Type": "text/html"}, b"<html>Not found</html>"
        if self.mode == "unauthorized" or not self._is_known(headers):
            return _refusal(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")
        resource, _, number = path.removeprefix(PREFIX).strip("/").partition("/")
        rows = {"orders": self.orders, "products": self.products}.get(resource)
        if method == "GET" and (resource, number) == ("data", "currencies/current"):
            return 200, {}, {"code": self.currency, "name": self.currency}
        if rows is None:
            return _refusal(404, _UNKNOWN, "No route was found matching the URL and request method.")
        if not number:
            return self._listed(rows, query)
        found = rows.get(int(number)) if number.isdigit() else None
        if found is None:
            return _refusal(404, "woocommerce_rest_shop_order_invalid_id", "Invalid ID.")
        if method == "PUT":
            return self._put(found, json.loads(body or b"{}"))
        return 200, {}, found

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            return False
        key, _, secret = base64.b64decode(given).decode().partition(":")
        return self.keys.get(key) == secret

    def _put(self, row: Row, changes: Row) -> tuple[int, dict[str, str], Any]:
        if not self.may_write:
            words = "The API key provided does not have write permissions."
            return _refusal(401, "woocommerce_rest_authentication_error", words)
        if changes.get("status", row["status"]) not in self.statuses:
            return _invalid("status")
        if any(row.get(name) != value for name, value in changes.items()):
            row.update(changes, date_modified_gmt=self.now())
        return 200, {}, row

    def _listed(self, rows: Mapping[int, Row], query: Mapping[str, str]) -> tuple[int, dict[str, str], Any]:
        order_by, per_page, page = query.get("orderby", "date"), int(query.get("per_page", 10)), query.get("page", "1")
        if order_by not in _ORDER_BY:
            return _invalid("orderby")
        if not 1 <= per_page <= 100:
            return _invalid("per_page")
        found = [row for row in rows.values() if row.get("status") != "trash" and self._is_between(row, query)]
        column = {"modified": "date_modified_gmt", "id": "id"}.get(order_by, "date_created_gmt")
        found.sort(key=lambda row: (row[column], row["id"]), reverse=query.get("order", "desc") == "desc")
        start = (int(page) - 1) * per_page
        total = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // per_page))}
        names = query["_fields"].split(",") if "_fields" in query else None
        shown = [{name: row[name] for name in names if name in row} if names else row for row in found]
        return 200, total, shown[start : start + per_page]

    def _is_between(self, row: Row, query: Mapping[str, str]) -> bool:
        column = "date_modified_gmt"  # dates_are_gmt; without it this server would need a local column
        assert query.get("dates_are_gmt") == "true" or not {"modified_after", "modified_before"} & set(query)
        after, before = (query.get(name) for name in ("modified_after", "modified_before"))
        return (not after or row[column] > self._as_php_reads(after)) and (
            not before or row[column] < self._as_php_reads(before)
        )

    def _as_php_reads(self, text: str) -> str:
        """WordPress reads a bound in the shop's zone, and an hour that is leapt over as the hour after."""
        local = datetime.fromisoformat(text).astimezone(self.zone) if _has_zone(text) else None
        if local is None:
            naive = datetime.fromisoformat(text).replace(tzinfo=self.zone)
            local = naive.astimezone(UTC).astimezone(self.zone)
        return local.replace(tzinfo=None).isoformat(timespec="seconds")


class WooCommerceServer(Shop, ThreadingHTTPServer):
    """A `Shop` on a loopback port, until the block ends."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        Shop.__init__(self)
        self._deliveries = itertools.count(1)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def netloc(self) -> str:
        """``host:port``, as an allow-list wants it."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        return f"http://{self.netloc}"

    @property
    def credentials(self) -> dict[str, str]:
        """What the printed example puts into ``connection.credentials``."""
        return {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "store_url": self.url}

    def __enter__(self) -> WooCommerceServer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(5)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's full name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    # -- webhooks -------------------------------------------------------------------------------------

    def webhook(self, topic: str, payload: Any, *, secret: str, delivery_id: str = "") -> tuple[dict[str, str], bytes]:
        """Return (headers, body) of a delivery as WooCommerce sends it."""
        body = json.dumps(payload, ensure_ascii=False).encode()
        return self._headers(topic, body, secret, delivery_id), body

    def ping(self, *, secret: str, webhook_id: int = 7) -> tuple[dict[str, str], bytes]:
        """Return (headers, body) of what comes when a webhook is made, a form; `secret` "": unsigned, as of late."""
        body = b"webhook_id=%d" % webhook_id
        headers = self._headers("", body, secret, "") if secret else {}
        return {**headers, "Content-Type": "application/x-www-form-urlencoded"}, body

    def send_webhook(
        self, url: str, topic: str, payload: Any, *, secret: str, delivery_id: str = ""
    ) -> tuple[int, bytes]:
        """Sign a delivery, POST it to `url` and return (status, body) of the answer."""
        return post(url, *self.webhook(topic, payload, secret=secret, delivery_id=delivery_id))

    def _headers(self, topic: str, body: bytes, secret: str, delivery_id: str) -> dict[str, str]:
        resource, _, event = topic.partition(".")
        number = next(self._deliveries)
        return {
            "Content-Type": "application/json",
            "User-Agent": "WooCommerce/9.4.1 Hookshot (WordPress/6.7)",
            "X-WC-Webhook-Source": f"{self.url}/",
            "X-WC-Webhook-Topic": topic,
            "X-WC-Webhook-Resource": resource,
            "X-WC-Webhook-Event": event,
            "X-WC-Webhook-Signature": signature(body, secret),
            "X-WC-Webhook-ID": "7",
            "X-WC-Webhook-Delivery-ID": delivery_id or hashlib.md5(b"%d" % number).hexdigest(),
        }


def signature(body: bytes, secret: str) -> str:
    """Return what WooCommerce puts into X-WC-Webhook-Signature."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """POST to an address on loopback and return (status, body) of the answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    try:
        connection.request("POST", parts.path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ticking(start: datetime, step: timedelta = timedelta(seconds=1)) -> Callable[[], datetime]:
    """Return a clock that shows `start`, and at every further look `step` later."""
    ticks = itertools.count()
    return lambda: start + next(ticks) * step


def _refusal(status: int, code: str, message: str) -> tuple[int, dict[str, str], Any]:
    return status, {}, {"code": code, "message": message, "data": {"status": status}}


def _invalid(name: str) -> tuple[int, dict[str, str], Any]:
    data = {"status": 400, "params": {name: f"{name} is not one of …"}, "details": {}}
    return 400, {}, {"code": "rest_invalid_param", "message": f"Invalid parameter(s): {name}", "data": data}


def _has_zone(text: str) -> bool:
    return datetime.fromisoformat(text).tzinfo is not None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: WooCommerceServer

    def log_message(self, format: str, *args: object) -> None:
        """Silent: the requests are recorded."""

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more, text = self.server.answer(self.command, self.path, headers, body)
        self.send_response_only(status)
        for name, value in {**more, "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any
