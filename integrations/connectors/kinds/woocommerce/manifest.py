"""What a person fills in for WooCommerce."""

from __future__ import annotations

from integrations.connectors.families.shop import FAMILY
from integrations.connectors.families.status_map import STATUS_MAP_FIELDS
from integrations.connectors.manifest import Field, Inbound, Logo, Manifest

from .window import MAX_SIZE

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
