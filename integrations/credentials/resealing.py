"""Every stored credential of the installation: found through the models, counted by key, sealed again.

Any model that declares an `EncryptedAttribute` is found, a host's included. Rows are read in batches by their key, and
a batch is locked while it is written, so that a save in between is not undone; neither ``save()`` nor signals are
called, for nothing that anybody can read has changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import connections, models, router, transaction

from integrations.credentials.encryption import EncryptionService
from integrations.credentials.fields import EncryptedAttribute, encrypted_attributes
from integrations.errors import EncryptionError

BATCH = 200  # rows; each a lock and some kilobytes for a moment


@dataclass(frozen=True, slots=True)
class SealedModel:
    """A model and those of its encrypted attributes whose columns are in its table."""

    model: type[models.Model]
    attributes: tuple[EncryptedAttribute[Any], ...]

    @property
    def label(self) -> str:
        return self.model._meta.label

    @property
    def using(self) -> str:
        return router.db_for_write(self.model)


@dataclass(slots=True)
class Found:
    """What was found of one model.

    Attributes:
        rows: with at least one secret. resealed: of these, those that were (or would be) sealed again.
        by_key: how many values need which key.
        unreadable: a line for each value that no key opens.
    """

    rows: int = 0
    resealed: int = 0
    by_key: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)


def sealed_models() -> list[SealedModel]:
    """Return every model with sealed columns, each column once: with the class nearest to its table."""
    columns: dict[tuple[type[models.Model], str], tuple[type[models.Model], EncryptedAttribute[Any]]] = {}
    nearest_first = sorted(apps.get_models(include_auto_created=True), key=lambda model: len(model.__mro__))
    for model in nearest_first:
        for attribute in encrypted_attributes(model):
            try:
                owner = model._meta.get_field(attribute.column).model._meta.concrete_model
            except FieldDoesNotExist:
                continue
            columns.setdefault((owner, attribute.column), (model, attribute))  # type: ignore[arg-type]
    found: dict[type[models.Model], list[EncryptedAttribute[Any]]] = {}
    for model, attribute in columns.values():
        found.setdefault(model, []).append(attribute)
    sealed = [SealedModel(model, tuple(attributes)) for model, attributes in found.items()]
    there = {using: connections[using].introspection.table_names() for using in {each.using for each in sealed}}
    with_table = [each for each in sealed if each.model._meta.db_table in there[each.using]]
    return sorted(with_table, key=lambda each: each.label)


def look(sealed: SealedModel) -> Found:
    """Count which keys the stored values of a model need."""
    found, rows = Found(), _batch(sealed)
    while rows:
        for row in rows:
            _each(sealed, row, found, EncryptedAttribute.needs_reseal)
        rows = _batch(sealed, after=rows[-1].pk)
    return found


def reseal(sealed: SealedModel) -> Found:
    """Seal what needs it with the newest key, and bind it as the model does now; what cannot be read stays."""
    found, last = Found(), None
    columns = [attribute.column for attribute in sealed.attributes]
    while True:
        with transaction.atomic(using=sealed.using):
            rows = _batch(sealed, after=last, lock=True)
            changed = [row for row in rows if _each(sealed, row, found, EncryptedAttribute.reseal)]
            if changed:
                writer: models.QuerySet[Any] = models.QuerySet(sealed.model, using=sealed.using)
                writer.bulk_update(changed, columns)
        if not rows:
            return found
        last = rows[-1].pk


def _batch(sealed: SealedModel, *, after: Any = None, lock: bool = False) -> list[models.Model]:
    """Return the next rows that hold a secret, by their keys."""
    has_one = models.Q()
    for attribute in sealed.attributes:
        has_one |= models.Q((f"{attribute.column}__gt", ""))
    rows: models.QuerySet[Any] = models.QuerySet(sealed.model, using=sealed.using).filter(has_one).order_by("pk")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    return list((rows.select_for_update() if lock else rows)[:BATCH])


def _each(
    sealed: SealedModel, row: models.Model, found: Found, does: Callable[[EncryptedAttribute[Any], Any], bool]
) -> bool:
    """Do something with each stored value of `row`; return whether it was, or would be, sealed again."""
    is_stale = False
    for attribute in sealed.attributes:
        token = getattr(row, attribute.column)
        if not token:
            continue
        try:
            is_stale |= does(attribute, row)
            found.by_key[EncryptionService.key_of(token)] += 1
        except (EncryptionError, ObjectDoesNotExist, ValueError) as error:
            found.unreadable.append(f"{sealed.label} {row.pk}: {error}")
    found.rows += 1
    found.resealed += is_stale
    return is_stale
