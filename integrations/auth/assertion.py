"""A signed assertion: "I am this client, and I ask for that subject" (RFC 7523 §2.1).

The key decides the algorithm: an RSA key signs RS256, a P-256 key ES256, and the client secret HS256 where there is no
private key. Clocks differ: ``iat`` lies a little in the past, and ``exp`` is within the provider's limit measured from
``iat`` and from now.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from integrations.errors import ConfigurationError

from .spec import OAuth, filled

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SKEW_SECONDS = 30  # how far the provider's clock may be behind ours
_CURVES = {256: "ES256", 384: "ES384", 521: "ES512"}


def assertion(oauth: OAuth, settings: Mapping[str, Any], token_url: str, now: float) -> str:
    """Return the signed token.

    Raises:
        ConfigurationError: no key, or one that cannot sign; names the field, never the value.
    """
    issuer = str(settings.get("issuer") or settings.get("client_id") or "")
    if not issuer:
        raise ConfigurationError({"issuer": "missing; an assertion says who issues it"})
    issued = int(now) - min(SKEW_SECONDS, oauth.lifetime // 3)
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": str(settings.get("subject") or issuer),
        "aud": filled(oauth.audience, settings) or token_url,
        "iat": issued,
        "exp": issued + oauth.lifetime,
        "jti": uuid.uuid4().hex,
    }
    if oauth.scopes:
        claims["scope"] = oauth.scope  # where Google wants it; others read it from the request
    key, algorithm = _key(settings)
    headers = {"kid": str(settings["key_id"])} if settings.get("key_id") else None
    try:
        return jwt.encode(claims, key, algorithm, headers)
    except (jwt.PyJWTError, TypeError, ValueError):
        pass  # raised below: the library's error must not carry the key along
    raise ConfigurationError({"private_key": "cannot sign an assertion; make a new key"})


def key_problem(settings: Mapping[str, Any]) -> str:
    """Return what is wrong with the private key of `settings`, "" if it can sign."""
    try:
        _key(settings)
    except ConfigurationError as error:
        return error.problems.get("private_key", "")
    return ""


def _key(settings: Mapping[str, Any]) -> tuple[Any, str]:
    pem = str(settings.get("private_key") or "").strip()
    if not pem:
        secret = str(settings.get("client_secret") or "")
        if len(secret.encode()) < 32:  # RFC 7518 §3.2; anything shorter can be guessed from one assertion
            raise ConfigurationError({"private_key": "missing; or a client secret of at least 32 bytes"})
        return secret, "HS256"
    key: Any = None
    try:
        key = load_pem_private_key(pem.replace("\\n", "\n").encode(), password=None)
    except (TypeError, ValueError):
        pass
    except Exception:  # UnsupportedAlgorithm and whatever else a library says about bytes that are no key
        key = None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:  # RFC 7518 §3.3
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size in _CURVES:
        return key, _CURVES[key.curve.key_size]
    raise ConfigurationError(
        {"private_key": "not an RSA (2048 bits or more) or EC private key in PEM without a passphrase"}
    )
