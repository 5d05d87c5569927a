"""Orders by EDI: a UN/EDIFACT ORDERS D.96A message, sent by HTTPS POST (RFC 1767 names the content type).

EDIFACT and not X12 850: D.96A is what European and most other trading partners take (EANCOM 1997 is built on it);
X12 is North America's. AS2 and AS4 are out: they need signed receipts and a certificate store; partners, gateways and
converters that offer plain HTTPS, and there are many, need neither.

The interchange's control reference comes from the event's key, and its date from the event, so every attempt sends the
same bytes under the same reference, and a partner drops what it has seen.

In: an order as connectors/sales_order.py describes it. Out: the control reference as ``external_id``.
Errors: the default table (classify.py); IntegrationPermanentError ``bad_order`` for what EDIFACT cannot say.
Source: ISO 9735 syntax 3, UN/EDIFACT directory D.96A (ORDERS).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from integrations.auth.scheme import ApiKeyAuth, Auth, BasicAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Logo, Manifest
from integrations.connectors.orders import Order
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.connectors.sales_order import Line, SalesOrder, bad_order, plain, read_sales_order
from integrations.database import clock
from integrations.errors import SETUP, IntegrationError
from integrations.faults import Fault
from integrations.transport.response import Response

from . import edifact
from .edifact import segment

MESSAGE_TYPE = ("ORDERS", "D", "96A", "UN", "EAN008")
_GLN = re.compile(r"[0-9]{13}")
_GTIN = re.compile(r"[0-9]{8}|[0-9]{13,14}")
_POST_ONLY = frozenset({400, 405, 415, 501})  # what an address for POSTs says to a HEAD, once it knows who asks

_PARTY = r"[A-Za-z0-9 .,()/=!\"%&*;<>-]{1,35}"

MANIFEST = Manifest(
    key="EDI",
    label="EDI (EDIFACT ORDERS over HTTPS)",
    family="erp",
    description="Sends each order as a UN/EDIFACT ORDERS D.96A message by HTTPS POST.",
    needs=(
        "An HTTPS address that takes EDIFACT",
        "Your identifier, and the recipient's",
    ),
    logo=Logo(path="M5 4h9l5 5v11H5zM14 4v5h5M8 12h8m-8 3h8m-8 3h4", colour="#5f3dc4"),
    docs_url="https://unece.org/trade/uncefact/unedifact/download",
    allow_multiple=False,
    secret_path=True,
    fields=(
        Field(name="url", label="Partner's address", kind="url", required=True, help="https://host/path"),
        Field(name="sender", label="Our identification", required=True, pattern=_PARTY, help="A GLN, or a name."),
        Field(name="recipient", label="Partner's identification", required=True, pattern=_PARTY),
        Field(
            name="qualifier",
            default="14",
            pattern=r"[A-Z0-9]{1,4}",
            help="Of both identifications: 14 for GLN, ZZZ for names that you agreed on.",
            advanced=True,
        ),
        Field(name="charset", kind="choice", choices=edifact.CHARSETS, default="UNOC", help="UNOC: Latin-1."),
        Field(name="test_indicator", kind="boolean", help="Marks every interchange as a test.", advanced=True),
        Field(name="username", label="Basic: user name", pattern=r"[^:]{0,255}", hint="must not contain a colon"),
        Field(name="password", label="Basic: password", kind="secret"),
        Field(
            name="api_key",
            label="API key",
            kind="secret",
            trim=True,
            help="Sent as X-API-Key, if there is no user name.",
        ),
    ),
    does=("export", "check"),
)


@register
class EDIConnector(BaseConnector):
    """Sends purchase orders; see the module."""

    manifest = MANIFEST
    faults = (
        Fault("401, 403", "auth", "the partner refuses our credentials"),
        Fault("404", "setup", "there is nothing at this address; check Partner's address"),
        Fault("other 4xx, an order that EDIFACT cannot say", "event"),
    )

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is not None and response.status == 404:
            error.fault = SETUP
        return error

    def make_auth(self) -> Auth:
        if username := self.settings.get("username"):
            return BasicAuth(str(username), str(self.settings.get("password", "")))
        key = self.settings.get("api_key")
        return ApiKeyAuth(str(key)) if key else Auth()

    def deliver(self, envelope: Envelope) -> Receipt:
        reference = control_reference(envelope.idempotency_key)
        name = f"ORDERS_{reference}.edi"
        headers = {
            "Content-Type": "application/EDIFACT",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Idempotency-Key": envelope.idempotency_key,
        }
        response = self.http.send("POST", "", data=self.interchange(envelope), headers=headers)
        return self.receipt(response, external_id=reference, file=name)

    def check(self) -> str:
        """Ask with a HEAD who is there: it proves the address and, where the partner checks first, the credentials."""
        try:
            status = self.http.send("HEAD", "").status
        except IntegrationError as error:
            if error.status not in _POST_ONLY:
                raise
            status = error.status
        return f"{self.host} answers (HTTP {status})."

    def interchange(self, envelope: Envelope) -> bytes:
        """Return the interchange for the order in `envelope`: the same bytes for the same event."""
        order = read_sales_order(Order.from_payload(envelope.payload, envelope.idempotency_key))
        prepared_at = _moment(envelope.payload)
        head = edifact.Envelope(
            charset=self._charset,
            sender=self._party("sender"),
            recipient=self._party("recipient"),
            reference=control_reference(envelope.idempotency_key),
            prepared_at=prepared_at,
            message_type=MESSAGE_TYPE,
            is_test=bool(self.settings.get("test_indicator")),
        )
        return edifact.interchange(head, self._message(order, prepared_at))

    # -- the message ------------------------------------------------------------------------------------------

    def _message(self, order: SalesOrder, prepared_at: datetime) -> list[str]:
        buyer = self._exact("customer", order.customer, 17) or self.settings["sender"][:17]
        segments = [
            segment("BGM", "220", self._exact("number", order.number, 35), "9"),  # an order; original
            segment("DTM", ("137", f"{prepared_at:%Y%m%d}", "102")),
        ]
        if order.requested_on:
            segments.append(segment("DTM", ("2", f"{order.requested_on:%Y%m%d}", "102")))
        segments.append(segment("NAD", "BY", (buyer, "", _agency(buyer))))
        supplier = self.settings["recipient"][:17]
        segments.append(segment("NAD", "SU", (supplier, "", _agency(supplier))))
        if order.currency:
            segments.append(segment("CUX", ("2", order.currency, "9")))
        for number, line in enumerate(order.lines, start=1):
            segments += self._line(number, line)
        return [*segments, segment("UNS", "S"), segment("CNT", ("2", str(len(order.lines))))]

    def _line(self, number: int, line: Line) -> list[str]:
        where = f"lines[{number - 1}]"
        sku = self._exact(f"{where}.sku", line.sku, 35)
        unit = self._exact(f"{where}.unit", line.unit, 3)
        segments = [segment("LIN", str(number), "", (sku, "EN" if _GTIN.fullmatch(sku) else "SA"))]
        if line.description:
            text = edifact.roughly(line.description, self._charset)[:70]
            segments.append(segment("IMD", "F", "", ("", "", "", text[:35].strip(), text[35:].strip())))
        segments.append(segment("QTY", ("21", plain(line.quantity), unit)))
        if line.price is not None:
            segments.append(segment("PRI", ("AAA", plain(line.price))))
        return segments

    def _exact(self, name: str, text: str, longest: int) -> str:
        problem = f"longer than EDIFACT's {longest} characters" if len(text) > longest else ""
        try:
            said = edifact.said(text, self._charset)
        except ValueError as error:
            said, problem = "", str(error)
        if problem:
            raise bad_order(name, problem)
        return said

    def _party(self, name: str) -> tuple[str, str]:
        return self._exact(name, str(self.settings[name]), 35), str(self.settings["qualifier"])

    @property
    def _charset(self) -> str:
        return str(self.settings["charset"])


def control_reference(key: str) -> str:
    """Return the interchange control reference (at most 14 characters) for an event's key."""
    return hashlib.sha256(key.encode()).hexdigest()[:14].upper()


def _agency(party: str) -> str:
    """Who gave the number: 9, GS1; 91, the seller."""
    return "9" if _GLN.fullmatch(party) else "91"


def _moment(payload: Mapping[str, object]) -> datetime:
    """Return when the event happened; now for an order that is exported without one."""
    try:
        return datetime.fromisoformat(str(payload.get("timestamp"))).astimezone(UTC)
    except (ValueError, OverflowError):
        return clock.now()
