"""Providers that call back: kinds of our own for each scheme, and requests as they would send them.

``python -m integrations.tests.inbound_world <pk> <moment>`` takes in a webhook for the integration <pk> (after the
store), or processes the stored one <pk>, says at which moments it is, and stops at the one that is named until it is
killed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from integrations.transport import signing

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_SECRET = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
PLAIN = "X-Sig"
BODY = b'{"id": 727}'
EFFECT = "demo-effect"
AFTER_STORE, BEFORE_MARK, AFTER_MARK = "after the store", "before the mark", "after the mark"


def digest(signed: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), signed, hashlib.sha256).digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def headers_of(
    scheme: str, body: bytes, *, at: int | str | None = None, secret: str = SECRET, message_id: str = "msg_1"
) -> dict[str, str]:
    """Return the headers with which a provider proves `body`, `at` a time in seconds (now)."""
    at = int(time.time()) if at is None else at
    if scheme.startswith("standard-webhooks"):
        signature = signing.sign(message_id, int(at), body, [secret])
        return {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}
    if scheme == "stripe":
        return {"Stripe-Signature": f"t={at},v1={digest(f'{at}.'.encode() + body, secret).hex()}"}
    if scheme == "slack":
        signature = digest(f"v0:{at}:".encode() + body, secret).hex()
        return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": f"v0={signature}"}
    raw = digest(body, secret)
    return {
        "github": {"X-Hub-Signature-256": f"sha256={raw.hex()}"},
        "shopify": {"X-Shopify-Hmac-Sha256": b64(raw)},
        "woocommerce": {"X-WC-Webhook-Signature": b64(raw)},
        "hmac-sha256-hex": {PLAIN: raw.hex()},
        "hmac-sha256-base64": {PLAIN: b64(raw)},
        "hmac-sha256-prefixed": {PLAIN: f"sha256={raw.hex()}"},
        "hmac-sha256": {PLAIN: raw.hex()},
    }[scheme]


@contextmanager
def provider(
    scheme: str = "github", *, is_chosen: bool = False, key: str = "inbounddemo", **inbound: Any
) -> Iterator[str]:
    """Register a kind whose webhooks are signed so, and yield its key.

    Args:
        scheme: "": it does not call back.
        is_chosen: people say how it calls back, as for a workflow of their own.
        inbound: further keys of the manifest's Inbound.
    """
    from integrations.connectors.base import BaseConnector
    from integrations.connectors.manifest import Field, Inbound, Manifest
    from integrations.connectors.registry import ConnectorRegistry

    if scheme.startswith("hmac"):
        inbound.setdefault("signature_header", PLAIN)
    how = Inbound(scheme=scheme, **inbound) if scheme else None  # type: ignore[arg-type]

    class Provider(BaseConnector):
        manifest = Manifest(
            key=key,
            label="Inbound demo",
            family="demo",
            fields=(Field(name="webhook_secret", kind="secret", multiline=True),),
            inbound=None if is_chosen else how,
        )

    if is_chosen:
        Provider.inbound = property(lambda self: how)  # type: ignore[assignment]
        Provider.takes_only_actions = True
    ConnectorRegistry.register(key, Provider)
    try:
        yield key
    finally:
        ConnectorRegistry.unregister(key)


def make_connection(tenant: Any, key: str = "inbounddemo", *, secret: str = SECRET, **fields: Any) -> Any:
    """An integration that takes webhooks of that kind."""
    from integrations.models import TenantIntegration

    values = {"name": "Shop", "is_signed": False, "credentials": {"webhook_secret": secret} if secret else {}, **fields}
    return TenantIntegration.objects.create(tenant=tenant, integration_type=key, **values)


def work_off() -> dict[str, int]:
    """Process what is due, oldest first, as workers do that the sweep asks; return how many came to what."""
    from integrations.inbound.process import process
    from integrations.inbound.sweep import due, stored_models

    counts: dict[str, int] = {}
    for model in stored_models():
        for pk in list(due(model).values_list("pk", flat=True)):
            outcome = process(model, pk)
            counts[outcome] = counts.get(outcome, 0) + 1
    return counts


def _run_until_killed(pk: int, moment: str) -> None:
    import django

    django.setup()
    from django.test import Client

    from integrations.connectors.incoming import WebhookDTO
    from integrations.inbound import process as processing
    from integrations.inbound.actions import register_action
    from integrations.models import SyncState, WebhookEvent
    from integrations.signals import webhook_event_processed, webhook_event_received

    done_by_us = processing.run_action

    def stop(name: str) -> None:
        print(f"at: {name}", flush=True)
        if name == moment:
            time.sleep(600)  # until it is killed

    def effect(dto: WebhookDTO, connection: Any) -> None:
        SyncState.objects.create(connection=connection, resource_type="effect")

    def run_action(*args: Any) -> None:
        done_by_us(*args)
        stop(BEFORE_MARK)  # the action's own savepoint has ended; the mark is not written yet

    def stored(**_: Any) -> None:
        stop(AFTER_STORE)

    def heard(**_: Any) -> None:
        stop(AFTER_MARK)

    register_action(EFFECT, "An effect", effect)
    processing.run_action = run_action  # type: ignore[assignment]
    webhook_event_received.connect(stored)
    webhook_event_processed.connect(heard)
    with provider(is_chosen=True, id_header="X-Id", event_header="X-Event"):
        if moment == AFTER_STORE:
            headers = {**headers_of("github", BODY), "Host": "localhost", "X-Id": "d-1", "X-Event": "order.created"}
            url = f"/webhooks/{pk}/{EFFECT}/"
            answer = Client(headers=headers).post(url, BODY, content_type="application/json", secure=True)
            print(answer.status_code, flush=True)
        else:
            print(processing.process(WebhookEvent, pk), flush=True)


if __name__ == "__main__":
    _run_until_killed(int(sys.argv[1]), sys.argv[2])
