"""GitHub for the whole installation (docs/github.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from integrations.configuration.models import GitHubConfiguration
from integrations.connectors.base import BaseConnector
from integrations.connectors.port import TestResult
from integrations.errors import IntegrationError

from .connected import ConnectedIntegration


class GitHubIntegration(ConnectedIntegration[GitHubConfiguration]):
    """Issues of any repository that the token may see."""

    name = "github"

    def _get_config_model(self) -> type[GitHubConfiguration]:
        return GitHubConfiguration

    def get_issue(self, owner: str, repo: str, issue_number: int) -> dict[str, Any]:
        """Return the issue as GitHub's API has it."""
        return self.adapter().get_issue(owner, repo, issue_number)

    def list_issues(self, owner: str, repo: str, **filters: Any) -> list[dict[str, Any]]:
        """Return the issues that GitHub's own `filters` leave (``state="all"``, ``labels="bug"``)."""
        return self.adapter().list_issues(owner, repo, **filters)

    def create_issue(
        self, owner: str, repo: str, title: str, body: str = "", labels: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Create an issue; never sent again when the first request may have arrived."""
        return self.adapter().create_issue(owner, repo, title, body, labels)

    def _checked(self, adapter: BaseConnector) -> TestResult:
        if adapter.settings.get("repository"):
            return super()._checked(adapter)
        try:
            adapter.http.get("rate_limit")  # costs nothing, and a wrong token is refused
        except IntegrationError as error:
            return adapter.failed_test(error, 0)
        return adapter.build_test_result(True, message="GitHub accepts the token.")
