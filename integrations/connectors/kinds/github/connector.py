"""GitHub issues: read, list and create them; an event becomes an issue.

    github.get_issue("octocat", "hello-world", 7)["title"]
    github.create_issue("octocat", "hello-world", "Found a bug", "It is big.", labels=["bug"])

GitHub takes no idempotency key. Before an event's issue is created, the issues since that event are read, and one that
carries the event's marker is taken for it: a retry, a crash or a replay makes no second one. Not promised: that this
finds it among more than 500 issues newer than the event, or after somebody edited the marker away.
Errors: errors.py beside this. Source: https://docs.github.com/en/rest/issues/issues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from integrations.auth.scheme import Auth, BearerAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.paging import next_link, pages
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.transport.http_client import with_query
from integrations.transport.response import Response

from . import errors, issue
from .manifest import MANIFEST

T = TypeVar("T")

PER_PAGE = 100  # GitHub's maximum
LOOK_BACK_PAGES = 5
CLOCK_SKEW = timedelta(minutes=10)  # between GitHub's clock and ours
_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}", re.ASCII)


@register
class GitHubConnector(BaseConnector):
    """Issues of GitHub.com and GitHub Enterprise."""

    manifest = MANIFEST
    faults = errors.FAULTS

    def make_auth(self) -> Auth:
        self.validate_required_fields(self.settings, ("token",))
        return BearerAuth(self.settings["token"])

    def default_headers(self) -> Mapping[str, str]:
        return {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": self.settings["api_version"]}

    def classify(self, response: Response) -> IntegrationError | None:
        error = super().classify(response)
        return error and errors.refined(error, response, self.host)

    # -- issues -------------------------------------------------------------------------------------------

    def get_issue(self, owner: str, repo: str, number: int) -> dict[str, Any]:
        """Return the issue; a pull request is one too, with the key ``pull_request``."""
        return self._parsed(self.http.send("GET", f"{_issues_of(owner, repo)}/{int(number)}"), dict)

    def create_issue(
        self, owner: str, repo: str, title: str, body: str = "", labels: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Create an issue and return it. It is never sent twice when the first may have arrived."""
        return self._parsed(self._create(_issues_of(owner, repo), title, body, labels), dict)

    def list_issues(self, owner: str, repo: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the issues that GitHub's own `filters` leave (``state="all"``, ``labels=["bug"]``, ``since=…``)."""
        return [found for page in self._pages(owner, repo, filters) for found in page]

    # -- events -------------------------------------------------------------------------------------------

    def deliver(self, envelope: Envelope) -> Receipt:
        self.validate_required_fields(self.settings, ("repository",))
        owner, _, repo = str(self.settings["repository"]).partition("/")
        marker = issue.marker_of(envelope.idempotency_key)
        found = self._find(owner, repo, marker, envelope.payload.get("timestamp"))
        if found is not None:
            return Receipt(200, external_id=str(found.get("number", "")), location=str(found.get("html_url", "")))
        body = issue.body(envelope, marker, self.settings.get("fields") or ())
        title = issue.title(envelope, self.settings.get("title") or "")
        response = self._create(_issues_of(owner, repo), title, body, self.settings.get("labels") or ())
        made = self._parsed(response, dict)
        return Receipt(response.status, external_id=str(made.get("number", "")), location=str(made.get("html_url", "")))

    def check(self) -> str:
        self.validate_required_fields(self.settings, ("repository",))
        owner, _, repo = str(self.settings["repository"]).partition("/")
        found = self._parsed(self.http.send("GET", _repository(owner, repo)), dict)
        if not found.get("has_issues", True):
            raise IntegrationPermanentError("issues are switched off in the repository", code="issues_disabled")
        return f"The token may read {found.get('full_name', 'the repository')}."

    # -- how ----------------------------------------------------------------------------------------------

    def _create(self, path: str, title: str, body: str, labels: Iterable[str]) -> Response:
        return self.http.send("POST", path, json={"title": title, "body": body, "labels": list(labels)})

    def _pages(self, owner: str, repo: str, filters: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
        def fetch(url: str) -> tuple[list[dict[str, Any]], str]:
            response = self.http.send("GET", url)
            return self._parsed(response, list), next_link(response, self.base_url)

        wanted = {name: _filter_value(value) for name, value in filters.items()}
        return pages(fetch, with_query(_issues_of(owner, repo), {"per_page": PER_PAGE, **wanted}))

    def _find(self, owner: str, repo: str, marker: str, timestamp: Any) -> dict[str, Any] | None:
        """Return the issue with `marker` among those since `timestamp`; without one, among the newest."""
        since = _before(timestamp)
        filters = {"state": "all", "sort": "created", "direction": "desc", "since": since}
        newest = islice(self._pages(owner, repo, filters), LOOK_BACK_PAGES if since else 1)
        return next((found for page in newest for found in page if marker in str(found.get("body"))), None)

    def _parsed(self, response: Response, shape: type[T]) -> T:
        found = self.http.parsed(response)
        if isinstance(found, shape):
            return found
        raise IntegrationTemporaryError(f"{self.host} answered, but not as GitHub does", code="bad_answer")


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
