"""Orders to SAP S/4HANA: a sales order per order, through the OData V2 service API_SALES_ORDER_SRV.

Chosen because it is SAP's released API for exactly this (A2X, cloud and on-premise alike); an IDoc needs a partner
profile in SAP for every sender, and a BAPI needs SAP's RFC library on our side.

One delivery is two requests that share one deadline:

    GET  A_SalesOrder?$filter=PurchaseOrderByCustomer eq '<our key>'   is it there already? Also brings the CSRF token
    POST A_SalesOrder                                                  a deep insert: header with its items

SAP has no idempotency key. ``PurchaseOrderByCustomer`` (35 characters, indexed in SAP's own screens) carries ours, so a
create whose answer was lost is found by the next attempt instead of made twice. Not promised: if SAP is still busy
with that create when the next attempt looks, it is not seen yet.

In: an order as connectors/sales_order.py describes it. Out: SAP's order number as ``external_id``.
Errors: SAP's ``{"error": {"code", "message": {"value"}}}``; the code is in the message, the text in the excerpt.
Source: https://api.sap.com/api/API_SALES_ORDER_SRV, SAP Gateway's CSRF protection (``x-csrf-token: Fetch``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from datetime import time as time_of_day
from typing import Any

from integrations import conf
from integrations.auth.scheme import Auth, BasicAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Logo, Manifest, OAuth
from integrations.connectors.orders import Order
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.connectors.sales_order import Line, SalesOrder, bad_order, plain, read_sales_order
from integrations.errors import (
    MAX_MESSAGE,
    SETUP,
    ConfigurationError,
    IntegrationError,
    IntegrationTemporaryError,
    printable,
)
from integrations.faults import Fault
from integrations.transport.redaction import redact
from integrations.transport.response import Response

REFERENCE_LENGTH = 35  # of PurchaseOrderByCustomer
STALE_SESSION = "csrf"
_COOKIE = re.compile(r"(?:^|,)\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+=[^;,\s]*)")  # several Set-Cookie are joined by commas

MANIFEST = Manifest(
    key="SAP",
    label="SAP S/4HANA (sales orders)",
    family="erp",
    description="Creates a sales order in SAP S/4HANA for each order.",
    needs=(
        "The address of the sales order service",
        "A technical user, or an OAuth client",
        "The sales organization",
    ),
    logo=Logo(path="M4 19h16M6 19v-6h4v6m4 0V6h4v13M10 19v-9h4v9", colour="#0f5c8c"),
    docs_url="https://api.sap.com/api/API_SALES_ORDER_SRV/overview",
    allow_multiple=False,
    timeout=30,
    fields=(
        Field(
            name="base_url",
            label="Service address",
            kind="url",
            required=True,
            help="https://<host>/sap/opu/odata/sap/API_SALES_ORDER_SRV",
        ),
        Field(name="username", help="The communication user (Basic).", pattern=r"[^:]{0,255}", hint="no colon"),
        Field(name="password", kind="secret"),
        Field(
            name="token_url", label="OAuth: token address", kind="url", help="Client credentials, instead of a user."
        ),
        Field(name="client_id", label="OAuth: client id"),
        Field(name="client_secret", label="OAuth: client secret", kind="secret", trim=True),
        Field(
            name="sap_client", label="SAP client", pattern=r"[0-9]{3}", hint="three digits", help="Empty: the default."
        ),
        Field(name="sales_order_type", default="OR", pattern=r"[A-Za-z0-9]{1,4}"),
        Field(name="sales_organization", required=True, pattern=r"[A-Za-z0-9]{1,4}"),
        Field(name="distribution_channel", default="10", pattern=r"[A-Za-z0-9]{1,2}"),
        Field(name="division", default="00", pattern=r"[A-Za-z0-9]{1,2}"),
        Field(
            name="sold_to_party",
            pattern=r"[A-Za-z0-9]{1,10}",
            help="For orders that name no customer.",
        ),
        Field(
            name="price_condition",
            pattern=r"[A-Za-z0-9]{1,4}",
            help="Condition type that takes the order's prices, e.g. PPR0; empty: SAP finds its own prices.",
            advanced=True,
        ),
    ),
    oauth=OAuth(grant="client_credentials", token_url="{token_url}", client_auth="header"),  # noqa: S106 - a place
    does=("export", "check"),
)

_CODE = re.compile(r"[A-Za-z0-9_/.-]{1,40}")


@register
class SAPConnector(BaseConnector):
    """Creates sales orders; see the module."""

    manifest = MANIFEST
    faults = (
        Fault("401, 403", "auth", "the communication user is wrong, or may not create sales orders"),
        Fault("404, 405", "setup", "there is no such service; check Service address"),
        Fault("403 with x-csrf-token: required", "temporary"),
        Fault("400", "event", "the order names what SAP does not know; the answer says what"),
    )

    def make_auth(self) -> Auth:
        if username := self.settings.get("username"):
            return BasicAuth(str(username), str(self.settings.get("password", "")))
        if not self.settings.get("client_id"):
            raise ConfigurationError({"username": "missing; SAP wants a user and password, or an OAuth client"})
        return super().make_auth()

    def default_headers(self) -> Mapping[str, str]:
        client = self.settings.get("sap_client")
        return {"Accept": "application/json", **({"sap-client": client} if client else {})}

    def check(self) -> str:
        self.http.send("GET", "A_SalesOrder", params={"$top": 1, "$select": "SalesOrder", "$format": "json"})
        return "SAP answers, and we may read sales orders."

    def deliver(self, envelope: Envelope) -> Receipt:
        until = time.monotonic() + (self.binding.timeout or self.manifest.timeout or conf.TIMEOUT_SECONDS)
        reference = envelope.idempotency_key[:REFERENCE_LENGTH]
        order = read_sales_order(Order.from_payload(envelope.payload, envelope.idempotency_key))
        body = self._document(order, reference)
        found, session = self._look_up(reference, until)
        if found is not None:
            return Receipt(200, external_id=found, details={"reference": reference, "was_there": "yes"})
        try:
            response = self._create(body, session, until)
        except IntegrationError as error:
            if error.code != STALE_SESSION:
                raise
            # The session ended in between. Nothing was created, so asking once more is no second order.
            _, session = self._look_up(reference, until)
            response = self._create(body, session, until)
        number = result_of(response).get("SalesOrder")
        return self.receipt(response, external_id=number, reference=reference)

    def classify(self, response: Response) -> IntegrationError | None:
        if response.status == 403 and response.headers.get("x-csrf-token", "").lower() == "required":
            return IntegrationTemporaryError(f"{self.host} wants another CSRF token", code=STALE_SESSION, status=403)
        error = super().classify(response)
        if error is None:
            return None
        code, text = said(response)
        if response.status in (404, 405):
            error.fault = SETUP
            error.message = f"{error.message}: there is no such service; check Service address"
        if code:
            error.message = f"{error.message} (SAP {code})"
        if text:
            error.excerpt = redact(printable(" ".join(text.split())), self.secrets)[:MAX_MESSAGE]
        return error

    # -- requests -----------------------------------------------------------------------------------------

    def _look_up(self, reference: str, until: float) -> tuple[str | None, dict[str, str]]:
        """Return (SAP's number of an order with this reference, headers of the session that may create one)."""
        quoted = reference.replace("'", "''")
        params = {
            "$filter": f"PurchaseOrderByCustomer eq '{quoted}'",
            "$select": "SalesOrder",
            "$top": 1,
            "$format": "json",
        }
        fetch = {"x-csrf-token": "Fetch"}
        response = self.http.send("GET", "A_SalesOrder", params=params, headers=fetch, timeout=_left(until))
        rows = result_of(response).get("results")
        if not isinstance(rows, list):
            raise IntegrationTemporaryError(f"{self.host} answered the look-up with something else", code="bad_json")
        session = {"x-csrf-token": token} if (token := response.headers.get("x-csrf-token", "")) else {}
        if cookies := _COOKIE.findall(response.headers.get("set-cookie", "")):
            session["Cookie"] = "; ".join(cookies)
        number = rows[0].get("SalesOrder") if rows and isinstance(rows[0], dict) else None
        return (str(number) if number else None), session

    def _create(self, body: dict[str, Any], session: dict[str, str], until: float) -> Response:
        return self.http.send("POST", "A_SalesOrder", json=body, headers=session, timeout=_left(until))

    # -- the document ---------------------------------------------------------------------------------------

    def _document(self, order: SalesOrder, reference: str) -> dict[str, Any]:
        customer = order.customer or self.settings.get("sold_to_party")
        if not customer:
            raise bad_order("customer", "missing, and the connection has no sold-to party for such orders")
        document: dict[str, Any] = {
            "SalesOrderType": self.settings["sales_order_type"],
            "SalesOrganization": self.settings["sales_organization"],
            "DistributionChannel": self.settings["distribution_channel"],
            "OrganizationDivision": self.settings["division"],
            "SoldToParty": customer,
            "PurchaseOrderByCustomer": reference,
            "to_Item": [self._item(line, order.currency) for line in order.lines],
        }
        if order.currency:
            document["TransactionCurrency"] = order.currency
        if order.requested_on:
            midnight = datetime.combine(order.requested_on, time_of_day(), UTC)
            document["RequestedDeliveryDate"] = f"/Date({int(midnight.timestamp()) * 1000})/"
        return document

    def _item(self, line: Line, currency: str) -> dict[str, Any]:
        item: dict[str, Any] = {"Material": line.sku, "RequestedQuantity": plain(line.quantity)}
        if line.unit:
            item["RequestedQuantityUnit"] = line.unit
        if line.description:
            item["SalesOrderItemText"] = line.description[:40]
        if (condition := self.settings.get("price_condition")) and line.price is not None:
            element = {"ConditionType": condition, "ConditionRateValue": plain(line.price)}
            item["to_PricingElement"] = [{**element, **({"ConditionCurrency": currency} if currency else {})}]
        return item


def _left(until: float) -> float:
    if (left := until - time.monotonic()) < 1:
        raise IntegrationTemporaryError("SAP was too slow", code="timeout", was_sent=False)
    return left


def result_of(response: Response) -> dict[str, Any]:
    """Return ``d`` of an OData V2 answer; {} if it has none."""
    value = response.json_object.get("d")
    return value if isinstance(value, dict) else {}


def said(response: Response) -> tuple[str, str]:
    """Return (code, text) of the error, "" for what it does not say; the text is not redacted."""
    error = response.json_object.get("error")
    if not isinstance(error, dict):
        return "", ""
    code, message = error.get("code"), error.get("message")
    text = message.get("value") if isinstance(message, dict) else message
    return (code if isinstance(code, str) and _CODE.fullmatch(code) else ""), (text if isinstance(text, str) else "")
