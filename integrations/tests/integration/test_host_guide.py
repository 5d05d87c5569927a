"""A fresh project that follows docs/your-own-models.md: everything that the page says works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from integrations import beat_schedule
from integrations.tests.hostapp import fresh_project
from integrations.tests.hostapp.fresh_project import FreshProject
from integrations.tests.woocommerce_server import WooCommerceServer

HOSTAPP = Path(fresh_project.__file__).parent


@pytest.fixture(scope="module")
def shop() -> Iterator[WooCommerceServer]:
    with WooCommerceServer() as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shop: WooCommerceServer) -> FreshProject:
    return FreshProject(tmp_path_factory.mktemp("host"), [shop.netloc])


def test_nothing_is_missing_and_nothing_is_left_to_migrate(project: FreshProject) -> None:
    assert all(f"Create model {name}" in project.commands["made"] for name in ("Company", "Connection", "SyncState"))
    assert "No changes detected" in project.commands["left"] and "no issues" in project.commands["check"]


def test_every_example_does_what_the_page_says(project: FreshProject, shop: WooCommerceServer) -> None:
    shop.keys |= {"ck_...": "cs_...", "ck_new_...": "cs_new_...", "ck_valid": "cs_valid", "ck_secret123": "cs_..."}
    orders = [shop.add_order(status=status) for status in ("processing", "custom-status")]
    product = shop.add_product(name="Lamp", price="12.50")
    scripts = [example.replace("https://myshop.com", shop.url) for example in fresh_project.examples()]
    headers, body = shop.webhook("order.created", orders[0], secret="walk-secret")
    found = project.facts("walk.py", examples=scripts, webhook=[headers, body.decode()])
    made, tested, used, listed, rotated, checked, mended, logged, key, sealed = found["examples"]

    assert made["test"][0] is True and made["row"]["is_connected"] and made["shown"].startswith("True ")
    assert made["row"]["config"]["status_map_inbound"] == {"wc-custom-status": "processing"}
    assert tested["test"] == made["test"], "the service says what the connection says"
    assert sorted(used["shown"].splitlines()) == sorted(
        [*(f"Order {order['id']}: processing" for order in orders), f"{product['name']} - 12.50 EUR"]
    )
    assert "woocommerce" in listed["shown"] and "slack" not in listed["shown"]
    assert {"ck_new_...", "ck_..."}.isdisjoint(rotated["row"]["credentials_encrypted"])
    assert rotated["row"]["credentials_encrypted"] != made["row"]["credentials_encrypted"]
    assert [log["action"] for log in rotated["logs"]] == ["rotate"]
    assert checked["shown"] == "['vat_rate: must be a number from 0 to below 1, such as 0.19 for 19 %']\n"
    assert checked["row"]["config"] == {"prices_include_vat": True, "vat_rate": "0.07"}
    assert (found["disabled"]["is_enabled"], found["disabled"]["is_connected"]) == (False, False)
    assert found["disabled"]["auth_failure_count"] == 3 and "refused" in found["disabled"]["disabled_reason"]
    assert mended["test"][0] is True
    assert mended["row"]["is_enabled"] and mended["row"]["is_connected"] and not mended["row"]["auth_failure_count"]
    assert logged["logs"][-1]["action"].startswith(f"GET {shop.url}/wp-json/wc/v3/orders")
    assert logged["logs"][-1]["response_status"] == 200
    assert Fernet(key["shown"].strip()).decrypt(Fernet(key["shown"].strip()).encrypt(b"x")) == b"x"
    plain, token = sealed["shown"].splitlines()
    assert plain == "ck_secret123" and token.startswith("v1.") and "ck_secret123" not in token
    assert found["pulled"]["status"] == "completed" and "Fetched 2 orders" in found["pulled"]["shown"]
    assert sorted(found["pulled"]["stored"]) == sorted(str(order["id"]) for order in orders)
    assert found["inbound"] == {"answers": [200, 200], "status": "processed", "event_type": "order.created"}
    store = "Main WooCommerce Store"
    assert [text.split(":")[0] for text in found["said"]] == [
        f"Connection {store} recovered",  # the first test
        f"{store} was disabled after 3 failures",
        f"Connection {store} recovered",
        f"Synced 2 new orders from {store}",
        "a new order",
    ], "the receivers of the page, each once"


def test_the_view_sets_up_a_connection(project: FreshProject, shop: WooCommerceServer) -> None:
    right = {
        "family": "shop",
        "provider": "woocommerce",
        "name": "Main",
        "config": '{"vat_rate": "0.19"}',
        **{f"credential_{name}": value for name, value in shop.credentials.items()},
    }
    wrong: list[tuple[dict[str, str], str]] = [
        ({**right, "config": "{"}, "config: must be JSON"),
        ({**right, "config": "[1]"}, "config: must be an object"),
        ({**right, "config": '{"vat_rate": "much"}'}, "vat_rate: must be a number"),
        ({**right, "config": '{"consumer_key": "canary"}'}, "consumer_key: belongs to the credentials"),
        ({**right, "provider": "nobody"}, "provider_name: Unknown connector type"),
        ({**right, "provider": ""}, "provider_name: "),
        ({**right, "family": "Shop"}, "provider_family: woocommerce is of the family shop"),
        ({**right, "name": "x" * 201}, "display_name: "),
        ({**right, "credential_consumer_key": ""}, "consumer_key: missing"),
        ({**right, "credential_typo": "canary"}, "typo: unknown"),
        ({}, "provider_name: "),
    ]
    refused = {**right, "company": "second", "credential_consumer_secret": "cs_wrong"}
    found = project.facts("view.py", posts=[*(post for post, _ in wrong), right, right, refused])
    assert (found["without a token"], found["nobody"], found["read"]) == (403, 302, 405)
    assert (found["another's company"], found["no such company"], found["rows so far"]) == (404, 404, 0)
    *bad, good, again, failing = found["posts"]
    for (status, answer), (_, words) in zip(bad, wrong, strict=True):
        assert status == 400 and any(text.startswith(words) for text in answer["errors"]), answer
        assert "canary" not in str(answer) and "cs_" not in str(answer)
    made, kept = found["rows"]
    assert good == [200, {"id": made["id"], "connected": True, "message": good[1]["message"]}]
    assert made["credentials"] == shop.credentials, "B077: without the prefix"
    assert made["config"] == {"vat_rate": "0.19"} and made["is_connected"] is True
    assert again[0] == 400 and "already exists" in str(again[1])
    assert failing[0] == 200 and failing[1]["connected"] is False and kept["is_connected"] is False
    assert "cs_wrong" not in str(failing) + kept["raw"]


def test_admin_urls_and_a_provider_of_ones_own(project: FreshProject) -> None:
    """A provider is one file; no model, page or task knows of it."""
    project.append("connectors/receivers.py", "\nfrom . import shelf  # noqa: E402, F401\n")
    found = project.facts("pages.py")
    assert found["pages"] == {"connection": 200, "syncstate": 200, "executionlog": 200, "webhookevent": 200}
    assert found["webhook_url"] == f"https://yourapp.com/webhooks/{found['public_id']}/orders/"
    assert found["receiver"] == f"/webhooks/{found['public_id']}/orders/" and found["webhook"] == 401
    assert found["callback"] == "/webhooks/oauth/callback/woocommerce/"
    assert found["companies"] == 200
    assert found["unknown"] == []
    assert set(found["queues"].values()) == {"deliveries", "slow"}, "what beat asks for goes there"
    assert found["queues"]["integrations.tasks.retry_failed_syncs"] == "deliveries"
    assert found["default queue"] == "celery", "theirs stays as it was"
    assert found["rows"] == found["schedule"] and len(found["rows"]) == len(beat_schedule()), "the rows make themselves"
    assert found["shelf"] == "Shelf of Acme" and found["shops"] == ["shelf", "woocommerce"]
    assert found["missing"] == ["token"]


@pytest.mark.parametrize("app", ["companies", "connectors"])
def test_the_host_of_the_other_tests_has_the_models_of_the_page(app: str) -> None:
    assert (HOSTAPP / app / "models.py").read_text() == fresh_project.files()[f"{app}/models.py"]
