"""The encryption keys, read from the Django settings.

    ENCRYPTION_MASTER_KEY             64 hex digits, or "id:hex,id:hex,…" with the newest key first
    SECRET_KEY (+ _FALLBACKS)         keys derived from it; the newest one seals while no master key is set
    BAPP_CONNECTORS["ENCRYPTION_KEY"] a Fernet key as django-bapp-connectors has one, only to read old ``gAAAA…`` tokens
    FERNET_KEYS                       more such keys, likewise

The first key seals, every key opens. Derived keys stay readable after a master key is set: otherwise the
day somebody sets it, as the deploy check demands, would be the day every credential becomes unreadable.
No key material is kept here, only cipher objects, which show nothing in a repr and refuse to be pickled.
See docs/SECURITY.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MASTER = "ENCRYPTION_MASTER_KEY"
KEY_BYTES = 32
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
GENERATE = "Make one with: python -c 'import os; print(os.urandom(32).hex())'"
GENERATE_FERNET = (
    "Make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
)
_HEX = re.compile(r"[0-9a-fA-F]{64}")
_HKDF_INFO = b"integrations.credentials aes-256-gcm v1"


@dataclass(frozen=True)
class Key:
    """One AES-256-GCM key: the id that tokens carry, the id derived from the key itself, the cipher, its setting."""

    id: str
    fingerprint: str
    cipher: AESGCM
    source: str


@dataclass(frozen=True)
class FernetKey:
    """One Fernet key and its setting."""

    cipher: Fernet
    source: str


@dataclass(frozen=True)
class KeyRing:
    """All keys of one set of settings.

    Attributes:
        keys: newest first, never empty.
        fernet_keys: only for old tokens.
        by_id: each of `keys` by its id, and by its fingerprint.
    """

    keys: tuple[Key, ...]
    fernet_keys: tuple[FernetKey, ...]
    by_id: dict[str, Key]

    @property
    def fernet(self) -> MultiFernet | None:
        """All Fernet keys as one; None if there are none."""
        return MultiFernet([key.cipher for key in self.fernet_keys]) if self.fernet_keys else None

    @property
    def current(self) -> Key:
        """The key that seals."""
        return self.keys[0]


class _Snapshot(NamedTuple):
    """The settings a ring was made of; it is the cache's key, so changed settings make a new ring."""

    master: Any
    secrets: tuple[Any, ...]
    bapp: Any
    fernet: tuple[Any, ...]


_cached: tuple[_Snapshot, KeyRing] | None = None


def get_key_ring() -> KeyRing:
    """Return the key ring of the present settings (made once per set of values).

    Raises:
        ImproperlyConfigured: a key is unusable; the message names the setting and the remedy, no value.
    """
    global _cached
    cached = _cached  # one read: another thread may replace the pair meanwhile
    snapshot = _snapshot()
    if cached is None or cached[0] != snapshot:
        cached = _cached = (snapshot, _build(snapshot))
    return cached[1]


def has_master_key() -> bool:
    """Tell whether ENCRYPTION_MASTER_KEY is set at all; whether it is usable, `get_key_ring` says."""
    return not _is_blank(getattr(settings, MASTER, None))


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _snapshot() -> _Snapshot:
    master = getattr(settings, MASTER, None)
    try:
        secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    except ImproperlyConfigured:
        if _is_blank(master):
            raise
        secrets = ()  # Django itself runs without a SECRET_KEY until something needs it; we do not
    extra = getattr(settings, "FERNET_KEYS", None) or ()
    bapp = getattr(settings, "BAPP_CONNECTORS", None) or {}
    return _Snapshot(
        master,
        secrets,
        bapp.get("ENCRYPTION_KEY"),
        (extra,) if isinstance(extra, str | bytes) else tuple(extra),
    )


def _build(snapshot: _Snapshot) -> KeyRing:
    secrets = [secret.encode() if isinstance(secret, str) else bytes(secret) for secret in snapshot.secrets]
    keys = [] if _is_blank(snapshot.master) else _parse_master(snapshot.master)
    names = ["SECRET_KEY", *(f"SECRET_KEY_FALLBACKS[{n}]" for n in range(len(secrets) - 1))]
    for name, secret in zip(names, secrets, strict=False):
        derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_HKDF_INFO).derive(secret)
        keys.append(_key(derived, source=name))
    by_id: dict[str, Key] = {}
    for key in keys:
        for key_id in {key.id, key.fingerprint}:
            other = by_id.setdefault(key_id, key)
            if other.fingerprint != key.fingerprint:
                raise ImproperlyConfigured(f"{MASTER}: two different keys are called {key_id!r}. Rename one.")
    return KeyRing(tuple(keys), _fernet(snapshot, secrets, names), by_id)


def _key(material: bytes, key_id: str = "", *, source: str) -> Key:
    # The prefix keeps the published id apart from any other hash somebody may take of the same key.
    fingerprint = hashlib.sha256(b"integrations key id" + material).hexdigest()[:8]
    return Key(key_id or fingerprint, fingerprint, AESGCM(material), source)


def _parse_master(value: Any) -> list[Key]:
    if not isinstance(value, str):
        raise ImproperlyConfigured(f"{MASTER} must be text, not {type(value).__name__}. {GENERATE}")
    entries = [entry.strip() for entry in value.split(",") if entry.strip()]
    if not entries:
        raise ImproperlyConfigured(f"{MASTER} contains no key. {GENERATE}")
    many = len(entries) > 1
    keys = [
        _parse_entry(entry, f"{MASTER} (key {n} of {len(entries)})" if many else MASTER)
        for n, entry in enumerate(entries, start=1)
    ]
    if len({key.id for key in keys}) < len(keys):
        raise ImproperlyConfigured(f"{MASTER} names the same key id twice. Give every key its own id.")
    return keys


def _parse_entry(entry: str, where: str) -> Key:
    key_id, colon, digits = entry.rpartition(":")
    key_id, digits = key_id.strip(), digits.strip()
    if colon and not KEY_ID.fullmatch(key_id):
        raise ImproperlyConfigured(f"{where}: a key id is 1 to 32 letters, digits, '-' or '_', as in id:hex.")
    if len(digits) != 2 * KEY_BYTES:
        raise ImproperlyConfigured(
            f"{where} has {len(digits)} characters; it must be {2 * KEY_BYTES} hex digits. {GENERATE}"
        )
    if not _HEX.fullmatch(digits):
        raise ImproperlyConfigured(f"{where} has characters other than 0-9 and a-f. {GENERATE}")
    material = bytes.fromhex(digits)
    if not any(material):
        raise ImproperlyConfigured(f"{where} is all zeros, which protects nothing. {GENERATE}")
    return _key(material, key_id, source=where)


def _fernet(snapshot: _Snapshot, secrets: list[bytes], names: list[str]) -> tuple[FernetKey, ...]:
    found = []
    if not _is_blank(snapshot.bapp):
        found.append(_fernet_key(snapshot.bapp, 'BAPP_CONNECTORS["ENCRYPTION_KEY"]'))
    found += [_fernet_key(key, f"FERNET_KEYS[{n}]") for n, key in enumerate(snapshot.fernet)]
    # django-bapp-connectors wrote with this derivation when it was given no key (its encryption.py).
    for name, secret in zip(names, secrets, strict=False):
        found.append(FernetKey(Fernet(base64.urlsafe_b64encode(hashlib.sha256(secret).digest())), name))
    return tuple(found)


def _fernet_key(key: Any, where: str) -> FernetKey:
    try:
        return FernetKey(Fernet(key), where)
    except (ValueError, TypeError, AttributeError):
        pass  # raised below, so that the library's error, which may quote the key, is not its context
    raise ImproperlyConfigured(f"{where} is not a Fernet key (32 bytes as url-safe base64). {GENERATE_FERNET}")
