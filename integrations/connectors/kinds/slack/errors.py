"""What Slack's short words mean: ``error`` of a Web API answer, or the whole text of a webhook's.

In: the word, the answer. Out: an error of integrations/errors.py. What is not listed is permanent: the same message
would be refused again.
Sources: https://docs.slack.dev/reference/methods/chat.postMessage (errors),
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (errors).
"""

from __future__ import annotations

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationGone,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

_KINDS: dict[type[IntegrationError], str] = {
    # A person must renew the credentials or a permission; a webhook's URL is its credential.
    IntegrationAuthError: """
        invalid_auth not_authed token_revoked token_expired account_inactive missing_scope no_permission
        not_allowed_token_type access_denied accesslimited ekm_access_denied enterprise_is_restricted
        team_access_not_granted restricted_action restricted_action_read_only_channel
        restricted_action_thread_only_channel invalid_token no_service no_service_id no_team team_disabled
        action_prohibited posting_to_general_channel_denied""",
    IntegrationRateLimited: "ratelimited rate_limited message_limit_exceeded",
    IntegrationTemporaryError: """
        internal_error fatal_error service_unavailable request_timeout rollup_error team_added_to_org
        org_login_required""",
    # Nothing gets in any more: stop at once instead of failing event after event.
    IntegrationGone: "is_archived channel_is_archived",
}
_KIND_OF = {word: kind for kind, text in _KINDS.items() for word in text.split()}
_ADVICE = {
    "channel_not_found": "the channel does not exist, or the app was not invited to it",
    "not_in_channel": "invite the app to the channel, or give it the scope chat:write.public",
    "is_archived": "the channel is archived",
    "channel_is_archived": "the channel is archived",
    "missing_scope": "the app lacks a scope; it needs chat:write",
    "token_expired": "the token has expired; enter a new one",
    "token_revoked": "the token was revoked; enter a new one",
    "no_service": "the webhook was removed or switched off; enter a new address",
    "action_prohibited": "the workspace's administrators do not let this webhook post there",
}


def is_known(word: str) -> bool:
    return word in _KIND_OF or word in _ADVICE


def error_of(
    word: str, *, host: str, status: int, retry_after: float | None = None, excerpt: str = ""
) -> IntegrationError:
    """Return the error that Slack means by `word`."""
    kind = _KIND_OF.get(word, IntegrationPermanentError)
    advice = f": {_ADVICE[word]}" if word in _ADVICE else ""
    return kind(f"{host} answered {word}{advice}", code=word, status=status, retry_after=retry_after, excerpt=excerpt)
