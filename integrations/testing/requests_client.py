"""A client on the library `requests`, so that tests can script a provider with the library `responses`.

    @responses.activate
    def test_it():
        responses.post("https://api.acme.example/orders", json={"id": 7}, status=201)
        connector = Acme.bound_to(CONFIG, RequestsClient())
        assert connector.deliver(envelope).external_id == "7"

It has the guarded client's signature and errors, and neither its address guard nor its deadline: only for tests. What
it does not show is how a connector behaves on a real connection; ConnectorConformance does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from integrations.errors import IntegrationTemporaryError
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.response import Headers, Response


class RequestsClient:
    """Sends with `requests`: one attempt, no redirects, nothing from the environment."""

    policy = AddressPolicy()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Response:
        host, code, words = urlsplit(url).hostname, "", ""
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.request(
                    method, url, headers=dict(headers), data=body, timeout=timeout or 30.0, allow_redirects=False
                )
            except requests.Timeout:
                code, words = "timeout", f"{host} did not answer in time"
            except requests.RequestException:
                code, words = "connection_reset", f"{host} closed the connection without an answer"
        if code:
            raise IntegrationTemporaryError(words, code=code)
        limit = max_bytes or 65536
        content = answer.content
        return Response(
            answer.status_code, Headers(answer.headers.items()), content[:limit], body_cut=len(content) > limit
        )
