"""The keys of SSH, whatever tool people copied them from: their private one, and the host's that they pinned.

Private keys: OpenSSH, PKCS#1, SEC1 or PKCS#8, with a passphrase or not. Errors: ``ConfigurationError`` for
``private_key``, never a part of it.

Host keys: lines of ``ssh-keygen -lf`` (``256 SHA256:… root@host (ED25519)``), bare fingerprints (``SHA256:…``), or
lines of ``ssh-keyscan`` and known_hosts (``host ssh-ed25519 AAAA…``). Errors: ``ValueError`` for a line that is none of
these. Source: RFC 4253 §6.6, ssh-keygen(1), sshd(8).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from integrations.errors import ConfigurationError
from integrations.transport.tcp import Login

_ONE_LINE = re.compile(r"(-----BEGIN [A-Z ]{1,40}-----)([A-Za-z0-9+/=\s]+)(-----END [A-Z ]{1,40}-----)")
_MIN_RSA_BITS = 2048
UNUSABLE = "is no Ed25519, ECDSA or RSA key in OpenSSH or PEM form, or the passphrase does not open it"
_PUBLIC = r"^\s*(?:ssh-[a-z0-9]+|ecdsa-sha2-\S+|sk-\S+) AAAA|BEGIN (?:SSH2 |RSA )?PUBLIC KEY"
# What people enter instead, by how it looks.
_SOMETHING_ELSE = (
    (
        re.compile(r"PuTTY-User-Key-File"),
        "is a PuTTY key; export it as OpenSSH (in PuTTYgen: Conversions, Export OpenSSH key)",
    ),
    (
        re.compile(_PUBLIC),
        "is a public key; enter the private one, which begins with -----BEGIN … PRIVATE KEY-----",
    ),
    (re.compile(r"BEGIN SSH2 ENCRYPTED PRIVATE KEY"), "is a key of ssh.com; convert it with ssh-keygen -i"),
    (re.compile(r"BEGIN (?:X509 )?CERTIFICATE"), "is a certificate; enter the private key"),
    (
        re.compile(r"^(?![\s\S]*-----BEGIN [A-Z ]*PRIVATE KEY-----)"),
        "is not a private key; one begins with -----BEGIN … PRIVATE KEY----- and is entered whole",
    ),
)


def ssh_key(paramiko: Any, login: Login) -> Any:
    """Return the key of `login` as paramiko's, opened with its passphrase."""
    key = private_key(login)
    kinds: tuple[tuple[type, Any], ...] = (
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (rsa.RSAPrivateKey, paramiko.RSAKey),
    )
    kind = next(found for wanted, found in kinds if isinstance(key, wanted))
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    try:
        return kind.from_private_key(io.StringIO(text.decode()))
    except ValueError:  # a curve that SSH does not have
        pass
    raise _refused(UNUSABLE)


def private_key(login: Login) -> Any:
    """Return the key of `login`, opened with its passphrase.

    Raises:
        ConfigurationError: it is none that can be used; it says what it is instead, and what to do.
    """
    text = login.private_key.strip().replace("\r\n", "\n")
    if match := _ONE_LINE.fullmatch(text):  # a form field of one line takes the line ends away
        text = "\n".join((match[1], *wrap("".join(match[2].split()), 64), match[3]))
    data = f"{text}\n".encode()
    passphrases = dict.fromkeys((login.passphrase.encode() or None, None))  # one that is not needed does no harm
    problem = next((words for sign, words in _SOMETHING_ELSE if sign.search(login.private_key)), "")
    for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
        for passphrase in passphrases:
            try:
                key = load(data, passphrase)
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
            if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
                problem = UNUSABLE
            elif isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MIN_RSA_BITS:
                problem = f"has {key.key_size} bits; RSA needs {_MIN_RSA_BITS}"
            else:
                return key
    raise _refused(problem or UNUSABLE)


def _refused(problem: str) -> ConfigurationError:
    return ConfigurationError({"private_key": problem})


_ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_ALGORITHMS = {
    "ED25519": ("ssh-ed25519",),
    "ECDSA": _ECDSA,
    "RSA": _RSA,
    "ssh-ed25519": ("ssh-ed25519",),
    "ssh-rsa": _RSA,
    **{name: (name,) for name in _ECDSA},
}
_FINGERPRINT = re.compile(r"(?:^|\s)(SHA256:[A-Za-z0-9+/]{43})(?:\s|$)")
_KIND = re.compile(r"\(([A-Z0-9-]{1,20})\)\s*$")
_PUBLIC_KEY = re.compile(r"(?:^|\s)(ssh-[a-z0-9]+|ecdsa-sha2-[a-z0-9]+) (AAAA[A-Za-z0-9+/]{30,}={0,2})(?:\s|$)")


@dataclass(frozen=True, slots=True)
class HostKeys:
    """`fingerprints` of the keys that are trusted; `algorithms` to ask the server for, () if any of them may be it.

    A server has several keys and shows the one that the client likes best: knowing what was pinned, we ask for that.
    """

    fingerprints: frozenset[str]
    algorithms: tuple[str, ...] = ()


def parse_host_keys(lines: Iterable[str]) -> HostKeys:
    """Return what `lines` pin."""
    fingerprints: list[str] = []
    algorithms: list[str] = []
    is_known = True
    for line in filter(None, map(str.strip, lines)):
        if found := _PUBLIC_KEY.search(line):
            digits = found[2].rstrip("=")
            kind, fingerprint = found[1], fingerprint_of(base64.b64decode(digits + "=" * (-len(digits) % 4)))
        elif found := _FINGERPRINT.search(line):
            kind, fingerprint = (named[1] if (named := _KIND.search(line)) else ""), found[1]
        else:
            raise ValueError("must be a fingerprint (SHA256:…) or a line that ssh-keygen -lf or ssh-keyscan prints")
        fingerprints.append(fingerprint)
        algorithms += _ALGORITHMS.get(kind, ())
        is_known = is_known and kind in _ALGORITHMS
    return HostKeys(frozenset(fingerprints), tuple(dict.fromkeys(algorithms)) if is_known else ())


def fingerprint_of(key: bytes) -> str:
    """Return the fingerprint of a public key in its wire form, as ssh-keygen prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
