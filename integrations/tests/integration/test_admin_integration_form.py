"""The form of a tenant integration: every bad input of the case file, masks, stale forms, the secret shown once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.test import Client

from integrations.admin.integration.form import IntegrationForm
from integrations.connections.signing_keys import rotate_signing_secret
from integrations.credentials.masking import MASK
from integrations.forms.secret_fields import parse_masked_headers
from integrations.models import IntegrationSync, TenantIntegration
from integrations.tests import case_files
from tasks.models import WorkItem

from .admin_world import Side, form_values, make_side, messages_of, page, shown_values, superuser, url

pytestmark = [pytest.mark.django_db, pytest.mark.integration, pytest.mark.portable]

# Inputs that the case file describes instead of spelling out.
_LONG = {
    "B050": json.dumps({"X": "y" * 9000}),
    "B051": json.dumps({f"X-{number}": "v" for number in range(10_000)}),
    "B062": "https://a.example/" + "a" * 5000,
}


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


def add(client: Client, values: dict[str, Any]) -> Any:
    return client.post(url("tenantintegration", "add"), values)


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200, "expected the form again"
    return response.context["adminform"].form.errors  # type: ignore[no-any-return]


def created(name: str = "New hook") -> TenantIntegration:
    return TenantIntegration.objects.get(name=name)


def is_form_error(case: dict[str, Any]) -> bool:
    return case["area"] == "admin-form" and case["expect"].get("form_error") in (
        "headers", "webhook_url", "integration_type", "tenant",
    )  # fmt: skip


@pytest.mark.parametrize("case", case_files.params("bad-inputs", is_form_error))
def test_bad_input_is_an_error_on_its_field(case: dict[str, Any], acme: Side) -> None:
    field = case["expect"]["form_error"]
    value: Any = _LONG.get(case["id"], case["input"])
    if case["id"] == "B063":
        value = "http://169.254.169.254/latest/meta-data/"
    if case["id"] == "B066":
        value = make_side("Other").tenant.pk
    response = add(acme.client, form_values(acme.tenant, **{field: value}))
    assert list(errors_of(response)) == [field]
    assert not TenantIntegration.objects.filter(name="New hook").exists()


@pytest.mark.parametrize("case", case_files.params("ssrf-cases", lambda case: case["expect"].get("stage") == "save"))
def test_b063_every_url_of_the_ssrf_cases(case: dict[str, Any], settings: Any, acme: Side) -> None:
    policy = {**case_files.load("ssrf-cases")["policy_base"], **case.get("policy", {})}
    settings.INTEGRATIONS = {key.upper(): value for key, value in policy.items() if key != "max_url"}
    headers = json.dumps(case.get("header") or {})
    form = IntegrationForm({**form_values(acme.tenant), "webhook_url": case["url"], "headers": headers})
    field = "headers" if case.get("header") else "webhook_url"
    refused = case["expect"]["verdict"] == "reject"
    assert (field in form.errors) == refused, form.errors


@pytest.mark.parametrize("text", ["", "null", "{}", "  "])
def test_b059_no_headers(text: str, acme: Side) -> None:
    assert add(acme.client, form_values(acme.tenant, headers=text)).status_code == 302
    assert created().headers == {}


def test_b060_latin_1_header(acme: Side) -> None:
    add(acme.client, form_values(acme.tenant, headers='{"X": "café"}'))
    assert created().headers == {"X": "café"}


def test_b070_n8n_test_url_is_saved_with_a_warning(acme: Side) -> None:
    values = form_values(acme.tenant, webhook_url="https://n8n.example.com/webhook-test/canary-x")
    html = acme.client.post(url("tenantintegration", "add"), values, follow=True).content.decode()
    assert "works only once" in messages_of(html)
    assert "canary-x" not in html
    assert created().webhook_url.endswith("/webhook-test/canary-x")


def test_b072_the_mask_alone_is_refused_and_never_stored(acme: Side) -> None:
    for field, value in (("api_key", MASK), ("headers", json.dumps({"X-New": MASK}, ensure_ascii=False))):
        response = add(acme.client, form_values(acme.tenant, **{field: value}))
        assert list(errors_of(response)) == [field]
    response = add(acme.client, form_values(acme.tenant, username="u", password=MASK))
    assert list(errors_of(response)) == ["password"]
    for value in (f"{MASK}x", "•"):
        assert "api_key" in errors_of(add(acme.client, form_values(acme.tenant, api_key=value)))
    assert not TenantIntegration.objects.filter(name="New hook").exists()


def test_b073_a_stale_form_is_refused_and_the_rotated_secret_stays(acme: Side) -> None:
    stale = shown_values(acme.client, acme.integration, name="Renamed")
    secret = rotate_signing_secret(acme.integration)
    response = acme.client.post(url("tenantintegration", "change", acme.integration.pk), stale)
    assert "after you opened this page" in str(errors_of(response)["__all__"])
    acme.integration.refresh_from_db()
    assert acme.integration.name == "Acme hook"
    assert acme.integration.credentials["signing_keys"][0]["secret"] == secret


def test_b073_a_form_without_its_version_is_stale(acme: Side) -> None:
    values = shown_values(acme.client, acme.integration, version=None)
    response = acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    assert "__all__" in errors_of(response)


def test_b074_inactive_at_creation_queues_nothing(acme: Side) -> None:
    values = form_values(acme.tenant)
    del values["is_active"]
    html = acme.client.post(url("tenantintegration", "add"), values, follow=True).content.decode()
    assert "not active" in messages_of(html)
    WorkItem.objects.create(tenant=acme.tenant, reference_id="R")
    assert not IntegrationSync.objects.filter(integration=created()).exists()


def test_the_form_of_the_source_document(acme: Side) -> None:
    """Tenant preselected, types and event types as choices."""
    response = acme.client.get(url("tenantintegration", "add"))
    form = response.context["adminform"].form
    html = response.content.decode()
    assert form.initial["tenant"] == acme.tenant.pk
    assert form.fields["tenant"].required and form.fields["name"].required
    assert "n8n Webhook" in html
    for event_type, _ in TenantIntegration.EVENT_TYPES:
        assert f'value="{event_type}"' in html
    assert form["is_active"].value() is True


def test_saving_as_shown_changes_nothing_and_keeps_every_secret(acme: Side) -> None:
    before = TenantIntegration.unannounced.values().get(pk=acme.integration.pk)
    values = shown_values(acme.client, acme.integration)
    assert acme.client.post(url("tenantintegration", "change", acme.integration.pk), values).status_code == 302
    assert TenantIntegration.unannounced.values().get(pk=acme.integration.pk) == before


def test_one_changed_header_keeps_the_others(acme: Side) -> None:
    values = shown_values(acme.client, acme.integration, headers=f'{{"x-token": "{MASK}", "X-New": "n"}}')
    acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    acme.integration.refresh_from_db()
    assert acme.integration.headers == {"x-token": "canary-header", "X-New": "n"}
    assert acme.integration.webhook_url.endswith("canary-query")
    assert acme.integration.credentials["password"] == "canary-password"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"X-Other": "{MASK}"}}',
        f'{{"X-Token": "Bearer {MASK}"}}',
        json.dumps({"X-Token": MASK}),  # escaped: no browser sends that
    ],
)
def test_a_mask_that_stands_for_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_masked_headers(text, {"X-Token": "stored"})


def test_an_emptied_secret_is_removed(acme: Side) -> None:
    values = shown_values(acme.client, acme.integration, api_key="")
    acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    acme.integration.refresh_from_db()
    assert "api_key" not in acme.integration.credentials
    assert acme.integration.credentials["signing_keys"], "keys that are no form field stay"


def test_run_time_switches_are_not_overwritten(acme: Side) -> None:
    values = shown_values(acme.client, acme.integration, name="Renamed")
    TenantIntegration.unannounced.filter(pk=acme.integration.pk).update(
        is_enabled=False, auth_failure_count=3, is_connected=True, disabled_reason="refused"
    )
    assert acme.client.post(url("tenantintegration", "change", acme.integration.pk), values).status_code == 302
    acme.integration.refresh_from_db()
    assert acme.integration.name == "Renamed"
    assert not acme.integration.is_enabled and acme.integration.auth_failure_count == 3
    assert acme.integration.is_connected and acme.integration.disabled_reason == "refused"


def test_event_types_and_conditions(acme: Side) -> None:
    values = shown_values(
        acme.client,
        acme.integration,
        **{
            "event_types": ["workitem_created", "workitem_updated"],
            "event_types-condition-workitem_updated": "workitem.priority == 'Urgent'",
        },
    )
    kept = acme.integration.subscriptions.get().pk
    acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    found = dict(acme.integration.subscriptions.values_list("event_type", "condition"))
    assert found == {"workitem_created": "", "workitem_updated": "workitem.priority == 'Urgent'"}
    assert acme.integration.subscriptions.get(event_type="workitem_created").pk == kept
    values = shown_values(acme.client, acme.integration, **{"event_types-condition-workitem_created": "((("})
    response = acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    assert "JMESPath" in str(errors_of(response)["event_types"])
    values["event_types"] = ["rm -rf"]
    response = acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    assert list(errors_of(response)) == ["event_types"]


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ('workitem.priority == "Urgent"', "workitem_created: Double quotes name a field"),
        ("workitem.prority == 'Urgent'", "did you mean workitem.priority?"),
        ("workitem.estimated_price > '100'", "write `100`"),
        ("workitem.status == 'completed'", "write 'Completed'"),
    ],
)
def test_a_condition_that_no_event_meets_is_refused(condition: str, words: str, acme: Side) -> None:
    values = shown_values(
        acme.client,
        acme.integration,
        **{"event_types": ["workitem_created"], "event_types-condition-workitem_created": condition},
    )
    response = acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    assert words in " ".join(errors_of(response)["event_types"])
    assert acme.integration.subscriptions.get().condition == ""


def test_a_condition_from_before_is_shown_with_what_is_wrong_and_may_stay(acme: Side) -> None:
    old = "workitem.prority == 'Urgent'"
    acme.integration.subscribe("workitem_created", conditions={"workitem_created": old})
    workbench = f"/console/integrations/{acme.integration.public_id}/"
    assert "The condition of workitem_created needs a look" in page(acme.client, workbench)
    values = shown_values(acme.client, acme.integration, name="Renamed")
    assert acme.client.post(url("tenantintegration", "change", acme.integration.pk), values).status_code == 302
    assert acme.integration.subscriptions.get().condition == old


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"username": "a:b", "password": "p"}, "username"),
        ({"password": "typed-secret"}, "username"),
        ({"api_key_header": "X-Key"}, "api_key"),
        ({"api_key": "k", "api_key_header": "Content-Length"}, "api_key"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"username": "u", "password": "p", "headers": '{"authorization": "Basic eA=="}'}, "headers"),
        ({"timeout_seconds": "0"}, "timeout_seconds"),
        ({"max_in_flight": "1000"}, "max_in_flight"),
        ({"webhook_url": "https://example.com/•••"}, "webhook_url"),
        ({"name": ""}, "name"),
        ({"tenant": ""}, "tenant"),
    ],
)
def test_what_does_not_fit_together_is_refused(values: dict[str, str], field: str, acme: Side) -> None:
    response = add(acme.client, form_values(acme.tenant, **values))
    assert field in errors_of(response)
    assert "typed-secret" not in response.content.decode()


def test_a_typed_secret_is_asked_for_again_after_an_error(acme: Side) -> None:
    response = add(acme.client, form_values(acme.tenant, api_key="typed-secret", name=""))
    assert "type this again" in str(errors_of(response)["api_key"])
    assert "typed-secret" not in response.content.decode()


@pytest.mark.parametrize(
    ("query", "warned"), [("token=canary-q", True), ("x=" + "a1" * 12, True), ("source=django", False)]
)
def test_s1_73_a_token_in_the_query_gets_a_warning(query: str, warned: bool, acme: Side) -> None:
    values = form_values(acme.tenant, webhook_url=f"https://hooks.example.com/in?{query}")
    html = acme.client.post(url("tenantintegration", "add"), values, follow=True).content.decode()
    assert ("looks like a token" in messages_of(html)) == warned
    assert query.partition("=")[2] not in html


def test_the_signing_secret_is_shown_exactly_once(acme: Side) -> None:
    response = add(acme.client, form_values(acme.tenant))
    integration = created()
    secret = integration.credentials["signing_keys"][0]["secret"]
    assert response.status_code == 302 and response["Location"].endswith(f"/{integration.public_id}/secret/")
    for session in Session.objects.all():
        assert secret not in str(session.get_decoded())
    assert secret not in str(response.headers) + str(acme.client.cookies)
    shown = acme.client.get(response["Location"])
    assert secret in shown.content.decode()
    assert "no-store" in shown["Cache-Control"]
    assert secret not in page(acme.client, response["Location"])
    assert secret not in page(acme.client, url("tenantintegration", "change", integration.pk))
    assert secret not in "".join(LogEntry.objects.values_list("change_message", flat=True))


def test_a_secret_is_made_when_signing_is_switched_on_later(acme: Side) -> None:
    values = form_values(acme.tenant)
    del values["is_signed"]
    response = add(acme.client, values)
    assert not response["Location"].endswith("/secret/")
    assert not created().credentials.get("signing_keys")
    values = shown_values(acme.client, created(), is_signed="on")
    response = acme.client.post(url("tenantintegration", "change", created().pk), values)
    assert response["Location"].endswith("/secret/")


def test_the_tenant_cannot_be_changed_later(acme: Side) -> None:
    other = make_side("Other")
    client = superuser()
    values = shown_values(client, acme.integration, tenant=other.tenant.pk, name="Renamed")
    client.post(url("tenantintegration", "change", acme.integration.pk), values)
    acme.integration.refresh_from_db()
    assert acme.integration.tenant == acme.tenant and acme.integration.name == "Renamed"


def test_an_unreadable_secret_is_said_and_can_be_set_anew(acme: Side) -> None:
    TenantIntegration.unannounced.filter(pk=acme.integration.pk).update(webhook_url_encrypted="v1.gone.AAAA")
    assert "unreadable" in page(acme.client, url("tenantintegration"))
    assert "cannot be opened" in page(acme.client, f"/console/integrations/{acme.integration.public_id}/")
    typed = {
        "headers": '{"X-Token": "new"}',
        "password": "new",
        "api_key": "new",
    }  # nobody knows where they went before
    values = shown_values(acme.client, acme.integration, webhook_url="https://hooks.example.com/new", **typed)
    acme.client.post(url("tenantintegration", "change", acme.integration.pk), values)
    acme.integration.refresh_from_db()
    assert acme.integration.webhook_url == "https://hooks.example.com/new"


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example.net/canary-path",
        "https://hooks.example.com:8443/canary-path",
        "http://hooks.example.com/x",
    ],
)
def test_stored_secrets_do_not_follow_an_address_to_another_server(acme: Side, settings: Any, address: str) -> None:
    settings.INTEGRATIONS = {"ALLOW_HTTP": True}
    change = url("tenantintegration", "change", acme.integration.pk)
    answer = acme.client.post(change, shown_values(acme.client, acme.integration, webhook_url=address))
    assert answer.status_code == 200
    errors = answer.context["adminform"].form.errors
    assert {"headers", "password", "api_key"} <= set(errors) and "another server" in str(errors)
    acme.integration.refresh_from_db()
    assert acme.integration.webhook_url.startswith("https://hooks.example.com/canary-path")


def test_another_path_on_the_same_server_keeps_the_secrets(acme: Side) -> None:
    values = shown_values(acme.client, acme.integration, webhook_url="https://hooks.example.com/elsewhere")
    assert acme.client.post(url("tenantintegration", "change", acme.integration.pk), values).status_code == 302
    acme.integration.refresh_from_db()
    assert acme.integration.headers == {"X-Token": "canary-header"}


@pytest.mark.parametrize(
    ("kind", "typed", "field", "stored"),
    [
        ("webhook", {"api_key": " k3y\u00a0"}, "api_key", "k3y"),
        ("webhook", {"username": "joe", "password": "pw "}, "password", None),
        ("webhook", {"webhook_secret": "one-secret-0123456789\n two-secret-0123456789"}, "webhook_secret", None),
        ("github", {"token": "\tghp_x ", "repository": "acme/shop"}, "token", "ghp_x"),
    ],
)
def test_spaces_around_a_secret_are_dropped_or_asked_about(
    acme: Side, kind: str, typed: dict[str, str], field: str, stored: str | None
) -> None:
    response = acme.client.post(
        url("tenantintegration", "add"), form_values(acme.tenant, integration_type=kind, **typed), follow=True
    )
    said = messages_of(response.content.decode())
    if stored is None:
        assert "begins or ends with a space or an invisible character: is that right?" in said
        assert created().credentials[field] == typed[field]
    else:
        assert "space" not in said and created().credentials[field] == stored
