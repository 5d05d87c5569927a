"""Private keys for SSH, in whatever form people have them: OpenSSH, PKCS#1, SEC1 or PKCS#8, with a passphrase or not.

In: paramiko and a login. Out: paramiko's key. Errors: ``ConfigurationError`` for ``private_key``, never a part of it.
"""

from __future__ import annotations

import io
import re
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from integrations.errors import ConfigurationError

from .login import Login

_ONE_LINE = re.compile(r"(-----BEGIN [A-Z ]{1,40}-----)([A-Za-z0-9+/=\s]+)(-----END [A-Z ]{1,40}-----)")
_MIN_RSA_BITS = 2048


def ssh_key(paramiko: Any, login: Login) -> Any:
    """Return the key of `login`, opened with its passphrase."""
    data = _lines(login.private_key).encode()
    passphrases = dict.fromkeys((login.passphrase.encode() or None, None))  # one that is not needed does no harm
    loaders = (serialization.load_ssh_private_key, serialization.load_pem_private_key)
    for load in loaders:
        for passphrase in passphrases:
            try:
                return _of_paramiko(paramiko, load(data, passphrase))
            except (ValueError, TypeError, UnsupportedAlgorithm):
                continue
    raise ConfigurationError(
        {"private_key": "is no Ed25519, ECDSA or RSA key in OpenSSH or PEM form, or the passphrase does not open it"}
    )


def _of_paramiko(paramiko: Any, key: Any) -> Any:
    kinds: tuple[tuple[type, Any], ...] = (
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (rsa.RSAPrivateKey, paramiko.RSAKey),
    )
    kind = next((found for wanted, found in kinds if isinstance(key, wanted)), None)
    if kind is None or (isinstance(key, rsa.RSAPrivateKey) and key.key_size < _MIN_RSA_BITS):
        raise ValueError("no key of a kind that is used here")
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return kind.from_private_key(io.StringIO(text.decode()))


def _lines(text: str) -> str:
    """Return `text` with its line ends, which a one-line form field takes away."""
    match = _ONE_LINE.fullmatch(text.strip())
    if match is None:
        return text.strip().replace("\r\n", "\n") + "\n"
    body = "".join(match[2].split())
    lines = (body[start : start + 64] for start in range(0, len(body), 64))
    return "\n".join((match[1], *lines, match[3], ""))
