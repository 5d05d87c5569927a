"""A connector with every kind of field, and with names that the admin's form uses for something else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest, RateLimit
from integrations.connectors.registry import ConnectorRegistry

KEY = "many-fields"


class ManyFields(BaseConnector):
    """A made-up storehouse; the check reads its front page."""

    manifest = Manifest(
        key=KEY,
        label="Storehouse of Many Fields",
        family="erp",
        version="2.1.0",
        description="Books every event in a made-up storehouse, so that all kinds of fields can be seen on one page.",
        docs_url="https://storehouse.example.com/docs/",
        rate_limit=RateLimit(per_minute=90, note="for each shop"),
        allowed_hosts=("api.storehouse.example.com", "eu.storehouse.example.com", "*.shops.example.com"),
        does=("deliver", "check", "read"),
        fields=(
            Field(
                name="shop",
                required=True,
                pattern=r"[a-z0-9-]{3,40}",
                hint="must be 3 to 40 small letters, digits and hyphens",
                help="The first part of the address of your shop: <name>.shops.example.com.",
            ),
            Field(name="client_id", label="Client ID", required=True),
            Field(name="client_secret", kind="secret", required=True, help="From the storehouse's page “API access”."),
            Field(
                name="private_key",
                kind="secret",
                multiline=True,
                help="PEM, with its first and last line. Only needed for shops that ask for signed assertions, and "
                "then instead of the client secret; ask whoever runs the storehouse which of the two it is, since "
                "both at once are refused.",
            ),
            Field(name="contact", kind="email", required=True, help="Who is told when a booking is refused."),
            Field(name="mode", kind="choice", choices=("live", "sandbox"), default="live"),
            Field(name="currency", kind="choice", choices=("EUR", "USD", "GBP")),
            Field(name="includes_vat", label="Prices include VAT", kind="boolean", default=True),
            Field(name="notify", label="Notify the contact", kind="boolean"),
            Field(name="name", label="Name of the storehouse", help="Not to be mixed up with the integration's."),
            Field(name="tags", kind="lines", help="Put on every booking, one per line."),
            Field(name="template", multiline=True, help="Text of a booking: {workitem.reference_id} and the like."),
            Field(name="batch", kind="integer", default=20, minimum=1, maximum=100, advanced=True),
            Field(
                name="base_url", label="API address", kind="url", default="https://api.storehouse.example.com/v2",
                help="Another region: https://eu.storehouse.example.com/v2.", advanced=True,
            ),
            Field(name="host", label="Upload host", kind="host", help="SFTP, for pictures.", advanced=True),
            Field(name="port", label="Upload port", kind="integer", default=22, minimum=1, advanced=True),
            Field(
                name="status_map", kind="json", default={"open": "new"}, advanced=True,
                help='Our status to theirs: {"open": "new"}.',
            ),
            Field(name="headers", kind="json", advanced=True, help="Sent with every request, as JSON."),
        ),
    )  # fmt: skip

    def check(self) -> str:
        shop = self.http.get("/shop", headers={"X-Secret": self.settings["client_secret"]})["name"]
        return f"The shop is called {shop}."


VALID = {
    "shop": "north",
    "client_id": "visible-id",
    "client_secret": "canary-secret",
    "private_key": "-----BEGIN KEY-----\ncanary-key\n-----END KEY-----",
    "contact": "ops@example.com",
    "name": "North",
    "tags": ["a", "b"],
    "headers": {"X-Extra": "canary-extra"},
}


@contextmanager
def registered() -> Iterator[type[ManyFields]]:
    """Have the kind known for a while."""
    ConnectorRegistry.register(ManyFields)
    try:
        yield ManyFields
    finally:
        ConnectorRegistry.unregister(KEY)
