"""How good a secret must be with which others prove their webhooks to us: one rule for every scheme.

Whoever has seen one signed call finds a short secret by trying, and without one it is tried at our door. Providers make
theirs of 24 characters and more, so the rule is felt by those who think of one.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from integrations.credentials.secret_refs import is_reference

MIN_LENGTH, MIN_DIFFERENT = 16, 6
RULE = f"At least {MIN_LENGTH} characters, {MIN_DIFFERENT} of them different."
WEAK = (
    f"must have at least {MIN_LENGTH} characters ({MIN_LENGTH} bytes after whsec_), {MIN_DIFFERENT} of them "
    "different; if there are several secrets, each of them. Use a random text"
)
INBOUND_SECRET = "webhook_secret"  # noqa: S105 - the setting in which hosts keep one, whatever the kind
_STANDARD = ("whsec", "whpk", "whsk")


def is_weak(secret: str, scheme: str = "") -> bool:
    """Tell whether somebody might find out `secret` by trying.

    Args:
        scheme: that of the signature, as far as it says how the secret is written.
    """
    text = secret.strip()
    kind, _, rest = text.partition("_")
    key: str | bytes = text
    if kind in _STANDARD:
        key = _decoded(rest) or rest
    elif scheme.startswith("standard-webhooks"):
        key = _decoded(text) or text
    unit = key[: (key + key).find(key, 1)] if key else key  # type: ignore[operator, arg-type]
    return len(unit) < MIN_LENGTH or len(set(unit)) < MIN_DIFFERENT


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return b""


def lines(value: Any) -> list[str]:
    """Return the secrets in a field: one per line."""
    return [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else []


def has_weak(inbound: Any, settings: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
    """Tell whether the settings of a kind hold a weak secret that was not there before, for signatures as these.

    What is stored goes on working until it is changed: other settings must be changeable meanwhile.
    """
    value = settings.get(inbound.secret_field)
    if isinstance(value, str) and is_reference(value):
        return False  # not looked up here
    scheme = _scheme(inbound, settings)
    weak = {line.strip() for line in lines(value) if is_weak(line, scheme)}
    if stored is not None and _scheme(inbound, stored).partition("-")[0] == scheme.partition("-")[0]:
        weak -= {line.strip() for line in lines(stored.get(inbound.secret_field))}
    return bool(weak)


def _scheme(inbound: Any, settings: Mapping[str, Any]) -> str:
    return str(settings.get("inbound_scheme") or inbound.scheme)  # which people choose where there is such a field


def any_weak(secrets: Iterable[str], scheme: str) -> bool:
    """Tell whether one of `secrets` is weak."""
    return any(is_weak(secret, scheme) for secret in secrets if isinstance(secret, str))
