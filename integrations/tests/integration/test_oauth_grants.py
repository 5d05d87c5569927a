"""The grant row: one refresh for all who need it, durable before use, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from integrations.auth.oauth2 import fingerprint
from integrations.auth.token import Token
from integrations.connections import token_store
from integrations.connections.binding import bind
from integrations.connections.token_store import GrantTokens
from integrations.delivery.drain import drain
from integrations.delivery.health_checks import check_one
from integrations.delivery.operator_actions import resume
from integrations.errors import (
    EncryptionError,
    IntegrationAuthError,
    IntegrationNotConnected,
    IntegrationTemporaryError,
)
from integrations.health.reading import health_of
from integrations.models import ExecutionLog, IntegrationSync, Lane, OAuthGrant, TenantIntegration
from integrations.services.status import statuses as statuses_of
from integrations.tests.factories import make_item, statuses
from integrations.tests.receiver import Answer, Receiver

from .oauth_world import Provider, make_hub, registered

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]


@pytest.fixture(autouse=True)
def _hub(settings: Any, receiver: Receiver) -> Iterator[None]:
    settings.INTEGRATIONS = {"ALLOWED_HOSTS": [receiver.netloc], "RETRY_JITTER": 0.0}
    with registered():
        yield


@pytest.fixture
def provider(receiver: Receiver) -> Provider:
    return Provider(receiver)


def headers_of(integration: TenantIntegration) -> str:
    return bind(integration).auth.headers()["Authorization"]


def grant_of(integration: TenantIntegration) -> OAuthGrant:
    return OAuthGrant.objects.select_related("integration").get(pk=integration.pk)


def stored(integration: TenantIntegration) -> Token:
    token = grant_of(integration).token
    assert token is not None
    return token


# -- through the lane ---------------------------------------------------------------------------------


def test_b133_a_401_costs_one_refresh_and_no_failure(provider: Provider) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    provider.number += 1  # the provider has forgotten "access-1"
    make_item(hub.tenant)
    drain(hub.pk)
    assert statuses() == ["synced"]
    assert [request.status for request in provider.events] == [401, 200]
    assert provider.events[0].headers["idempotency-key"] == provider.events[1].headers["idempotency-key"]
    assert [sent["refresh_token"] for sent in provider.tokens] == ["canary-first", "rotated-1"]
    hub.refresh_from_db()
    assert hub.auth_failure_count == 0 and hub.is_enabled
    assert ExecutionLog.objects.get().attempt == 1


def test_a_token_that_stays_refused_is_an_auth_failure_after_one_refresh(provider: Provider) -> None:
    hub = make_hub(provider.url)
    provider.accepts = "nothing"
    make_item(hub.tenant)
    drain(hub.pk)
    hub.refresh_from_db()
    assert statuses() == ["pending"] and hub.auth_failure_count == 1
    assert len(provider.events) == 2 and len(provider.tokens) == 2


def test_a_refused_grant_stops_the_integration_and_says_so(receiver: Receiver, provider: Provider) -> None:
    hub = make_hub(provider.url)
    receiver.answer_with(default=Answer(400, b'{"error": "invalid_grant", "error_description": "canary"}'))
    for number in range(3):
        make_item(hub.tenant, reference_id=f"RMA-{number}")
    for _ in range(3):
        drain(hub.pk)
        Lane.objects.update(paused_until=None)  # refusals within a moment count as one
    hub.refresh_from_db()
    assert not hub.is_enabled and statuses() == ["pending"] * 3
    assert provider.events == []
    grant = grant_of(hub)
    assert grant.invalid_since and "connect again" in grant.invalid_reason and not grant.is_connected
    assert "canary" not in "".join(IntegrationSync.objects.values_list("last_error", flat=True))


def test_a_token_endpoint_in_trouble_is_temporary_and_keeps_the_grant(receiver: Receiver, provider: Provider) -> None:
    hub = make_hub(provider.url)
    make_item(hub.tenant)
    receiver.answer_with(Answer(503), default=provider.answer)
    drain(hub.pk)
    hub.refresh_from_db()
    assert statuses() == ["pending"] and hub.auth_failure_count == 0
    assert not OAuthGrant.objects.filter(invalid_since__isnull=False).exists()
    assert headers_of(hub) == "Bearer access-1"


# -- rotation and the form ----------------------------------------------------------------------------


def test_the_token_outlives_the_process(provider: Provider) -> None:
    hub = make_hub(provider.url)
    assert headers_of(hub) == headers_of(hub) == "Bearer access-1"
    assert len(provider.tokens) == 1
    grant = grant_of(hub)
    assert grant.expires_at and grant.last_refreshed_at and grant.is_connected


def test_a_form_opened_before_a_refresh_brings_nothing_back(provider: Provider) -> None:
    hub = make_hub(provider.url)
    before = TenantIntegration.objects.get(pk=hub.pk)
    headers_of(hub)
    before.name = "Renamed"
    before.save()
    assert stored(hub).refresh_token == "rotated-1"


def test_a_new_client_secret_asks_anew_with_the_same_grant(provider: Provider) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    hub.credentials = {**hub.credentials, "client_secret": "another"}
    hub.save()
    assert headers_of(hub) == "Bearer access-2"
    assert (provider.tokens[1]["refresh_token"], provider.tokens[1]["client_secret"]) == ("rotated-1", "another")


def test_another_client_forgets_the_grant(provider: Provider) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    hub.credentials = {"client_secret": "canary-secret"}
    hub.config = {**hub.config, "client_id": "other"}
    hub.save()
    with pytest.raises(IntegrationAuthError) as caught:
        headers_of(hub)
    assert caught.value.code == "not_connected" and len(provider.tokens) == 1


def test_who_connected_again_during_a_refresh_wins(provider: Provider) -> None:
    hub = make_hub(provider.url)
    tokens = GrantTokens(hub)
    with tokens.exclusive() as locked:
        locked.load()
        GrantTokens(hub).write(lambda grant: grant.granted(Token("by-hand", refresh_token="new"), "jane"))
        with pytest.raises(IntegrationTemporaryError) as caught:
            locked.save(Token("late"))
        locked.refuse("the old one was refused")
    assert caught.value.code == "grant_changed"
    grant = grant_of(hub)
    assert grant.token and grant.token.access_token == "by-hand"
    assert (grant.granted_by, grant.invalid_since) == ("jane", None)


# -- isolation ----------------------------------------------------------------------------------------


def test_tokens_copied_to_another_tenant_do_not_open(provider: Provider) -> None:
    acme, other = make_hub(provider.url), make_hub(provider.url, "Other Corp")
    headers_of(acme), headers_of(other)
    assert len(provider.tokens) == 2
    OAuthGrant.objects.filter(pk=other.pk).update(tokens_encrypted=grant_of(acme).tokens_encrypted)
    with pytest.raises(EncryptionError):
        headers_of(other)


def test_nothing_readable_is_stored_or_shown(provider: Provider) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    grant = grant_of(hub)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM integrations_oauthgrant")
        text = repr(cursor.fetchall()) + repr(grant) + repr(vars(grant)) + repr(GrantTokens(hub))
    assert "access-1" not in text and "rotated-1" not in text


def test_rotate_encryption_seals_the_tokens_too(provider: Provider, settings: Any, capsys: Any) -> None:
    settings.ENCRYPTION_MASTER_KEY = "old:" + "aa" * 32
    hub = make_hub(provider.url)
    headers_of(hub)
    settings.ENCRYPTION_MASTER_KEY = f"new:{'bb' * 32},old:{'aa' * 32}"
    call_command("rotate_encryption")
    settings.ENCRYPTION_MASTER_KEY = "new:" + "bb" * 32
    assert stored(hub).refresh_token == "rotated-1"
    assert "integrations.OAuthGrant: 1 of 1 row(s) were sealed" in capsys.readouterr().out


def test_deleting_the_integration_deletes_its_tokens(provider: Provider) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    hub.delete()
    assert not OAuthGrant.objects.exists()


# -- together -----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_ten_threads_make_one_refresh_and_leave_no_connection(receiver: Receiver, provider: Provider) -> None:
    hub = make_hub(provider.url)
    gate = threading.Event()
    answered = provider.answer

    def wait_first(request: Any) -> Any:
        gate.wait(10)
        return answered(request)

    receiver.answer_with(wait_first)
    # Ten processes, as far as the store can tell: each has its own adapter and its own database connection.
    adapters = [bind(TenantIntegration.objects.get(pk=hub.pk)) for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        futures = [pool.submit(adapter.auth.headers) for adapter in adapters]
        receiver.wait_for(1)
        # While the provider thinks, everybody else goes on writing.
        hub.name = "Renamed"
        hub.save()
        make_item(hub.tenant)
        gate.set()
        assert {future.result(20)["Authorization"] for future in futures} == {"Bearer access-1"}
    assert len(provider.tokens) == 1
    assert stored(hub).refresh_token == "rotated-1" and grant_of(hub).lock_token == ""


@pytest.mark.django_db(transaction=True)
def test_ten_threads_after_a_401_make_one_refresh(provider: Provider) -> None:
    hub = make_hub(provider.url)
    adapters = [bind(TenantIntegration.objects.get(pk=hub.pk)) for _ in range(10)]
    rejected = [adapter.auth.headers() for adapter in adapters]
    with ThreadPoolExecutor(10) as pool:
        renewed = list(pool.map(lambda pair: pair[0].auth.renew(pair[1]), zip(adapters, rejected, strict=True)))
    assert renewed == [True] * 10 and len(provider.tokens) == 2


@pytest.mark.django_db(transaction=True)
def test_not_inside_a_transaction(provider: Provider) -> None:
    hub = make_hub(provider.url)
    with transaction.atomic(), pytest.raises(RuntimeError):
        headers_of(hub)
    assert provider.tokens == []


def test_a_crashed_holder_is_waited_for_and_then_replaced(provider: Provider, monkeypatch: Any) -> None:
    hub = make_hub(provider.url)
    headers_of(hub)
    OAuthGrant.objects.update(lock_token="dead", locked_until=timezone.now() + timedelta(seconds=30))
    monkeypatch.setattr(token_store, "WAIT_SECONDS", 0.05)
    with pytest.raises(IntegrationTemporaryError) as caught, GrantTokens(hub).exclusive():
        pytest.fail("it is locked")
    assert caught.value.code == "token_busy" and not caught.value.was_sent
    OAuthGrant.objects.update(locked_until=timezone.now() - timedelta(seconds=1))
    with GrantTokens(hub).exclusive() as locked:
        assert locked.load()
    assert grant_of(hub).locked_until is None


# -- not connected yet ------------------------------------------------------------------------------------------------


def is_untouched(hub: TenantIntegration) -> bool:
    hub.refresh_from_db()
    return (hub.auth_failure_count, hub.is_enabled, hub.disabled_reason) == (0, True, "")


def test_what_nobody_has_connected_yet_is_neither_checked_nor_counted(provider: Provider) -> None:
    hub = make_hub(provider.url, refresh_token="")
    assert [check_one(hub.pk) for _ in range(4)] == [None] * 4
    for _ in range(4):
        result = hub.test_connection()
        assert not result.success and "not connected yet" in result.message and not result.is_auth_failure
    for _ in range(4):
        with pytest.raises(IntegrationNotConnected):
            hub.get_adapter().http.get("/api/")
    assert is_untouched(hub) and provider.receiver.requests == []


def test_its_events_wait_and_go_out_once_it_is_connected(provider: Provider) -> None:
    hub = make_hub(provider.url, refresh_token="")
    make_item(hub.tenant)
    for _ in range(4):
        Lane.objects.filter(pk=hub.pk).update(paused_until=None)
        drain(hub.pk)
    sync = IntegrationSync.objects.get()
    assert (sync.status, sync.attempts) == ("pending", 0) and is_untouched(hub)
    assert "not connected yet" in Lane.objects.get(pk=hub.pk).attention

    connector = bind(hub)
    assert connector.oauth is not None
    agreed = Token("by-hand", refresh_token="new", made_with=fingerprint(connector.oauth, connector.settings))
    GrantTokens(hub).write(lambda grant: grant.granted(agreed, "jane"))
    resume(hub, actor="jane")
    drain(hub.pk)
    assert IntegrationSync.objects.get().status == "synced" and is_untouched(hub)


@pytest.mark.parametrize("token", [Token("", refresh_token=""), Token("of another client", made_with="x.y")])
def test_an_access_that_has_ended_without_an_answer_is_not_counted(token: Token, provider: Provider) -> None:
    hub = make_hub(provider.url, refresh_token="")
    GrantTokens(hub).write(lambda grant: grant.granted(token, "jane"))
    assert [check_one(hub.pk) for _ in range(4)] == [None] * 4
    with pytest.raises(IntegrationNotConnected, match="has ended"):
        headers_of(hub)
    assert is_untouched(hub) and provider.receiver.requests == []


def test_a_refused_grant_still_counts(provider: Provider) -> None:
    hub = make_hub(provider.url)
    provider.receiver.answer_with(default=Answer(400, b'{"error": "invalid_grant"}'))
    assert [check_one(hub.pk) for _ in range(3)] == [False] * 3
    hub.refresh_from_db()
    assert not hub.is_enabled and hub.auth_failure_count == 3


def test_one_whose_state_is_shown(provider: Provider) -> None:
    hub = make_hub(provider.url, refresh_token="")
    assert health_of([hub])[hub.pk].label == "○ Not connected yet"
    (status,) = statuses_of(TenantIntegration.objects.all())
    assert (status.state, status.auth, status.is_failing) == ("not_connected", "not-connected", False)
    GrantTokens(hub).write(lambda grant: grant.granted(Token("by-hand", refresh_token="new"), "jane"))
    hub = TenantIntegration.objects.get()
    assert health_of([hub])[hub.pk].label == "○ Ready"
