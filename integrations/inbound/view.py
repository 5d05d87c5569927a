"""``POST webhooks/<connection_id>/<action>/``: where providers call us back (docs/inbound.md).

Refused in this order, the cheapest first, and nothing about an integration is told before the signature is proven:
405 method · 415 encoding · 413 announced size · 404 nobody of that id takes webhooks · then the body is read: 411, 408,
413, 400 · 401 signature · 403 action · 429 too many · 400 content. The log says why, where there is a connection.
What is left is stored, and answered 200 before anything is done with it. While the database is away: 503, so that the
provider tries again.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import Error as DatabaseAway
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from integrations import conf, per_minute
from integrations.connections.abstract import AbstractConnection
from integrations.connections.registered import connection_model
from integrations.connectors.base import BaseConnector
from integrations.connectors.inbound_secret import any_weak
from integrations.connectors.incoming import Answer, ContentRefused, WebhookDTO, payload_of
from integrations.credentials.error_reports import hides_secrets
from integrations.database import clock
from integrations.errors import EncryptionError, IncompatibleConnector, IntegrationError, UnknownConnector
from integrations.telemetry.counters import INBOUND
from integrations.transport.signing import SignatureInvalid

from . import schemes
from .actions import asks_for_action, is_allowed, why_not
from .receive import Delivery, copy_id, store, store_rejected, webhook_event_model
from .request_body import BodyRefused, check_announced, read_body
from .stored_headers import kept_names
from .throttle import count_refused, is_closed, is_within, may_log

logger = logging.getLogger("integrations.inbound")

MAX_BYTES = 1_048_576  # unless INBOUND_MAX_BYTES says otherwise
LARGE_AT_ONCE = 2  # bodies that do not wait in files are looked at, by one process; others for LARGE_SECONDS
LARGE_SECONDS = 5.0
RETRY_SECONDS = 30  # what a provider is asked to wait while we cannot store

_ACTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_KEY = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)

_SENTENCES = {
    400: "The body is incomplete or malformed.",
    401: "The signature is missing or wrong.",
    403: "This integration may not do that.",
    404: "There is nothing here.",
    405: "Send a POST.",
    408: "The body took too long to arrive.",
    411: "Say how long the body is (Content-Length).",
    413: "The body is too long.",
    415: "Send the body as it is, without Content-Encoding.",
    429: "Too many webhooks in this minute.",
    503: "Not now; send it again.",
}


_large = threading.BoundedSemaphore(LARGE_AT_ONCE)


class _Refused(Exception):
    """`reason`: what the log says beside the sentence that the sender reads."""

    def __init__(self, status: int, sentence: str = "", *, reason: str = "", **headers: str) -> None:
        self.status, self.sentence = status, sentence or _SENTENCES[status]
        self.reason = reason or self.sentence
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(self.sentence)


@csrf_exempt
@hides_secrets
@never_cache
@transaction.non_atomic_requests
def webhook_receiver(request: HttpRequest, connection_id: str, action: str) -> HttpResponse:
    """Take in one delivery."""
    try:
        answer = _take_in(request, connection_id, action)
        INBOUND.labels("200").inc()
        return HttpResponse() if answer.body is None else JsonResponse(dict(answer.body))
    except _Refused as refused:
        refusal = refused
    except DatabaseAway as error:
        logger.error("an inbound webhook was not stored: %s", type(error).__name__)
        refusal = _Refused(503, Retry_After=str(RETRY_SECONDS))
    INBOUND.labels(str(refusal.status)).inc()
    response = JsonResponse({"detail": refusal.sentence}, status=refusal.status, headers=refusal.headers)
    # Django would write a line about each one, and strangers decide how many there are; those that matter we log.
    response._has_been_logged = refusal.status < 500  # type: ignore[attr-defined]
    return response


# RefuseNul: to strangers all addresses are alike
webhook_receiver.takes_nul = True  # type: ignore[attr-defined]


def _take_in(request: HttpRequest, connection_id: str, action: str) -> Answer:
    if request.method != "POST":
        raise _Refused(405, Allow="POST")
    limit = min(conf.INBOUND_MAX_BYTES, conf.MOST_INBOUND_BYTES)
    connection = _connection(connection_id) if _ACTION.fullmatch(action) else None
    if connection is None or not connection.accepts_webhooks:
        _check_head(request, limit)
        raise _Refused(404)
    try:
        _check_head(request, limit)
        return _prove_and_keep(request, connection, action, limit)
    except _Refused as refused:
        if refused.status != 404 and may_log(connection):
            level = logging.ERROR if refused.status >= 500 else logging.WARNING
            values = (connection.pk, refused.status, refused.reason)
            logger.log(level, "connection %s: a webhook was refused (%s): %s", *values, extra=connection.log_ids())
        raise


def _check_head(request: HttpRequest, limit: int) -> None:
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise _Refused(415)
    try:
        check_announced(request, limit)
    except BodyRefused as refused:
        raise _refused_body(refused, limit) from None


def _refused_body(refused: BodyRefused, limit: int) -> _Refused:
    if refused.status != 413:
        return _Refused(refused.status)
    sentence = f"The body is longer than {limit} bytes."
    return _Refused(
        413, sentence, reason=f"{sentence} INTEGRATIONS_INBOUND_MAX_BYTES allows more, up to {conf.MOST_INBOUND_BYTES}."
    )


def _prove_and_keep(request: HttpRequest, connection: AbstractConnection, action: str, limit: int) -> Answer:
    adapter = _adapter(connection)
    secrets = adapter.inbound_secrets()
    if any_weak(secrets, adapter.inbound.scheme if adapter.inbound else "") and is_closed(connection):
        # Somebody may be guessing; a good secret cannot be guessed, and its holder is not kept waiting.
        raise _too_often("too many signatures were wrong in this minute, and the secret is weak")
    try:
        body = read_body(request, limit)  # only now: a stranger who knows no id gets none of our time
    except BodyRefused as refused:
        raise _refused_body(refused, limit) from None
    known = (*secrets, *adapter.secrets)
    is_call = asks_for_action(connection, adapter, action)
    keeps = kept_names(adapter.inbound)
    values = (connection, connection.connector_key, request.headers, body, action, known, is_call, keeps)
    with _room_for(body):
        # A map of a file is read like bytes as long as its sender has proven nothing.
        delivery = Delivery(*values)  # type: ignore[arg-type]
        if not _is_proven(adapter, delivery, secrets):
            return adapter.answer("ping")
        if is_call and not is_allowed(connection, action):
            raise _Refused(403, why_not(connection, action))
        if not is_within("valid", connection, conf.INBOUND_PER_MINUTE):
            raise _too_often(f"more than {conf.INBOUND_PER_MINUTE} webhooks in this minute")
        return _keep(adapter, replace(delivery, body=bytes(body)))


def _too_often(reason: str) -> _Refused:
    return _Refused(429, reason=reason, Retry_After=str(per_minute.seconds_left()))


@contextmanager
def _room_for(body: Any) -> Iterator[None]:
    """Let few large bodies into memory at once: parsed, one takes many times its length."""
    if isinstance(body, bytes):
        yield
        return
    if not _large.acquire(timeout=LARGE_SECONDS):
        raise _Refused(503, reason="other large webhooks are being read", Retry_After=str(RETRY_SECONDS))
    try:
        yield
    finally:
        _large.release()


def _connection(text: str) -> AbstractConnection | None:
    """Return the connection by its public id or, with INBOUND_BY_KEY, by its key."""
    model = connection_model()
    if _UUID.fullmatch(text):
        return model._default_manager.filter(public_id=UUID(text)).first()
    if conf.INBOUND_BY_KEY and _KEY.fullmatch(text):
        try:
            return model._default_manager.filter(pk=int(text)).first()
        except (TypeError, ValueError, ValidationError):
            return None  # a host's model whose keys are no numbers
    return None


def _adapter(connection: AbstractConnection) -> BaseConnector:
    try:
        adapter = connection.get_receiver()
    except (EncryptionError, UnknownConnector, IncompatibleConnector) as error:
        # Ours to mend: a key or a plugin is missing here, and the provider's next try may find it.
        raise _Refused(503, reason=error.message, Retry_After=str(RETRY_SECONDS)) from None
    except IntegrationError as error:
        raise _Refused(401, reason=error.message) from None
    if adapter.inbound is None:
        raise _Refused(404)
    return adapter


def _is_proven(adapter: BaseConnector, delivery: Delivery, secrets: tuple[str, ...]) -> bool:
    """Return True for a proven delivery, False for the provider's unsigned trial of the address; refuse the rest."""
    inbound, connection = adapter.inbound, delivery.connection
    assert inbound is not None and connection is not None  # noqa: S101 - _take_in saw to it
    try:
        schemes.verify(
            inbound.scheme,
            delivery.headers,
            delivery.body,
            secrets,
            now=clock.timestamp(),
            signature_header=inbound.signature_header,
        )
    except SignatureInvalid as invalid:
        if invalid.reason == "missing_header" and adapter.is_trial(delivery.body):
            return False
        if not count_refused(connection):
            raise _too_often("too many signatures were wrong in this minute") from None
        store_rejected(webhook_event_model(), delivery, invalid.reason)
        raise _Refused(401, reason=invalid.reason) from None
    return True


def _keep(adapter: BaseConnector, delivery: Delivery) -> Answer:
    inbound = adapter.inbound
    assert inbound is not None  # noqa: S101
    content_type = delivery.headers.get("Content-Type", "")
    try:
        payload = payload_of(delivery.body, content_type, sends_forms=inbound.sends_forms)
    except ContentRefused as refused:
        raise _Refused(400, str(refused)) from None
    try:
        dto = adapter.parse_webhook(delivery.headers, delivery.body)
        if (trial := adapter.handshake(dto)) is not None:
            return trial  # of the address; there is nothing to keep
    except ValueError:
        raise _Refused(400) from None
    except Exception as error:  # a connector's slip must not cost the delivery: it is stored, and tried later
        pk = delivery.connection and delivery.connection.pk
        ids = {} if delivery.connection is None else delivery.connection.log_ids()
        logger.error("connection %s: its connector cannot parse: %s", pk, type(error).__name__, extra=ids)
        dto = WebhookDTO("", payload)
    event_id = copy_id(inbound.scheme, dto.event_id, delivery.headers, delivery.body)
    try:
        event = store(webhook_event_model(), delivery, payload, event_type=dto.event_type, event_id=event_id)
    except ContentRefused as refused:
        raise _Refused(400, str(refused)) from None
    return adapter.answer("duplicate" if event.is_duplicate else "received")
