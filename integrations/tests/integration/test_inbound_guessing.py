"""Nobody gets in by trying: secrets that cannot be found out, and a door that closes."""

from __future__ import annotations

from functools import cache as cache_of_calls
from typing import Any

import pytest
import time_machine
from django.core.cache import cache

from integrations.connectors.base import BaseConnector
from integrations.connectors.inbound_secret import RULE
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.errors import ConfigurationError
from integrations.models import WebhookEvent
from integrations.tests.factories import make_tenant
from integrations.tests.inbound_world import BODY, OTHER_SECRET, SECRET, headers_of, make_connection, provider
from integrations.tests.integration.test_inbound_view import send
from integrations.tests.manifest_values import valid_settings
from integrations.tests.services import Broker

pytestmark = [pytest.mark.integration, pytest.mark.portable]

NOW = 1763668810  # ten seconds after a full minute
RANDOM = "q7Zp2mWx9KfT4sLd"
KINDS = [each.key for each in manifests() if each.inbound]


@cache_of_calls
def kind_of(key: str) -> tuple[type[BaseConnector], str, dict[str, Any]]:
    kind = ConnectorRegistry.type_of(key)
    assert kind.manifest.inbound is not None
    return kind, kind.manifest.inbound.secret_field, valid_settings(kind)


@pytest.mark.parametrize("key", KINDS)
class TestOneRule:
    @pytest.mark.parametrize(
        "secret",
        [
            "k",
            RANDOM[:15],
            "a" * 64,
            "ab" * 20,
            "password" * 4,
            f"{RANDOM}\nk",
            "whsec_AA==",
            "whsec_" + "A" * 43 + "=",
        ],
    )
    def test_what_is_refused(self, key: str, secret: str) -> None:
        kind, field, settings = kind_of(key)
        problems = kind.validate_config({**settings, field: secret})
        assert list(problems) == [field] and "at least 16 characters" in problems[field]
        assert len(secret) == 1 or secret not in problems[field]
        with pytest.raises(ConfigurationError, match=field):
            kind.checked_config({**settings, field: secret})

    @pytest.mark.parametrize(
        "secret", [RANDOM, f"{RANDOM}\n{RANDOM[::-1]}", SECRET, "8f742231b10e8888abcd99yyyzzz85a5"]
    )
    def test_what_is_taken(self, key: str, secret: str) -> None:
        kind, field, settings = kind_of(key)
        assert kind.validate_config({**settings, field: secret}) == {}

    def test_what_is_stored_may_stay(self, key: str) -> None:
        kind, field, settings = kind_of(key)
        stored = {**settings, field: "k"}
        assert kind.validate_change(stored, stored) == {}
        assert kind.checked_config(stored, stored)[field] == "k"
        assert kind.validate_change({**stored, field: f"{RANDOM}\nk"}, stored) == {}, (
            "the new one comes beside it first"
        )
        assert list(kind.validate_change({**stored, field: "j"}, stored)) == [field]

    def test_the_form_says_it(self, key: str) -> None:
        kind, field, _ = kind_of(key)
        found = kind.manifest.field(field)
        assert found is not None and RULE in found.help


@pytest.mark.parametrize("scheme", ["standard-webhooks", "stripe", "shopify", "github", "hmac-sha256-prefixed"])
def test_of_every_scheme_that_people_choose(scheme: str) -> None:
    kind, field, settings = kind_of("webhook")
    for secret in ("k", "whsec_AA==", "AA=="):
        assert list(kind.validate_config({**settings, "inbound_scheme": scheme, field: secret})) == [field]
    assert kind.validate_config({**settings, "inbound_scheme": scheme, field: SECRET}) == {}


def wrong(connection: Any, times: int) -> list[int]:
    forged = headers_of("github", BODY, secret=OTHER_SECRET)
    return [send(connection, signed=forged).status_code for _ in range(times)]


@pytest.mark.django_db(transaction=True)
class TestTheDoor:
    @pytest.fixture(autouse=True)
    def _quiet(self, broker: Broker) -> None:
        cache.clear()

    def test_it_closes_and_says_so(self, caplog: Any) -> None:
        with provider("github") as key, time_machine.travel(NOW, tick=False) as clock:
            shop = make_connection(make_tenant(), key)
            assert wrong(shop, 15) == [401] * 10 + [429] * 5
            assert caplog.text.count("others now get 429") == 1 and f"connection {shop.pk}" in caplog.text
            answer = send(shop, signed={})
            assert (answer.status_code, answer["Retry-After"]) == (429, "50")
            assert send(shop).status_code == 200, "who has the secret is let in: nobody guesses a good one"
            clock.shift(60)
            assert wrong(shop, 11) == [401] * 10 + [429]
        assert WebhookEvent.objects.filter(signature_valid=False).count() == 20

    def test_a_weak_secret_is_not_found_by_trying(self) -> None:
        """One that was stored before there was a rule."""
        with provider("github") as key, time_machine.travel(NOW, tick=False) as clock:
            shop = make_connection(make_tenant(), key, secret="k")
            guesses = [headers_of("github", BODY, secret=letter) for letter in "abcdefghijk"]
            assert [send(shop, signed=guess).status_code for guess in guesses] == [401] * 10 + [429]
            clock.shift(60)
            assert send(shop, signed=guesses[-1]).status_code == 200

    def test_another_integration_is_another_door(self) -> None:
        with provider("github") as key, time_machine.travel(NOW, tick=False):
            shop, other = (make_connection(make_tenant(name), key) for name in ("One", "Two"))
            wrong(shop, 12)
            assert wrong(other, 1) == [401]

    def test_how_many_is_a_setting(self, settings: Any) -> None:
        settings.INTEGRATIONS = {"INBOUND_REFUSED_PER_MINUTE": 2}
        with provider("github") as key, time_machine.travel(NOW, tick=False):
            assert wrong(make_connection(make_tenant(), key), 3) == [401, 401, 429]
