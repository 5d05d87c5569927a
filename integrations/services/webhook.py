"""Take in a webhook in a view of one's own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from integrations.connections.abstract import AbstractConnection
from integrations.connectors.base import BaseConnector
from integrations.connectors.incoming import WebhookDTO, parse, payload_of
from integrations.database import clock
from integrations.errors import IntegrationError
from integrations.inbound import schemes
from integrations.inbound.actions import asks_for_action
from integrations.inbound.generic import guess
from integrations.inbound.models import AbstractWebhookEvent
from integrations.inbound.receive import Delivery, copy_id, store, store_rejected, webhook_event_model
from integrations.inbound.stored_headers import kept_names
from integrations.transport.signing import SignatureInvalid

logger = logging.getLogger("integrations.inbound")


class WebhookService:
    """Verify, store and recognise webhooks; a worker processes them.

    service = WebhookService(webhook_event_model=WebhookEvent)
    event = service.receive(provider="woocommerce", headers=request.headers, body=request.body, …)
    """

    def __init__(self, webhook_event_model: type[AbstractWebhookEvent] | None = None) -> None:
        self._model = webhook_event_model

    @property
    def model(self) -> type[AbstractWebhookEvent]:
        """Where they are stored; without one given, WEBHOOK_EVENT_MODEL."""
        return self._model or webhook_event_model()

    def receive(
        self,
        provider: str,
        headers: Mapping[str, str],
        body: bytes | str,
        signature_method: str,
        signature_header: str = "",
        secret: str | Iterable[str] = "",
        connection: AbstractConnection | None = None,
        *,
        action: str = "",
    ) -> AbstractWebhookEvent:
        """Store one delivery, unless it is a copy, and have it processed after the commit.

        Args:
            headers: as they came, names in any case.
            body: the raw body, before any decoding.
            signature_method: a scheme of docs/inbound.md, e.g. ``github``, ``stripe``, ``hmac-sha256``.
            signature_header: which header holds the signature, where the scheme has none of its own.
            secret: one, or several during a rotation; an empty one verifies nothing.
            connection: whose webhook this is; None only if there is none.
            action: a word for the address it came to.

        Returns:
            The event. ``signature_valid`` says whether to trust it (False: it is never processed, and has no primary
            key when too many of them came), ``is_duplicate`` whether this very delivery had come before.

        Raises:
            ValueError: the signature is right, but the body is neither JSON nor a form, or names another action than
                `action`; answer 400.
        """
        raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)
        secrets = (secret,) if isinstance(secret, str) else tuple(secret or ())
        adapter = _adapter(connection)
        known = (*secrets, *adapter.secrets) if adapter else secrets
        is_call = asks_for_action(connection, adapter, action)
        keeps = kept_names(adapter.inbound if adapter else None, signature_method, signature_header or "")
        delivery = Delivery(connection, provider, headers, raw, action, known, is_call, keeps)
        try:
            schemes.verify(
                signature_method, headers, raw, secrets, now=clock.timestamp(), signature_header=signature_header or ""
            )
        except SignatureInvalid as invalid:
            return store_rejected(self.model, delivery, invalid.reason)
        payload = payload_of(raw, _content_type(headers), sends_forms=True)
        dto = _parsed(adapter, delivery)
        event_id = copy_id(signature_method, dto.event_id, headers, raw)
        return store(self.model, delivery, payload, event_type=dto.event_type, event_id=event_id)


def _content_type(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.lower() == "content-type" and value), "")


def _adapter(connection: AbstractConnection | None) -> BaseConnector | None:
    try:
        return connection.get_receiver() if connection is not None else None
    except IntegrationError:
        return None  # it is stored all the same; processing will say what is wrong


def _parsed(adapter: BaseConnector | None, delivery: Delivery) -> WebhookDTO:
    """Return what the connector makes of it or, if there is none that could, what providers commonly say."""
    if adapter is not None and adapter.inbound is not None:
        try:
            return adapter.parse_webhook(delivery.headers, delivery.body)
        except Exception as error:  # a connector's slip too must not cost the delivery
            ids = {} if delivery.connection is None else delivery.connection.log_ids()
            logger.warning("%s while parsing a webhook of %s", type(error).__name__, delivery.provider, extra=ids)
    return guess(parse(None, delivery.headers, delivery.body), delivery.headers)
