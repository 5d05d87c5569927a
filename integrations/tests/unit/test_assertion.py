"""Signed assertions: what they claim, for how long, and with which key (RFC 7523)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from integrations.auth.assertion import assertion
from integrations.auth.oauth2 import OAuth2
from integrations.auth.spec import OAuth
from integrations.auth.token import MemoryTokens
from integrations.errors import ConfigurationError
from integrations.tests.receiver import Answer, Receiver
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient

from .test_oauth2 import form

NOW = 1_800_000_000.0
URL = "https://login.example.com/token"
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any, passphrase: bytes = b"") -> str:
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


def spec(**fields: Any) -> OAuth:
    return OAuth(grant="jwt_bearer", token_url=URL, **fields)


SETTINGS = {"client_id": "client-1", "subject": "ops@example.com", "private_key": pem(RSA), "key_id": "key-7"}


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
def test_claims_and_signature(key: Any, algorithm: str) -> None:
    settings = {**SETTINGS, "private_key": pem(key)}
    signed = assertion(spec(scopes=("read", "write")), settings, URL, NOW)
    assert jwt.get_unverified_header(signed) == {"alg": algorithm, "typ": "JWT", "kid": "key-7"}
    with time_machine.travel(NOW, tick=False):
        claims = jwt.decode(signed, key.public_key(), algorithms=[algorithm], audience=URL)
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": "client-1",
        "sub": "ops@example.com",
        "aud": URL,
        "iat": NOW - 30,
        "exp": NOW + 150,
        "scope": "read write",
    }


def test_a_shared_secret_signs_where_there_is_no_private_key() -> None:
    secret = "s" * 32
    signed = assertion(spec(), {"client_id": "c", "client_secret": secret}, URL, NOW)
    with time_machine.travel(NOW, tick=False):
        claims = jwt.decode(signed, secret, algorithms=["HS256"], audience=URL)
    assert (claims["iss"], claims["sub"]) == ("c", "c") and "scope" not in claims


@pytest.mark.parametrize("lifetime", [30, 180, 300, 3600])
@pytest.mark.parametrize("skew", [-10, 0, 19])  # of the provider's clock against ours
def test_it_is_valid_for_a_provider_whose_clock_differs(lifetime: int, skew: float) -> None:
    signed = assertion(spec(lifetime=lifetime), SETTINGS, URL, NOW)
    with time_machine.travel(NOW + skew, tick=False):
        claims = jwt.decode(signed, RSA.public_key(), algorithms=["RS256"], audience=URL)
    assert claims["exp"] - claims["iat"] == lifetime
    assert claims["exp"] <= NOW + lifetime


def test_no_two_are_alike() -> None:
    ids = {
        jwt.decode(assertion(spec(), SETTINGS, URL, NOW), options={"verify_signature": False})["jti"] for _ in range(5)
    }
    assert len(ids) == 5


def test_issuer_audience_and_a_key_pasted_from_json() -> None:
    settings = {**SETTINGS, "issuer": "acme", "shop": "a b", "private_key": pem(RSA).replace("\n", "\\n")}
    signed = assertion(spec(audience="https://{shop}.example.com"), settings, URL, NOW)
    claims = jwt.decode(signed, options={"verify_signature": False})
    assert (claims["iss"], claims["aud"]) == ("acme", "https://a%20b.example.com")


BAD_KEYS = {
    "none": "",
    "words": "canary-not-a-key",
    "cut": pem(RSA)[:200],
    "with a passphrase": pem(RSA, b"canary"),
    "ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
    "too short": pem(rsa.generate_private_key(65537, 1024)),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_an_unusable_key_is_named_and_not_repeated(name: str) -> None:
    settings = {**SETTINGS, "private_key": BAD_KEYS[name], "client_secret": "canary-short"}
    with pytest.raises(ConfigurationError) as caught:
        assertion(spec(), settings, URL, NOW)
    assert list(caught.value.problems) == ["private_key"]
    assert caught.value.__context__ is None and "canary" not in repr(vars(caught.value))


def test_the_request(receiver: Receiver) -> None:
    receiver.answer_with(Answer(200, b'{"access_token": "access-1", "expires_in": 600}'))
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)), timeout=5)
    oauth = OAuth(grant="jwt_bearer", token_url=f"http://{receiver.netloc}/token", scopes=("read",))
    assert OAuth2(oauth, SETTINGS, MemoryTokens(), client).headers() == {"Authorization": "Bearer access-1"}
    sent = form(receiver.requests[0])
    assert jwt.decode(sent.pop("assertion"), options={"verify_signature": False})["aud"] == oauth.token_url
    assert sent == {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "scope": "read"}
    client.close()
