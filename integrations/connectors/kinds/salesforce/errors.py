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
    QUOTA,
    IntegrationAuthError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.faults import table

_MAPPING = "the org has no such field, or it cannot be written; compare Mapping with the object's fields"
_OBJECT = "there is no such object or external id field; check Object and External id field"
_ACCESS = "the user may not write this; give its profile or permission set access to the object and its fields"
_AUTOMATION = "a flow or trigger of the org fails for such records; an administrator must mend it"

# What is not listed is the event's: a duplicate, a missing field, a value out of bounds.
FAULTS = table(
    {
        "auth": """
            INVALID_SESSION_ID INVALID_AUTH_HEADER INVALID_LOGIN API_DISABLED_FOR_ORG API_CURRENTLY_DISABLED
            LOGIN_DURING_RESTRICTED_DOMAIN LOGIN_DURING_RESTRICTED_TIME ORG_LOCKED PASSWORD_LOCKOUT
            INSUFFICIENT_ACCESS""",
        "setup": """
            INVALID_FIELD INVALID_FIELD_FOR_INSERT_UPDATE INVALID_TYPE NOT_FOUND INSUFFICIENT_ACCESS_OR_READONLY
            FUNCTIONALITY_NOT_ENABLED UNSUPPORTED_API_VERSION STORAGE_LIMIT_EXCEEDED CANNOT_EXECUTE_FLOW_TRIGGER
            CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY INVALID_OPERATION_WITH_EXPIRED_PASSWORD INACTIVE_OWNER_OR_USER""",
        "quota": "REQUEST_LIMIT_EXCEEDED",
        "temporary": """
            UNABLE_TO_LOCK_ROW SERVER_UNAVAILABLE QUERY_TIMEOUT UNKNOWN_EXCEPTION REQUEST_RUNNING_TOO_LONG""",
        "event": """
            REQUIRED_FIELD_MISSING STRING_TOO_LONG DUPLICATE_VALUE DUPLICATES_DETECTED FIELD_CUSTOM_VALIDATION_EXCEPTION
            FIELD_INTEGRITY_EXCEPTION INVALID_EMAIL_ADDRESS INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST
            NUMBER_OUTSIDE_VALID_RANGE MALFORMED_ID INVALID_CROSS_REFERENCE_KEY ENTITY_IS_DELETED JSON_PARSER_ERROR
            MALFORMED_QUERY""",
    },
    {
        "INVALID_FIELD": _MAPPING,
        "INVALID_FIELD_FOR_INSERT_UPDATE": _MAPPING,
        "INVALID_TYPE": _OBJECT,
        "NOT_FOUND": _OBJECT,
        "INSUFFICIENT_ACCESS": _ACCESS,
        "INSUFFICIENT_ACCESS_OR_READONLY": _ACCESS,
        "STORAGE_LIMIT_EXCEEDED": "the org's storage is full; an administrator must make room",
        "CANNOT_EXECUTE_FLOW_TRIGGER": _AUTOMATION,
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": _AUTOMATION,
        "API_DISABLED_FOR_ORG": "the org's edition or the user has no API access",
        "REQUEST_LIMIT_EXCEEDED": "the org has used up its API requests of 24 hours",
        "UNSUPPORTED_API_VERSION": "the org does not know this API version any more; raise API version",
        "INACTIVE_OWNER_OR_USER": "the user, or the owner of such records, was deactivated",
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD": "the user's password has expired; set a new one",
    },
)
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
    about = f" ({', '.join(fields)})" if fields else ""
    words = f"{host} answered {code}{about}"
    more: dict[str, Any] = {
        "code": code.lower(),
        "status": error.status,
        "retry_after": error.retry_after,
        "excerpt": error.excerpt,
    }
    fault = FAULTS.get(code)
    if fault is not None and fault.kind == "quota":
        return IntegrationRateLimited(f"{words}: {fault.advice}", fault=QUOTA, **more)
    if fault is not None:
        return fault.error(words, **more)
    if isinstance(error, IntegrationAuthError | IntegrationRateLimited):
        return type(error)(words, **more)
    return (IntegrationTemporaryError if (error.status or 0) >= 500 else IntegrationPermanentError)(words, **more)
