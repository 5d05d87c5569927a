"""Periodic health checks: asked for once, spread out, and counting only what is about credentials."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import health_checks
from integrations.delivery.health_checks import check_one, request_checks
from integrations.models import Lane, TenantIntegration
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


class Pinged(BaseConnector):
    """A system with a call that changes nothing."""

    manifest = Manifest(key="pinged", label="Pinged", fields=(Field(name="base_url", kind="url", required=True),))

    def check(self) -> str:
        self.http.get("/ping")
        return "pong"


@pytest.fixture
def pinged(receiver: Receiver) -> Iterator[TenantIntegration]:
    ConnectorRegistry.register("pinged", Pinged)
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc], "TEST_TIMEOUT_SECONDS": 1.0}):
        yield TenantIntegration.objects.create(
            tenant=make_tenant(),
            name="Pinged",
            integration_type="pinged",
            config={"base_url": f"http://{receiver.netloc}"},
        )
    ConnectorRegistry.unregister("pinged")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The integrations that a worker was asked to check."""
    found: list[int] = []

    def send(task: str, kwargs: dict[str, Any], queue: str) -> bool:
        assert (task, queue) == ("integrations.tasks.check_connection", "slow")
        found.append(kwargs["integration_id"])
        return True

    monkeypatch.setattr(health_checks, "send_hint", send)
    return found


def test_a_new_one_gets_its_place_in_the_coming_period(pinged: TenantIntegration, asked: list[int]) -> None:
    make_integration(pinged.tenant)  # a webhook has nothing to ask
    assert request_checks() == {"due": 0, "asked": 0}
    (place,) = Lane.objects.exclude(next_check_at=None).values_list("integration_id", "next_check_at")
    assert place[0] == pinged.pk and timezone.now() <= place[1] <= timezone.now() + timedelta(seconds=900)


def test_what_is_due_is_asked_for_once(pinged: TenantIntegration, asked: list[int]) -> None:
    Lane.objects.filter(pk=pinged.pk).update(next_check_at=timezone.now() - timedelta(seconds=1))
    assert request_checks() == {"due": 1, "asked": 1}
    assert request_checks() == {"due": 0, "asked": 0}  # a second scheduler finds nothing
    assert asked == [pinged.pk]
    wait = (Lane.objects.get(pk=pinged.pk).next_check_at or timezone.now()) - timezone.now()
    assert 0.79 * 900 < wait.total_seconds() < 1.21 * 900


@pytest.mark.parametrize("values", [{"is_active": False}, {"is_enabled": False}])
def test_who_is_switched_off_is_left_alone(pinged: TenantIntegration, asked: list[int], values: Any) -> None:
    Lane.objects.filter(pk=pinged.pk).update(next_check_at=timezone.now())
    TenantIntegration.objects.filter(pk=pinged.pk).update(**values)
    assert request_checks()["due"] == 0
    assert check_one(pinged.pk) is None and check_one(999_999) is None


def test_they_can_be_switched_off(pinged: TenantIntegration, asked: list[int]) -> None:
    Lane.objects.filter(pk=pinged.pk).update(next_check_at=timezone.now())
    with override_settings(INTEGRATIONS={"HEALTH_CHECK_SECONDS": 0.0}):
        assert request_checks() == {"due": 0, "asked": 0}


def test_a_success_is_written_down(pinged: TenantIntegration, receiver: Receiver) -> None:
    assert check_one(pinged.pk) is True
    pinged.refresh_from_db()
    assert pinged.is_connected and pinged.last_test_at is not None
    assert [request.path for request in receiver.requests] == ["/ping"]


@pytest.mark.parametrize("answer", [Answer(500), Answer(then="drop"), Answer(then="hang")])
def test_the_network_does_not_count_against_the_credentials(
    pinged: TenantIntegration, receiver: Receiver, answer: Answer
) -> None:
    receiver.answer_with(default=answer)
    for _ in range(4):
        assert check_one(pinged.pk) is False
        if answer.then == "hang":
            break
    pinged.refresh_from_db()
    assert (pinged.auth_failure_count, pinged.is_enabled, pinged.is_connected) == (0, True, False)
    assert pinged.last_test_at is None


def test_refused_credentials_do(pinged: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(default=401)
    for count in (1, 2, 3):
        assert check_one(pinged.pk) is False
        pinged.refresh_from_db()
        assert pinged.auth_failure_count == count
    assert pinged.is_enabled is False and "refused" in pinged.disabled_reason
    assert check_one(pinged.pk) is None
