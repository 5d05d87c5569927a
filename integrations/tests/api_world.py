"""Every operation of API v1 with a tenant in which it can be done: what it takes, what is sent, what must be so before.

OPERATIONS is compared with the document (test_api_v1_operations.py): an operation without a line here fails the tests.

    world = World("acme")
    world.prepare(operation)                      so that it can be done now
    call(operation.method, world.path(operation.path), operation.body, key=text)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Permission, User
from django.test import Client

from integrations.api_keys.keys import make_key
from integrations.api_keys.models import APIKey
from integrations.api_keys.scopes import Scope
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.erp.push import PushOrchestrator
from integrations.inbound.models import WebhookEvent
from integrations.jobs.models import Job
from integrations.models import IntegrationSync, TenantIntegration
from integrations.pull.models import SyncState
from integrations.tenancy.capabilities import Capability
from integrations.tests.factories import make_integration, make_item, make_tenant
from tasks.integrations_api import READ as READ_ITEMS
from tasks.integrations_api import WRITE as WRITE_ITEMS
from tasks.models import Note
from tenants.models import Membership, Tenant

SEE, ROWS = Capability.VIEW, Capability.VIEW_DELIVERIES
EVENT = "workitem_created"


@dataclass(frozen=True)
class Operation:
    """One operation of the document.

    Attributes:
        needs: what the caller must be allowed to do; None: any caller may.
        prepare: puts the world into a state in which it does something.
        writes: False: it is a POST that changes nothing.
        expected: the status when it is done.
    """

    method: str
    path: str
    needs: Capability | Scope | None
    body: Any = None
    prepare: Callable[[World], Any] | None = None
    writes: bool = True
    expected: int = 200

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_last(self) -> tuple[bool, bool]:
        """Sorts what ends things after everything else."""
        return self.method == "delete", self.path == "/integrations/{public_id}"


class World:
    """A tenant with one of everything."""

    def __init__(self, name: str, url: str = "https://hooks.example.com/x") -> None:
        self.tenant = make_tenant(name)
        self.integration = make_integration(self.tenant, url, name=f"hook of {name}", events=(EVENT,))
        self.item = make_item(self.tenant, reference_id=f"item of {name}")
        self.note = Note.objects.create(tenant=self.tenant, work_item=self.item, text=f"note of {name}")
        self.sync = IntegrationSync.objects.get(integration=self.integration)
        self.job = Job.objects.create(
            tenant=self.tenant,
            kind="replay",
            in_words=f"deliveries of {name}",
            made_by="ada",
            first=0,
            cursor=0,
            last=0,
        )
        self.inbound = WebhookEvent.objects.create(
            connection=self.integration,
            provider="webhook",
            action="workitem-note",
            idempotency_key=f"{self.integration.pk}:{name}",
            signature_valid=True,
            payload={"text": f"from {name}"},
        )
        self.erp = make_integration(
            self.tenant, "", name=f"ERP of {name}", integration_type="MOCK", events=(), signed=False, is_signed=False
        )
        self.pull = SyncState.objects.create(connection=self.integration, resource_type=f"orders of {name}")

    def path(self, template: str) -> str:
        """Fill in an address of the document."""
        rows: dict[str, Any] = {
            "deliveries": self.sync.pk,
            "events": self.sync.event_id,
            "jobs": self.job.pk,
            "inbound": self.inbound.pk,
            "pulls": self.pull.pk,
            "pushes": self.push_id,
            "workitems": self.item.pk,
        }
        target = self.erp if template.endswith("/push") else self.integration
        first = template.split("/")[1]
        return template.format(
            pk=rows.get(first), public_id=target.public_id, name=EVENT, event_type=EVENT, key="webhook"
        )

    @property
    def push_id(self) -> int:
        """The id of a push, which is made when it is asked for."""
        found = IntegrationSync.objects.filter(integration=self.erp).values_list("pk", flat=True).first()
        if found is not None:
            return found
        order = {"id": f"order of {self.tenant.name}"}
        result = PushOrchestrator().push_order(self.tenant.pk, order, connection=self.erp, wait=False)
        assert result.push_log is not None, result.message
        return result.push_log.pk

    def prepare(self, operation: Operation) -> None:
        """Make it so that the operation does something."""
        if operation.prepare is not None:
            operation.prepare(self)


def _sync(**values: Any) -> Callable[[World], Any]:
    return lambda world: IntegrationSync.objects.filter(pk=world.sync.pk).update(**values)


def _job(state: str) -> Callable[[World], Any]:
    return lambda world: Job.objects.filter(pk=world.job.pk).update(state=state)


def _webhook(status: str) -> Callable[[World], Any]:
    return lambda world: WebhookEvent.objects.filter(pk=world.inbound.pk).update(status=status)


def _unseen_secret(world: World) -> None:
    rotate_signing_secret(TenantIntegration.objects.get(pk=world.integration.pk), is_seen=False)


def _pullable(world: World) -> None:
    TenantIntegration.unannounced.filter(pk=world.integration.pk).update(is_connected=True, is_enabled=True)
    SyncState.objects.filter(pk=world.pull.pk).update(interval_minutes=5)


def _wanted(world: World) -> None:
    world.integration.subscribe(EVENT)


REPLAY = {"kind": "replay", "filter": {"status": "failed"}}
ONE = "/integrations/{public_id}"
WISH = ONE + "/subscriptions/{event_type}"

OPERATIONS: tuple[Operation, ...] = (
    Operation("get", "/me", None),
    Operation("get", "/connector-types", SEE),
    Operation("get", "/connector-types/{key}", SEE),
    Operation("get", "/deliveries", ROWS),
    Operation("get", "/deliveries/{pk}", ROWS),
    Operation("post", "/deliveries/{pk}/retry", Capability.RETRY, prepare=_sync(status="failed")),
    Operation("post", "/deliveries/{pk}/replay", Capability.RETRY, prepare=_sync(status="synced")),
    Operation("post", "/deliveries/{pk}/send-anyway", Capability.RETRY, prepare=_sync(status="skipped")),
    Operation("post", "/deliveries/{pk}/cancel", Capability.CANCEL, prepare=_sync(status="pending")),
    Operation("get", "/event-types", SEE),
    Operation("get", "/event-types/{name}", SEE),
    Operation("get", "/events", ROWS),
    Operation("get", "/events/{pk}", ROWS),
    Operation("get", "/integrations", SEE),
    Operation(
        "post",
        "/integrations",
        Capability.ADD,
        {
            "connector_type": "webhook",
            "name": "made by the API",
            "settings": {"url": "https://hooks.example.com/made"},
            "subscriptions": [{"event_type": EVENT}],
        },
        expected=201,
    ),
    Operation("get", ONE, SEE),
    Operation("post", ONE + "/test", Capability.TEST),
    Operation("post", ONE + "/check", Capability.TEST),
    Operation("post", ONE + "/pause", Capability.PAUSE),
    Operation("post", ONE + "/resume", Capability.PAUSE),
    Operation("post", ONE + "/enable", Capability.PAUSE),
    Operation("get", ONE + "/settings", SEE),
    Operation("patch", ONE + "/settings", Capability.SETTINGS, {"max_attempts": 7}),
    Operation("post", ONE + "/rotate-secret", Capability.SECRETS, {}),
    Operation("post", ONE + "/reveal-secret", Capability.SECRETS, prepare=_unseen_secret),
    Operation("get", ONE + "/subscriptions", SEE),
    Operation("get", WISH, SEE, prepare=_wanted),
    Operation("put", WISH, Capability.SETTINGS, {"condition": "workitem.priority == 'Urgent'"}, prepare=_wanted),
    Operation("post", WISH + "/try", SEE, {"payload": "{text: workitem.reference_id}"}, writes=False),
    Operation("delete", WISH, Capability.SETTINGS, prepare=_wanted, expected=204),
    Operation(
        "post", ONE + "/push", Capability.PUSH, {"order": {"id": "order of the API", "total": "1.00"}}, expected=202
    ),
    Operation("delete", ONE, Capability.DELETE, expected=202),
    Operation("get", "/jobs", ROWS),
    Operation("post", "/jobs", Capability.RETRY, REPLAY, expected=201),
    Operation("post", "/jobs/preview", Capability.RETRY, REPLAY, writes=False),
    Operation("get", "/jobs/{pk}", ROWS),
    Operation("post", "/jobs/{pk}/pause", Capability.RETRY, prepare=_job("running")),
    Operation("post", "/jobs/{pk}/resume", Capability.RETRY, prepare=_job("paused")),
    Operation("post", "/jobs/{pk}/cancel", Capability.RETRY, prepare=_job("running")),
    Operation("get", "/inbound", ROWS),
    Operation("get", "/inbound/{pk}", ROWS),
    Operation("post", "/inbound/{pk}/process-again", Capability.PULL, prepare=_webhook("failed")),
    Operation("post", "/inbound/{pk}/replay", Capability.PULL, prepare=_webhook("processed")),
    Operation("get", "/pulls", ROWS),
    Operation("get", "/pulls/{pk}", ROWS),
    Operation("post", "/pulls/{pk}/run", Capability.PULL, prepare=_pullable),
    Operation("post", "/pulls/{pk}/start-over", Capability.SETTINGS, prepare=_pullable),
    Operation("get", "/pushes", ROWS),
    Operation("get", "/pushes/{pk}", ROWS),
    Operation("get", "/statistics", SEE),
    Operation("get", "/audit", Capability.AUDIT),
    Operation("get", "/workitems", READ_ITEMS),
    Operation("post", "/workitems", WRITE_ITEMS, {"reference_id": "RMA-new"}, expected=201),
    Operation("get", "/workitems/{pk}", READ_ITEMS),
    Operation("patch", "/workitems/{pk}", WRITE_ITEMS, {"status": "completed"}),
    Operation("get", "/workitems/{pk}/notes", READ_ITEMS),
    Operation("post", "/workitems/{pk}/notes", WRITE_ITEMS, {"text": "The customer was told."}, expected=201),
)


def person(tenant: Tenant, role: str, *permissions: str) -> Client:
    """Return somebody's browser, signed in, with a role for the tenant and these permissions of Django."""
    user = User.objects.create_user(f"{tenant.slug}-{role or 'nobody'}-{User.objects.count()}")
    Membership.objects.create(tenant=tenant, user=user, role=role)
    for name in permissions:
        app, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def key_for(tenant: Tenant, *scopes: str) -> tuple[APIKey, str]:
    """Return a key with these scopes, and its text."""
    user = User.objects.create_superuser(f"manager {APIKey.objects.count()}")
    Membership.objects.create(tenant=tenant, user=user, role="manager")
    return make_key(tenant, f"key {APIKey.objects.count()}", scopes, user=user)


def call(
    method: str, path: str, body: Any = None, *, key: str = "", client: Client | None = None, **headers: str
) -> Any:
    """Send a request with JSON to an address below /api/v1; `headers` are those of the request."""
    sent = {"Authorization": f"Bearer {key}", **headers} if key else headers
    send = getattr(client or Client(), method)
    address = path if path.startswith("/api") else f"/api/v1{path}"
    if method == "get":
        return send(address, headers=sent)
    return send(address, data=json.dumps(body or {}), content_type="application/json", headers=sent)
