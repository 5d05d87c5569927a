"""The way from a captured row to its tenant: ``project``, or ``owner__project``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db import models
from django.db.models import OuterRef, Subquery

from integrations.tenancy.boundary import whoevers
from integrations.tenancy.tenant import tenant_model

from .compiled_row import CompiledRow
from .subscribers import Whose, key_field, prepared_key

MOST_STEPS = 3  # of the ways that an error suggests
_OWNER = "owner_by_tenant_path"  # no field of anybody's
STAYS, UNKNOWN = object(), object()


class TenantPath:
    """The foreign keys that lead from a model to the tenant model.

    Args:
        path: their names, joined by ``__``; "": the only foreign key of the model to the tenant model, or the only one
            that must have a value.

    Attributes:
        path: the same, never "".
        key: what the ORM calls the key of the tenant: ``owner__project__pk``.
        holder: the column of the row itself that the way begins with, as ``owner_id``: while it stays, the row stays
            with its tenant.

    Raises:
        TypeError: the way does not lead to the tenant model; says where it leads, and which ways do.
    """

    def __init__(self, model: type[models.Model], path: str) -> None:
        self._model = model
        self._steps = _steps(model, path or _only_way(model))
        self.path = "__".join(step.name for step in self._steps)
        self.key = f"{self.path}__pk"
        self.holder: str = self._steps[0].attname
        self.owner_column = self.holder if len(self._steps) == 1 else _OWNER
        self._beyond = self.key.split("__", 1)[1]
        holders = self._steps[0].related_model
        self._of_holder = CompiledRow(lambda using: models.QuerySet(holders, using=using), [self._beyond])
        self._of_row = CompiledRow(lambda using: models.QuerySet(model, using=using), [self.key])

    # -- of an instance, as it is in memory -------------------------------------------------------

    def tenant(self, obj: Any) -> Any:
        """Return the tenant of `obj`, None if it has none."""
        return self._walk(obj, self._steps)

    def owner(self, obj: Any) -> Any:
        """Return the key of the tenant of `obj`, None if it has none."""
        if len(self._steps) == 1:
            return getattr(obj, self.holder)
        return getattr(self._walk(obj, self._steps[:-1]), self._steps[-1].attname, None)

    @staticmethod
    def _walk(obj: Any, steps: list[Any]) -> Any:
        with whoevers(), suppress(ObjectDoesNotExist):
            for step in steps:
                if obj is None:
                    return None
                obj = getattr(obj, step.name)
            return obj
        return None

    def held_by(self, obj: Any) -> Any:
        """Return the holder of `obj` as it is in memory; `UNKNOWN` if that was not loaded."""
        return vars(obj).get(self.holder, UNKNOWN)

    # -- in SQL -----------------------------------------------------------------------------------

    def whose(self, holder: Any, using: str) -> Whose:
        """Return the tenant of a row that has this holder."""
        if len(self._steps) == 1:
            return Whose("%s", [prepared_key(holder, using)])
        return _subselect(self._of_holder, holder, using)

    def whose_row(self, pk: Any, using: str) -> Whose:
        """Return the tenant of the row as it is stored."""
        return _subselect(self._of_row, pk, using)

    def with_owner(self, rows: models.QuerySet[Any]) -> models.QuerySet[Any]:
        """Return `rows` with their tenant's key as `owner_column`, to be read with a lock.

        A join would lock the rows on the way, too; PostgreSQL refuses that where one may be missing.
        """
        if len(self._steps) == 1:
            return rows
        holders: models.QuerySet[Any] = models.QuerySet(self._steps[0].related_model).filter(pk=OuterRef(self.holder))
        return rows.annotate(**{_OWNER: Subquery(holders.values(self._beyond), output_field=key_field())})

    def owners_of(self, holders: set[Any], using: str) -> list[Any]:
        """Return the keys of the tenants of rows that have these holders."""
        if len(self._steps) == 1:
            return [holder for holder in holders if holder is not None]
        rows: models.QuerySet[Any] = models.QuerySet(self._steps[0].related_model, using=using)
        return list(rows.filter(pk__in=holders - {None}).values_list(self._beyond, flat=True).distinct().order_by())

    def destination(self, values: Mapping[str, Any], using: str) -> Any:
        """Return to which tenant an ``update(**values)`` takes its rows: a key, `STAYS`, or `UNKNOWN` if the database
        is to work it out."""
        for name in (self._steps[0].name, self.holder):
            if name in values:
                value = values[name].pk if isinstance(values[name], models.Model) else values[name]
                if hasattr(value, "resolve_expression"):
                    return UNKNOWN
                return next(iter(self.owners_of({value}, using)), None)
        return STAYS


@cache
def tenant_path(model: type[models.Model], path: str) -> TenantPath:
    """Return the `TenantPath`, made once."""
    return TenantPath(model, path)


def _subselect(row: CompiledRow, pk: Any, using: str) -> Whose:
    compiled = row.compiled(using)
    assert compiled is not None  # noqa: S101 - a plain queryset has no parameters of its own
    return Whose(f"({compiled.sql})", row.prepared(pk, using))


def _steps(model: type[models.Model], path: str) -> list[Any]:
    steps: list[Any] = []
    at: Any = model
    for name in path.split("__"):
        try:
            step: Any = at._meta.get_field(name)
        except FieldDoesNotExist:
            raise TypeError(f'tenant = "{path}": {at._meta.label} has no field {name!r}. {_ways_out(model)}') from None
        if not isinstance(step, models.ForeignKey):
            raise TypeError(f'tenant = "{path}": {at._meta.label}.{name} is no foreign key. {_ways_out(model)}')
        if not step.target_field.primary_key:
            raise TypeError(
                f'tenant = "{path}": {at._meta.label}.{name} refers to {step.target_field.name!r} and not to the '
                "primary key, so its values are no keys of a tenant; a foreign key with to_field cannot be on the way."
            )
        steps.append(step)
        at = step.related_model
    if not _is_tenant(at):
        raise TypeError(
            f'tenant = "{path}" leads from {model._meta.label} to {at._meta.label}, but the tenant model is '
            f"{tenant_model()._meta.label} (INTEGRATIONS_TENANT_MODEL). {_ways_out(model)}"
        )
    return steps


def _only_way(model: type[models.Model]) -> str:
    direct = [path for path in _ways(model) if "__" not in path]
    required = [path for path in direct if not model._meta.get_field(path).null]
    for found in (required, direct):
        if len(found) == 1:
            return found[0]
    count = "several foreign keys" if direct else "no foreign key"
    raise TypeError(f"{model._meta.label} has {count} to {tenant_model()._meta.label}. {_ways_out(model)}")


def _ways_out(model: type[models.Model]) -> str:
    ways = sorted(_ways(model), key=lambda path: (path.count("__"), path))
    if not ways:
        return f"No foreign keys lead from {model._meta.label} to {tenant_model()._meta.label}."
    return "Say " + " or ".join(f'tenant = "{path}"' for path in ways[:3]) + "."


def _ways(model: Any, before: tuple[Any, ...] = ()) -> Iterator[str]:
    """Yield the paths of foreign keys from `model` to the tenant model, `MOST_STEPS` long at most."""
    for field in model._meta.concrete_fields:
        related = field.related_model
        if not isinstance(field, models.ForeignKey) or related in before or not field.target_field.primary_key:
            continue
        if _is_tenant(related):
            yield field.name
        elif len(before) + 1 < MOST_STEPS:
            yield from (f"{field.name}__{rest}" for rest in _ways(related, (*before, model)))


def _is_tenant(model: Any) -> bool:
    tenant = tenant_model()
    return issubclass(model, tenant) or model._meta.concrete_model is tenant._meta.concrete_model
