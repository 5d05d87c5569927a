"""Slack: an event becomes a message, by an incoming webhook or by ``chat.postMessage``.

In: an event. Out: a receipt; with a token its ``external_id`` is the message's ``ts``. Errors: what Slack's words mean,
`FAULTS`.
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
from integrations.connectors.manifest import LINES, Field, Inbound, Logo, Manifest, RateLimit, api_address
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.faults import HOUR, Fault, table
from integrations.transport.classify import excerpt_of, retry_after_of
from integrations.transport.response import Response

from . import blocks

_WORD = re.compile(r"[a-z][a-z_]{2,59}")

MANIFEST = Manifest(
    key="slack",
    label="Slack",
    family="chat",
    description="Posts a message for every event, by an incoming webhook or a bot token.",
    needs=("The URL of an incoming webhook, or a bot token with the scope chat:write",),
    logo=Logo(path="M4 5h16v11H10l-4 4v-4H4zM10.5 7.5l-1 6m5-6-1 6M8.5 9.5h7m-7.5 2.5h7", colour="#6b2a75"),
    docs_url="https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    fields=(
        Field(
            name="url",
            label="Webhook URL",
            kind="url",
            help="https://hooks.slack.com/services/…, from your Slack app's “Incoming Webhooks”. Kept encrypted: "
            "whoever has it can post. Leave it empty to use a bot token.",
        ),
        Field(
            name="token",
            label="Bot token",
            kind="secret",
            trim=True,
            help="xoxb-…, from “OAuth & Permissions”. The only scope it needs is chat:write; invite the app to the "
            "channel. Not used with a webhook URL.",
        ),
        Field(name="channel", help="The channel's id, such as C0123456789. A webhook has its own channel."),
        Field(
            name="text",
            label="Notification",
            form="text",
            help="What notifications show: New order: {order.number}. Empty: what happened to what.",
            advanced=True,
        ),
        Field(
            name="heading",
            form="text",
            help="The first line, in Slack's mrkdwn: *{order.number}* - {order.description}. Empty: the object's name "
            "and description.",
            advanced=True,
        ),
        LINES.model_copy(update={"help": f"At most ten. {LINES.help}"}),
        api_address("https://slack.com/api", "Of the Web API, for bot tokens."),
        Field(
            name="signing_secret",
            kind="secret",
            trim=True,
            multiline=True,
            help="From “Basic Information”, “Signing Secret”, if the app sends us events. Empty: none is accepted.",
            advanced=True,
        ),
    ),
    inbound=Inbound(
        scheme="slack",
        secret_field="signing_secret",  # noqa: S106 - the name of a field
        id_path="event_id",
        event_path="event.type",
        sends_forms=True,  # commands and buttons
    ),
    allowed_hosts=("slack.com", "hooks.slack.com", "slack-gov.com", "hooks.slack-gov.com"),
    rate_limit=RateLimit(per_minute=60, note="one message a second for each channel"),
    secret_path=True,
    does=("deliver", "check"),
)


# What Slack's short words mean: ``error`` of a Web API answer, or the whole text of a webhook's. What is not listed is
# the event's: the same message would be refused again.
_ARCHIVED = "the channel is archived; restore it, or choose another one"
_REMOVED = "the webhook was removed or switched off; enter a new address"
_RESTRICTED = "a setting of the workspace or the channel does not let the app post there; an administrator can"
_POLICY = "the workspace's administrators do not let this app or webhook post there"

FAULTS = table(
    {
        # A person must renew the credentials or a permission; a webhook's URL is its credential.
        "auth": """
            invalid_auth not_authed token_revoked token_expired account_inactive missing_scope no_permission
            not_allowed_token_type access_denied accesslimited ekm_access_denied enterprise_is_restricted
            team_access_not_granted restricted_action restricted_action_read_only_channel
            restricted_action_thread_only_channel restricted_action_non_threadable_channel invalid_token no_service
            no_service_id no_active_hooks no_team team_disabled user_is_bot two_factor_setup_required
            action_prohibited posting_to_general_channel_denied""",
        "setup": """
            channel_not_found not_in_channel is_inactive messages_tab_disabled channel_type_not_supported
            invalid_channel team_not_found user_not_found user_disabled org_login_required_for_app
            slack_connect_file_link_sharing_blocked slack_connect_canvas_sharing_blocked method_deprecated
            deprecated_endpoint cannot_post_to_channel free_team_not_allowed""",
        "quota": "message_limit_exceeded",
        "rate_limited": "ratelimited rate_limited",
        "temporary": """
            internal_error fatal_error service_unavailable request_timeout rollup_error team_added_to_org
            org_login_required external_channel_migrating""",
        # Nothing gets in any more: stop at once instead of failing event after event.
        "gone": "is_archived channel_is_archived",
        "event": """
            msg_too_long no_text invalid_blocks invalid_blocks_format msg_blocks_too_long too_many_attachments
            invalid_attachments too_many_contact_cards attachment_payload_limit_exceeded markdown_text_conflict
            invalid_metadata_format invalid_metadata_schema metadata_too_large metadata_must_be_sent_from_app
            invalid_payload missing_text_or_fallback_or_attachments duplicate_message_not_found""",
    },
    {
        "channel_not_found": "the channel does not exist, or the app was not invited to it",
        "not_in_channel": "invite the app to the channel, or give it the scope chat:write.public",
        "is_archived": _ARCHIVED,
        "channel_is_archived": _ARCHIVED,
        "missing_scope": "the app lacks a scope; it needs chat:write",
        "token_expired": "the token has expired; enter a new one",
        "token_revoked": "the token was revoked; enter a new one",
        "account_inactive": "the token belongs to a user or workspace that was deleted; enter a new one",
        "invalid_auth": "the token is wrong; enter it again",
        "no_service": _REMOVED,
        "no_service_id": _REMOVED,
        "no_active_hooks": _REMOVED,
        "invalid_token": _REMOVED,
        "no_team": "the workspace does not exist any more",
        "team_disabled": "the workspace was switched off",
        "team_not_found": "the workspace does not exist any more",
        "action_prohibited": _POLICY,
        "posting_to_general_channel_denied": _POLICY,
        "restricted_action": _RESTRICTED,
        "restricted_action_read_only_channel": _RESTRICTED,
        "restricted_action_thread_only_channel": _RESTRICTED,
        "messages_tab_disabled": "switch on the app's Messages tab (App Home), or choose a channel",
        "user_not_found": "the person whom the webhook writes to does not exist; make a new webhook",
        "user_disabled": "the person whom the webhook writes to was deactivated; make a new webhook",
        "message_limit_exceeded": "the workspace has used up its messages",
        "msg_too_long": "the message is too long",
    },
    {"message_limit_exceeded": HOUR},
)


@register
class SlackConnector(BaseConnector):
    """Posts events to one channel. A webhook URL wins over a token."""

    manifest = MANIFEST
    faults = tuple(FAULTS.values())

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
        if word and (is_success or word in FAULTS):
            wait = retry_after_of(response)
            return error_of(word, host=self.host, status=response.status, retry_after=wait, excerpt=excerpt)
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


def error_of(
    word: str, *, host: str, status: int, retry_after: float | None = None, excerpt: str = ""
) -> IntegrationError:
    """Return the error that Slack means by `word`."""
    fault = FAULTS.get(word) or Fault(word, "event")
    return fault.error(f"{host} answered {word}", status=status, retry_after=retry_after, excerpt=excerpt)
