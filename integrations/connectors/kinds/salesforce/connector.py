"""Salesforce's REST API: query, create and upsert records; an event becomes an upsert.

    sf.query("SELECT Id, Name, Email FROM Contact LIMIT 10")
    sf.create("Lead", {"FirstName": "Alice", "LastName": "Smith", "Company": "Example Inc"})

An upsert finds its record by an external id, so an event that is sent twice makes no second record. The token is
renewed once after a 401, by the HTTPClient; nothing here calls itself. We do not use simple-salesforce: it opens its
own sessions, past our address guard, and brings an XML and a SOAP library for what is plain JSON.
Errors: what Salesforce's codes mean, `FAULTS`. A message names code and fields, never values: Salesforce's own messages
repeat those, and are only in the redacted excerpt.
Source: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from integrations.auth.assertion import key_problem
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Logo, Manifest, OAuth, RateLimit
from integrations.connectors.page import pages
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.connectors.texts import value_at, words
from integrations.credentials.secret_refs import is_reference
from integrations.errors import (
    QUOTA,
    ConfigurationError,
    IntegrationAuthError,
    IntegrationError,
    IntegrationIncomplete,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
)
from integrations.faults import table
from integrations.transport.classify import error_for
from integrations.transport.http_client import with_query
from integrations.transport.response import Headers, Response

from . import composite
from .composite import SubResult
from .soql import checked_name

MAX_IN_ADDRESS = 1500  # characters; a longer one travels in a body

_TOKEN_URL = "{base_url}/services/oauth2/token"  # noqa: S105 - an address
# Scopes are asked for only where a person agrees to them; the other two have those of the connected app.
GRANTS = {
    "client_credentials": OAuth(grant="client_credentials", token_url=_TOKEN_URL),
    "jwt_bearer": OAuth(grant="jwt_bearer", token_url=_TOKEN_URL, audience="{audience}", lifetime=180),
    "authorization_code": OAuth(
        grant="authorization_code",
        token_url=_TOKEN_URL,
        authorize_url="{base_url}/services/oauth2/authorize",
        scopes=("api", "refresh_token"),
    ),
}
NEEDED = {  # beside the consumer key
    "client_credentials": ("client_secret",),
    "jwt_bearer": ("subject", "private_key"),
    "authorization_code": (),
}

MANIFEST = Manifest(
    key="salesforce",
    label="Salesforce",
    family="crm",
    description="Upserts a record for every event, and queries and creates records.",
    needs=(
        "A connected app with its client ID, and a secret or private key",
        "An object with an external ID field",
    ),
    logo=Logo(path="M7 18h10a4 4 0 0 0 .5-8A5.5 5.5 0 0 0 7 9.5 4.25 4.25 0 0 0 7 18z", colour="#0b67b2"),
    docs_url="https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/",
    fields=(
        Field(
            name="base_url",
            label="My Domain address",
            kind="url",
            required=True,
            pattern=r"https?://[^/?#]+/?",
            hint="must be an address without a path, such as https://acme.my.salesforce.com",
            help="https://acme.my.salesforce.com, from Setup, “My Domain”.",
        ),
        Field(
            name="grant",
            label="Sign-in",
            kind="choice",
            choices=tuple(GRANTS),
            default="client_credentials",
            help="client_credentials: the app's own run-as user. jwt_bearer: a certificate, for one user. "
            "authorization_code: a person agrees once, and we keep the refresh token.",
        ),
        Field(name="client_id", label="Consumer key", required=True, help="Of the connected app."),
        Field(
            name="client_secret", label="Consumer secret", kind="secret", trim=True, help="Not needed with jwt_bearer."
        ),
        Field(name="subject", label="User name", help="jwt_bearer only: the user the app acts for."),
        Field(
            name="private_key",
            kind="secret",
            trim=True,
            multiline=True,
            help="jwt_bearer only: the PEM key whose certificate was uploaded to the connected app.",
        ),
        Field(
            name="refresh_token",
            kind="secret",
            trim=True,
            help="authorization_code only, and only if you have one already; else connect.",
            advanced=True,
        ),
        Field(
            name="audience",
            kind="choice",
            choices=("https://login.salesforce.com", "https://test.salesforce.com"),
            default="https://login.salesforce.com",
            help="jwt_bearer only: test.salesforce.com for a sandbox.",
            advanced=True,
        ),
        Field(name="sobject", label="Object", help="Into which events go: Case, or Order__c."),
        Field(
            name="external_id_field",
            help="A field of that object that is marked “External ID” and “Unique”: Outbox_Id__c. By it a record is "
            "found again, so that nothing is created twice.",
        ),
        Field(
            name="external_id_path",
            form="expression",
            help="Where its value is in the payload: order.id gives one record for each order. Empty: the event's own "
            "key, one record for each event.",
            advanced=True,
        ),
        Field(
            name="mapping",
            kind="lines",
            form="mapping",
            help="One field a line: Subject: order.number. After “=” stands a constant: Origin: =Web shop.",
        ),
        Field(
            name="api_version",
            label="API version",
            default="62.0",
            pattern=r"[1-9]\d{1,2}\.0",
            hint="such as 62.0",
            advanced=True,
        ),
    ),
    oauth=GRANTS["authorization_code"],  # the one that needs a person; `grant` decides
    allowed_hosts=("*.my.salesforce.com", "*.my.salesforce.mil"),
    rate_limit=RateLimit(per_minute=600, note="25 long requests at once; the daily limit depends on the edition"),
    does=("deliver", "check", "read"),
)

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


@register
class SalesforceConnector(BaseConnector):
    """Records of one Salesforce org."""

    manifest = MANIFEST
    faults = tuple(FAULTS.values())

    @property
    def oauth(self) -> OAuth:
        return GRANTS[self.settings["grant"]]

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        problems = super().validate_config(config)
        grant = str(config.get("grant") or "client_credentials")
        missing = [name for name in NEEDED.get(grant, ()) if not config.get(name)]
        key = str(config.get("private_key") or "")
        if grant == "jwt_bearer" and key and not is_reference(key) and (problem := key_problem(config)):
            problems.setdefault("private_key", problem)
        return {**dict.fromkeys(missing, f"missing; {grant} needs it"), **problems}

    @property
    def root(self) -> str:
        return f"/services/data/v{self.settings['api_version']}"

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        if error is None:
            return None
        if response.status == 300:
            message = f"{self.host}: several records have this external id; make the field unique"
            return IntegrationPermanentError(message, code="several", status=300, excerpt=error.excerpt)
        code, fields = code_of(response.json)
        return error_of(code, fields, host=self.host, error=error) if code else error

    # -- records ------------------------------------------------------------------------------------------

    def query(self, soql: str) -> list[dict[str, Any]]:
        """Return all records; put values in with `format_soql`.

        Raises:
            IntegrationPermanentError: the query is wrong, or its pages never end.
        """
        return [record for page in self._pages(soql) for record in page]

    def create(self, sobject: str, values: Mapping[str, Any]) -> str:
        """Create a record and return its id. It is never sent twice when the first may have arrived."""
        response = self.http.send("POST", f"{self.root}/sobjects/{_name(sobject)}", json=_checked(values))
        return self._id(response)

    def upsert(self, sobject: str, external_id_field: str, external_id: object, values: Mapping[str, Any]) -> str:
        """Create or update the record with this external id; return its id, "" if Salesforce does not say."""
        return self._id(self._upsert(sobject, external_id_field, external_id, values))

    def composite(self, requests: Sequence[Mapping[str, Any]], *, all_or_none: bool = False) -> list[SubResult]:
        """Send up to 25 requests in one; each result has its own error (composite.py)."""
        body = composite.body_of(requests, self.root, all_or_none=all_or_none)
        answer = self.shaped(self.http.post(f"{self.root}/composite", json=body), dict)
        results = [self._sub_result(item) for item in answer.get("compositeResponse") or ()]
        if len(results) != len(requests):
            message = f"{self.host} answered {len(results)} of {len(requests)} requests"
            raise IntegrationIncomplete(message, reason="compositeResponse", partial=results)
        return results

    # -- events -------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> Receipt:
        settings, payload = self.settings, envelope.payload
        self.validate_required_fields(settings, ("sobject", "external_id_field", "mapping"))
        path = settings.get("external_id_path")
        external_id = words(value_at(payload, path)) if path else envelope.idempotency_key
        if not external_id:
            raise IntegrationPermanentError("the payload has nothing at the external id's path", code="no_external_id")
        values = dict(_mapped(line, payload) for line in settings["mapping"])
        response = self._upsert(settings["sobject"], settings["external_id_field"], external_id, values)
        return self.receipt(response, self._id(response))

    def check(self) -> str:
        daily = self.shaped(self.http.get(f"{self.root}/limits"), dict).get("DailyApiRequests") or {}
        return f"Connected; {daily.get('Remaining', '?')} of {daily.get('Max', '?')} requests of the day are left."

    # -- how ----------------------------------------------------------------------------------------------

    def _pages(self, soql: str) -> Iterator[list[dict[str, Any]]]:
        def fetch(path: str) -> tuple[list[dict[str, Any]], str]:
            answer = self.shaped(self._get_long(path) if len(path) > MAX_IN_ADDRESS else self.http.get(path), dict)
            following = str(answer.get("nextRecordsUrl") or "") if not answer.get("done") else ""
            if answer.get("done") is False and not following:
                message = f"{self.host} says that there are more records, but not where"
                raise IntegrationIncomplete(message, reason="done: false, and no next page")
            if following and not following.startswith("/services/data/"):
                raise IntegrationPermanentError("the answer's next page is somewhere else", code="foreign_page")
            return answer.get("records", []), following

        return pages(fetch, with_query(f"{self.root}/query", {"q": soql}))

    def _get_long(self, path: str) -> Any:
        """Return the answer to a GET whose address no server would take, sent in the body of another request."""
        for result in self.composite([{"method": "GET", "url": path}]):
            if result.error is not None:
                raise result.error
            return result.body
        return None

    def _upsert(self, sobject: str, external_id_field: str, external_id: object, values: Mapping[str, Any]) -> Response:
        key = quote(str(external_id), safe="")
        if key in (".", ".."):  # the only values that no encoding keeps from being a step in the path
            raise IntegrationPermanentError("this external id cannot stand in an address", code="external_id")
        field = _name(external_id_field)
        rest = {name: value for name, value in _checked(values).items() if name.lower() != field.lower()}
        return self.http.send("PATCH", f"{self.root}/sobjects/{_name(sobject)}/{field}/{key}", json=rest)

    def _id(self, response: Response) -> str:
        """Return the id in ``{"id": …, "success": true}``; older versions answer an update with nothing."""
        answer = self.http.parsed(response)
        if answer is None:
            return ""
        if not self.shaped(answer, dict).get("success", True):
            code, fields = code_of(answer)
            refused = IntegrationPermanentError("refused", status=response.status)
            raise error_of(code or "NO_SUCCESS", fields, host=self.host, error=refused)
        return str(answer.get("id", ""))

    def _sub_result(self, item: Mapping[str, Any]) -> SubResult:
        status, body = int(item.get("httpStatusCode", 0)), item.get("body")
        error = None
        if not 200 <= status < 300:
            code, fields = code_of(body)
            plain = error_for(Response(status, Headers(), b""), host=self.host)
            error = error_of(code, fields, host=self.host, error=plain) if code and plain else plain
        return SubResult(str(item.get("referenceId", "")), status, body, error)


def _mapped(line: str, payload: Mapping[str, Any]) -> tuple[str, Any]:
    field, _, source = (part.strip() for part in line.partition(":"))
    if source.startswith("="):
        return field, source[1:]
    value = value_at(payload, source)
    return field, words(value) if isinstance(value, Mapping | list) else value


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_name(name): _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else value


def _name(name: str) -> str:
    """Return the name of an object or a field, which may stand in a path."""
    try:
        return checked_name(name)
    except ValueError as error:
        problem = str(error)
    raise ConfigurationError({"name": problem})


def code_of(body: Any) -> tuple[str, list[str]]:
    """Return (the first error's code, its fields) of an answer's parsed body; ("", []) if it holds no error."""
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
