"""Which names an expression may use at its place, and their values when it runs.

`Names` is what is declared: known when the template is loaded. `Scope` has the values: known when a call is made.

    config.<field>       the fields of the manifest that are no secret
    secret.<field>       the secret ones: in headers and auth, nowhere else
    event.type .id .sequence, payload        the event, in ``deliver``
    param.<name>, page.cursor                an action's parameters, and where its next page begins
    response.status .json .text .headers     the answer
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.connectors.manifest import HEADERS, URL, Manifest
from integrations.errors import IntegrationPermanentError
from integrations.transport.response import Response

MAX_RENDERED = 4 * 1024 * 1024  # characters of one request or answer, all values together
MAX_DEPTH = 64  # of a value
EVENT = frozenset({"type", "id", "sequence"})
RESPONSE = frozenset({"status", "json", "text", "headers"})


@dataclass(frozen=True, slots=True)
class Names:
    """Declared names: the root, and the fields that it has; None: whatever the sender put there."""

    roots: Mapping[str, frozenset[str] | None]
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of(cls, manifest: Manifest) -> Names:
        """Return what every place may use: the public fields."""
        return cls({"config": public_fields(manifest)}, manifest.secret_names)

    def plus(self, **roots: Iterable[str] | None) -> Names:
        more = {name: None if fields is None else frozenset(fields) for name, fields in roots.items()}
        return Names({**self.roots, **more}, self.secrets)

    def with_secrets(self) -> Names:
        """Return the same for headers and auth, the two places where a secret may stand."""
        return self.plus(secret=self.secrets)

    def __str__(self) -> str:
        known: list[str] = []
        for root, fields in self.roots.items():
            known += [root] if fields is None else [f"{root}.{name}" for name in sorted(fields)]
        return ", ".join(known)


def public_fields(manifest: Manifest) -> frozenset[str]:
    """Return the fields that are no secret; the address and the free headers are the client's own business."""
    return frozenset(field.name for field in manifest.fields) - manifest.secret_names - {URL, HEADERS}


@dataclass(slots=True)
class Scope:
    """The values of the names for one call, and how much of them may still be written."""

    values: dict[str, Any] = field(repr=False)
    _left: int = field(default=MAX_RENDERED)

    def plus(self, **values: Any) -> Scope:
        return Scope({**self.values, **values})

    def plain(self, value: Any, depth: int = 0) -> Any:
        """Return `value` as what JSON can say, or raise IntegrationPermanentError if it is too much.

        NaN and infinity become null, half surrogate pairs a question mark: neither has a form on the wire.
        """
        self._left -= len(value) + 2 if isinstance(value, str) else 2
        if self._left < 0:
            raise IntegrationPermanentError(f"what the template makes of this is over {MAX_RENDERED} characters")
        if isinstance(value, str):
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else None
        if depth == MAX_DEPTH:
            raise IntegrationPermanentError(f"what the template makes of this is nested over {MAX_DEPTH} deep")
        if isinstance(value, Mapping):
            return {self.plain(str(key)): self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(item, depth + 1) for item in value]
        return str(value)


def text_of(value: Any) -> str:
    """Return a plain value as it stands inside a text: null is nothing, objects and lists are compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def answer(response: Response) -> dict[str, Any]:
    """Return the fields of ``response`` for a received answer; ``json`` is null for what is no JSON."""
    try:
        parsed = json.loads(response.body)
    except (ValueError, RecursionError):
        parsed = None
    text = response.body[:65536].decode("utf-8", "replace")
    return {"status": response.status, "json": parsed, "text": text, "headers": dict(response.headers.items())}
