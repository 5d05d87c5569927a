"""Private keys for SSH, in whatever form people have them: OpenSSH, PKCS#1, SEC1 or PKCS#8, with a passphrase or not.

In: paramiko and a login. Out: paramiko's key. Errors: ``ConfigurationError`` for ``private_key``, never a part of it.
"""

from __future__ import annotations

import io
import re
from textwrap import wrap
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from integrations.errors import ConfigurationError

from .login import Login

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
