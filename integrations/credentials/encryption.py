"""Sealing and opening of credentials: AES-256-GCM (docs/SECURITY.md).

    token  = v1.<key id>.<base64url(nonce ‖ ciphertext ‖ tag), unpadded>
    bound  = "v1.<key id>|" + aad      # authenticated, not stored: the tenant, the row and the column

Fernet tokens (``gAAAA…``) of older installations can be opened; they are never written. They bind no
row: until they are re-sealed, a copied one still opens.

Not promised: that a credential is gone from memory after use. No exception from here holds a plaintext,
a token or a key, nor has one as its cause or context (json's and the codecs' errors carry their input).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.fernet import InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.credentials.key_ring import Key, KeyRing, get_key_ring
from integrations.errors import EncryptionError

VERSION = "v1"
FERNET_PREFIX = "gAAAA"  # version byte 0x80 and the top of a 64 bit time stamp
NONCE_BYTES = 12
TAG_BYTES = 16
VERIFICATION_FAILED = "authentication tag verification failed"
CAUSES = (
    "Usual causes: the key changed after encryption; the data was corrupted; "
    "environments were mixed or the row was copied to another tenant or row."
)
_TOKEN = re.compile(r"v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)")


class EncryptionService:
    """Seals and opens text with the keys of the settings; holds no state, every method is static."""

    @staticmethod
    def seal(plaintext: bytes | str, aad: str) -> str:
        """Return a token that only the present keys open, and only with the same `aad`.

        Args:
            plaintext: text, or its UTF-8 bytes.
            aad: what the token belongs to, e.g. ``"7:<uuid>:headers_encrypted"``; never empty.

        Raises:
            TypeError, ValueError: the plaintext is not text, or nothing to bind it to was given.
            ImproperlyConfigured: the settings hold no usable key.
        """
        data = _utf8(plaintext)
        if not aad:
            raise ValueError("seal() needs associated data (tenant and row): they keep a value in its row")
        key = get_key_ring().current
        raw = _encrypt(key.cipher, data, _bound(key.id, aad))
        return f"{VERSION}.{key.id}.{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"

    @staticmethod
    def open(token: str, aad: str) -> str:
        """Return the text that was sealed with the same `aad`; Fernet tokens know no `aad`.

        Raises:
            EncryptionError: the key is missing or wrong, the token was changed or belongs elsewhere.
            ImproperlyConfigured: the settings hold no usable key.
        """
        return _opened(get_key_ring(), token, aad)

    @staticmethod
    def open_all(sealed: Iterable[tuple[str, str]]) -> list[str]:
        """Return the texts of these pairs of token and `aad`; "" for an empty token. Raises as `open` does."""
        ring = get_key_ring()
        return [_opened(ring, token, aad) if token else "" for token, aad in sealed]

    @staticmethod
    def needs_reseal(token: str) -> bool:
        """Tell whether `token` was written by Fernet or an older key; EncryptionError if it is no token."""
        if not token:
            return False
        return token.startswith(FERNET_PREFIX) or _parse(token)[0] != get_key_ring().current.id

    @staticmethod
    def key_of(token: str) -> str:
        """Return which key `token` needs, as people know it: its id and its setting.

        Raises:
            EncryptionError: no key of the ring opens it.
        """
        ring = get_key_ring()
        if token.startswith(FERNET_PREFIX):
            for fernet in ring.fernet_keys:
                with suppress(InvalidToken):
                    fernet.cipher.decrypt(token.encode())
                    return f"Fernet key of {fernet.source}"
        elif key := ring.by_id.get(_parse(token)[0]):
            return key_name(key)
        raise EncryptionError(f"{VERIFICATION_FAILED}: none of the configured keys decrypts it")

    @classmethod
    def reseal(cls, token: str, aad: str) -> str:
        """Return the same text under the newest key (and a new nonce); raises as `open` does."""
        return cls.seal(cls.open(token, aad), aad)

    @staticmethod
    def encrypt_config(config: dict[str, Any], *, aad: str = "") -> bytes:
        """Return IV + ciphertext + tag of `config` as JSON, e.g. for a column of bytes (BYTEA).

        That layout has no room for a key id: `decrypt_config` tries every key. Prefer the text tokens.

        Raises:
            TypeError: `config` is no dict, or holds something that JSON does not know.
            ValueError: `config` holds NaN, an infinity, or itself.
        """
        if not isinstance(config, dict):
            raise TypeError(f"config must be a dict, not {type(config).__name__}")
        return _encrypt(get_key_ring().current.cipher, dump_json(config), aad.encode())

    @staticmethod
    def decrypt_config(token: bytes | bytearray | memoryview, *, aad: str = "") -> dict[str, Any]:
        """Return the dict that `encrypt_config` was given; also reads Fernet.

        Raises:
            EncryptionError: no key opens it with this `aad`, or it holds no JSON object.
        """
        raw = bytes(token)  # PostgreSQL drivers return BYTEA as a memoryview
        ring = get_key_ring()
        if raw.startswith(FERNET_PREFIX.encode()):
            plaintext = _open_fernet(ring, raw)
        else:
            tries = (_decrypt(key.cipher, raw, aad.encode()) for key in ring.keys)
            plaintext = next((found for found in tries if found is not None), None)
        if plaintext is None:
            raise EncryptionError(f"{VERIFICATION_FAILED}. {CAUSES}")
        return load_json_object(plaintext)


def key_name(key: Key) -> str:
    """Return what people know a key by."""
    return f"key {key.id} of {key.source}"


def dump_json(value: dict[str, Any]) -> bytes:
    """Return compact JSON; raises TypeError or ValueError for what JSON does not know."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def load_json_object(data: str | bytes) -> dict[str, Any]:
    """Return the dict in `data`; anything else is an EncryptionError that does not quote it."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    raise EncryptionError("the decrypted credential is not a JSON object; another application wrote it")


def _utf8(plaintext: bytes | str) -> bytes:
    if not isinstance(plaintext, str | bytes):
        raise TypeError(f"plaintext must be str or bytes, not {type(plaintext).__name__}")
    try:
        return plaintext.encode() if isinstance(plaintext, str) else plaintext.decode().encode()
    except UnicodeError:
        pass
    raise ValueError("plaintext must be text (UTF-8)")


def _bound(key_id: str, aad: str) -> bytes:
    return f"{VERSION}.{key_id}|{aad}".encode()


def _parse(token: str) -> tuple[str, bytes]:
    """Split a token into key id and bytes. Base64 has several spellings of one value: only ours passes."""
    match = _TOKEN.fullmatch(token)
    if match:
        try:
            raw = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
        except binascii.Error:
            raw = b""
        canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == match[2]
        if canonical and len(raw) >= NONCE_BYTES + TAG_BYTES:
            return match[1], raw
    raise EncryptionError(f"{VERIFICATION_FAILED}: the stored value is not an encrypted credential. {CAUSES}")


def _opened(ring: KeyRing, token: str, aad: str) -> str:
    if token.startswith(FERNET_PREFIX):
        plaintext = _open_fernet(ring, token.encode())
    else:
        key_id, raw = _parse(token)
        key = ring.by_id.get(key_id)
        if key is None:
            # Verification did fail: for want of the key. A changed key is what operators look up.
            raise EncryptionError(
                f"{VERIFICATION_FAILED}: there is no key with id {key_id!r}. Put that key back, after "
                f"the newest one, in ENCRYPTION_MASTER_KEY (or SECRET_KEY_FALLBACKS). {CAUSES}"
            )
        plaintext = _decrypt(key.cipher, raw, _bound(key_id, aad))
    if plaintext is None:
        raise EncryptionError(f"{VERIFICATION_FAILED}. {CAUSES}")
    try:
        return plaintext.decode()
    except UnicodeDecodeError:
        pass
    raise EncryptionError("the decrypted credential is not text; another application wrote it")


def _encrypt(cipher: AESGCM, data: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)  # random nonces are safe for 2³² seals per key (NIST SP 800-38D)
    return nonce + cipher.encrypt(nonce, data, aad)


def _decrypt(cipher: AESGCM, raw: bytes, aad: bytes) -> bytes | None:
    if len(raw) < NONCE_BYTES + TAG_BYTES:
        return None
    try:
        return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], aad)
    except InvalidTag:
        return None


def _open_fernet(ring: KeyRing, token: bytes) -> bytes | None:
    try:
        return ring.fernet.decrypt(token) if ring.fernet else None
    except InvalidToken:
        return None
