"""Values that a manifest accepts, made from what it says of its fields; secrets are canaries."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import find, settings, strategies

from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import HEADERS, URL, Field, Manifest

CANARY = "canary-4d1e-long-enough"
# Fields whose form is known to their connector's code alone.
_KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode().strip()
_KNOWN: dict[str, Any] = {"host_key": [f"SHA256:{'A' * 43}"], "private_key": _KEY}


def valid_settings(connector: type[BaseConnector]) -> dict[str, Any]:
    """Return a flat configuration with every secret, and whatever the connector says is missing."""
    manifest = connector.manifest
    if manifest.is_open:
        return {"host": "example.com", "token": CANARY}
    wanted = (field for field in manifest.fields if field.required or field.is_secret or field.name in (URL, HEADERS))
    found = {field.name: _value(field, manifest) for field in wanted}
    for _ in manifest.fields:
        for name in connector.validate_config(found):
            field = manifest.field(name)
            assert field is not None, f"{manifest.key} misses {name}, which is none of its fields"
            found[name] = _value(field, manifest)
    return found


def _value(field: Field, manifest: Manifest) -> Any:
    if field.name in _KNOWN:
        return _KNOWN[field.name]
    if field.name == HEADERS:
        return {"X-Extra": CANARY}
    if field.kind in ("url", "host"):
        host = next(iter(manifest.allowed_hosts), "host.example.com").replace("*", "some")
        secret = CANARY if field.name == URL and manifest.secret_path else ""
        return f"https://{host}/{secret}" if field.kind == "url" else host
    if field.kind == "choice":
        return field.choices[0]
    if field.pattern and not field.is_secret:
        texts = strategies.from_regex(field.pattern, fullmatch=True)
        quick = settings(database=None, derandomize=True, max_examples=300)
        text = find(texts, lambda text: text == text.strip() != "", settings=quick)
        return [text] if field.kind == "lines" else text
    plain: dict[str, Any] = {"secret": CANARY, "email": "ops@example.com", "boolean": True, "json": {}}
    plain |= {"integer": field.minimum or 1, "lines": ["one"]}
    return plain.get(field.kind, "some-text")
