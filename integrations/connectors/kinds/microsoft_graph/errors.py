"""What Graph's errors mean: ``{"error": {"code": …, "message": …}}``.

In: an answer, and the error that the default table makes of its status. Out: an error that names the code and says
what to do. Graph's own message is only in the redacted excerpt: it repeats addresses.
Source: https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling.
"""

from __future__ import annotations

import re

from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.faults import DAY, table
from integrations.transport.classify import retry_after_of
from integrations.transport.response import Response

_SENDER = "the sender does not exist; check Sender"
_MAILBOX = "the sender has no mailbox in Exchange Online"
_OFF = "the sender's account is switched off"
_USED_UP = "the mailbox or the organisation has used up what it may send"
_USED_UP_CODES = "ErrorExceededMessageLimit ErrorSubmissionQuotaExceeded ErrorRecipientLimitExceeded"

# What is not listed is decided by its status: 401 and 403 are the credentials', other 4xx the event's.
FAULTS = table(
    {
        "auth": "ErrorAccessDenied Authorization_RequestDenied ErrorSendAsDenied InvalidAuthenticationToken",
        "setup": """
            MailboxNotEnabledForRESTAPI ErrorInvalidUser Request_ResourceNotFound ResourceNotFound
            ErrorInvalidRecipients ErrorNonExistentMailbox ErrorUserNotFound OrganizationFromTenantGuidNotFound
            ErrorAccountDisabled AccountDisabled ErrorMessageSubmissionBlocked ErrorQuotaExceeded""",
        "quota": _USED_UP_CODES,
        "rate_limited": "ApplicationThrottled TooManyRequests activityLimitReached ErrorServerBusy",
        "temporary": """
            MailboxStoreUnavailable ErrorMailboxStoreUnavailable ErrorMailboxMoveInProgress serviceNotAvailable
            ErrorTimeoutExpired""",
        "event": "ErrorMessageSizeExceeded ErrorInvalidProperty RequestBodyRead",
    },
    {
        "ErrorAccessDenied": "grant the app the application permission Mail.Send, with an administrator's consent, and "
        "let its access policy cover the sender",
        "Authorization_RequestDenied": "an administrator must consent to the app's permissions",
        "ErrorSendAsDenied": "the app may not send as this sender",
        "MailboxNotEnabledForRESTAPI": _MAILBOX,
        "ErrorNonExistentMailbox": _MAILBOX,
        "ErrorInvalidUser": _SENDER,
        "Request_ResourceNotFound": _SENDER,
        "ResourceNotFound": _SENDER,
        "ErrorUserNotFound": _SENDER,
        "OrganizationFromTenantGuidNotFound": "there is no such directory; check Directory (tenant) id",
        "ErrorInvalidRecipients": "a recipient's address is wrong; check Recipients",
        "ErrorMessageSubmissionBlocked": "Exchange stopped the sender; a notice in the mailbox says what to do",
        "ErrorQuotaExceeded": "the sender's mailbox is full; make room, or do not keep mails in Sent Items",
        "ErrorAccountDisabled": _OFF,
        "AccountDisabled": _OFF,
        **dict.fromkeys(_USED_UP_CODES.split(), _USED_UP),
    },
    dict.fromkeys(_USED_UP_CODES.split(), DAY),
)
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{1,79}", re.ASCII)


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what Graph means where the default table says `error`."""
    code = code_of(response)
    if not code:
        return error
    words = f"{host} answered {response.status} {code}"
    fault = FAULTS.get(code)
    if fault is not None:
        wait = retry_after_of(response)
        return fault.error(words, retry_after=wait, status=response.status, excerpt=error.excerpt)
    # Graph's own clients wait as Retry-After says on 504, too.
    wait = retry_after_of(response) if isinstance(error, IntegrationTemporaryError) else error.retry_after
    return type(error)(words, code=code, status=response.status, retry_after=wait, excerpt=error.excerpt)


def code_of(response: Response) -> str:
    """Return the code in the answer, "" if there is none."""
    error = response.json_object.get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    return code if _CODE.fullmatch(code) else ""
