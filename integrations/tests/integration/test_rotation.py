"""Changing credentials costs no delivery: by hand under load, and by the connector itself when they are too old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from integrations import conf
from integrations.connections.signing_keys import reveal_signing_secret, rotate_signing_secret
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.delivery import lease
from integrations.delivery.drain import drain
from integrations.delivery.rotation import overdue, rotate, rotate_overdue
from integrations.models import AuditEntry, ExecutionLog, IntegrationSync, TenantIntegration
from integrations.tests.factories import SECRET, make_integration, make_item, make_tenant
from integrations.tests.integration.admin_world import make_side, page, url
from integrations.tests.receiver import Answer, Receiver, Request
from integrations.tests.services import CeleryProcess, wait_until
from integrations.transport.deadline import ends_at

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True), pytest.mark.portable]

LONG_AGO = timedelta(days=91)


class Renewing(BaseConnector):
    """A system that gives a new token when it is asked."""

    manifest = Manifest(
        key="renewing",
        label="Renewing",
        fields=(Field(name="base_url", kind="url", required=True), Field(name="token", kind="secret", required=True)),
    )

    def rotate(self) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.settings['token']}"}
        return {"token": self.http.post("/renew", headers=headers)["token"]}


@pytest.fixture
def renewing(receiver: Receiver) -> Iterator[TenantIntegration]:
    ConnectorRegistry.register("renewing", Renewing)
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc]}):
        integration = TenantIntegration.objects.create(
            tenant=make_tenant(),
            name="Renewing",
            integration_type="renewing",
            config={"base_url": f"http://{receiver.netloc}"},
            credentials={"token": "canary-old"},
        )
        TenantIntegration.objects.filter(pk=integration.pk).update(credentials_rotated_at=timezone.now() - LONG_AGO)
        yield integration
    ConnectorRegistry.unregister("renewing")


def test_what_is_too_old_and_can_renew_itself_is_renewed(renewing: TenantIntegration, receiver: Receiver) -> None:
    keys = renewing.credentials["signing_keys"]
    old_webhook = make_integration(renewing.tenant, receiver.url)
    TenantIntegration.objects.filter(pk=old_webhook.pk).update(credentials_rotated_at=timezone.now() - LONG_AGO)
    receiver.answer_with(Answer(body=b'{"token": "canary-new"}'))
    assert rotate_overdue() == {"overdue": 2, "rotated": 1, "failed": 0}
    assert [request.headers["authorization"] for request in receiver.requests] == ["Bearer canary-old"]
    renewing.refresh_from_db()
    assert renewing.credentials == {"token": "canary-new", "signing_keys": keys}
    assert list(overdue()) == [old_webhook]  # a person must: its receiver has to learn the new key
    assert AuditEntry.objects.get(action="rotated").changes == {"credentials.token": "changed"}
    assert rotate_overdue()["rotated"] == 0


def test_a_failure_keeps_the_old_ones_and_is_logged(renewing: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(Answer(500, body=b"canary-old"))
    assert rotate_overdue() == {"overdue": 1, "rotated": 0, "failed": 1}
    renewing.refresh_from_db()
    assert renewing.credentials["token"] == "canary-old"
    error = AuditEntry.objects.get(action="could not rotate").details["error"]
    assert "500" in error and "canary" not in error
    assert lease.take(renewing.pk) is not None  # the lane was given back


def test_a_lane_at_work_is_left_alone(renewing: TenantIntegration, receiver: Receiver) -> None:
    assert lease.take(renewing.pk) is not None
    assert rotate(renewing.pk) is False
    assert receiver.requests == []


def test_whatever_a_connector_throws_is_survived(renewing: TenantIntegration, monkeypatch: Any) -> None:
    def explode(self: Any) -> dict[str, Any]:
        raise KeyError("canary")

    monkeypatch.setattr(Renewing, "rotate", explode)
    assert rotate(renewing.pk) is False
    assert AuditEntry.objects.get(action="could not rotate").details == {"error": "unexpected KeyError"}


@pytest.mark.slow
def test_s3_46_a_key_is_changed_under_load_and_no_delivery_fails(
    celery_worker: Callable[..., CeleryProcess], receiver: Receiver
) -> None:
    """The receiver takes the old key until the new one was seen, and for the length of one slice more."""
    seen: set[str] = set()
    lock = threading.Lock()

    def answer(request: Request) -> int:
        key = request.headers.get("x-api-key", "")
        with lock:
            seen.add(key)
        return 200 if key in ("old-key", "new-key") else 401

    receiver.answer_with(answer)
    tenant = make_tenant()
    integration = make_integration(tenant, receiver.url, headers={"X-API-Key": "old-key"})
    pool = "prefork" if connection.vendor == "postgresql" else "threads"
    celery_worker(pool=pool, concurrency=2, env={"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc})
    items = [make_item(tenant, reference_id=f"RMA-{number}") for number in range(60)]
    receiver.wait_for(20)
    row = TenantIntegration.objects.get(pk=integration.pk)
    row.headers = {"X-API-Key": "new-key"}
    row.save(update_fields=["headers_encrypted", "updated_at"])
    changed_at = len(receiver.requests)
    for item in items:
        item.comments = "after the change"
        item.save()
    wait_until(lambda: IntegrationSync.objects.filter(status="synced").count() == 120, 30)
    assert seen == {"old-key", "new-key"}
    assert {request.status for request in receiver.requests} == {200}
    last = [request.headers["x-api-key"] for request in receiver.requests[changed_at + 100 :]]
    assert set(last) <= {"new-key"}  # at most one slice was under way with the old one
    integration.refresh_from_db()
    assert integration.auth_failure_count == 0
    assert not ExecutionLog.objects.exclude(error="").exists()


def test_a_slow_provider_does_not_outlast_the_lease(renewing: TenantIntegration, monkeypatch: Any) -> None:
    left: list[float] = []
    monkeypatch.setattr(
        Renewing, "rotate", lambda self: left.append(ends_at() - time.monotonic()) or {"token": "canary-new"}
    )
    assert rotate(renewing.pk) is True
    assert left[0] < conf.LEASE_SECONDS


def test_however_often_a_signing_secret_is_rotated_a_handful_signs() -> None:
    integration = make_integration(make_tenant())
    newest = [rotate_signing_secret(integration) for _ in range(7)][::-1]
    assert list(integration.signing_secrets()) == newest[:5]
    assert rotate_signing_secret(integration, f" {newest[6]}\n") == newest[6] == integration.signing_secrets()[0]


def test_the_old_ones_end_only_when_the_new_ones_are_stored(
    renewing: TenantIntegration, receiver: Receiver, monkeypatch: Any
) -> None:
    stored: list[str] = []

    def retire(self: Any) -> None:
        assert self.settings["token"] == "canary-old"
        stored.append(TenantIntegration.objects.get(pk=renewing.pk).credentials["token"])
        raise KeyError("canary")

    monkeypatch.setattr(Renewing, "retire", retire)
    receiver.answer_with(Answer(body=b'{"token": "canary-new"}'), 500)
    assert rotate(renewing.pk) is True, "two that work are no failure"
    assert stored == ["canary-new"]
    assert rotate(renewing.pk) is False and len(stored) == 1, "nothing ends when nothing came"


# -- our own signing secrets -----------------------------------------------------------------------------------


def signing(receiver: Receiver, days: int | None, *, age: timedelta) -> TenantIntegration:
    """An integration that signs, whose secret is so old and to be renewed so often."""
    integration = make_integration(make_tenant(), receiver.url, renew_secret_days=days)
    TenantIntegration.objects.filter(pk=integration.pk).update(credentials_rotated_at=timezone.now() - age)
    integration.refresh_from_db()
    return integration


def verifies(request: Request, secret: str) -> bool:
    try:
        Webhook(secret).verify(request.body, dict(request.headers))
    except WebhookVerificationError:
        return False
    return True


def test_signing_secrets_are_renewed_where_the_tenant_wishes(receiver: Receiver) -> None:
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc]}):
        integration = signing(receiver, 30, age=timedelta(days=31))
        assert rotate_overdue() == {"overdue": 0, "rotated": 1, "failed": 0}
        assert rotate_overdue()["rotated"] == 0, "one waits already"
        TenantIntegration.objects.update(secret_renewed_at=timezone.now() - LONG_AGO)
        assert rotate_overdue()["rotated"] == 0, "and keys do not pile up while nobody looks"
        make_item(integration.tenant)
        drain(integration.pk)
        integration.refresh_from_db()
        new = integration.credentials["signing_keys"][0]["secret"]
        assert new != SECRET and all(verifies(receiver.requests[0], secret) for secret in (new, SECRET))
        assert AuditEntry.objects.get(action="rotated").actor == "system"

        assert reveal_signing_secret(integration) == new and reveal_signing_secret(integration) is None
        first, second = integration.credentials["signing_keys"]
        assert first == {"secret": new, "until": None}
        assert datetime.fromisoformat(second["until"]) > timezone.now()
        with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": [receiver.netloc], "ROTATION_OVERLAP_SECONDS": 0.0}):
            rotate_signing_secret(integration)
        make_item(integration.tenant)
        drain(integration.pk)
        assert not verifies(receiver.requests[-1], new), "its time is over, as after any rotation"


@pytest.mark.parametrize(
    ("days", "age", "changes"),
    [
        (None, LONG_AGO, {}),
        (30, timedelta(days=29), {}),
        (30, LONG_AGO, {"is_signed": False}),
        (30, LONG_AGO, {"is_active": False}),
        (30, LONG_AGO, {"is_enabled": False}),
    ],
)
def test_nobody_elses_secret_is_renewed(
    receiver: Receiver, days: int | None, age: timedelta, changes: dict[str, bool]
) -> None:
    integration = signing(receiver, days, age=age)
    TenantIntegration.objects.update(**changes)
    assert rotate_overdue()["rotated"] == 0
    integration.refresh_from_db()
    assert [key["secret"] for key in integration.credentials["signing_keys"]] == [SECRET]


def test_a_person_sees_the_new_secret_once(receiver: Receiver, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    side, other = make_side("Acme"), make_side("Globex")
    TenantIntegration.objects.filter(pk=side.integration.pk).update(
        renew_secret_days=7, credentials_rotated_at=timezone.now() - LONG_AGO, secret_renewed_at=None
    )
    assert rotate_overdue()["rotated"] == 1
    side.integration.refresh_from_db()
    secret = side.integration.credentials["signing_keys"][0]["secret"]
    workbench = f"/console/integrations/{side.integration.public_id}/"
    form = page(side.client, url("tenantintegration", "change", side.integration.pk))
    assert 'name="renew_secret_days"' in form and secret not in form
    shown = page(side.client, workbench)
    assert "Show the new secret" in shown and secret not in shown
    show = f"{workbench}do/reveal/"
    assert side.client.get(show).status_code == 405 and other.client.post(show).status_code == 404
    assert secret in side.client.post(show, follow=True).content.decode()
    assert secret not in side.client.post(show, follow=True).content.decode()
    assert "Show the new secret" not in page(side.client, workbench)
