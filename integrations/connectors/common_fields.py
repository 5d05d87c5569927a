"""Fields that several kinds have, worded once."""

from __future__ import annotations

from .manifest import Field

SUBJECT = Field(
    name="subject",
    form="text",
    help="Order {order.number} is {order.status}. Empty: what happened to what.",
)
LINES = Field(
    name="fields",
    kind="lines",
    form="line",
    help="What is listed, one per line: Customer: order.customer.name. Empty: what the event's own summary lists.",
    advanced=True,
)


def api_address(default: str, help_text: str = "") -> Field:
    """Return the field of an API's address, which most people never touch."""
    return Field(name="base_url", label="API address", kind="url", default=default, help=help_text, advanced=True)
