"""Where the secrets of a configuration can go."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.connections.destinations import PROVIDER, destinations
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest, OAuth
from integrations.connectors.registry import ConnectorRegistry


class Shop(BaseConnector):
    """Its address is made of a name, its mail goes to a host, and its tokens come from a third place."""

    manifest = Manifest(
        key="shop-of-this-test",
        label="Shop",
        fields=(
            Field(name="shop", required=True),
            Field(name="realm", default="main"),
            Field(name="proxy", kind="url"),
            Field(name="mail_host", kind="host"),
            Field(name="mail_port", kind="integer", default=465),
            Field(name="token", kind="secret"),
        ),
        oauth=OAuth(grant="client_credentials", token_url="https://login.example.com:8443/{realm}/token"),
        allowed_hosts=("api.example.com", "*.shops.example.com"),
    )

    @property
    def base_url(self) -> str:
        return f"https://{self.settings['shop']}.shops.example.com"


LOGIN = ("https", "login.example.com", 8443)
NORTH = ("https", "north.shops.example.com", 443)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"shop": "north"}, {NORTH, LOGIN}),
        ({"shop": "north", "realm": "other"}, {NORTH, LOGIN}),
        ({"shop": "evil"}, {("https", "evil.shops.example.com", 443), LOGIN}),
        ({"shop": "north", "proxy": "https://api.example.com/x"}, {NORTH, LOGIN, PROVIDER}),
        ({"shop": "north", "proxy": "http://api.example.com/x"}, {NORTH, LOGIN, ("http", "api.example.com", 80)}),
        ({"shop": "north", "proxy": "https://api.example.com:84"}, {NORTH, LOGIN, ("https", "api.example.com", 84)}),
        ({"shop": "north", "proxy": "https://API.example.com/"}, {NORTH, LOGIN, PROVIDER}),
        ({"shop": "north", "mail_host": "Mail.example.net."}, {NORTH, LOGIN, ("", "mail.example.net", 465)}),
        ({"shop": "north", "mail_host": "m.example.net", "mail_port": 25}, {NORTH, LOGIN, ("", "m.example.net", 25)}),
        ({"shop": "north", "mail_host": "api.example.com"}, {NORTH, LOGIN, PROVIDER}),
        ({"shop": "north", "proxy": "https://[::1"}, {NORTH, LOGIN}),
        ({}, {LOGIN}),  # the name is missing: no address can be made
    ],
)  # fmt: skip
def test_every_address_counts(settings: dict[str, Any], expected: set[Any]) -> None:
    assert destinations(Shop, settings) == expected


def test_a_webhook_goes_where_its_url_says() -> None:
    webhook = ConnectorRegistry.type_of("webhook")
    assert destinations(webhook, {"url": "https://hooks.example.com/a?b"}) == {("https", "hooks.example.com", 443)}
    assert destinations(webhook, {}) == frozenset()
