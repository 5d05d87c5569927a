"""What Slack's short words mean: ``error`` of a Web API answer, or the whole text of a webhook's.

In: the word, the answer. Out: an error of integrations/errors.py. What is not listed is the event's fault: the same
message would be refused again.
Sources: https://docs.slack.dev/reference/methods/chat.postMessage (errors),
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (errors).
"""

from __future__ import annotations

from integrations.errors import IntegrationError
from integrations.faults import HOUR, Fault, table

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


def is_known(word: str) -> bool:
    return word in FAULTS


def error_of(
    word: str, *, host: str, status: int, retry_after: float | None = None, excerpt: str = ""
) -> IntegrationError:
    """Return the error that Slack means by `word`."""
    fault = FAULTS.get(word) or Fault(word, "event")
    return fault.error(f"{host} answered {word}", status=status, retry_after=retry_after, excerpt=excerpt)
