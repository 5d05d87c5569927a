"""Which headers of a webhook are kept: what tells who sent what, never what lets somebody in.

A list of what may be kept, not of what may not: whatever else a proxy, a gateway or a provider adds may be a login.
Kept are standard headers that say nothing secret, those of the scheme that proved the webhook, and those that the kind
of system names in its manifest (`Inbound`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from integrations.connectors.incoming import REPLACEMENT
from integrations.connectors.manifest import Inbound
from integrations.transport.redaction import PLAIN_HEADERS, is_secret_name, mask_known, redact

from .schemes import owner_of

MAX_HEADERS = 100
MAX_VALUE = 2048  # characters
MAX_TOTAL = 32_768  # characters of all names and values

HARMLESS = PLAIN_HEADERS | {"webhook-signature", "x-correlation-id"}
_SHOPIFY = (
    "api-version",
    "event-id",
    "hmac-sha256",
    "shop-domain",
    "sub-topic",
    "test",
    "topic",
    "triggered-at",
    "webhook-id",
)
_SVIX = frozenset({"svix-id", "svix-signature", "svix-timestamp"})  # what Standard Webhooks were called first
OF_SCHEMES: dict[str, frozenset[str]] = {
    "standard-webhooks": _SVIX,
    "standard-webhooks-v1a": _SVIX,
    "stripe": frozenset({"stripe-signature"}),
    "github": frozenset(
        {
            "x-github-delivery",
            "x-github-enterprise-host",
            "x-github-enterprise-version",
            "x-github-event",
            "x-github-hook-id",
            "x-github-hook-installation-target-id",
            "x-github-hook-installation-target-type",
            "x-hub-signature",
            "x-hub-signature-256",
        }
    ),
    "shopify": frozenset(f"{prefix}shopify-{name}" for prefix in ("", "x-") for name in _SHOPIFY),
    "woocommerce": frozenset(
        f"x-wc-webhook-{name}" for name in ("delivery-id", "event", "id", "resource", "signature", "source", "topic")
    ),
    "slack": frozenset({"x-slack-request-timestamp", "x-slack-retry-num", "x-slack-retry-reason", "x-slack-signature"}),
}

_COOKIES = frozenset({"cookie", "set-cookie", "x-csrftoken"})
_LOGIN = re.compile("auth", re.IGNORECASE)  # Authorization, X-Auth-…, X-Shop-Auth: whatever lets somebody in
# Kept, as the proof of the body that is kept; people are not shown all of it.
_SIGNATURES = re.compile(r"signature|hmac", re.IGNORECASE)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def kept_names(inbound: Inbound | None, scheme: str = "", signature_header: str = "") -> frozenset[str]:
    """Return the names, in lower case, of what is kept beside `HARMLESS` of webhooks that prove themselves so.

    Args:
        inbound: how the kind of system calls back; None: nobody says, so the headers of every scheme that we know.
        scheme, signature_header: what the caller verified with, where that is not the kind's own.
    """
    if inbound is None and not owner_of(signature_header) and scheme not in OF_SCHEMES:
        return frozenset({signature_header.lower()}).union(*OF_SCHEMES.values())
    names: set[str] = {signature_header.lower()}
    for each, header in ((scheme, signature_header), (inbound.scheme if inbound else "", "")):
        names |= OF_SCHEMES.get(owner_of(header) or each, frozenset())
    if inbound is not None:
        own = (inbound.signature_header, inbound.id_header, inbound.event_header, *inbound.keeps_headers)
        names |= {name.lower() for name in own}
    return frozenset(names - {""})


def storable(
    headers: Mapping[str, str],
    secrets: Iterable[str] = (),
    limit: int = MAX_TOTAL,
    *,
    keeps: Collection[str] = frozenset(),
) -> dict[str, str]:
    """Return what may be kept of `headers`: the harmless ones, and those in `keeps`.

    Args:
        secrets: what must not be in a value either, whatever its name: the integration's own.
        limit: characters in all; headers that do not fit any more are left out.
    """
    known = tuple(secrets)
    kept: dict[str, str] = {}
    for name, value in headers.items():
        if not (isinstance(name, str) and isinstance(value, str) and _may_be_kept(name, keeps)):
            continue
        if len(kept) == MAX_HEADERS:
            break
        # Masked before it is cut, or half a secret would pass at the edge. A header called after a signature may hold
        # anything, in what is rejected above all; but what only looks like a secret there is the proof.
        start = value[: 2 * MAX_VALUE]
        text = _text(mask_known(start, known) if _SIGNATURES.search(name) else redact(start, known))
        limit -= len(name) + len(text)
        if limit >= 0:
            kept[_text(name)] = text
    return kept


def storable_start(body: bytes, secrets: Iterable[str], length: int) -> bytes:
    """Return the first bytes of a body that proved nothing, known secrets masked; one that is right stays as it is."""
    start = body[: 2 * length].decode("utf-8", "surrogateescape")
    return mask_known(start, secrets).encode("utf-8", "surrogateescape")[:length]


def _may_be_kept(name: str, keeps: Collection[str]) -> bool:
    lower = name.lower()
    if lower not in HARMLESS and lower not in keeps:
        return False
    # A manifest that names a login by mistake keeps none.
    return (
        lower not in _COOKIES
        and not _LOGIN.search(name)
        and (bool(_SIGNATURES.search(name)) or not is_secret_name(name))
    )


def _text(value: str) -> str:
    return _UNSTORABLE.sub(REPLACEMENT, value[:MAX_VALUE])
