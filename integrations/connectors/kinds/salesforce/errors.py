"""What Salesforce's error codes mean: ``[{"message": …, "errorCode": …, "fields": […]}]`` in an answer's body.

In: status, body, and the error that the default table makes of the status. Out: the error that Salesforce means; its
message names code and fields, never values (Salesforce's own messages repeat those; they are in the redacted excerpt).
Source: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm.
"""

from __future__ import annotations

import json
import re
from typing import Any

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)

_KINDS: dict[type[IntegrationError], str] = {
    IntegrationAuthError: """
        INVALID_SESSION_ID INVALID_AUTH_HEADER INVALID_LOGIN API_DISABLED_FOR_ORG API_CURRENTLY_DISABLED
        LOGIN_DURING_RESTRICTED_DOMAIN LOGIN_DURING_RESTRICTED_TIME ORG_LOCKED PASSWORD_LOCKOUT""",
    IntegrationRateLimited: "REQUEST_LIMIT_EXCEEDED",
    IntegrationTemporaryError: """
        UNABLE_TO_LOCK_ROW SERVER_UNAVAILABLE QUERY_TIMEOUT UNKNOWN_EXCEPTION REQUEST_RUNNING_TOO_LONG""",
}
_KIND_OF = {code: kind for kind, text in _KINDS.items() for code in text.split()}
_CODE = re.compile(r"[A-Z][A-Z0-9_]{2,79}", re.ASCII)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}", re.ASCII)
_HALTED = "PROCESSING_HALTED"  # of a subrequest: another one failed, and that one says why


def code_of(body: bytes | Any) -> tuple[str, list[str]]:
    """Return (the first error's code, its fields) of an answer's body; ("", []) if it holds no error."""
    if isinstance(body, bytes):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return "", []
    if isinstance(body, dict):  # a result that says success: false
        body = body.get("errors")
    errors = [error for error in body if isinstance(error, dict)] if isinstance(body, list) else []
    error = next((error for error in errors if error.get("errorCode") != _HALTED), errors[0] if errors else {})
    code = str(error.get("errorCode") or error.get("statusCode") or "")
    fields = error.get("fields")
    names = [str(name) for name in fields] if isinstance(fields, list) else []
    return code if _CODE.fullmatch(code) else "", [name for name in names[:10] if _FIELD.fullmatch(name)]


def error_of(code: str, fields: list[str], *, host: str, error: IntegrationError) -> IntegrationError:
    """Return what `code` means, where `error` is what the status alone says."""
    kind = _KIND_OF.get(code)
    if kind is None:  # a duplicate, a missing field, a value out of bounds: only a person can change that
        kind = type(error) if isinstance(error, IntegrationAuthError | IntegrationRateLimited) else None
    if kind is None:
        kind = IntegrationTemporaryError if (error.status or 0) >= 500 else IntegrationPermanentError
    about = f" ({', '.join(fields)})" if fields else ""
    return kind(
        f"{host} answered {code}{about}",
        code=code.lower(),
        status=error.status,
        retry_after=error.retry_after,
        excerpt=error.excerpt,
    )
