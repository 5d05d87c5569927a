"""Slack: an event becomes a message, by an incoming webhook or by ``chat.postMessage``.

In: an event. Out: a receipt; with a token its ``external_id`` is the message's ``ts``. Errors: errors.py beside this.
Slack drops no copies: neither way takes an idempotency key. A message sent with a token carries the event's key in its
metadata, so that a copy (after a crash, or an answer that never came) can be told; a webhook's cannot.
Source: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/apis/web-api/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from integrations.auth.scheme import Auth, BearerAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.incoming import WebhookDTO
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.transport.classify import excerpt_of, retry_after_of
from integrations.transport.response import Response

from . import blocks, errors
from .manifest import MANIFEST

_WORD = re.compile(r"[a-z][a-z_]{2,59}")


@register
class SlackConnector(BaseConnector):
    """Posts events to one channel. A webhook URL wins over a token."""

    manifest = MANIFEST
    faults = tuple(errors.FAULTS.values())

    @property
    def is_webhook(self) -> bool:
        return bool(self.binding.url)

    @property
    def base_url(self) -> str:
        return self.binding.url or str(self.settings["base_url"])

    @property
    def can_check(self) -> bool:
        return not self.is_webhook  # a webhook can do nothing but post

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().validate_config(config)
        if not config.get("url"):
            for name in ("token", "channel"):
                if not config.get(name):
                    problems.setdefault(name, "missing; give a webhook URL, or a bot token and a channel")
        return problems

    def make_auth(self) -> Auth:
        if self.is_webhook:
            return Auth()
        self.validate_required_fields(self.settings, ("token",))
        return BearerAuth(self.settings["token"])

    def default_headers(self) -> Mapping[str, str]:
        return {"Content-Type": "application/json; charset=utf-8"}  # Slack warns about JSON without a charset

    def deliver(self, envelope: Envelope) -> Receipt:
        options = {name: self.settings[name] for name in ("text", "heading", "fields") if self.settings.get(name)}
        post = blocks.message(envelope, **options)
        if self.is_webhook:
            return self.receipt(self.http.send("POST", "", json=post))
        self.validate_required_fields(self.settings, ("token", "channel"))
        metadata = {"event_type": envelope.event_type, "event_payload": {"webhook_id": envelope.idempotency_key}}
        response = self.http.send(
            "POST", "chat.postMessage", json={"channel": self.settings["channel"], **post, "metadata": metadata}
        )
        answer = response.json_object
        return self.receipt(response, answer.get("ts"), channel=str(answer.get("channel", "")))

    def check(self) -> str:
        if self.is_webhook:
            raise NotImplementedError
        answer = self.http.post("auth.test", json={})
        return f"Connected to the workspace {answer.get('team', '')} as {answer.get('user', '')}."

    def parse_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookDTO:
        """Return what Slack sends: an event by its inner type (``app_mention``); what has none by its outer type
        (``url_verification``, ``block_actions``), and a slash command as ``slash_command``."""
        found = super().parse_webhook(headers, body)
        outer = found.payload.get("type")
        fallback = "slash_command" if "command" in found.payload else ""
        return replace(found, event_type=found.event_type or (outer if isinstance(outer, str) else fallback))

    def is_trial(self, body: bytes) -> bool:
        """Slack looks at the certificate of an address, now and then, without signing (``ssl_check=1``)."""
        return dict(parse_qsl(body[:1000].decode("utf-8", "replace"))).get("ssl_check") == "1"

    def classify(self, response: Response) -> IntegrationError | None:
        """Return the error that Slack names, however it names it: by a status, by ``ok: false``, or by a bare word."""
        is_success = 200 <= response.status < 300
        word = _word_in(response)
        if is_success and (self.is_webhook or word == ""):
            return None
        excerpt = excerpt_of(response, self.secrets)
        if word and (is_success or errors.is_known(word)):
            wait = retry_after_of(response)
            return errors.error_of(word, host=self.host, status=response.status, retry_after=wait, excerpt=excerpt)
        if is_success:
            message = f"{self.host} answered {response.status}, but not as Slack does"
            return IntegrationTemporaryError(message, code="bad_answer", status=response.status, excerpt=excerpt)
        return super().classify(response)


def _word_in(response: Response) -> str | None:
    """Return Slack's word for what is wrong; "" for ``ok: true``, None if the answer is none of Slack's."""
    text = response.body.decode("utf-8", "replace").strip()
    if _WORD.fullmatch(text):
        return text
    answer = response.json_object
    if "ok" not in answer:
        return None
    if answer["ok"] is True:
        return ""
    word = str(answer.get("error", ""))
    return word if _WORD.fullmatch(word) else "unknown_error"
