"""GitHub on the conformance suite."""

from __future__ import annotations

from typing import Any

from integrations.connectors.kinds.github import GitHubConnector
from integrations.errors import IntegrationPermanentError
from integrations.testing import Answer, ConnectorConformance, Request


class TestGitHub(ConnectorConformance):
    """One event is two requests: is its issue there already? Then the issue."""

    connector = GitHubConnector
    config = {"base_url": "{server}", "token": "canary-token-7f3a91", "repository": "octocat/hello-world"}
    success = Answer(201, b'{"number": 7, "html_url": "https://github.com/octocat/hello-world/issues/7"}')
    statuses = {410: IntegrationPermanentError}  # one deleted issue says nothing about the others
    requests_per_call = 2
    default_retry_after = 60.0
    repeated_page = Answer(body=b"[]", headers={"Link": '</repos/octocat/hello-world/issues?page=2>; rel="next"'})

    def reply(self, request: Request) -> Answer:
        return Answer(body=b"[]") if request.method == "GET" and "issues" in request.path else self.success

    def read_all(self, connector: Any) -> Any:
        return connector.list_issues("octocat", "hello-world")
