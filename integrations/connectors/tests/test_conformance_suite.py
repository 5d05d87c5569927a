"""The conformance suite finds what it is for: a good connector passes it, and each faulty one fails its own checks."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import requests
import responses

from integrations.connectors.kinds.webhook import WebhookConnector
from integrations.connectors.port import Envelope
from integrations.errors import IntegrationTemporaryError
from integrations.testing import ConnectorConformance, RequestsClient
from integrations.testing.leaks import leaks_of

from . import faulty_connectors
from .faulty_connectors import FAULTS, Good, Suite

FILE = Path(faulty_connectors.__file__)
ROOT = FILE.parents[3]
GOOD = {"TestGood", "TestForgetsTheKeyInALocal", "TestGoodWithoutSpeakingHttp", "TestGoodWithOAuth", "TestExempt"}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The names of the failed checks, by class; {} for one that passed everything."""
    report = tmp_path_factory.mktemp("report") / "junit.xml"
    words = ["-q", "--tb=no", "-rN", "-p", "no:cacheprovider", "-p", "no:randomly", f"--junitxml={report}", str(FILE)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=ROOT, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-2000:]
    found: dict[str, set[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        checks = found.setdefault(case.get("classname", "").rpartition(".")[2], set())
        assert case.find("error") is None, f"{case.get('classname')}: {case.get('name')} could not run"
        if case.find("failure") is not None:
            checks.add(case.get("name", "").partition("[")[0].removeprefix("test_"))
    return found


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_good_connector_passes(failed: dict[str, set[str]], name: str) -> None:
    assert failed[name] == set()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_is_found(failed: dict[str, set[str]], name: str) -> None:
    assert failed[name] == FAULTS[name]


def test_every_check_has_a_fault_that_it_finds() -> None:
    checks = {name.removeprefix("test_") for name in dir(ConnectorConformance) if name.startswith("test_")}
    found = {check for names in FAULTS.values() for check in names}
    # What fails with these is the connection itself, or what every other check needs first.
    given = {"success", "nobody_listens", "the_deadline_holds", "a_strange_server_is_temporary"}
    given |= {"the_configuration_is_accepted", "what_is_wrong_is_named_and_not_repeated"}
    assert checks - found == given


def test_an_exemption_needs_a_check_and_a_reason() -> None:
    with pytest.raises(TypeError, match="there is no check called flying"):
        type("TestTypo", (Suite,), {"connector": Good, "exempt": {"flying": "it has no wings"}})
    with pytest.raises(TypeError, match="say why status does not hold"):
        type("TestSilent", (Suite,), {"connector": Good, "exempt": {"status": " "}})


def test_what_does_not_apply_is_not_there() -> None:
    kind = type("TestNothing", (ConnectorConformance,), {"connector": WebhookConnector, "config": {}})
    for name in ("many_threads_fetch_one_token", "a_page_that_comes_again_ends_it", "an_order_is_exported"):
        assert getattr(kind, f"test_{name}") is None


CONFIG = {"base_url": "https://api.acme.example", "api_key": "canary-key-7f3a91", "company_id": "7"}
ORDERS = "https://api.acme.example/orders"
ENVELOPE = Envelope("workitem_created", "evt_1", b"{}")


@responses.activate
def test_a_provider_may_be_scripted_with_responses() -> None:
    orders = responses.post(ORDERS, json={"id": 7}, status=201)
    receipt = Good.bound_to(CONFIG, RequestsClient()).deliver(ENVELOPE)
    assert (receipt.status, receipt.external_id) == (201, "7")
    (call,) = orders.calls
    assert call.request.headers["X-API-Key"] == CONFIG["api_key"] and call.request.body == b"{}"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"body": requests.ConnectTimeout(CONFIG["api_key"])}, "timeout"),
        ({"body": requests.ConnectionError(CONFIG["api_key"])}, "connection_reset"),
        ({"status": 503}, "http_503"),
        ({"status": 302, "headers": {"Location": "https://evil.example/"}}, "redirect"),
    ],
)
@responses.activate
def test_its_failures_are_those_of_the_guarded_client(answer: dict[str, Any], code: str) -> None:
    responses.post(ORDERS, **answer)
    with pytest.raises(IntegrationTemporaryError) as caught:
        Good.bound_to(CONFIG, RequestsClient()).deliver(ENVELOPE)
    error = caught.value
    assert error.code == code and error.__cause__ is None
    assert not leaks_of(error.with_traceback(None), [CONFIG["api_key"]])
