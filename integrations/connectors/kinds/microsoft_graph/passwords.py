"""The client secrets of an app registration: add one, wait until it is known, remove one.

An app does this to itself with the application permission Application.ReadWrite.OwnedBy, if it is among its owners.
A secret is shown when it is added and never again; afterwards Graph tells only its id and its first three characters.
Source: https://learn.microsoft.com/graph/api/application-addpassword,
https://learn.microsoft.com/graph/api/application-removepassword.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from integrations.errors import IntegrationAuthError, IntegrationTemporaryError
from integrations.transport.http_client import HTTPClient

LOOKS = 8  # at a new secret: it takes seconds until all of Entra knows it
HINT = 3  # characters of a secret that Graph tells


@dataclass(frozen=True, slots=True)
class Added:
    key_id: str
    secret: str = field(repr=False)


def add(http: HTTPClient, client_id: str) -> Added:
    """Add a secret to the app; the others stay valid."""
    answer = http.post(
        f"{_app(client_id)}/addPassword", json={"passwordCredential": {"displayName": "Renewed automatically"}}
    )
    key_id, secret = (_text(answer, name) for name in ("keyId", "secretText"))
    if not key_id or not secret:
        raise IntegrationTemporaryError("the answer to addPassword holds no secret", code="bad_answer")
    return Added(key_id, secret)


def wait_until_taken(sign_in: Callable[[], object], seconds: float) -> None:
    """Sign in with a new secret, and again every `seconds` while it is refused.

    Raises:
        IntegrationAuthError: it was refused LOOKS times.
    """
    for _ in range(LOOKS - 1):
        try:
            sign_in()
            return
        except IntegrationAuthError:
            time.sleep(seconds)
    sign_in()


def remove(http: HTTPClient, client_id: str, key_id: str) -> None:
    """Remove the secret with this id: nobody signs in with it any more."""
    http.post(f"{_app(client_id)}/removePassword", json={"keyId": key_id})


def key_of(http: HTTPClient, client_id: str, secret: str) -> str:
    """Return the id of `secret`, "" if the app has none or several that begin like it."""
    answer = http.get(_app(client_id), params={"$select": "passwordCredentials"})
    listed = answer.get("passwordCredentials") if isinstance(answer, dict) else None
    alike = [one for one in listed or () if _text(one, "hint") == secret[:HINT]]
    return _text(alike[0], "keyId") if len(alike) == 1 else ""


def _app(client_id: str) -> str:
    return f"applications(appId='{quote(client_id, safe='')}')"


def _text(answer: Any, name: str) -> str:
    value = answer.get(name) if isinstance(answer, dict) else None
    return value if isinstance(value, str) else ""
