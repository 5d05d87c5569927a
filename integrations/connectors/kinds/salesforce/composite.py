"""The composite resource: up to 25 requests in one, each with a result of its own.

In: ``{"method": "POST", "url": "sobjects/Account", "body": {…}, "referenceId": "account"}``; later ones may use
``@{account.id}``. Out: a `SubResult` for each, in order. Errors: ValueError for what cannot be sent.
Source: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite.htm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from integrations.errors import IntegrationError

MAX_REQUESTS = 25
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})
_REFERENCE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SubResult:
    """What became of one request.

    Attributes:
        reference: its ``referenceId``.
        body: as Salesforce gives it; None if there is none.
        error: None after success; not raised, so that the others' results are not lost.
    """

    reference: str
    status: int
    body: Any = field(default=None, repr=False)
    error: IntegrationError | None = None


def body_of(requests: Sequence[Mapping[str, Any]], root: str, *, all_or_none: bool) -> dict[str, Any]:
    """Return the body of the composite request; `root` goes before each relative address."""
    if not 1 <= len(requests) <= MAX_REQUESTS:
        raise ValueError(f"1 to {MAX_REQUESTS} requests in one")
    made = [_request(request, root, number) for number, request in enumerate(requests, 1)]
    if len({request["referenceId"] for request in made}) < len(made):
        raise ValueError("two requests have the same referenceId")
    return {"allOrNone": all_or_none, "compositeRequest": made}


def _request(request: Mapping[str, Any], root: str, number: int) -> dict[str, Any]:
    method, url = str(request.get("method", "")).upper(), str(request.get("url", ""))
    reference = str(request.get("referenceId") or f"request{number}")
    path = url.partition("?")[0]
    if method not in _METHODS or not path or ".." in path or "//" in path or not _REFERENCE.fullmatch(reference):
        raise ValueError(
            f"request {number} needs a method, an address such as sobjects/Account, and a plain referenceId"
        )
    made = {"method": method, "url": url if url.startswith("/") else f"{root}/{url}", "referenceId": reference}
    return {**made, "body": request["body"]} if "body" in request else made
