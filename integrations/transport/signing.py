"""Standard Webhooks signatures: what we send with every event, and how such a signature is checked.

Signed is ``{id}.{timestamp}.{body}``, bytes as sent. ``whsec_`` secrets give ``v1,`` (HMAC-SHA256), ``whsk_``
private keys give ``v1a,`` (ed25519), which receivers check with the ``whpk_`` public key.
Source: https://www.standardwebhooks.com (spec), with one spelling per timestamp and nothing but
``SignatureInvalid`` for whatever a stranger sends.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import mmap
import re
import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from integrations.errors import IntegrationNotConfigured

Buffer = bytes | mmap.mmap
TOLERANCE_SECONDS = 300
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
HEADER_NAMES = ("webhook-id", "webhook-timestamp", "webhook-signature")
_SVIX_NAMES = ("svix-id", "svix-timestamp", "svix-signature")  # what Svix called them before there was a standard

_TIMESTAMP = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_MAX_SIGNATURES = 20  # per header; more than any rotation needs, few enough to check them all


class SignatureInvalid(ValueError):
    """The request is not proven to come from the holder of the secret.

    ``.reason``: no_secret, missing_header, malformed, too_old, too_new or mismatch.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"invalid webhook signature: {reason}")


class _Key(NamedTuple):
    version: str  # v1 or v1a
    mac: bytes
    private: Ed25519PrivateKey | None
    public: Ed25519PublicKey | None


@lru_cache(maxsize=1024)
def _key(secret: str) -> _Key | None:
    """Decode a secret once; None if it is no usable key. Spaces around it were pasted along: no key has any."""
    secret = secret.strip()
    kind, mark, text = secret.partition("_")
    if not mark or kind not in ("whsec", "whsk", "whpk"):
        kind, text = "whsec", secret
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        if kind == "whsec":
            # An empty key would verify anybody's signature.
            return _Key("v1", raw, None, None) if raw else None
        if kind == "whpk":
            return _Key("v1a", b"", None, Ed25519PublicKey.from_public_bytes(raw))
        private = Ed25519PrivateKey.from_private_bytes(raw[:32])
        public = private.public_key()
        if len(raw) not in (32, 64) or raw[32:] not in (b"", public.public_bytes_raw()):
            return None
        return _Key("v1a", b"", private, public)
    except ValueError:  # binascii.Error included
        return None


def sign(message_id: str, timestamp: int, body: bytes, secrets: Sequence[str]) -> str:
    """Return the value of ``webhook-signature``: one signature per secret, in the given order.

    Args:
        message_id: ``webhook-id``, the same for every try.
        timestamp: ``webhook-timestamp``, seconds since 1970, of this try.
        secrets: ``whsec_…`` or ``whsk_…``; two during a rotation.

    Raises:
        IntegrationNotConfigured: no secret, or one that cannot sign.
    """
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    parts = []
    for secret in secrets:
        key = _key(secret)
        if key is None or (key.version == "v1a" and key.private is None):
            raise IntegrationNotConfigured("The signing secret is unreadable; generate a new one.")
        raw = hmac.digest(key.mac, signed, "sha256") if key.private is None else key.private.sign(signed)
        parts.append(f"{key.version},{binascii.b2a_base64(raw, newline=False).decode()}")
    if not parts:
        raise IntegrationNotConfigured("There is no signing secret; generate one.")
    return " ".join(parts)


def verify(
    headers: Mapping[str, str],
    body: Buffer,
    secrets: Iterable[str],
    *,
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> None:
    """Return if a signature fits one of `secrets` and the timestamp is within `tolerance` seconds of `now`.

    Raises:
        SignatureInvalid: and nothing else, whatever the headers hold.
    """
    keys = [key for secret in secrets if isinstance(secret, str) and (key := _key(secret))]
    if not keys:
        raise SignatureInvalid("no_secret")
    values = _signed_headers(headers)
    if values is None:
        raise SignatureInvalid("missing_header")
    message_id, timestamp, signatures = values
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureInvalid("malformed")
    if int(timestamp) < now - tolerance:
        raise SignatureInvalid("too_old")
    if int(timestamp) > now + tolerance:
        raise SignatureInvalid("too_new")
    # A lone surrogate in an id was signed by nobody, but must not crash either.
    signed = (b"%b.%b." % (message_id.encode("utf-8", "surrogatepass"), timestamp.encode()), body)
    candidates, readable = _candidates(signatures)
    if not any(_matches(key, candidates, signed) for key in keys):
        raise SignatureInvalid("mismatch" if readable else "malformed")


def message_id_in(headers: Mapping[str, str]) -> str:
    """Return the id that `verify` reads, and that is signed therefore; "" if these are no such headers."""
    values = _signed_headers(headers)
    return values[0] if values is not None else ""


def _signed_headers(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return id, timestamp and signatures, all three of one family: names of two could tell of two messages."""
    found = {str(name).lower(): value for name, value in headers.items()}
    for names in (HEADER_NAMES, _SVIX_NAMES):
        message_id, timestamp, signatures = (found.get(name) for name in names)
        if all(isinstance(value, str) and value for value in (message_id, timestamp, signatures)):
            return str(message_id), str(timestamp), str(signatures)
    return None


def _candidates(value: str) -> tuple[list[tuple[str, bytes]], bool]:
    """Split the header; also say whether there was anything to compare, known version or not."""
    candidates, broken = [], False
    for part in value.split(" ")[:_MAX_SIGNATURES]:
        version, comma, text = part.partition(",")
        if not comma or not version:
            broken = broken or bool(part)
            continue
        if version not in ("v1", "v1a"):
            continue  # a later version of the standard; another signature may be ours
        try:
            raw = base64.b64decode(text, validate=True)
        except ValueError:
            broken = True
            continue
        # Base64 has several spellings of the same bytes; one that nobody writes is kept as what fits no key.
        is_usual = binascii.b2a_base64(raw, newline=False).decode() == text
        candidates.append((version, raw if is_usual else b""))
    return candidates, bool(candidates) or not broken


def _matches(key: _Key, candidates: list[tuple[str, bytes]], signed: Sequence[Buffer]) -> bool:
    given = [raw for version, raw in candidates if version == key.version]
    if not given:
        return False
    if key.public is not None:
        for raw in given:
            with suppress(InvalidSignature):
                key.public.verify(raw, b"".join(signed))
                return True
        return False
    digest = hmac.new(key.mac, digestmod="sha256")  # once: a stranger decides how long it is
    for part in signed:  # not joined: a body may be large
        digest.update(part)
    return any(hmac.compare_digest(digest.digest(), raw) for raw in given)


def generate_secret() -> str:
    """Return a new ``whsec_`` secret of 32 random bytes."""
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode()


def is_key(secret: str) -> bool:
    """Tell whether somebody's `secret` can verify at all: whsec_, whpk_ or whsk_, or base64 alone."""
    return _key(secret) is not None


def check_secret(text: str) -> str:
    """Return `text` without surrounding spaces if it is a signing secret of ours.

    Raises:
        ValueError: says what is wrong and never repeats the secret.
    """
    secret = text.strip()
    problem = ""
    if secret.startswith("whsk_"):
        problem = "" if _key(secret) else "The whsk_ key must be the base64 of an ed25519 key of 64 bytes."
    elif not secret.startswith("whsec_"):
        problem = "A signing secret begins with whsec_ (or whsk_ for ed25519)."
    else:
        key = _key(secret)
        if key is None:
            problem = "What follows whsec_ must be base64."
        elif not MIN_SECRET_BYTES <= len(key.mac) <= MAX_SECRET_BYTES:
            problem = f"A secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, this one {len(key.mac)}."
    if problem:
        raise ValueError(problem)
    return secret
