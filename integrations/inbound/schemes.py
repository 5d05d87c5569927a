"""How providers sign their webhooks, and whether a signature is theirs. Pure: bytes and headers in, nothing out.

    standard-webhooks    webhook-signature: v1,<base64> over id.timestamp.body; v1a,<base64> with a whpk_ key;
                         the three headers may be called svix-… instead
    stripe               Stripe-Signature: t=<seconds>,v1=<hex> over t.body; the whole whsec_… text is the key
    github               X-Hub-Signature-256: sha256=<hex> over the body
    shopify, woocommerce X-Shopify-Hmac-Sha256 or Shopify-Hmac-Sha256, X-WC-Webhook-Signature: <base64> over the body
    slack                X-Slack-Signature: v0=<hex> over v0:timestamp:body, with X-Slack-Request-Timestamp
    hmac-sha256-hex, hmac-sha256-base64
                         the header that the provider's documentation names, over the body
    hmac-sha256-prefixed the same, written sha256=<hex>, as Notion and many others do
    hmac-sha256          the encoding that the header's owner uses; with an unknown header sha256=<hex>, or hex
                         or base64, which their lengths tell apart

Source: the providers' own pages. Fails closed: an unknown scheme, an empty secret and
whatever a stranger may send end as ``SignatureInvalid``. One spelling is accepted of each thing: digits are ASCII,
hex is lower case, base64 has its padding.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Iterable, Mapping

from integrations.connectors.config_check import MAX_SECRETS
from integrations.transport import signing
from integrations.transport.signing import TOLERANCE_SECONDS, Buffer, SignatureInvalid

MAX_HEADER = 8192  # characters; servers refuse longer ones anyway

# Why a signature is refused, for whoever has to mend it.
REASONS = {
    "unknown_method": "This signature scheme is unknown; docs/inbound.md lists those that are known.",
    "no_secret": "The secret for calling back is not set: enter the one that the sender signs with.",
    "missing_header": "The header with the signature, id or timestamp is missing: compare the headers' names.",
    "malformed": "The signature or its timestamp does not have this scheme's format.",
    "too_old": f"It was signed more than {TOLERANCE_SECONDS} s ago: it is a replay, or one of the two clocks is wrong.",
    "too_new": f"It was signed more than {TOLERANCE_SECONDS} s in the future: one of the two clocks is wrong.",
    "mismatch": "It was signed with another secret, or the body was changed after it was signed.",
}

_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_HEX = re.compile(r"[0-9a-fA-F]+", re.ASCII)

# WordPress decodes these and no others, once, and numbers with any zeros before them.
_WORDPRESS_SIGNS = {"quote": "'", "double": '"', "less": "<", "greater": ">", "and": "&"}
_WORDPRESS_ENTITY = re.compile(
    "&(?:(?P<quote>#0*39|#[xX]0*27)|(?P<double>quot|#0*34|#[xX]0*22)|(?P<less>lt|#0*60)|(?P<greater>gt|#0*62)"
    "|(?P<and>amp|#0*38|#[xX]0*26));"
)

# Code that names `hmac-sha256` and a header: the header says whose encoding it is.
_OWNERS = {
    "stripe-signature": "stripe",
    "webhook-signature": "standard-webhooks",
    "svix-signature": "standard-webhooks",
    "x-hub-signature-256": "github",
    "x-shopify-hmac-sha256": "shopify",
    "shopify-hmac-sha256": "shopify",
    "x-slack-signature": "slack",
    "x-wc-webhook-signature": "woocommerce",
}


def owner_of(signature_header: str) -> str:
    """Return whose header it is, as a scheme; "" if it is nobody's own."""
    return _OWNERS.get(signature_header.lower(), "")


def verify(
    scheme: str,
    headers: Mapping[str, str],
    body: Buffer,
    secrets: Iterable[str],
    *,
    now: float,
    signature_header: str = "",
) -> None:
    """Return if the request was signed by a holder of one of `secrets`.

    Args:
        scheme: one of `SCHEMES`.
        headers: names in any case.
        body: the bytes as they came, before any decoding; a large one may be the map of a file.
        secrets: several during a rotation, the newest first; empty ones count for nothing, those after the fifth
            neither: each is tried with every body that a stranger sends.
        now: seconds since 1970. Where the scheme has a timestamp it may be 300 s off, either way.
        signature_header: where the signature is; "": where the scheme has it. Standard Webhooks have their own three.

    Raises:
        SignatureInvalid: and nothing else; its ``reason`` is unknown_method, no_secret, missing_header, malformed,
            too_old, too_new or mismatch.
    """
    check = SCHEMES.get(scheme) if isinstance(scheme, str) else None
    if check is None:
        raise SignatureInvalid("unknown_method")
    given = [secrets] if isinstance(secrets, str) else secrets  # a text's letters are no secrets
    usable = [secret for secret in given if isinstance(secret, str) and secret.strip()]
    if not usable:
        raise SignatureInvalid("no_secret")
    check(_Headers(headers, signature_header), body, usable[:MAX_SECRETS], now)


class _Headers:
    """The headers of one request, by their names in lower case."""

    def __init__(self, headers: Mapping[str, str], signature_header: str) -> None:
        self.all = {str(name).lower(): value for name, value in headers.items()}
        self.signature_name = signature_header.lower()

    def get(self, name: str) -> str:
        value = self.all.get(name) if name else None
        if not isinstance(value, str) or not value:
            raise SignatureInvalid("missing_header")
        if len(value) > MAX_HEADER:
            raise SignatureInvalid("malformed")
        return value

    def signature(self, *usual_names: str) -> str:
        """Return what stands in the header that the caller names or, without one, in the first of the usual ones."""
        names = (self.signature_name,) if self.signature_name else usual_names or ("",)
        return self.get(next((name for name in names if self.all.get(name)), names[0]))


def _standard_webhooks(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    for name, value in headers.all.items():
        if name.startswith(("webhook-", "svix-")) and isinstance(value, str) and len(value) > MAX_HEADER:
            raise SignatureInvalid("malformed")
    signing.verify(headers.all, body, secrets, now=now)


def _stripe(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    parts = [part.partition("=") for part in headers.signature("stripe-signature").split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    # Two times would leave it open which of them was signed. A v0 alone is Stripe's test mode, or a downgrade.
    if len(times) != 1 or not signatures:
        raise SignatureInvalid("malformed")
    timestamp = _timely(times[0], now)
    _compare(signatures, (timestamp, b".", body), secrets, _hex_text)


def _slack(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    signature = headers.signature("x-slack-signature")
    timestamp = _timely(headers.get("x-slack-request-timestamp"), now)
    _compare([_after(signature, "v0=")], (b"v0:", timestamp, b":", body), secrets, _hex_text)


def _github(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    _compare([_after(headers.signature("x-hub-signature-256"), "sha256=")], (body,), secrets, _hex_text)


def _shopify(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    _compare([headers.signature("x-shopify-hmac-sha256", "shopify-hmac-sha256")], (body,), secrets, _base64_text)


def _woocommerce(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    # WooCommerce signs with wp_specialchars_decode($secret, ENT_QUOTES).
    keys = [_WORDPRESS_ENTITY.sub(lambda found: _WORDPRESS_SIGNS[found.lastgroup or ""], key) for key in secrets]
    _compare([headers.signature("x-wc-webhook-signature")], (body,), keys, _base64_text)


def _plain_hex(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    _compare([headers.signature()], (body,), secrets, _hex_text)


def _plain_base64(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    _compare([headers.signature()], (body,), secrets, _base64_text)


def _plain_prefixed(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    _compare([_after(headers.signature(), "sha256=")], (body,), secrets, _hex_text)


def _plain(headers: _Headers, body: Buffer, secrets: list[str], now: float) -> None:
    if owner := owner_of(headers.signature_name):
        SCHEMES[owner](headers, body, secrets, now)
    elif headers.signature().startswith("sha256="):
        _plain_prefixed(headers, body, secrets, now)
    elif len(headers.signature()) == 64:
        _plain_hex(headers, body, secrets, now)
    else:
        _plain_base64(headers, body, secrets, now)


SCHEMES: dict[str, Callable[[_Headers, Buffer, list[str], float], None]] = {
    "standard-webhooks": _standard_webhooks,
    "standard-webhooks-v1a": _standard_webhooks,  # the secret's prefix says which of the two it is
    "stripe": _stripe,
    "github": _github,
    "shopify": _shopify,
    "woocommerce": _woocommerce,
    "slack": _slack,
    "hmac-sha256-hex": _plain_hex,
    "hmac-sha256-base64": _plain_base64,
    "hmac-sha256-prefixed": _plain_prefixed,
    "hmac-sha256": _plain,
}


def _timely(text: str, now: float) -> bytes:
    """Return the timestamp as it was signed."""
    if not _TIMESTAMP.fullmatch(text):
        raise SignatureInvalid("malformed")
    if int(text) < now - TOLERANCE_SECONDS:
        raise SignatureInvalid("too_old")
    if int(text) > now + TOLERANCE_SECONDS:
        raise SignatureInvalid("too_new")
    return text.encode()


def _after(value: str, prefix: str) -> str:
    if not value.startswith(prefix):
        raise SignatureInvalid("malformed")
    return value[len(prefix) :]


def _hex_text(digest: bytes) -> str:
    return digest.hex()


def _base64_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _compare(
    candidates: list[str], signed: Iterable[Buffer], secrets: list[str], written: Callable[[bytes], str]
) -> None:
    """Return if one of `candidates` is the digest of the parts of `signed`, as `written` by one of `secrets`.

    The texts are compared, not what they decode to: base64 has several spellings of the same bytes.
    """
    readable = [candidate.encode() for candidate in candidates if _is_readable(candidate, written)]
    if not readable:
        raise SignatureInvalid("malformed")
    for secret in secrets:
        # A half surrogate in a secret is a slip of ours, and no reason to crash.
        digest = hmac.new(secret.encode("utf-8", "surrogatepass"), digestmod="sha256")
        for part in signed:  # not joined: a body may be large
            digest.update(part)
        expected = written(digest.digest()).encode()
        if any(hmac.compare_digest(expected, candidate) for candidate in readable):
            return
    raise SignatureInvalid("mismatch")


def _is_readable(text: str, written: Callable[[bytes], str]) -> bool:
    if written is _hex_text:
        return bool(_HEX.fullmatch(text))
    try:
        return bool(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return False
