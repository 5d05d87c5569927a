"""GitHub issues: read, list and create them; an event becomes an issue.

    github.get_issue("octocat", "hello-world", 7)["title"]
    github.create_issue("octocat", "hello-world", "Found a bug", "It is big.", labels=["bug"])

GitHub takes no idempotency key. Before an event's issue is created, the issues since that event are read, and one that
carries the event's marker is taken for it: a retry, a crash or a replay makes no second one. Not promised: that this
finds it among more than 500 issues newer than the event, or after somebody edited the marker away.
Nothing in a payload can mention people (``@octocat``), refer to other issues (``#1``), become a link or use HTML.
Errors: a 403 is often a rate limit, a 404 often a missing permission. A 410 that says “issues are disabled” stops the
integration at once, so that its events wait for a person; any other is about one deleted issue: permanent.
Source: https://docs.github.com/en/rest/issues/issues, and its pages on troubleshooting and rate limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from integrations.auth.scheme import Auth, BearerAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import LINES, Field, Inbound, Logo, Manifest, RateLimit, api_address
from integrations.connectors.markup import cut, inert, markdown
from integrations.connectors.page import next_link, pages
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.database import clock
from integrations.errors import (
    SETUP,
    ConfigurationError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationRateLimited,
)
from integrations.faults import Fault
from integrations.transport.classify import parse_http_date, retry_after_of
from integrations.transport.http_client import with_query
from integrations.transport.response import Response

PER_PAGE = 100  # GitHub's maximum
LOOK_BACK_PAGES = 5
CLOCK_SKEW = timedelta(minutes=10)  # between GitHub's clock and ours
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}", re.ASCII)


MAX_TITLE, MAX_BODY = 256, 65536

MANIFEST = Manifest(
    key="github",
    label="GitHub",
    family="code",
    description="Creates an issue for every event, and reads and lists issues.",
    needs=(
        "A token that may read and write issues",
        "The repository",
    ),
    logo=Logo(
        path="M5 5a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM5 19a2 2 0 1 0 4 0 2 2 0 0 0-4 0z"
        "M15 7a2 2 0 1 0 4 0 2 2 0 0 0-4 0zM7 7v10m10-8c0 5-10 3-10 8",
        colour="#57606a",
    ),
    docs_url="https://docs.github.com/en/rest/issues/issues",
    fields=(
        Field(
            name="token",
            kind="secret",
            trim=True,
            required=True,
            help="A fine-grained personal access token, or an installation token, for one repository with the "
            "permission “Issues: read and write”, and nothing else.",
        ),
        Field(
            name="repository",
            required=True,
            pattern=r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}",
            hint="must be owner/name, such as octocat/hello-world",
            help="Where issues are created: owner/name.",
        ),
        Field(name="labels", kind="lines", help="Of every new issue, one per line."),
        Field(
            name="title",
            form="text",
            help="Of a new issue: {order.number}: {order.description}. Empty: what happened to what.",
            advanced=True,
        ),
        LINES,
        api_address(
            "https://api.github.com",
            "GitHub Enterprise: https://api.SUBDOMAIN.ghe.com, or https://HOST/api/v3 once the operator has "
            "allow-listed HOST:443.",
        ),
        Field(name="api_version", label="API version", default="2022-11-28", pattern=r"\d{4}-\d\d-\d\d", advanced=True),
        Field(
            name="webhook_secret",
            kind="secret",
            multiline=True,
            help="The secret of a webhook of the repository: Settings, Webhooks. One per line while it is changed. "
            "Empty: no webhook is accepted.",
            advanced=True,
        ),
    ),
    inbound=Inbound(scheme="github", id_header="X-GitHub-Delivery", event_header="X-GitHub-Event", sends_forms=True),
    allowed_hosts=("api.github.com", "*.ghe.com"),
    rate_limit=RateLimit(per_minute=80, note="requests that create content; 500 an hour"),
    does=("deliver", "check", "read"),
)

AT_LEAST = 60.0  # seconds, where GitHub does not say how long
_ADVICE = {
    301: "the repository was renamed or moved; enter its new name",
    404: "it does not exist, or the token may not see it: a private repository needs a token with access to its issues",
    410: "it was deleted",
    451: "GitHub has closed the repository; ask GitHub",
}
FAULTS = (
    Fault("401", "auth", "the token is wrong or has expired; enter a new one"),
    Fault("403", "auth", "the token lacks a permission, or the organisation does not let it in"),
    *(Fault(str(status), "setup", _ADVICE[status]) for status in (301, 404, 451)),
    Fault(
        "410 issues are disabled",
        "gone",
        "issues are switched off in the repository; switch them on, or choose another",
    ),
    Fault("403 or 429 with a rate limit", "rate_limited"),
    Fault("422 was submitted too quickly", "rate_limited"),
    Fault("422", "event", "the answer names the fields that GitHub does not take"),
    Fault("410 of one issue", "event", _ADVICE[410]),
)
_SETUP = frozenset(int(fault.code) for fault in FAULTS if fault.kind == "setup")
_PERMISSIONS = re.compile(r"[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+){0,9}")
_FIELD = re.compile(r"[A-Za-z_]{1,50}")


@register
class GitHubConnector(BaseConnector):
    """Issues of GitHub.com and GitHub Enterprise."""

    manifest = MANIFEST
    faults = FAULTS

    def make_auth(self) -> Auth:
        self.validate_required_fields(self.settings, ("token",))
        return BearerAuth(self.settings["token"])

    def default_headers(self) -> Mapping[str, str]:
        return {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": self.settings["api_version"]}

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        return error and refined(error, response, self.host)

    # -- issues -------------------------------------------------------------------------------------------

    def get_issue(self, owner: str, repo: str, number: int) -> dict[str, Any]:
        """Return the issue; a pull request is one too, with the key ``pull_request``."""
        return self.shaped(self.http.get(f"{_issues_of(owner, repo)}/{int(number)}"), dict)

    def create_issue(
        self, owner: str, repo: str, title: str, body: str = "", labels: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Create an issue and return it. It is never sent twice when the first may have arrived."""
        return self.shaped(self.http.parsed(self._create(_issues_of(owner, repo), title, body, labels)), dict)

    def list_issues(self, owner: str, repo: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the issues that GitHub's own `filters` leave (``state="all"``, ``labels=["bug"]``, ``since=…``)."""
        return [found for page in self._pages(owner, repo, filters) for found in page]

    # -- events -------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> Receipt:
        self.validate_required_fields(self.settings, ("repository",))
        owner, _, repo = str(self.settings["repository"]).partition("/")
        marker = marker_of(envelope.idempotency_key)
        found = self._find(owner, repo, marker, envelope.payload.get("timestamp"))
        if found is not None:
            return Receipt(200, external_id=str(found.get("number", "")), location=str(found.get("html_url", "")))
        body = body_of(envelope, marker, self.settings.get("fields") or ())
        title = title_of(envelope, self.settings.get("title") or "")
        response = self._create(_issues_of(owner, repo), title, body, self.settings.get("labels") or ())
        made = self.shaped(self.http.parsed(response), dict)
        return Receipt(response.status, external_id=str(made.get("number", "")), location=str(made.get("html_url", "")))

    def check(self) -> str:
        self.validate_required_fields(self.settings, ("repository",))
        owner, _, repo = str(self.settings["repository"]).partition("/")
        found = self.shaped(self.http.get(_repository(owner, repo)), dict)
        if not found.get("has_issues", True):
            raise IntegrationPermanentError("issues are switched off in the repository", code="issues_disabled")
        return f"The token may read {found.get('full_name', 'the repository')}."

    # -- how ----------------------------------------------------------------------------------------------

    def _create(self, path: str, title: str, body: str, labels: Iterable[str]) -> Response:
        return self.http.send("POST", path, json={"title": title, "body": body, "labels": list(labels)})

    def _pages(self, owner: str, repo: str, filters: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        def fetch(url: str) -> tuple[list[dict[str, Any]], str]:
            response = self.http.send("GET", url)
            return self.shaped(self.http.parsed(response), list), next_link(response, self.base_url)

        wanted = {name: _filter_value(value) for name, value in filters.items()}
        return pages(fetch, with_query(_issues_of(owner, repo), {"per_page": PER_PAGE, **wanted}))

    def _find(self, owner: str, repo: str, marker: str, timestamp: Any) -> dict[str, Any] | None:
        """Return the issue with `marker` among those since `timestamp`; without one, among the newest."""
        since = _before(timestamp)
        filters = {"state": "all", "sort": "created", "direction": "desc", "since": since}
        newest = islice(self._pages(owner, repo, filters), LOOK_BACK_PAGES if since else 1)
        return next((found for page in newest for found in page if marker in str(found.get("body"))), None)


def _repository(owner: str, repo: str) -> str:
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(repo)):
        raise ConfigurationError({"repository": "must be owner/name, such as octocat/hello-world"})
    return f"repos/{owner}/{repo}"


def _issues_of(owner: str, repo: str) -> str:
    return f"{_repository(owner, repo)}/issues"


def _filter_value(value: Any) -> Any:
    """Return a filter as GitHub reads it: a list separated by commas, a time in UTC."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return ",".join(str(item) for item in value) or None


def _before(timestamp: Any) -> str | None:
    """Return an ISO time a little before `timestamp`, None if it is none: an issue is never older than its event."""
    try:
        moment = datetime.fromisoformat(str(timestamp))
        return f"{(moment.astimezone(UTC) - CLOCK_SKEW):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        return None


def title_of(envelope: Envelope, text: str = "") -> str:
    """Return the title; `text` is such as ``{order.number}: {order.description}``."""
    text = inert(envelope.title(text))  # a title is no Markdown
    return text if len(text) <= MAX_TITLE else f"{text[: MAX_TITLE - 1]}…"


def body_of(envelope: Envelope, marker: str, fields: Sequence[str] = ()) -> str:
    """Return the body: description, lines, changes, link, and `marker`, which is never cut off."""
    summary = envelope.summary(fields)
    parts = [markdown(summary.description)] if summary.description else []
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(value)}" for label, value in summary.lines))
    changes = summary.changes
    parts.append("\n".join(f"- **{markdown(label)}:** {_line(old)} → {_line(new)}" for label, old, new in changes))
    parts.append(f"<{summary.link}>" if summary.link else "")
    text = "\n\n".join(filter(None, parts))
    return f"{cut(text, MAX_BODY - len(marker) - 2)}\n\n{marker}"


def marker_of(idempotency_key: str) -> str:
    """Return the comment that ties an issue to the event it was made of."""
    return f"<!-- event {re.sub('[^A-Za-z0-9_.-]', '', idempotency_key)} -->"


def _line(text: str) -> str:
    return markdown(" ".join(text.split())) or "–"


def refined(error: IntegrationError, response: Response, host: str) -> IntegrationError:
    """Return what GitHub means where the default table says `error`."""
    answer = response.json_object
    said = str(answer.get("message", "")).lower()
    status = response.status
    wait = _wait(response, said) if status in (403, 422, 429) else None
    if wait is not None:
        return IntegrationRateLimited(
            f"{host} answered {status}: the rate limit is reached",
            status=status,
            retry_after=wait,
            excerpt=error.excerpt,
        )
    if status == 410 and "disabled" in said:
        return _like(error, type(error), "issues are switched off in the repository; switch them on, or choose another")
    advice = _ADVICE.get(status, "")
    if status == 422:
        advice = _wrong_fields(answer.get("errors"))
    if status == 403 and _PERMISSIONS.fullmatch(needed := response.headers.get("x-accepted-github-permissions", "")):
        advice = f"the token lacks a permission; this needs {needed}"
    if not advice:
        return error
    return _like(error, IntegrationPermanentError if status == 410 else type(error), advice)


def _like(error: IntegrationError, kind: type[IntegrationError], advice: str) -> IntegrationError:
    words = f"{error.message.partition(':')[0]}: {advice}"
    fault = SETUP if error.status in _SETUP else None
    return kind(words, code=error.code, status=error.status, excerpt=error.excerpt, fault=fault)


def _wait(response: Response, said: str) -> float | None:
    """Return the seconds to wait, None if this is no rate limit."""
    if response.status == 422:
        is_too_quick = b"submitted too quickly" in response.body.lower()
        return max(retry_after_of(response) or 0.0, AT_LEAST) if is_too_quick else None
    headers = response.headers
    asked = retry_after_of(response)
    if asked is not None:
        return asked
    if headers.get("x-ratelimit-remaining") == "0":
        return _until(headers.get("x-ratelimit-reset", ""), headers.get("date", ""))
    is_limit = response.status == 429 or "rate limit" in said or "abuse detection" in said
    return AT_LEAST if is_limit else None


def _until(reset: str, date: str) -> float:
    """Return the seconds until `reset`, an epoch of GitHub's clock, which may differ from ours."""
    if not re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII):
        return AT_LEAST
    return max(int(reset) - (parse_http_date(date) or clock.now()).timestamp(), 1.0)


def _wrong_fields(errors: Any) -> str:
    """Return ``title: missing_field``: names and codes, never values."""
    found = []
    for error in errors if isinstance(errors, list) else ():
        names = [str(error.get(key, "")) for key in ("field", "code")] if isinstance(error, dict) else []
        if names and all(map(_FIELD.fullmatch, names)):
            found.append(": ".join(names))
    return ", ".join(found[:10])
