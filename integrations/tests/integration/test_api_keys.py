"""API keys: what they open, for whom, and that nothing is told of one."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from integrations.api.routes import api
from integrations.api_keys.keys import in_use, keys_of, make_key, revoke, scopes_for
from integrations.api_keys.models import APIKey
from integrations.api_keys.scopes import Scope, _registered, register_scope
from integrations.audit.trail import AuditEntry
from integrations.database import clock
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role
from integrations.transport.redaction import redact
from tenants.models import Membership, Tenant

from .admin_world import Side, make_side

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

# Each operation of the API, with what its caller must be allowed to do; None: anybody who is known.
OPERATIONS: dict[tuple[str, str], Capability | None] = {
    ("get", "/connectors/"): None,
    ("get", "/connectors/health"): None,
    ("get", "/connections/"): Capability.VIEW,
    ("post", "/connections/"): Capability.ADD,
    ("get", "/connections/{connection_id}"): Capability.VIEW,
    ("patch", "/connections/{connection_id}"): Capability.SETTINGS,
    ("post", "/connections/{connection_id}/test"): Capability.TEST,
    ("post", "/connections/{connection_id}/push"): Capability.PUSH,
    ("get", "/push-log/"): Capability.VIEW_DELIVERIES,
    ("get", "/push-log/{push_id}"): Capability.VIEW_DELIVERIES,
}
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/connections/"): {"type": "no-such-type", "name": "x"},
    ("patch", "/connections/{connection_id}"): {"name": "renamed"},
    ("post", "/connections/{connection_id}/push"): {"order": {}},
}


@pytest.fixture(autouse=True)
def _http(settings: Any) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def side() -> Side:
    return make_side("acme")


@pytest.fixture
def manager(side: Side) -> User:
    return person(side.tenant, "manager")


def person(tenant: Tenant, role: str) -> User:
    user = User.objects.create_user(f"{tenant.slug}-{role or 'nobody'}")
    Membership.objects.create(tenant=tenant, user=user, role=role)
    return user


def key_of(manager: User, *scopes: str, **values: Any) -> tuple[APIKey, str]:
    tenant = Tenant.objects.get(membership__user=manager)
    name = values.pop("name", f"key {APIKey.objects.count()}")
    return make_key(tenant, name, scopes or ("read",), user=manager, **values)


def call(key: str | None, method: str, path: str, body: Any = None, client: Client | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    send = getattr(client or Client(enforce_csrf_checks=True), method)
    if method == "get":
        return send(f"/api{path}", headers=headers)
    return send(f"/api{path}", data=json.dumps(body or {}), content_type="application/json", headers=headers)


def filled(path: str, side: Side) -> str:
    return path.format(connection_id=side.integration.public_id, push_id=4_711)


def test_every_operation_says_what_it_takes() -> None:
    paths = api.get_openapi_schema()["paths"]
    found = {
        (method, path.removeprefix("/api")): operation
        for path, item in paths.items()
        for method, operation in item.items()
    }
    assert found.keys() == OPERATIONS.keys()


def is_allowed(answer: Any, path: str) -> bool:
    """Tell whether the answer is about what was asked for: right or wrong, but not refused."""
    missing = answer.status_code == 404 and "push_id" in path  # there is no such push
    return missing or answer.status_code in (200, 201, 202, 409, 422)


@pytest.mark.parametrize("scope", ["read", "deliveries:write", "integrations:write"])
def test_a_key_does_what_its_scope_says_and_no_more(side: Side, manager: User, scope: str) -> None:
    key, text = key_of(manager, scope)
    for (method, path), capability in OPERATIONS.items():
        answer = call(text, method, filled(path, side), BODIES.get((method, path)))
        if capability is None or key.may(capability):
            assert is_allowed(answer, path), (method, path, answer.status_code, answer.content)
        else:
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert "needs the scope" in answer.json()["message"]


@pytest.mark.parametrize("role", ["", "viewer", "operator", "manager"])
def test_a_person_does_what_the_role_says_and_no_more(side: Side, role: str) -> None:
    client = Client()
    client.force_login(person(side.tenant, role))
    for (method, path), capability in OPERATIONS.items():
        answer = call(None, method, filled(path, side), BODIES.get((method, path)), client)
        if capability is None or (role and Role.named(role) >= capability.role):
            assert is_allowed(answer, path), (method, path, answer.status_code, answer.content)
        else:
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert f"need the role {capability.role.word} to" in answer.json()["message"]


def test_a_role_for_one_tenant_is_none_for_another(side: Side) -> None:
    """Also where Django's permissions would allow it."""
    other = make_side("umbrella")
    user = person(side.tenant, "manager")
    Membership.objects.create(tenant=other.tenant, user=user, role="viewer")
    user.user_permissions.add(*Permission.objects.filter(content_type__app_label="integrations"))
    client = Client()
    client.force_login(user)
    path = f"/connections/{other.integration.public_id}"
    assert call(None, "get", path, client=client).status_code == 200
    assert call(None, "patch", path, {"name": "mine"}, client).status_code == 403
    assert call(None, "patch", f"/connections/{side.integration.public_id}", {"name": "x"}, client).status_code == 200


def test_another_tenants_rows_do_not_exist_for_a_key(side: Side, manager: User) -> None:
    other = make_side("umbrella")
    _, text = key_of(manager, *(scope.name for scope in scopes_for(manager, side.tenant.pk)))
    for (method, path), _ in OPERATIONS.items():
        if "{connection_id}" in path:
            answer = call(text, method, filled(path, other), BODIES.get((method, path)))
            assert answer.status_code == 404, (method, path, answer.status_code)
    everything = b"".join(call(text, "get", p).content for p in ("/connections/", "/push-log/", "/connectors/health"))
    assert b"umbrella" not in everything and b"acme" in everything
    body = {"type": "webhook", "name": "x", "tenant": other.tenant.slug, "settings": {"url": "https://a.example.com"}}
    assert call(text, "post", "/connections/", body).status_code == 422


def test_what_is_stored_does_not_open_anything(side: Side, manager: User) -> None:
    key, text = key_of(manager)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {APIKey._meta.db_table}")
        stored = repr(cursor.fetchall())
    assert text not in stored and text.split("_")[2] not in stored and key.prefix in stored
    assert call(f"iok_{key.prefix}_{key.digest[:43]}", "get", "/connections/").status_code == 401


@pytest.mark.parametrize("text", ["", "x", "iok_short_1", f"iok_{'a' * 12}_{'b' * 43}", "\u00e9" * 300, "a b c"])
def test_a_key_that_nobody_has_is_refused_with_the_same_work(side: Side, manager: User, text: str) -> None:
    key, _ = key_of(manager)
    wrong = f"iok_{key.prefix}_{'z' * 43}"
    with CaptureQueriesContext(connection) as of_wrong_secret:
        assert call(wrong, "get", "/connections/").status_code == 401
    with CaptureQueriesContext(connection) as of_unknown:
        answer = call(text, "get", "/connections/")
    assert answer.status_code == 401 and answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json() == {"code": "wrong_api_key", "message": "There is no such API key.", "fields": {}}
    assert len(of_unknown) == len(of_wrong_secret) == 1


def test_a_wrong_key_is_not_helped_by_a_session(side: Side) -> None:
    assert call("iok_nothing", "get", "/connections/", client=side.client).status_code == 401
    assert call("iok_nothing", "get", "/connectors/health", client=side.client).status_code == 401


def test_a_right_key_is_not_more_than_itself_beside_a_session(side: Side, manager: User) -> None:
    other = make_side("umbrella")
    root = User.objects.create_superuser("root")
    client = Client()
    client.force_login(root)
    _, text = key_of(manager, "read")
    assert call(text, "get", f"/connections/{other.integration.public_id}", client=client).status_code == 404
    path = f"/connections/{side.integration.public_id}"
    assert call(text, "patch", path, {"name": "x"}, client).status_code == 403


def test_another_scheme_is_somebody_elses(side: Side) -> None:
    answer = side.client.get("/api/connections/", headers={"Authorization": "Basic eHg6eXk="})
    assert answer.status_code == 200


def test_a_key_ends_at_once(side: Side, manager: User) -> None:
    key, text = key_of(manager)
    assert call(text, "get", "/connections/").status_code == 200
    assert revoke(key, actor=manager) and not revoke(key, actor=side.user)
    answer = call(text, "get", "/connections/")
    assert answer.status_code == 401 and "was revoked on" in answer.json()["message"]
    key.refresh_from_db()
    assert key.revoked_by == manager.username
    entries = AuditEntry.objects.filter(object_type="integrations.apikey")
    assert [(entry.action, entry.actor, entry.object_name) for entry in entries] == [
        ("revoked", manager.username, key.name),
        ("made", manager.username, key.name),
    ]
    told = str(list(entries.values()))
    assert text.split("_")[2] not in told and key.digest not in told


def test_a_key_expires(side: Side, manager: User) -> None:
    key, text = key_of(manager, expires_at=timezone.now() + timedelta(days=1))
    assert call(text, "get", "/connections/").status_code == 200
    APIKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    answer = call(text, "get", "/connections/")
    assert answer.status_code == 401 and "This API key expired on" in answer.json()["message"]
    assert not in_use(keys_of(side.tenant.pk)).exists()


def test_a_key_belongs_to_the_tenant_and_not_to_who_made_it(side: Side, manager: User) -> None:
    _, text = key_of(manager)
    Membership.objects.filter(user=manager).delete()
    User.objects.filter(pk=manager.pk).update(is_active=False)
    assert call(text, "get", "/connections/").status_code == 200
    manager.delete()
    assert call(text, "get", "/connections/").status_code == 200


def test_a_tenant_that_is_being_deleted_has_no_keys(side: Side, manager: User) -> None:
    _, text = key_of(manager)
    Tenant.objects.filter(pk=side.tenant.pk).update(deleting_since=timezone.now())
    assert call(text, "get", "/connections/").status_code == 401
    side.tenant.refresh_from_db()
    side.tenant.delete()
    assert not APIKey.objects.exists()


def test_the_use_is_noted_once_a_minute(side: Side, manager: User) -> None:
    key, text = key_of(manager)
    call(text, "get", "/connections/")
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None and key.last_used_from == "127.0.0.1"
    cache.clear()
    with CaptureQueriesContext(connection) as queries:
        call(text, "get", "/connections/")
    assert not any(query["sql"].startswith("UPDATE") for query in queries)
    APIKey.objects.filter(pk=key.pk).update(last_used_at=clock.now() - timedelta(minutes=2))
    call(text, "get", "/connections/")
    key.refresh_from_db()
    assert key.last_used_at is not None and key.last_used_at >= first


def test_each_key_has_its_own_minute(side: Side, manager: User) -> None:
    _, text = key_of(manager)
    _, another = key_of(manager)
    clock.measured(0.0, local=1_800_000_010.0, at=clock.elapsed())  # in the midst of a minute
    with override_settings(INTEGRATIONS={"API_KEY_PER_MINUTE": 2}):
        left = [call(text, "get", "/connections/")["RateLimit-Remaining"] for _ in range(2)]
        answer = call(text, "get", "/connections/")
        assert left == ["1", "0"] and answer.status_code == 429
        assert answer["RateLimit-Limit"] == "2" and 1 <= int(answer["Retry-After"]) <= 60
        assert answer["RateLimit-Remaining"] == "0" and answer["Retry-After"] == answer["RateLimit-Reset"]
        assert call(another, "get", "/connections/").status_code == 200


def test_each_person_has_their_own_minute_whatever_the_session(side: Side, manager: User) -> None:
    another = Client()
    another.force_login(manager)
    mine = [Client(), Client()]
    user = User.objects.get(pk=side.client.session["_auth_user_id"])
    for client in mine:
        client.force_login(user)
    clock.measured(0.0, local=1_800_000_010.0, at=clock.elapsed())  # in the midst of a minute
    with override_settings(INTEGRATIONS={"API_PERSON_PER_MINUTE": 3}):
        answers = [client.get("/api/connections/") for client in mine]
        answers.append(mine[0].get("/api/v1/nothing"))
        assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0"]
        for path in ("/api/connections/", "/api/v1/me"):
            refused = mine[1].get(path)
            assert (refused.status_code, refused["RateLimit-Limit"], refused["RateLimit-Remaining"]) == (429, "3", "0")
            assert refused["Retry-After"] == refused["RateLimit-Reset"] and "your account" in refused.content.decode()
        assert another.get("/api/connections/")["RateLimit-Remaining"] == "2"
    assert "RateLimit-Limit" not in Client().get("/api/connections/")


def test_nothing_of_a_key_is_told(side: Side, manager: User, caplog: pytest.LogCaptureFixture) -> None:
    key, text = key_of(manager)
    secret = text.split("_")[2]
    caplog.set_level(logging.DEBUG)
    with override_settings(DEBUG=True):
        answers = [call(each, "get", "/connections/") for each in (text, text + "x", f"{text[:-1]}-", text.lower())]
    told = caplog.text + "".join(answer.content.decode() + str(answer.headers) for answer in answers)
    assert secret not in told and secret[:-1] not in told and secret.lower() not in told
    assert secret not in repr(key) + str(key) + str(vars(key))
    assert redact(f"curl -H 'X: {text}'") == f"curl -H 'X: iok_{key.prefix}_***'"


def test_a_tenant_has_so_many_keys(side: Side, manager: User) -> None:
    with override_settings(INTEGRATIONS={"API_KEYS_PER_TENANT": 2}):
        first, _ = key_of(manager, name="a")
        key_of(manager, name="b")
        with pytest.raises(ValidationError, match="has 2 API keys already"):
            key_of(manager, name="c")
        revoke(first, actor=manager)
        key_of(manager, name="c")


@pytest.mark.parametrize(
    ("name", "wanted", "values", "field"),
    [
        ("", ["read"], {}, "name"),
        ("x" * 101, ["read"], {}, "name"),
        ("bad\u202ename", ["read"], {}, "name"),
        ("taken", ["read"], {}, "name"),
        ("ok", [], {}, "scopes"),
        ("ok", ["everything"], {}, "scopes"),
        ("ok", ["read"], {"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_what_is_wrong_with_a_new_key_is_said_by_field(
    side: Side, manager: User, name: str, wanted: list[str], values: dict[str, Any], field: str
) -> None:
    key_of(manager, name="taken")
    with pytest.raises(ValidationError) as error:
        key_of(manager, *wanted, name=name, **values) if wanted else make_key(side.tenant, name, [], user=manager)
    assert list(error.value.message_dict) == [field]
    assert APIKey.objects.count() == 1


def test_nobody_gives_a_key_more_than_they_may_do(side: Side) -> None:
    operator = person(side.tenant, "operator")
    assert [scope.name for scope in scopes_for(operator, side.tenant.pk)] == ["read", "deliveries:write"]
    # A team that may use some families alone gives no key that does anything with integrations.
    team = person(side.tenant, "")
    mine = Permission.objects.filter(content_type__app_label="integrations").exclude(codename="use_any_connector")
    team.user_permissions.add(*mine)
    assert [scope.name for scope in scopes_for(team, side.tenant.pk)] == ["read", "audit:read"]
    for scope in ("deliveries:write", "integrations:write"):
        with pytest.raises(ValidationError, match=f"You may not give {scope}"):
            make_key(side.tenant, "too much", [scope], user=team)


def test_a_project_adds_scopes_of_its_own(side: Side, manager: User) -> None:
    scope = Scope("invoices:write", "Write invoices")
    register_scope(scope)
    try:
        register_scope(scope)  # the same again is no harm
        with pytest.raises(ValueError, match="another scope"):
            register_scope(Scope("invoices:write", "Something else"))
        key, _ = key_of(manager, "invoices:write")
        assert key.has("invoices:write") and not any(key.may(capability) for capability in Capability)
        register_scope(Scope("invoices:read", "Read invoices", permissions=("tasks.view_workitem",)))
        assert "invoices:read" not in {scope.name for scope in scopes_for(manager, side.tenant.pk)}
        manager.user_permissions.add(Permission.objects.get(codename="view_workitem"))
        manager = User.objects.get(pk=manager.pk)  # what it may do is remembered
        assert "invoices:read" in {scope.name for scope in scopes_for(manager, side.tenant.pk)}
    finally:
        for name in ("invoices:write", "invoices:read"):
            _registered.pop(name, None)
    with pytest.raises(ValueError, match="is named as"):
        register_scope(Scope("Everything!", ""))


def test_who_used_a_key_stands_in_the_log(side: Side, manager: User) -> None:
    _, text = key_of(manager, "deliveries:write", name="nightly")
    with override_settings(INTEGRATIONS={"DNS_TIMEOUT_SECONDS": 1.0}):
        call(text, "post", f"/connections/{side.integration.public_id}/test")
    assert side.integration.logs.filter(actor="API key nightly").exists()
