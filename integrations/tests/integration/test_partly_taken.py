"""What attempts have done already is kept with the row: whoever has got an event gets no copy."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from django.db import DataError

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import operator_actions, settle
from integrations.delivery.drain import drain
from integrations.errors import EVENT, IntegrationPermanentError, IntegrationTemporaryError
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_item, make_tenant

from .test_delivery import make_due, meanwhile, row

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


class Letters(BaseConnector):
    """Gives each event to Jane and Bob; Bob is out as long as `bob` says an error."""

    manifest = Manifest(key="letters", label="Letters", family="test")
    got: list[str] = []
    bob: type[IntegrationTemporaryError | IntegrationPermanentError] | None = None

    def deliver(self, envelope: Envelope) -> Receipt:
        done = list(envelope.progress.get("taken", ()))
        for name in ("jane", "bob"):
            if name in done:
                continue
            if name == "bob" and self.bob is not None:
                raise self.bob("1 of 2", fault=EVENT, progress={"taken": done})
            self.got.append(name)
            done.append(name)
        return Receipt()


@pytest.fixture
def target() -> Iterator[TenantIntegration]:
    ConnectorRegistry.register("letters", Letters)
    Letters.got, Letters.bob = [], IntegrationTemporaryError
    made = make_integration(make_tenant(), "", integration_type="letters", signed=False)
    make_item(made.tenant)
    yield made
    ConnectorRegistry.unregister("letters")


def taken() -> list[str]:
    return json.loads(row().progress or "{}").get("taken", [])


def bob_is_back(target: TenantIntegration) -> list[str]:
    Letters.bob = None
    make_due()
    drain(target.pk)
    assert (row().status, row().progress) == ("synced", "")
    return Letters.got


def test_the_next_attempt_goes_to_the_rest(target: TenantIntegration) -> None:
    for _ in range(3):
        make_due()
        drain(target.pk)
        assert (row().status, taken()) == ("pending", ["jane"])
    assert bob_is_back(target) == ["jane", "bob"]
    assert Lane.objects.get().consecutive_failures == 0


def test_a_retry_by_hand_goes_to_the_rest_and_a_replay_to_all(target: TenantIntegration) -> None:
    Letters.bob = IntegrationPermanentError
    drain(target.pk)
    assert (row().status, taken()) == ("failed", ["jane"])
    operator_actions.retry([row().pk], actor="alice")
    assert bob_is_back(target) == ["jane", "bob"]
    operator_actions.replay([row().pk], actor="alice")
    assert bob_is_back(target) == ["jane", "bob", "jane", "bob"]


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_what_a_person_does_meanwhile_forgets_nobody(target: TenantIntegration, verb: str) -> None:
    with meanwhile(lambda: getattr(operator_actions, verb)([row().pk], actor="alice")):
        drain(target.pk)
    assert row().status == ("pending" if verb == "retry" else "cancelled") and taken() == ["jane"]
    operator_actions.retry([row().pk], actor="alice")
    assert bob_is_back(target) == ["jane", "bob"]


def test_a_row_that_cannot_be_stored_costs_no_other_what_it_keeps(
    target: TenantIntegration, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = make_item(target.tenant, reference_id="RMA-2").pk
    original = settle._write_rows

    def refuse_the_last(settlement: settle.Settlement) -> set[int]:
        for result in settlement.outcomes:
            if result.row.object_id == str(last) and getattr(result.error, "code", "") != "unexpected":
                raise DataError("as a database does")
        return original(settlement)

    monkeypatch.setattr(settle, "_write_rows", refuse_the_last)
    drain(target.pk)
    rows = IntegrationSync.objects.order_by("pk").values_list("status", "progress", "attempts")
    assert list(rows) == [("pending", '{"taken": ["jane"]}', 1), ("pending", "", 1)]


def test_who_lost_the_lease_writes_nothing(target: TenantIntegration) -> None:
    with meanwhile(lambda: Lane.objects.update(lease_token="another")):
        assert drain(target.pk).outcome == "lease lost"
    assert (row().attempts, taken()) == (0, []), "a crash may make copies, and only that"
