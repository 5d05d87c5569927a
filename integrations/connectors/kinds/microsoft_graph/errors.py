"""What Graph's errors mean: ``{"error": {"code": …, "message": …}}``.

In: an answer, and the error that the default table makes of its status. Out: an error that names the code and says
what to do. Graph's own message is only in the redacted excerpt: it repeats addresses.
Source: https://learn.microsoft.com/graph/errors, https://learn.microsoft.com/graph/throttling.
"""

from __future__ import annotations

import json
import re

from integrations.errors import IntegrationError, IntegrationRateLimited, IntegrationTemporaryError
from integrations.transport.classify import retry_after_of
from integrations.transport.response import Response

_THROTTLED = frozenset(
    {"ApplicationThrottled", "TooManyRequests", "activityLimitReached", "ErrorExceededMessageLimit", "ErrorServerBusy"}
)
_TEMPORARY = frozenset(
    {"MailboxStoreUnavailable", "ErrorMailboxMoveInProgress", "serviceNotAvailable", "ErrorTimeoutExpired"}
)
_ADVICE = {
    "ErrorAccessDenied": "grant the app the application permission Mail.Send, with an administrator's consent, and let "
    "its access policy cover the sender",
    "Authorization_RequestDenied": "an administrator must consent to the app's permissions",
    "ErrorSendAsDenied": "the app may not send as this sender",
    "MailboxNotEnabledForRESTAPI": "the sender has no mailbox in Exchange Online",
    "ErrorInvalidUser": "the sender does not exist",
    "Request_ResourceNotFound": "the sender does not exist",
    "ErrorInvalidRecipients": "a recipient's address is wrong",
}
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{1,79}", re.ASCII)


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what Graph means where the default table says `error`."""
    code = code_of(response)
    if not code:
        return error
    kind: type[IntegrationError] = type(error)
    if code in _THROTTLED:
        kind = IntegrationRateLimited
    elif code in _TEMPORARY:
        kind = IntegrationTemporaryError
    advice = f": {_ADVICE[code]}" if code in _ADVICE else ""
    return kind(
        f"{host} answered {response.status} {code}{advice}",
        code=code,
        status=response.status,
        retry_after=retry_after_of(response) if kind in (IntegrationRateLimited, IntegrationTemporaryError) else None,
        excerpt=error.excerpt,
    )


def code_of(response: Response) -> str:
    """Return the code in the answer, "" if there is none."""
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        return ""
    error = answer.get("error") if isinstance(answer, dict) else None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    return code if _CODE.fullmatch(code) else ""
