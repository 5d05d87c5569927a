"""Every address of the console, as everybody: strangers, each role, and people of another tenant.

An address that is not in `PAGES` fails the first test, so that nobody adds a page without saying who may open it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import reverse

from integrations.api_keys.keys import make_key
from integrations.audit.trail import AuditEntry, record
from integrations.console.urls import urlpatterns
from integrations.delivery.operator_actions import pause
from integrations.jobs.models import Job
from integrations.models import IntegrationEvent, IntegrationSync, SyncState, TenantIntegration, WebhookEvent
from integrations.tenancy.roles import Role
from integrations.tests.integration.admin_world import Side, client_of, make_integration, make_side
from tenants.models import Membership

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

VIEWER, OPERATOR, MANAGER = Role
OPEN = {"sign-in", "sign-out"}  # for people who are not signed in (yet)
NOWHERE = {"elsewhere"}  # what no page has
STAFF = {"system"}  # for people who run the product, whatever their role


@dataclass
class World:
    """A tenant with a row of everything that a page is about."""

    side: Side
    integration: TenantIntegration
    draft: TenantIntegration
    sync: IntegrationSync
    event: IntegrationEvent
    inbound: WebhookEvent
    state: SyncState
    push: IntegrationSync
    job: Job
    key: Any
    entry: AuditEntry
    person: User


Args = Callable[[World], tuple[Any, ...]]


@dataclass(frozen=True)
class Page:
    """One address.

    Attributes:
        get, post: the smallest role that may; None: there is no such method.
        args: what stands in the address; where it names an object, that of another tenant does not exist.
        body: what is posted, valid enough to come as far as the role.
    """

    get: Role | None = VIEWER
    post: Role | None = None
    args: Args | None = None
    body: Callable[[World], dict[str, Any]] = lambda world: {}


def integration(*more: Any) -> Args:
    return lambda world: (world.integration.public_id, *more)


def pk(name: str) -> Args:
    return lambda world: (getattr(world, name).pk,)


PAGES: dict[str, list[Page]] = {
    "overview": [Page()],
    "tenant": [Page(None, VIEWER)],
    "password": [Page(VIEWER, VIEWER)],
    "deliveries": [Page()],
    "deliveries-act": [Page(None, OPERATOR, body=lambda world: {"act": "retry", "pk": world.sync.pk})],
    "delivery": [Page(args=pk("sync"))],
    "delivery-act": [
        Page(None, OPERATOR, lambda world, act=act: (world.sync.pk, act))  # type: ignore[misc]
        for act in ("retry", "replay", "cancel")
    ],
    "object": [Page(args=lambda world: (world.event.content_type_id, world.event.object_id))],
    "events": [Page()],
    "event": [Page(args=pk("event"))],
    "event-types": [Page()],
    "event-type": [Page(args=lambda world: ("workitem_created",))],
    "inbound": [Page()],
    "inbound-event": [Page(args=pk("inbound"))],
    "inbound-again": [Page(None, OPERATOR, pk("inbound"))],
    "pulls": [Page()],
    "pull": [Page(args=pk("state"))],
    "pull-now": [Page(None, OPERATOR, pk("state"))],
    "pull-again": [Page(None, MANAGER, pk("state"))],
    "pushes": [Page()],
    "push": [Page(args=pk("push"))],
    "jobs": [Page()],
    "job-new": [Page(OPERATOR, OPERATOR)],
    "job": [Page(args=pk("job"))],
    "job-pause": [Page(None, OPERATOR, pk("job"))],
    "job-resume": [Page(None, OPERATOR, pk("job"))],
    "job-cancel": [Page(None, OPERATOR, pk("job"))],
    "people": [Page(VIEWER, MANAGER, body=lambda world: {"account": "nobody", "role": "viewer"})],
    "people-mails": [Page(None, VIEWER, body=lambda world: {"mails": "off"})],
    "person": [Page(None, MANAGER, pk("person"), lambda world: {"role": "viewer"})],
    "person-remove": [Page(MANAGER, MANAGER, pk("person"))],
    "keys": [Page(MANAGER)],
    "keys-new": [Page(MANAGER, MANAGER)],
    "keys-revoke": [Page(None, MANAGER, pk("key"))],
    "secrets": [Page(MANAGER)],
    "gallery": [Page(MANAGER)],
    "setup": [Page(MANAGER, MANAGER, lambda world: ("webhook",))],
    "setup-connect": [Page(MANAGER, MANAGER, integration())],
    "setup-events": [Page(MANAGER, MANAGER, integration())],
    "setup-test": [Page(MANAGER, MANAGER, integration())],
    "setup-done": [Page(MANAGER, None, integration())],
    "setup-discard": [Page(None, MANAGER, lambda world: (world.draft.public_id,))],
    "integrations": [Page()],
    "integration": [Page(args=integration())],
    "integration-deliveries": [Page(args=integration())],
    "integration-settings": [Page(VIEWER, MANAGER, integration())],
    "integration-events": [Page(VIEWER, MANAGER, integration())],
    "integration-event": [Page(VIEWER, MANAGER, integration("workitem_created"))],
    "integration-event-try": [Page(None, VIEWER, integration("workitem_created"))],
    "integration-history": [Page(args=integration())],
    "integration-calling-back": [Page(args=integration())],
    "integration-do": [
        *(Page(None, OPERATOR, integration(name)) for name in ("test", "check", "pause", "resume", "enable")),
        *(Page(None, MANAGER, integration(name)) for name in ("reveal", "connect")),
    ],
    "integration-rotate": [Page(MANAGER, MANAGER, integration())],
    "integration-secret": [Page(MANAGER, None, integration())],
    "integration-delete": [Page(MANAGER, MANAGER, integration())],
    "audit": [Page(MANAGER)],
    "audit-export": [Page(MANAGER)],
    "audit-entry": [Page(MANAGER, None, pk("entry"))],
}


@pytest.fixture(autouse=True)
def _plain(settings: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


def make_world(name: str) -> World:
    side = make_side(name)
    integration = side.integration
    integration.webhook_url = "https://127.0.0.1:9/"  # which the guard refuses, without asking anybody
    integration.save()
    event = side.sync.event
    push_event = IntegrationEvent.objects.get(pk=event.pk)
    push_event.pk, push_event.event_type, push_event.idempotency_key = None, "order_push", f"push-{name}"
    push_event._state.adding = True
    push_event.save()
    push = IntegrationSync.objects.create(event=push_event, integration=integration)
    person = User.objects.create_user(f"{name}-person")
    Membership.objects.create(tenant=side.tenant, user=person, role="viewer")
    manager = User.objects.create_user(f"{name}-manager", password="a long password")
    Membership.objects.create(tenant=side.tenant, user=manager, role="manager")
    return World(
        side,
        integration,
        make_integration(side.tenant, f"{name} draft", "workitem_deleted", is_active=False),
        side.sync,
        event,
        WebhookEvent.objects.create(
            connection=integration, provider="webhook", signature_valid=True, action="x", idempotency_key=f"1:{name}"
        ),
        SyncState.objects.create(connection=integration, resource_type="orders"),
        push,
        Job.objects.create(
            tenant=side.tenant, kind="replay", in_words="everything", made_by="ada", state="paused", filter={}
        ),
        make_key(side.tenant, name, ["read"], user=manager)[0],
        record("tested", integration, actor=f"{name}-manager"),
        person,
    )


@pytest.fixture
def world() -> World:
    return make_world("acme")


def named(role: Role, world: World) -> Client:
    user, _ = User.objects.get_or_create(username=f"{world.side.tenant.slug}-{role.word}-reader")
    Membership.objects.get_or_create(tenant=world.side.tenant, user=user, defaults={"role": role.word})
    return client_of(user)


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what the block writes: each request finds the same rows."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def requests(world: World) -> Iterator[tuple[str, str, Role, str, dict[str, Any], bool]]:
    """Yield (name, method, smallest role, address, body, whether the address names an object) of everything."""
    for name, pages in PAGES.items():
        for page in pages:
            args = page.args(world) if page.args is not None else ()
            address = reverse(f"console:{name}", args=args)
            is_object = page.args is not None and name not in ("event-type", "setup")
            for method, role in (("get", page.get), ("post", page.post)):
                if role is not None:
                    body = {**page.body(world), "tenant": world.side.tenant.pk} if method == "post" else {}
                    yield name, method, role, address, body, is_object


def test_every_address_says_who_may_open_it() -> None:
    names = {pattern.name for pattern in urlpatterns}
    assert names == PAGES.keys() | OPEN | STAFF | NOWHERE
    for pattern in urlpatterns:
        is_declared = hasattr(pattern.callback, "console_needs")
        assert is_declared or pattern.name in OPEN, f"{pattern.name} is no @page"


def test_strangers_are_asked_to_sign_in(world: World) -> None:
    for name, method, _, address, body, _ in requests(world):
        answer = getattr(Client(), method)(address, body)
        assert answer.status_code == 302 and answer["Location"].startswith("/console/sign-in/?next="), (name, method)


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_its_own_pages_and_no_others(world: World, role: Role) -> None:
    client = named(role, world)
    wrong = []
    for name, method, needed, address, body, _ in requests(world):
        with taken_back():
            answer = getattr(client, method)(address, body)
        is_refused = answer.status_code == 403
        if is_refused != (role < needed) or answer.status_code in (404, 405) or answer.status_code >= 500:
            wrong.append((name, method, address, answer.status_code))
        elif is_refused:
            assert f"You need the role {needed.word} to" in answer.content.decode(), (name, method)
    assert wrong == []


@dataclass
class Form:
    """A form of a page: where it goes, what is filled in, and its buttons."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    buttons: list[dict[str, str]] = field(default_factory=list)


class Offers(HTMLParser):
    """What a page offers to whoever reads it: links to other pages of the console, and forms that change something."""

    def __init__(self, address: str, html: str) -> None:
        super().__init__()
        self.address, self.links, self.forms = address, set[str](), list[Form]()
        self._form: Form | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        for name in ("href", "hx-get"):
            path = urlsplit(has.get(name, "")).path
            if tag != "link" and path.startswith("/console/"):
                self.links.add(path)
        if tag == "form" and has.get("method") == "post":
            self._form = Form(has.get("action") or self.address)
            self.forms.append(self._form)
        elif self._form is not None and tag == "button":
            self._form.buttons.append({has["name"]: has.get("value", "")} if has.get("name") else {})
        elif self._form is not None and tag == "input" and has.get("name"):
            self._form.values[has["name"]] = has.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._form = None if tag == "form" else self._form


@pytest.mark.parametrize("role", list(Role))
def test_no_page_offers_what_its_reader_may_not_do(world: World, role: Role) -> None:
    failed = make_integration(world.side.tenant, "acme disabled", is_active=True)
    TenantIntegration.objects.filter(pk=failed.pk).update(is_enabled=False, disabled_reason="refused three times")
    pause(world.integration, actor="ada")
    WebhookEvent.objects.update(status="failed", error="There is no work item 77.")
    client, wrong = named(role, world), []
    read: dict[str, Offers] = {}
    to_read = [reverse("console:overview")]
    while to_read:
        address = to_read.pop()
        with taken_back():
            answer = client.get(address)
        if answer.status_code not in (200, 302):
            wrong.append(f"a link leads to {address}: {answer.status_code}")
        is_page = answer.status_code == 200 and "html" in answer["Content-Type"]
        read[address] = Offers(address, answer.content.decode() if is_page else "")
        to_read += [link for link in read[address].links if link not in read and link not in to_read]
    tried = set()
    for address, offers in read.items():
        for form in offers.forms:
            for button in form.buttons:
                if (form.action, *button.items()) in tried or form.action == reverse("console:sign-out"):
                    continue
                tried.add((form.action, *button.items()))
                with taken_back():
                    answer = client.post(form.action, {**form.values, **button})
                if answer.status_code in (403, 404, 405) or answer.status_code >= 500:
                    wrong.append(f"{address} offers {form.action} {button}: {answer.status_code}")
    assert wrong == []
    assert len(read) > 30 and len(tried) >= {VIEWER: 1, OPERATOR: 12, MANAGER: 18}[role]


MISSING = {  # of a page, what somebody with this role is not offered, in the words of the refusal
    VIEWER: {
        "integrations": "set up integrations",
        "deliveries": "retry and replay deliveries",
        "delivery": "retry and replay deliveries",
        "integration-deliveries": "retry and replay deliveries",
        "jobs": "retry and replay deliveries",
        "job": "retry and replay deliveries",
        "inbound-event": "start a pull, process an inbound webhook again",
        "pull": "start a pull, process an inbound webhook again",
        "people": "say who works for the tenant, and as what",
        "integration-settings": "change integrations and their subscriptions",
        "integration-events": "change integrations and their subscriptions",
        "integration-event": "change integrations and their subscriptions",
    },
    OPERATOR: {
        "integrations": "set up integrations",
        "people": "say who works for the tenant, and as what",
        "integration-settings": "change integrations and their subscriptions",
        "integration-events": "change integrations and their subscriptions",
        "integration-event": "change integrations and their subscriptions",
    },
    MANAGER: {},
}


@pytest.mark.parametrize("role", list(Role))
def test_a_page_says_which_role_its_missing_buttons_take(world: World, role: Role) -> None:
    client = named(role, world)
    WebhookEvent.objects.update(status="failed", error="There is no work item 77.")
    addresses = {name: address for name, method, _, address, _, _ in requests(world) if method == "get"}
    for name, words in MISSING[VIEWER].items():
        said = f"to {words}." in client.get(addresses[name]).content.decode()
        assert said == (name in MISSING[role]), name
    bench = client.get(addresses["integration"]).content.decode()
    assert ("What takes another role" in bench) == (role < MANAGER)
    assert ("Send test event" in bench) == (role > VIEWER)
    TenantIntegration.objects.all().delete()
    overview = client.get(addresses["overview"]).content.decode()
    assert ("Add the first integration" in overview) == (role == MANAGER)
    assert ("You need the role manager to set up integrations." in overview) == (role < MANAGER)


def test_nothing_of_another_tenant_exists(world: World) -> None:
    other = make_world("umbrella")
    client = named(MANAGER, world)
    wrong = []
    for name, method, _, address, body, is_object in requests(other):
        if is_object:
            for sent in (body, {**body, "tenant": world.side.tenant.pk}):
                with taken_back():
                    answer = getattr(client, method)(address, sent)
                if answer.status_code != 404 or b"umbrella" in answer.content:
                    wrong.append((name, method, address, answer.status_code))
        elif method == "get":
            with taken_back():
                answer = client.get(address)
            if answer.status_code != 200 or b"umbrella" in b"".join(answer):
                wrong.append((name, method, address, answer.status_code))
    assert wrong == []


def test_what_is_ticked_is_of_ones_own_tenants(world: World) -> None:
    other = make_world("umbrella")
    IntegrationSync.objects.update(status="failed")
    ticked = {"act": "retry", "pk": [world.sync.pk, other.sync.pk]}
    named(OPERATOR, world).post(reverse("console:deliveries-act"), ticked)
    states = dict(IntegrationSync.objects.values_list("pk", "status"))
    assert (states[world.sync.pk], states[other.sync.pk]) == ("pending", "failed")


def test_permissions_say_who_may_process_again_where_nobody_gave_a_role(world: World) -> None:
    user = User.objects.create_user("without-a-role")
    Membership.objects.create(tenant=world.side.tenant, user=user)
    allow(user, "view_tenantintegration", "view_integrationsync", "change_integrationsync")
    WebhookEvent.objects.update(status="failed", error="There is no work item 77.")
    again = reverse("console:inbound-again", args=[world.inbound.pk])
    shown = reverse("console:inbound-event", args=[world.inbound.pk])
    assert client_of(user).post(again).status_code == 403
    assert "Process again" not in client_of(user).get(shown).content.decode()
    allow(user, "change_syncstate")  # which docs/COLLABORATION.md names, and the admin asks for
    assert client_of(user).post(again).status_code == 403
    allow(user, "use_any_connector")
    assert "Process again" in client_of(user).get(shown).content.decode()
    assert client_of(user).post(again).status_code == 302


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def test_only_who_runs_the_product_sees_the_system(world: World) -> None:
    assert named(MANAGER, world).get(reverse("console:system")).status_code == 403
    assert client_of(User.objects.create_superuser("root")).get(reverse("console:system")).status_code == 200
