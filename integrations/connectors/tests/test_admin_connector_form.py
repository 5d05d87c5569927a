"""The form of an integration is its connector's manifest: every registered one, and one with all kinds of fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from integrations.connections.binding import settings_of
from integrations.connections.settings import apply_settings
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry, connector_choices, manifests
from integrations.credentials.masking import MASK
from integrations.forms.fields import OPEN, form_name
from integrations.models import ExecutionLog, TenantIntegration
from integrations.tests import many_fields
from integrations.tests.integration.admin_world import (
    Side,
    client_of,
    form_values,
    make_integration,
    make_side,
    messages_of,
    page,
    shown_values,
    superuser,
    url,
)
from integrations.tests.manifest_values import valid_settings
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db]

KINDS = [key for key, _ in connector_choices()]
MANY = many_fields.KEY


def workbench(integration: TenantIntegration) -> str:
    """The page of the console where it is tested and switched."""
    return f"/console/integrations/{integration.public_id}/"


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture(autouse=True)
def many() -> Iterator[type[BaseConnector]]:
    with many_fields.registered() as connector:
        yield connector


@pytest.fixture
def acme() -> Side:
    return make_side("Acme")


def posted(manifest: Manifest, settings: dict[str, Any]) -> dict[str, Any]:
    """Return `settings` as a browser posts them, for a new integration of this kind."""
    values: dict[str, Any] = {"integration_type": manifest.key, "webhook_url": "", "shown_type": manifest.key}
    if manifest.is_open:
        return {**values, OPEN: json.dumps(settings)}
    for field in manifest.fields:
        value = settings.get(field.name, field.default)
        if field.kind == "json" and value is not None:
            value = json.dumps(value)
        elif field.kind == "lines":
            value = "\r\n".join(value or ())
        elif field.kind == "boolean":
            value = "on" if value else None
        if value is not None:
            values[form_name(field.name)] = value
    return values


def add(client: Client, tenant: Any, values: dict[str, Any]) -> Any:
    return client.post(url("tenantintegration", "add"), form_values(tenant, **values))


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200, "expected the form again"
    return response.context["adminform"].form.errors  # type: ignore[no-any-return]


def change(client: Client, integration: TenantIntegration, **changes: Any) -> Any:
    values = shown_values(client, integration, **changes)
    return client.post(url("tenantintegration", "change", integration.pk), values)


def made(acme: Side, key: str = MANY, settings: dict[str, Any] | None = None, **values: Any) -> TenantIntegration:
    """Make an integration by the form."""
    manifest = ConnectorRegistry.type_of(key).manifest
    wanted = many_fields.VALID if settings is None else settings
    response = add(acme.client, acme.tenant, {**posted(manifest, wanted), **values})
    assert response.status_code == 302, errors_of(response)
    return TenantIntegration.objects.latest("pk")


# -- every kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [*KINDS, MANY])
def test_every_field_of_the_manifest_is_on_the_page(key: str, acme: Side) -> None:
    response = acme.client.get(url("tenantintegration", "add") + f"?integration_type={key}")
    form = response.context["adminform"].form
    manifest = ConnectorRegistry.type_of(key).manifest
    html = response.content.decode()
    for field in manifest.fields:
        assert form.fields[form_name(field.name)].label == field.title
        assert f'name="{form_name(field.name)}"' in html
    assert ("is_signed" in form.fields) == manifest.signs
    assert f'<option value="{key}" selected>' in html
    assert manifest.docs_url in html
    assert "style=" not in html and " onclick" not in html


@pytest.mark.parametrize("key", [*KINDS, MANY])
def test_what_is_required_is_asked_for_on_its_field(key: str, acme: Side) -> None:
    manifest = ConnectorRegistry.type_of(key).manifest
    errors = errors_of(add(acme.client, acme.tenant, {"integration_type": key, "webhook_url": "", "name": ""}))
    for field in manifest.fields:
        if field.required and field.default is None:
            assert form_name(field.name) in errors, field.name
    assert "name" in errors and "integration_type" not in errors


@pytest.mark.parametrize("key", [*KINDS, MANY])
def test_saved_shown_without_secrets_and_saved_again(key: str, acme: Side) -> None:
    connector = ConnectorRegistry.type_of(key)
    manifest, wanted = connector.manifest, many_fields.VALID if key == MANY else valid_settings(connector)
    integration = made(acme, key, wanted)
    found = settings_of(integration)
    for name, value in wanted.items():
        assert found[name] == (value.strip() if isinstance(value, str) else value), name
    assert integration.connector_version == manifest.version
    assert bool(integration.credentials.get("signing_keys")) == integration.is_signed == manifest.signs
    stored_plain = json.dumps(integration.config)
    assert "canary" not in stored_plain, "a secret in a column that is not encrypted"
    for client in (acme.client, superuser()):
        html = page(client, url("tenantintegration", "change", integration.pk))
        html += page(client, url("tenantintegration"))
        assert "canary" not in html.lower()
    before = TenantIntegration.unannounced.values().get(pk=integration.pk)
    assert change(acme.client, integration).status_code == 302
    assert TenantIntegration.unannounced.values().get(pk=integration.pk) == before
    # One change, and nothing else: every secret is still there.
    assert change(acme.client, integration, name="Renamed").status_code == 302
    integration.refresh_from_db()
    assert integration.name == "Renamed" and settings_of(integration) == found


@pytest.mark.parametrize("key", [*KINDS, MANY])
def test_an_error_elsewhere_sends_no_secret_back(key: str, acme: Side) -> None:
    connector = ConnectorRegistry.type_of(key)
    manifest, wanted = connector.manifest, many_fields.VALID if key == MANY else valid_settings(connector)
    response = add(acme.client, acme.tenant, {**posted(manifest, wanted), "name": ""})
    errors, html = errors_of(response), response.content.decode()
    for name in manifest.secret_names:
        assert "type this again" in str(errors[form_name(name)])
    secrets = [wanted[name] for name in manifest.secret_names if name in wanted]
    secrets += list(wanted.get("headers", {}).values())
    if manifest.secret_path and "url" in wanted:
        secrets.append(wanted["url"])
    for secret in secrets:
        assert secret not in html
    typed = len(manifest.secret_names & wanted.keys()) + ("headers" in wanted)
    typed += manifest.secret_path and "url" in wanted
    assert html.count("Please type this again") == typed, "nothing that was typed is lost without a word"
    assert not TenantIntegration.objects.filter(integration_type=key).exclude(pk=acme.integration.pk).exists()


# -- kinds of fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("shop", "Ü", "3 to 40 small letters"),
        ("contact", "nobody", "e-mail address"),
        ("mode", "dead", "not one of the available choices"),
        ("batch", "0", "at least 1"),
        ("batch", "many", "whole number"),
        ("base_url", "https://elsewhere.example.net/", ">elsewhere.example.net is not a host"),
        ("base_url", "ftp://api.storehouse.example.com", "Only https://"),
        ("host", "a b", "host"),
        ("status_map", "{", "JSON"),
        ("headers", '{"Content-Length": "1"}', "Content-Length"),
        ("private_key", f"{MASK}\nmore", "Remove the dots"),
        ("client_secret", MASK, "none is stored"),
    ],
)
def test_each_kind_says_what_is_wrong(name: str, typed: str, said: str, acme: Side) -> None:
    values = {**posted(many_fields.ManyFields.manifest, many_fields.VALID), form_name(name): typed}
    errors = errors_of(add(acme.client, acme.tenant, values))
    assert said in str(errors[form_name(name)])
    others = set(errors) - {form_name(name)}
    assert others <= {"client_secret", "private_key"}, "only what must be typed again"


def test_a_field_called_name_is_not_the_integrations_name(acme: Side) -> None:
    integration = made(acme)
    assert integration.name == "New hook" and integration.config["name"] == "North"
    assert change(acme.client, integration, name_setting="South", mode="sandbox").status_code == 302
    integration.refresh_from_db()
    assert integration.name == "New hook"
    assert integration.config["name"] == "South" and integration.config["mode"] == "sandbox"


def test_lines_booleans_and_defaults_round_trip(acme: Side) -> None:
    integration = made(acme)
    assert integration.config["includes_vat"] is True and integration.config["batch"] == 20
    assert integration.config["status_map"] == {"open": "new"}
    changes = {"tags": "x\r\n\r\n y ", "includes_vat": None, "notify": "on", "batch": "", "status_map": '{"a": [1]}'}
    assert change(acme.client, integration, **changes).status_code == 302
    integration.refresh_from_db()
    config = integration.config
    assert config["tags"] == ["x", "y"] and config["includes_vat"] is False and config["notify"] is True
    assert config["batch"] == 20 and config["status_map"] == {"a": [1]}
    form = acme.client.get(url("tenantintegration", "change", integration.pk)).context["adminform"].form
    assert form["tags"].value() == "x\ny" and form["includes_vat"].value() is False


def test_help_and_hints_are_escaped(acme: Side) -> None:
    html = page(acme.client, url("tenantintegration", "add") + f"?integration_type={MANY}")
    assert "&lt;name&gt;.shops.example.com" in html and "<name>" not in html


def test_a_choice_that_is_no_longer_offered_stays_until_a_person_chooses(acme: Side) -> None:
    integration = made(acme)
    integration.config = {**integration.config, "currency": "DEM"}
    integration.save()
    assert "DEM (no longer offered)" in page(acme.client, url("tenantintegration", "change", integration.pk))
    assert "must be one of" in str(errors_of(change(acme.client, integration, name="x"))["currency"]).lower()
    assert change(acme.client, integration, currency="EUR").status_code == 302


def test_what_is_no_field_of_the_manifest_stays_where_it_is(acme: Side) -> None:
    integration = made(acme)
    integration.credentials = {**integration.credentials, "kept_by_others": "canary-other"}
    integration.config = {**integration.config, "noted_by_others": 1}
    integration.save()
    assert change(acme.client, integration, client_id="new").status_code == 302
    integration.refresh_from_db()
    assert integration.credentials["kept_by_others"] == "canary-other"
    assert integration.config["noted_by_others"] == 1 and "kept_by_others" not in integration.config
    assert apply_settings(integration, settings_of(integration)) == [], "nothing moves from one place to another"


def test_an_older_row_keeps_its_user_name_in_the_credentials_until_it_is_changed(acme: Side) -> None:
    form = acme.client.get(url("tenantintegration", "change", acme.integration.pk)).context["adminform"].form
    assert form["username"].value() == "visible-name"
    assert change(acme.client, acme.integration, api_key_header="X-Key").status_code == 302
    acme.integration.refresh_from_db()
    typed = {"username": "visible-name", "api_key_header": "X-Key"}
    assert acme.integration.config == typed
    assert acme.integration.credentials["password"] == "canary-password"
    assert settings_of(acme.integration)["username"] == "visible-name"


def test_a_secret_with_a_space_at_its_end_is_saved_with_a_word(acme: Side) -> None:
    values = {**posted(many_fields.ManyFields.manifest, many_fields.VALID), "client_secret": "canary-secret "}
    response = acme.client.post(url("tenantintegration", "add"), form_values(acme.tenant, **values), follow=True)
    assert "Client secret begins or ends with a space" in messages_of(response.content.decode())
    assert TenantIntegration.objects.latest("pk").credentials["client_secret"] == "canary-secret "


# -- an open manifest --------------------------------------------------------------------------------------


class Bare(BaseConnector):
    """No manifest at all."""

    def export(self, draft_order: Any, config: dict[str, Any]) -> Any:
        raise NotImplementedError


@pytest.fixture
def bare() -> Iterator[None]:
    ConnectorRegistry.register("BARE", Bare)
    yield
    ConnectorRegistry.unregister("BARE")


@pytest.mark.usefixtures("bare")
def test_a_connector_without_a_manifest_takes_json_that_is_all_secret(acme: Side) -> None:
    integration = made(acme, "BARE", {"host": "canary-host", "token": "canary-token"})
    assert integration.config == {} and integration.credentials["token"] == "canary-token"
    html = page(acme.client, url("tenantintegration", "change", integration.pk))
    assert "canary" not in html and "Send test event" not in html
    assert change(acme.client, integration, name="Renamed").status_code == 302
    integration.refresh_from_db()
    assert integration.credentials == {"host": "canary-host", "token": "canary-token"}
    assert change(acme.client, integration, configuration='{"host": "new"}').status_code == 302
    integration.refresh_from_db()
    assert integration.credentials == {"host": "new"}, "none of the stored values follows a new address"
    for text in ("[1]", "{", f'{{"host": "{MASK}"}}'):
        assert OPEN in errors_of(change(acme.client, integration, configuration=text))


# -- choosing ----------------------------------------------------------------------------------------------


def test_the_select_is_grouped_by_family_and_nothing_is_chosen(acme: Side) -> None:
    html = page(acme.client, url("tenantintegration", "add"))
    for manifest in manifests():
        assert f'<option value="{manifest.key}">' in html
    assert '<optgroup label="Webhook">' in html and '<optgroup label="ERP">' in html
    assert 'name="webhook_url"' not in html
    assert acme.client.get(url("tenantintegration", "add") + "?integration_type=fax").status_code == 200


def test_another_kind_without_javascript_shows_its_fields_and_saves_nothing(acme: Side) -> None:
    values = {
        "shown_type": "webhook", "integration_type": MANY, "name": "Typed name", "webhook_url": "https://h.example.com/x",
        "api_key": "canary-typed", "event_types": ["workitem_updated"],
        "event_types-condition-workitem_updated": "workitem.id > `5`",
    }  # fmt: skip
    response = add(acme.client, acme.tenant, values)
    errors, html = errors_of(response), response.content.decode()
    assert list(errors) == ["integration_type"] and "Storehouse of Many Fields" in str(errors)
    form = response.context["adminform"].form
    assert form["name"].value() == "Typed name" and form["event_types"].value() == {
        "workitem_updated": "workitem.id > `5`"
    }
    assert form["batch"].value() == "20" and form["includes_vat"].value() is True, "the defaults of the chosen kind"
    assert f'name="shown_type" value="{MANY}"' in html and 'name="shop"' in html and 'name="api_key"' not in html
    assert "canary-typed" not in html
    assert not TenantIntegration.objects.filter(name="Typed name").exists()
    # And on from there: what was shown, filled in.
    filled = {**posted(many_fields.ManyFields.manifest, many_fields.VALID), "name": "Typed name"}
    assert add(acme.client, acme.tenant, filled).status_code == 302


def test_what_was_typed_survives_a_change_of_the_kind_and_defaults_do_not(acme: Side) -> None:
    first = {"shown_type": "webhook", "integration_type": "n8n", "webhook_url": "https://h.example.com/x"}
    response = add(acme.client, acme.tenant, {**first, "username": "typed", "headers": '{"X-A": "canary-header"}'})
    form, html = response.context["adminform"].form, response.content.decode()
    assert list(form.errors) == ["integration_type"]
    assert form["username"].value() == "typed"
    assert "h.example.com" not in html and "canary-header" not in html and "X-A" in html
    assert html.count("Please type this again") == 2, "address and headers"


def test_a_kind_is_fixed_once_it_is_saved(acme: Side) -> None:
    html = page(acme.client, url("tenantintegration", "change", acme.integration.pk))
    assert 'name="integration_type"' not in html and "Webhook" in html
    assert change(acme.client, acme.integration, integration_type=MANY, name="Renamed").status_code == 302
    acme.integration.refresh_from_db()
    assert acme.integration.integration_type == "webhook" and acme.integration.name == "Renamed"


def test_a_kind_that_is_not_installed_any_more_loses_nothing(acme: Side) -> None:
    integration = made(acme)
    columns = ("credentials_encrypted", "config", "webhook_url_encrypted", "headers_encrypted", "connector_version")
    before = TenantIntegration.unannounced.values(*columns).get(pk=integration.pk)
    ConnectorRegistry.unregister(MANY)
    html = page(acme.client, url("tenantintegration", "change", integration.pk))
    assert "No connector called many-fields is installed" in html and "everything is as it was" in html
    assert 'name="shop"' not in html and "canary" not in html
    shown = page(acme.client, workbench(integration))
    assert "No connector called many-fields is installed" in shown and "canary" not in shown
    assert "Send test event" not in shown and "Check connection" not in shown
    assert "not installed" in page(acme.client, url("tenantintegration"))
    assert change(acme.client, integration, name="Renamed", is_active=None).status_code == 302
    integration.refresh_from_db()
    assert integration.name == "Renamed" and not integration.is_active
    assert TenantIntegration.unannounced.values(*columns).get(pk=integration.pk) == before
    assert ExecutionLog.objects.filter(integration=integration).count() == 0
    for trial in ("test", "check"):
        assert acme.client.post(f"{workbench(integration)}do/{trial}/").status_code == 302


def test_settings_of_an_older_version_are_adopted_when_they_are_saved(acme: Side) -> None:
    integration = made(acme)
    TenantIntegration.unannounced.filter(pk=integration.pk).update(connector_version="1.4.0")
    html = page(acme.client, url("tenantintegration", "change", integration.pk))
    assert "2.1.0, saved by 1.4.0" in html and "Nothing can be sent" in page(acme.client, workbench(integration))
    assert change(acme.client, integration).status_code == 302
    integration.refresh_from_db()
    assert integration.connector_version == "2.1.0" and settings_of(integration)["shop"] == "north"


def test_one_active_of_a_family_is_a_sentence_and_not_a_crash(acme: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = many_fields.ManyFields.manifest.model_copy(update={"allow_multiple": False})
    monkeypatch.setattr(many_fields.ManyFields, "manifest", alone)
    first = made(acme)
    response = add(acme.client, acme.tenant, {**posted(alone, many_fields.VALID), "name": "Second"})
    assert "switch that one off first" in str(errors_of(response)["__all__"])
    second = made(acme, name="Second", is_active="")
    assert "switch that one off first" in str(errors_of(change(acme.client, second, is_active="on"))["__all__"])
    assert change(acme.client, first, is_active=None).status_code == 302
    assert change(acme.client, second, is_active="on").status_code == 302
    other = make_side("Other")
    assert add(other.client, other.tenant, posted(alone, many_fields.VALID)).status_code == 302


def test_whoever_may_only_look_sees_what_is_no_secret(acme: Side) -> None:
    integration = made(acme)
    acme.user.user_permissions.set(Permission.objects.filter(codename="view_tenantintegration"))
    html = page(client_of(acme.user), url("tenantintegration", "change", integration.pk))
    assert "Storehouse of Many Fields" in html and "https://api.storehouse.example.com" in html and "X-Extra" in html
    assert "canary" not in html and 'name="shop"' not in html
    assert "Check connection" not in page(client_of(acme.user), workbench(integration))
    assert client_of(acme.user).post(f"{workbench(integration)}do/check/").status_code == 403


# -- where secrets go --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "is_elsewhere"),
    [
        ({"base_url": "https://evil.shops.example.com/"}, True),  # below a pattern, everybody has a place
        ({"base_url": "https://eu.storehouse.example.com/v2"}, False),  # the manifest names it
        ({"base_url": "https://api.storehouse.example.com/v3"}, False),
        ({"host": "sftp.evil.example.net"}, True),
        ({"client_id": "another"}, False),
    ],
)
def test_stored_secrets_stay_with_their_host(changes: dict[str, str], is_elsewhere: bool, acme: Side) -> None:
    integration = made(acme)
    response = change(acme.client, integration, **changes)
    if not is_elsewhere:
        assert response.status_code == 302
        return
    errors = errors_of(response)
    assert {"client_secret", "private_key", "headers"} == set(errors) and "another server" in str(errors)
    typed = {"client_secret": "typed", "private_key": "", "headers": '{"X-Extra": "typed"}'}
    assert change(acme.client, integration, **changes, **typed).status_code == 302
    integration.refresh_from_db()
    assert integration.credentials == {"client_secret": "typed"}, "emptied is removed"


# -- check, list, rotation -----------------------------------------------------------------------------------


@pytest.fixture
def here(acme: Side, receiver: Receiver, settings: Any) -> TenantIntegration:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc]}
    return made(acme, base_url=receiver.url)


def test_check_connection_shows_logs_and_remembers(acme: Side, here: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, b'{"name": "North"}'))
    html = page(acme.client, workbench(here))
    assert "Check connection" in html and "Send test event" in html and "Rotate signing secret" not in html
    html = acme.client.post(f"{workbench(here)}do/check/", follow=True).content.decode()
    assert "✓ The connection works" in html and "The shop is called North." in html
    assert receiver.requests[0].headers["x-secret"] == "canary-secret" and "canary" not in html
    here.refresh_from_db()
    assert here.is_connected and here.last_test_at is not None
    passed = here.last_test_at
    log = ExecutionLog.objects.get(integration=here)
    assert (log.action, log.actor, log.error, log.url) == ("check", "Acme-staff", "", f"http://{receiver.netloc}")
    receiver.answer_with(default=500)
    html = acme.client.post(f"{workbench(here)}do/check/", follow=True).content.decode()
    assert "✗ The connection does not work" in html
    here.refresh_from_db()
    assert not here.is_connected and here.last_test_at == passed, "the last successful one"
    assert here.auth_failure_count == 0, "only refused credentials count"


def test_s0_68_refused_checks_count_and_disable(acme: Side, here: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(401, 401, Answer(200, b'{"name": "x"}'), default=401)
    for count in (1, 2, 0, 1, 2):
        acme.client.post(f"{workbench(here)}do/check/")
        here.refresh_from_db()
        assert (here.auth_failure_count, here.is_enabled) == (count, True)
    acme.client.post(f"{workbench(here)}do/check/")
    here.refresh_from_db()
    assert not here.is_enabled and not here.is_connected and "3 times in a row" in here.disabled_reason
    receiver.answer_with(Answer(200, b'{"name": "x"}'))
    assert here.test_connection().success
    here.refresh_from_db()
    assert here.is_connected and not here.is_enabled, "a person re-enables"
    acme.client.post(f"{workbench(here)}do/enable/")
    here.refresh_from_db()
    assert here.is_operational


def test_s0_23_the_models_own_test(acme: Side, here: TenantIntegration, receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, b'{"name": "North"}'))
    result = here.test_connection()
    assert result.success and result.message == "The shop is called North." and here.is_connected
    here.config = {**here.config, "shop": ""}
    here.save()
    result = here.test_connection()
    assert not result.success and "Shop is empty" in result.message and not here.is_connected
    TenantIntegration.unannounced.filter(pk=acme.integration.pk).update(is_connected=True)
    result = acme.integration.test_connection()
    acme.integration.refresh_from_db()
    assert not result.success and acme.integration.is_connected, "a kind without a check says so and changes nothing"


def test_two_refusals_at_once_count_as_two(acme: Side) -> None:
    first, second = (TenantIntegration.objects.get(pk=acme.integration.pk) for _ in range(2))
    first.record_auth_failure()
    second.record_auth_failure()
    assert second.auth_failure_count == 2 and second.is_enabled
    first.mark_connected()
    second.refresh_from_db()
    assert second.auth_failure_count == 0 and second.is_connected


def test_the_check_belongs_to_its_tenant(acme: Side, here: TenantIntegration, receiver: Receiver) -> None:
    other = make_side("Other")
    assert other.client.post(f"{workbench(here)}do/check/").status_code == 404
    assert acme.client.get(f"{workbench(here)}do/check/").status_code == 405
    assert receiver.requests == []


def test_the_list_shows_host_connector_and_old_credentials(acme: Side) -> None:
    made(acme)
    html = page(acme.client, url("tenantintegration"))
    assert "https://api.storehouse.example.com<" in html and "Storehouse of Many Fields" in html and "2.1.0" in html
    assert "⚠ Rotate" not in html
    old = make_integration(acme.tenant, "Oldest of all")
    TenantIntegration.unannounced.filter(pk=old.pk).update(credentials_rotated_at=timezone.now() - timedelta(days=92))
    assert "⚠ Rotate" in page(acme.client, url("tenantintegration"))
    overdue = page(acme.client, url("tenantintegration") + "?credentials=overdue")
    assert "Oldest of all" in overdue and "Acme hook" not in overdue
    fresh = page(acme.client, url("tenantintegration") + "?credentials=fresh")
    assert "Oldest of all" not in fresh and "Acme hook" in fresh
    assert "⚠ Rotate" in page(acme.client, url("tenantintegration", "change", old.pk))
    assert change(acme.client, old, password="new").status_code == 302
    page(acme.client, url("tenantintegration"))  # the message "was changed" names it once
    assert "Oldest of all" not in page(acme.client, url("tenantintegration") + "?credentials=overdue")
