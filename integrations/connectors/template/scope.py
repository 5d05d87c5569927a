"""Which names an expression may use at its place, and their values when it runs.

`Names` is what is declared: known when the template is loaded. `Scope` has the values: known when a call is made.

    config.<field>       the fields of the manifest that are no secret
    secret.<field>       the secret ones: in headers and auth, nowhere else
    event.type .id .sequence, payload        the event, in ``deliver``
    summary.title .description .lines .changes .link .text .name     … in words (connectors/summary.py)
    object.<key>                             … what it is about: ``payload.invoice`` of ``invoice_paid``
    param.<name>, page.cursor                an action's parameters, and where its next page begins
    response.status .json .text .headers     the answer
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from integrations.connectors.functions import Budget
from integrations.connectors.manifest import HEADERS, URL, Manifest

EVENT = frozenset({"type", "id", "sequence"})
SUMMARY = frozenset({"title", "name", "description", "lines", "changes", "link", "text"})
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

    def problem_of(self, root: str, name: str | None) -> str:
        """Say that ``root.name`` is not declared, "" if it is; `name` None: it is used by itself."""
        if root not in self.roots:
            if root == "secret":
                return "a secret may stand only in 'headers' and 'auth'"
            return f"{root[:50]} is not declared here; there are: {self}"
        fields = self.roots[root]
        if fields is None or name in fields:
            return ""
        known = ", ".join(f"{root}.{field}" for field in sorted(fields)) or "none"
        if name is None:
            return f"{root} by itself is not allowed; name one of: {known}"
        return f"{root}.{name[:50]} is not declared; there are: {known}"

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
    budget: Budget = field(default_factory=Budget)

    def plus(self, **values: Any) -> Scope:
        return Scope({**self.values, **values})
