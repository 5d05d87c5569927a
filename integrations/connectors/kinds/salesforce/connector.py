"""Salesforce's REST API: query, create and upsert records; an event becomes an upsert.

    sf.query("SELECT Id, Name, Email FROM Contact LIMIT 10")
    sf.create("Lead", {"FirstName": "Alice", "LastName": "Smith", "Company": "Example Inc"})

An upsert finds its record by an external id, so an event that is sent twice makes no second record. The token is
renewed once after a 401, by the HTTPClient; nothing here calls itself. We do not use simple-salesforce: it opens its
own sessions, past our address guard, and brings an XML and a SOAP library for what is plain JSON.
Errors: errors.py beside this. Source: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from integrations.auth.assertion import key_problem
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import OAuth
from integrations.connectors.paging import pages
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.connectors.texts import value_at, words
from integrations.credentials.secret_refs import is_reference
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationIncomplete,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.transport.classify import error_for
from integrations.transport.http_client import with_query
from integrations.transport.response import Headers, Response

from . import composite, errors
from .composite import SubResult
from .manifest import GRANTS, MANIFEST, NEEDED
from .soql import checked_name

MAX_IN_ADDRESS = 1500  # characters; a longer one travels in a body


@register
class SalesforceConnector(BaseConnector):
    """Records of one Salesforce org."""

    manifest = MANIFEST
    faults = tuple(errors.FAULTS.values())

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
        code, fields = errors.code_of(response.body)
        return errors.error_of(code, fields, host=self.host, error=error) if code else error

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
        answer = self._object(self.http.post(f"{self.root}/composite", json=body))
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
        daily = self._object(self.http.get(f"{self.root}/limits")).get("DailyApiRequests") or {}
        return f"Connected; {daily.get('Remaining', '?')} of {daily.get('Max', '?')} requests of the day are left."

    # -- how ----------------------------------------------------------------------------------------------

    def _pages(self, soql: str) -> Iterator[list[dict[str, Any]]]:
        def fetch(path: str) -> tuple[list[dict[str, Any]], str]:
            answer = self._object(self._get_long(path) if len(path) > MAX_IN_ADDRESS else self.http.get(path))
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

    def _object(self, answer: Any) -> dict[str, Any]:
        if isinstance(answer, dict):
            return answer
        raise IntegrationTemporaryError(f"{self.host} answered, but not as Salesforce does", code="bad_answer")

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
        if not self._object(answer).get("success", True):
            code, fields = errors.code_of(answer)
            refused = IntegrationPermanentError("refused", status=response.status)
            raise errors.error_of(code or "NO_SUCCESS", fields, host=self.host, error=refused)
        return str(answer.get("id", ""))

    def _sub_result(self, item: Mapping[str, Any]) -> SubResult:
        status, body = int(item.get("httpStatusCode", 0)), item.get("body")
        error = None
        if not 200 <= status < 300:
            code, fields = errors.code_of(body)
            plain = error_for(Response(status, Headers(), b""), host=self.host)
            error = errors.error_of(code, fields, host=self.host, error=plain) if code and plain else plain
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
