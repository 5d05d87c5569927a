"""What connectors may do to a lane: ask several times, fail to disconnect, be patient, change their version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from django.utils import timezone

from integrations import conf
from integrations.connections.settings import change_settings, shown_settings
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.versions import Version
from integrations.delivery.drain import drain
from integrations.delivery.rotation import rotate
from integrations.errors import IncompatibleConnector
from integrations.models import IntegrationSync, Lane, TenantIntegration
from integrations.tests.factories import make_item, make_tenant
from integrations.transport.deadline import ends_at

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


class Odd(BaseConnector):
    """A connector with habits; the second version calls its field otherwise."""

    manifest = Manifest(
        key="odd-odd", label="Odd", version="2.0.0", timeout=60, fields=(Field(name="place", required=True),)
    )
    seen: ClassVar[dict[str, Any]] = {}

    def deliver(self, envelope: Envelope) -> Receipt:
        lane = Lane.objects.get()
        assert lane.lease_expires_at is not None
        self.seen.update(lease=(lane.lease_expires_at - timezone.now()).total_seconds(), end=ends_at())
        return Receipt(200)

    def disconnect(self) -> None:
        raise OSError("it hung up first")

    @classmethod
    def can_migrate(cls, before: Version) -> bool:
        return before.major == 1

    @classmethod
    def migrate_config(cls, config: dict[str, Any], from_version: str) -> dict[str, Any]:
        return {"place": config["location"]}

    def rotate(self) -> dict[str, Any]:
        return {"place": f"{self.settings['place']}, renewed"}


@pytest.fixture
def odd() -> Iterator[TenantIntegration]:
    ConnectorRegistry.register(Odd)
    Odd.seen.clear()
    yield TenantIntegration.objects.create(
        tenant=make_tenant(), name="Odd", integration_type="odd-odd", config={"place": "here"}
    )
    ConnectorRegistry.unregister("odd-odd")


@pytest.fixture
def old(odd: TenantIntegration) -> TenantIntegration:
    TenantIntegration.unannounced.filter(pk=odd.pk).update(connector_version="1.4.0", config={"location": "there"})
    odd.refresh_from_db()
    return odd


def test_a_disconnect_that_fails_loses_no_outcome(odd: TenantIntegration) -> None:
    odd.subscribe("workitem_created")
    make_item(odd.tenant)
    drain(odd.pk)
    assert IntegrationSync.objects.get().status == "synced"


def test_a_patient_kind_gets_a_longer_lease_and_one_deadline(odd: TenantIntegration) -> None:
    odd.subscribe("workitem_created")
    make_item(odd.tenant)
    drain(odd.pk)
    assert Odd.seen["lease"] > conf.LEASE_SECONDS + 30
    assert Odd.seen["end"] != float("inf")


def test_switching_it_on_does_not_call_old_settings_new(old: TenantIntegration) -> None:
    old.is_active = False
    old.save(update_fields=["is_active"])
    old.refresh_from_db()
    assert old.connector_version == "1.4.0" and old.get_adapter().settings == {"place": "there"}


def test_old_settings_are_shown_and_changed_in_the_present_ones_words(old: TenantIntegration) -> None:
    assert shown_settings(old) == {"place": "there"}
    old.save(update_fields=change_settings(old, {}))
    old.refresh_from_db()
    assert (old.connector_version, old.config) == ("2.0.0", {"place": "there"})


def test_a_rotation_migrates_what_it_keeps(old: TenantIntegration) -> None:
    assert rotate(old.pk) is True
    old.refresh_from_db()
    assert (old.connector_version, old.config) == ("2.0.0", {"place": "there, renewed"})


def test_a_migration_that_fails_parks_the_lane(old: TenantIntegration) -> None:
    TenantIntegration.unannounced.filter(pk=old.pk).update(config={})
    old.refresh_from_db()
    with pytest.raises(IncompatibleConnector, match="KeyError"):
        old.get_adapter()
    old.subscribe("workitem_created")
    make_item(old.tenant)
    assert drain(old.pk).outcome == "not configured"
    assert Lane.objects.get().lease_expires_at is None
