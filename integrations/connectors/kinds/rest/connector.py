"""JSON over HTTP as a template describes it (docs/templates.md): the connector behind every YAML kind.

By itself it is no kind: it is not offered to tenants. `for_template` makes one of a template. Its actions are called
by name: ``adapter.call("query_database", filter={…})``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from integrations.auth.scheme import ApiKeyAuth, Auth, BasicAuth, BearerAuth
from integrations.connectors.functions import text_of
from integrations.connectors.manifest import Manifest
from integrations.connectors.page import own_page, pages
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import interprets_templates
from integrations.connectors.summary import object_of
from integrations.connectors.template.call import answer, reason_in, render_headers
from integrations.connectors.template.load import TemplateInterpreter
from integrations.connectors.template.schema import Action, Call, Pages
from integrations.connectors.template.values import Scope, Value, public_fields
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationIncomplete,
    IntegrationPermanentError,
    IntegrationTemporaryError,
    forgets_locals,
    printable,
)
from integrations.transport.classify import excerpt_of
from integrations.transport.redaction import redact
from integrations.transport.response import Response

MAX_ID = 200  # characters of what is kept of an answer


@interprets_templates
class RestConnector(TemplateInterpreter):
    """What a template says, done."""

    manifest: ClassVar[Manifest] = Manifest(key="rest", label="REST", family="template", version="1.0.0", does=())

    # -- the port -----------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> Receipt:
        deliver = self.template.deliver
        if deliver is None:
            raise IntegrationPermanentError(f"{self.manifest.label} takes no events; untick them", code="no_events")
        event = {"type": envelope.event_type, "id": envelope.idempotency_key, "sequence": envelope.sequence}
        payload = envelope.payload
        about = object_of(payload, envelope.event_type)
        scope = self._scope(event=event, payload=payload, summary=envelope.summary().as_json(), object=about)
        extra = {deliver.idempotency_header: envelope.idempotency_key} if deliver.idempotency_header else {}
        response = self._send(deliver, scope, extra)
        after = scope.plus(response=answer(response))
        return Receipt(
            response.status,
            excerpt_of(response, self.secrets) if response.body else "",
            external_id=_told(deliver.external_id, after),
            location=_told(deliver.location, after),
        )

    @property
    def can_check(self) -> bool:
        return bool(self.template.check)

    def check(self) -> str:
        if not self.template.check:
            raise NotImplementedError
        words = ""
        for check in self.template.check:
            response = self._send(check, self._scope())
            words = _told(check.message, self._scope(response=answer(response))) or words
        return printable(redact(words, self.secrets)) or f"{self.host} answers."

    @forgets_locals
    def call(self, action: str, /, **params: Any) -> Any:
        """Do what the template calls `action`, and return what it says it returns.

        Raises:
            ConfigurationError: there is no such action, or a parameter is missing, unknown or of the wrong type.
            IntegrationError: as for every request.
        """
        found = self.template.actions.get(action)
        if found is None:
            known = ", ".join(self.template.actions) or "none"
            raise ConfigurationError({"action": f"unknown; {self.manifest.label} has: {known}"})
        scope = self._scope(param=found.checked(action, params))
        if found.pages is not None:
            return [item for page in self._pages(found, found.pages, scope) for item in page]
        return self._returned(found, self._send(found, scope), scope)

    # -- how ----------------------------------------------------------------------------------------------

    def make_auth(self) -> Auth:
        auth = self.template.auth
        if auth is None:
            return super().make_auth()
        scope = self._secret(self._scope())
        header, value = auth.header[0] if auth.header else ("", auth.basic.password if auth.basic else auth.bearer)
        secret = text_of(value.render(scope))
        if not secret:
            return Auth()  # an optional key that was left empty
        if auth.basic is not None:
            return BasicAuth(text_of(auth.basic.username.render(scope)), secret)
        return ApiKeyAuth(secret, header) if header else BearerAuth(secret)

    def default_headers(self) -> Mapping[str, str]:
        return render_headers(self.template.headers, self._secret(self._scope()))

    def classify(self, response: Response) -> IntegrationError | None:
        if rules := [rule for rule in self.template.errors if rule.when.covers(response.status)]:
            scope = Scope({"response": answer(response)})
            for rule in rules:
                if rule.when.holds(scope):
                    excerpt = excerpt_of(response, self.secrets)
                    return rule.error(response, scope, self.host, excerpt, self.secrets)
        return super().classify(response)

    def _scope(self, **values: Any) -> Scope:
        return Scope({"config": self._config, **values})

    @cached_property
    def _config(self) -> dict[str, Any]:
        return {name: self.settings.get(name) for name in public_fields(self.manifest)}

    def _secret(self, scope: Scope) -> Scope:
        return scope.plus(secret={name: self.settings.get(name) for name in self.manifest.secret_names})

    def _send(self, call: Call, scope: Scope, extra: Mapping[str, str] | None = None, url: str = "") -> Response:
        """Send `call`; `url` stands in for its path and query, where a link was given to us."""
        request = call.request(scope, self._secret(scope))
        return self.http.send(
            call.method,
            url or self._url(request.path),
            headers={**request.headers, **(extra or {})},
            params=None if url else request.query,
            json=request.body,
            classify=partial(self._meaning, call),
        )

    def _meaning(self, call: Call, response: Response) -> IntegrationError | None:
        if success := [when for when in call.success if when.covers(response.status)]:
            scope = Scope({"response": answer(response)})
            if any(when.holds(scope) for when in success):
                return None
        return self.classify(response)

    def _url(self, path: str) -> str:
        """The path below the address; what the address itself has as a query stays."""
        parts = urlsplit(self.base_url)
        return parts._replace(path=parts.path.rstrip("/") + path if path else parts.path).geturl()

    def _returned(self, action: Action, response: Response, scope: Scope) -> Any:
        parsed = self.http.parsed(response)
        after = scope.plus(response={**answer(response), "json": parsed})
        returns = action.returns
        if returns is None:
            return parsed
        if returns.whole is None:
            return returns.value.render(after)
        if parsed is None:  # it broke off before it began: perhaps not the next time
            message = f"{self.host} answered {response.status}, and nothing"
            raise IntegrationTemporaryError(message, code="bad_json", status=response.status)
        is_whole = returns.whole.holds(after)
        try:
            value = returns.value.render(after)
        except IntegrationError:
            value = None
        if is_whole and value is not None:
            return value
        reason = reason_in(returns.reason, after, self.secrets)
        message = f"{self.host}: the answer is not whole" + (f" (it says: {reason})" if reason else "")
        excerpt = excerpt_of(response, self.secrets)
        raise IntegrationIncomplete(
            message, reason=reason, partial=value or None, status=response.status, excerpt=excerpt
        )

    def _pages(self, action: Action, wanted: Pages, scope: Scope) -> Iterator[list[Any]]:
        """Yield the list of each page; one page too many, or the same one again, is an error and not a cut list."""

        def fetch(at: Any) -> tuple[list[Any], Any]:
            url, cursor = (at, None) if wanted.link is not None else ("", at)
            here = scope.plus(page={"cursor": cursor})
            response = self._send(action, here, url=url or "")
            found = self._returned(action, response, here)
            after = here.plus(response=answer(response))
            following = wanted.following.render(after)
            if not following and wanted.more is not None and wanted.more.holds(after):
                words = f"{self.host} says that there is more, but not where"
                raise IntegrationIncomplete(words, reason="no next page", status=response.status)
            if following and wanted.link is not None:
                following = own_page(urljoin(url or self._url(""), text_of(following)), self.base_url)
            return found if isinstance(found, list) else [] if found is None else [found], following

        return pages(fetch, None, most=wanted.max, mark=text_of)


def _told(value: Value | None, scope: Scope) -> str:
    """What an answer told us; what it did not must not make a failure of a success."""
    try:
        return text_of(value.render(scope))[:MAX_ID] if value is not None else ""
    except IntegrationError:
        return ""
