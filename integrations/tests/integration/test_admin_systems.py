"""The pages of the system-wide integrations: one each, superusers only, secrets never shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from integrations import config
from integrations.credentials.masking import MASK
from integrations.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)
from integrations.tests.integration.admin_world import client_of, messages_of, page, superuser
from integrations.tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db]

CANARY = "canary-77aa"
MODELS = [GitHubConfiguration, WeaviateConfiguration, GraphConfiguration, OpenAIConfiguration, GeminiConfiguration]


def url(model: Any, view: str = "changelist", *args: Any) -> str:
    return reverse(f"admin:integrations_{model._meta.model_name}_{view}", args=args)


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


@pytest.fixture
def root() -> Client:
    return superuser()


def typed(client: Client, address: str, **changes: Any) -> dict[str, Any]:
    """What a browser posts when the page is saved as it is shown, with `changes`."""
    form = client.get(address).context["adminform"].form
    values = {bound.name: "on" if bound.value() is True else bound.value() for bound in form}
    return {name: value for name, value in {**values, **changes}.items() if value not in (None, False)}


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200, "it was saved"
    return dict(response.context["adminform"].form.errors)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.of)
def test_each_system_has_one_page(root: Client, model: Any) -> None:
    response = root.get(url(model))
    assert (response.status_code, response["Location"]) == (302, url(model, "add"))
    html = page(root, url(model, "add"))
    for name in model().used_settings():
        assert f'name="{"webhook_url" if name == "url" else name}"' in html
    made = model.objects.create()
    assert root.get(url(model))["Location"] == url(model, "change", made.pk)
    assert root.get(url(model, "add")).status_code == 403  # there is one already
    page(root, url(model, "change", made.pk))
    assert str(model._meta.verbose_name) in page(root, reverse("admin:index"))


@pytest.mark.parametrize("view", ["changelist", "add", "change", "delete", "history", "check"])
def test_nobody_else_gets_in(view: str) -> None:
    row = GitHubConfiguration.objects.create(github_token=CANARY)
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="integrations"))
    address = url(GitHubConfiguration, view, *([] if view in ("changelist", "add") else [row.pk]))
    client = client_of(staff)
    assert client.get(address).status_code == 403
    assert client.post(address, {"enabled": "on", "token": "stolen"}).status_code == 403
    assert "GitHub configuration" not in page(client, reverse("admin:index"))
    assert Client().get(address).status_code == 302  # to the login
    row.refresh_from_db()
    assert row.github_token == CANARY and not row.enabled


def test_a_token_is_stored_and_never_shown(root: Client) -> None:
    add = url(GitHubConfiguration, "add")
    response = root.post(add, typed(root, add, enabled="on", token=CANARY))
    row = GitHubConfiguration.objects.get()
    assert response.status_code == 302 and row.enabled and row.github_token == CANARY
    assert row.settings == {
        "token": CANARY,
        "base_url": "https://api.github.com",
        "api_version": row.settings["api_version"],
    }
    change = url(GitHubConfiguration, "change", row.pk)
    html = page(root, change)
    assert CANARY not in html and MASK in html
    assert CANARY not in page(root, url(GitHubConfiguration, "history", row.pk))


def test_dots_keep_a_secret_and_an_empty_field_removes_it(root: Client) -> None:
    row = GitHubConfiguration.objects.create(enabled=True, github_token=CANARY)
    rotated_at = row.rotated_at
    change = url(GitHubConfiguration, "change", row.pk)
    assert root.post(change, typed(root, change, repository="owner/repo")).status_code == 302
    row.refresh_from_db()
    assert (row.github_token, row.config["repository"], row.rotated_at) == (CANARY, "owner/repo", rotated_at)
    assert root.post(change, typed(root, change, token="new-token")).status_code == 302
    row.refresh_from_db()
    assert row.github_token == "new-token" and row.rotated_at > rotated_at
    assert root.post(change, typed(root, change, token="", enabled=None)).status_code == 302
    row.refresh_from_db()
    assert row.github_token == "" and not row.enabled


def test_only_what_is_switched_on_must_be_complete(root: Client) -> None:
    add = url(GraphConfiguration, "add")
    values = typed(root, add, tenant_id="contoso.com")
    found = errors_of(root.post(add, {**values, "enabled": "on"}))
    assert set(found) == {"client_id", "client_secret", "sender"}
    assert root.post(add, values).status_code == 302
    assert not GraphConfiguration.objects.get().enabled


def test_what_is_wrong_is_said_beside_its_field_and_not_quoted(root: Client) -> None:
    add = url(GraphConfiguration, "add")
    values = typed(root, add, client_secret=CANARY, sender=f"{CANARY} no address", base_url="http://169.254.169.254/")
    response = root.post(add, values)
    found = errors_of(response)
    assert set(found) == {"sender", "base_url"} and CANARY not in str(found)
    assert not re.search(rf'name="client_secret"[^>]*{CANARY}', response.content.decode())


def test_a_stored_key_follows_no_address_to_another_server(root: Client, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": ["mine.test:1234"]}
    row = WeaviateConfiguration.objects.create(weaviate_url="https://weaviate.example", weaviate_api_key=CANARY)
    change = url(WeaviateConfiguration, "change", row.pk)
    found = errors_of(root.post(change, typed(root, change, webhook_url="http://mine.test:1234")))
    assert "another server" in str(found["api_key"])
    moved = typed(root, change, webhook_url="http://mine.test:1234", api_key="another")
    assert root.post(change, moved).status_code == 302
    row.refresh_from_db()
    assert (row.weaviate_url, row.weaviate_api_key) == ("http://mine.test:1234", "another")


def test_settings_that_the_page_does_not_show_are_kept(root: Client) -> None:
    row = GitHubConfiguration.objects.create(github_token=CANARY, config={"labels": ["bug"]})
    change = url(GitHubConfiguration, "change", row.pk)
    assert root.post(change, typed(root, change, repository="owner/repo")).status_code == 302
    row.refresh_from_db()
    assert row.config["labels"] == ["bug"]


@pytest.mark.django_db(transaction=True)
def test_a_save_is_used_at_once(root: Client) -> None:
    row = GitHubConfiguration.objects.create(enabled=False, github_token=CANARY)
    assert not config.is_github_enabled()
    change = url(GitHubConfiguration, "change", row.pk)
    assert root.post(change, typed(root, change, enabled="on")).status_code == 302
    assert config.is_github_enabled()
    assert root.post(url(GitHubConfiguration, "delete", row.pk), {"post": "yes"}).status_code == 302
    assert config.get_github_config() is None


def test_the_button_proves_the_saved_credentials_also_while_it_is_off(
    root: Client, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    row = GitHubConfiguration.objects.create(github_token=CANARY, github_base_url=f"http://{receiver.netloc}")
    check = url(GitHubConfiguration, "check", row.pk)
    receiver.answer_with(200, Answer(401, body=f"no {CANARY}".encode()))
    assert root.get(check).status_code == 405 and receiver.requests == []
    assert "✓ The connection works" in messages_of(root.post(check, follow=True).content.decode())
    html = root.post(check, follow=True).content.decode()
    assert "✗ The connection does not work: 127.0.0.1 answered 401" in messages_of(html) and CANARY not in html
    assert root.post(url(GitHubConfiguration, "check", 999)).status_code == 404
    assert "Checked the connection: it does not work." in page(root, url(GitHubConfiguration, "history", row.pk))


def test_credentials_that_do_not_open_are_kept_until_they_are_entered_again(root: Client, settings: Any) -> None:
    row = GitHubConfiguration.objects.create(enabled=True, github_token=CANARY)
    GitHubConfiguration.objects.filter(pk=row.pk).update(credentials_encrypted=f"v1.gone.{'A' * 40}")
    change = url(GitHubConfiguration, "change", row.pk)
    html = page(root, change)
    assert "cannot be opened with our keys" in messages_of(html)
    checked = root.post(url(GitHubConfiguration, "check", row.pk), follow=True).content.decode()
    assert "GitHubConfiguration.credentials: authentication tag verification failed" in messages_of(checked)

    assert root.post(change, typed(root, change, enabled=None)).status_code == 302  # the switch alone changes nothing
    row.refresh_from_db()
    assert not row.enabled and row.credentials_encrypted.startswith("v1.gone.")
    assert "cannot be opened" in str(errors_of(root.post(change, typed(root, change, repository="owner/repo"))))
    assert root.post(change, typed(root, change, token="entered-again")).status_code == 302
    row.refresh_from_db()
    assert row.github_token == "entered-again"
