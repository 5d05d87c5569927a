"""The simple schemes: the right header, and nothing of it in a repr."""

from __future__ import annotations

import pytest

from integrations.auth.scheme import ApiKeyAuth, Auth, BasicAuth, BearerAuth

SCHEMES = [
    (ApiKeyAuth("canary-key"), {"X-API-Key": "canary-key"}),
    (ApiKeyAuth("canary-key", "Authorization", "Token "), {"Authorization": "Token canary-key"}),
    (BearerAuth("canary-key"), {"Authorization": "Bearer canary-key"}),
    (BearerAuth("canary-key", "token"), {"Authorization": "token canary-key"}),
    (BasicAuth("jané", "canary-key"), {"Authorization": "Basic amFuw6k6Y2FuYXJ5LWtleQ=="}),
]


@pytest.mark.parametrize(("auth", "headers"), SCHEMES)
def test_header(auth: Auth, headers: dict[str, str]) -> None:
    assert auth.headers() == headers
    assert "canary-key" in auth.secrets() and "canary" not in repr(auth)
    assert not auth.renew(headers)  # it does not change by itself: a 401 stands


def test_no_authentication() -> None:
    assert Auth().headers() == {} and Auth().secrets() == ()
