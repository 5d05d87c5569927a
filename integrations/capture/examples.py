"""What the payloads of a trigger handler hold, learnt by asking it about objects that do not exist.

Two objects that differ in every value, each with everything set, and one with as little as possible; then both once
more for each value of each choice. No row is read: an object's relations are made up too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models, router
from django.utils.functional import Promise
from django.utils.text import capfirst

from integrations.connections.payload_shapes import Shape, shape_of, union, with_choices
from integrations.tenancy.boundary import hosts_code

RELATIONS = 3  # a relation's relation's relation
MOST_SAMPLES = 20
Payload = Callable[[Any], Mapping[str, Any]]

# Two values of each kind; the first field class that fits decides.
_SAMPLES: tuple[tuple[type[models.Field[Any, Any]], tuple[Any, Any]], ...] = (
    (models.BooleanField, (True, False)),
    (models.DecimalField, (Decimal("12.50"), Decimal("7.25"))),
    (models.FloatField, (1.5, 2.5)),
    (models.IntegerField, (-1, -2)),  # keys too: no row has them
    (models.DateTimeField, (datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))),
    (models.DateField, (date(2025, 1, 2), date(2026, 5, 4))),
    (models.TimeField, (time(1, 2), time(3, 4))),
    (models.DurationField, (timedelta(seconds=1), timedelta(seconds=2))),
    (models.UUIDField, (UUID(int=1), UUID(int=2))),
    (models.GenericIPAddressField, ("192.0.2.1", "192.0.2.2")),
    (models.BinaryField, (b"one", b"two")),
    (models.JSONField, ({}, {})),
    (models.FileField, ("one", "two")),
    (models.EmailField, ("ann@example.com", "bob@example.com")),
    (models.URLField, ("https://example.com/1", "https://example.com/2")),
    (models.CharField, ("one", "two")),
    (models.TextField, ("one", "two")),
)


def learnt_shape(model: type[models.Model], payload: Payload) -> Shape:
    """Return what `payload` returns for objects of `model`.

    Raises:
        Exception: whatever `payload` raises for an object with everything set.
    """
    with hosts_code(router.db_for_read(model)):  # whoever saves a condition may have a transaction
        full = [_example(model, variant) for variant in (0, 1)]
        shapes = [shape_of(payload(obj)) for obj in full]
        with suppress(Exception):  # it may want what is missing here; the full ones tell
            shapes.append(shape_of(payload(_example(model, 0, is_bare=True))))
        shape = union(shapes) or Shape()
        for field in model._meta.concrete_fields:
            if values := _choices(field):
                shape = with_choices(shape, [_each(obj, field, values, payload) for obj in full])
        return shape


def sample_payloads(model: type[models.Model], payload: Payload) -> list[Mapping[str, Any]]:
    """Return what `payload` returns for made-up objects, different ones: each value of each choice occurs.

    Raises:
        Exception: whatever `payload` raises for an object with everything set.
    """
    with hosts_code(router.db_for_read(model)):
        first, second = (_example(model, variant) for variant in (0, 1))
        found = [payload(first), payload(second)]
        for field in model._meta.concrete_fields:
            found += _each(first, field, _choices(field), payload)
    return found[:MOST_SAMPLES]


def _example(model: type[models.Model], variant: int, *, is_bare: bool = False, depth: int = 0) -> Any:
    """Return an object that is not in the database, and says it is."""
    obj = model()
    for field in model._meta.concrete_fields:
        if is_bare and field.null:
            setattr(obj, field.attname, None)
        elif isinstance(field, models.ForeignKey):
            if depth < RELATIONS:
                setattr(obj, field.name, _example(field.related_model, variant, depth=depth + 1))
        elif values := _choices(field):
            setattr(obj, field.attname, values[-variant])
        else:
            setattr(obj, field.attname, _sample(field, variant))
    obj._state.adding = False
    return obj


def _sample(field: Any, variant: int) -> Any:
    if type(field) in (models.CharField, models.TextField):
        return f"{capfirst(str(field.verbose_name))} {variant + 1}"  # people read it
    return next((samples[variant] for kind, samples in _SAMPLES if isinstance(field, kind)), None)


def _each(obj: Any, field: Any, values: list[Any], payload: Payload) -> list[Mapping[str, Any]]:
    """Return the payload of `obj` with each of `values`."""
    before, found = getattr(obj, field.attname), []
    for value in values:
        setattr(obj, field.attname, value)
        found.append(payload(obj))
    setattr(obj, field.attname, before)
    return found


def _choices(field: Any) -> list[Any]:
    """Return the values of a choice; none, if its labels are in each reader's language or it may have other values
    tomorrow."""
    if not isinstance(field.choices, list) or any(isinstance(label, Promise) for _, label in field.flatchoices):
        return []
    return [value for value, _ in field.flatchoices]
