"""Each event type: its name, when it happens, the JSON Schema of its body, an example; and those of older versions."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db.models import IntegerField

from integrations.connections import event_types
from integrations.connections.payload_shapes import DECIMAL, Shape
from integrations.outbox.canonical_json import sanitise_object
from integrations.tenancy.tenant import tenant_model

from .differences import differences

_FRAME_TIME = datetime(2026, 11, 30, 12, tzinfo=UTC)
_LARGEST_EXAMPLE = 65_536
_TYPES = {"text": "string", DECIMAL: "string", "number": "number", "boolean": "boolean", "null": "null"}
_TEST = {"const": True, "description": "in a test event only: its values are made up"}


@dataclass(frozen=True, slots=True)
class OlderVersion:
    """An older version of a payload, which subscriptions that have it still get.

    Attributes:
        schema, example: as those of an `Entry`.
        changes: what the next newer version changed, a sentence for each place.
    """

    version: int
    schema: dict[str, Any]
    example: dict[str, Any] | None
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One event type of the catalogue.

    Attributes:
        title: the words that people tick.
        when: a sentence: when it happens.
        schema: of the body, as JSON Schema.
        example: a body; None where nobody can make one.
        is_on_request: nobody subscribes to it; a backfill sends it.
        version: of the payload that schema and example are of: the newest.
        older: the older ones that are still made, the newest of them first.
    """

    name: str
    title: str
    when: str
    schema: dict[str, Any]
    example: dict[str, Any] | None
    is_on_request: bool
    version: int = 1
    older: tuple[OlderVersion, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as a plain object."""
        return asdict(self)


def changes_between(name: str, version: int, newer: int) -> list[str]:
    """Return what a payload's version `newer` has changed since `version`, a sentence for each place."""
    return differences(_schema(name, version), _schema(name, newer))


class Title(NamedTuple):
    """An event type in a list: without schema and example, which are made by asking its handler."""

    name: str
    title: str
    when: str


def titles() -> list[Title]:
    """Return the names of every event type that is known here, in the order of registration."""
    known = event_types.choices() + event_types.on_request()
    return [Title(name, label, event_types.when(name)) for name, label in known]


def entries() -> list[Entry]:
    """Return every event type that is known here, in the order of registration."""
    subscribed = [_entry(name, label, is_on_request=False) for name, label in event_types.choices()]
    return subscribed + [_entry(name, label, is_on_request=True) for name, label in event_types.on_request()]


def entry(name: str) -> Entry | None:
    """Return one of them, None if there is none of that name."""
    for is_on_request, known in ((False, event_types.choices()), (True, event_types.on_request())):
        if name in dict(known):
            return _entry(name, dict(known)[name], is_on_request=is_on_request)
    return None


def _entry(name: str, label: str, *, is_on_request: bool) -> Entry:
    newest, *older = reversed(event_types.versions(name))
    schemas = {version: _schema(name, version) for version in (newest, *older)}
    return Entry(
        name=name,
        title=label,
        when=event_types.when(name),
        schema=schemas[newest],
        example=_example(name, newest),
        is_on_request=is_on_request,
        version=newest,
        older=tuple(
            OlderVersion(
                version=version,
                schema=schemas[version],
                example=_example(name, version),
                changes=tuple(differences(schemas[version], schemas[version + 1])),
            )
            for version in older
        ),
    )


def _schema(name: str, version: int) -> dict[str, Any]:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        **schema_of(event_types.payload_shape(name, version)),
        "required": list(_frame(name)),
    }
    schema["properties"] = {**schema.get("properties", {}), **_frame(name), "test": _TEST}
    return schema


def schema_of(shape: Shape) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of one place of a payload; ``{}`` where anything may stand."""
    types = sorted({_TYPES.get(kind, kind) for kind in shape.kinds})
    if not types:
        return {}
    found: dict[str, Any] = {"type": types[0] if len(types) == 1 else types}
    if DECIMAL in shape.kinds:
        found["description"] = "a decimal number as text, so that no digit is lost"
    if shape.values is not None and "object" not in types and "array" not in types:
        found["enum"] = [*sorted(shape.values, key=str), *[""] * ("string" in types), *[None] * ("null" in types)]
    if "object" in types and shape.fields:
        found["properties"] = {name: schema_of(each) for name, each in sorted(shape.fields.items())}
        if not shape.is_open:
            found["additionalProperties"] = False
    if "array" in types and shape.items is not None:
        found["items"] = schema_of(shape.items)
    return found


def _frame(name: str) -> dict[str, Any]:
    """Return the schemas of what every event has."""
    has_number = isinstance(tenant_model()._meta.pk, IntegerField)
    tenant = {
        "type": "object",
        "properties": {"id": {"type": "integer" if has_number else "string"}, "name": {"type": "string"}},
        "required": ["id", "name"],
    }
    return {"event_type": {"const": name}, "timestamp": {"type": "string", "format": "date-time"}, "tenant": tenant}


def _example(name: str, version: int) -> dict[str, Any] | None:
    for sample in event_types.samples(name, version):
        frame = {"event_type": name, "timestamp": _FRAME_TIME, "tenant": {"id": 1, "name": "Acme Corp"}}
        body: dict[str, Any] = json.loads(json.dumps(sanitise_object({**frame, **sample}, limit=_LARGEST_EXAMPLE)))
        return body
    return None
