"""Find the way from a captured model to the tenant model: ``project``, or ``owner__project``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models

from integrations.tenancy.tenant import tenant_model

MOST_STEPS = 3  # of the ways that an error suggests


def steps_to_tenant(model: type[models.Model], path: str) -> list[Any]:
    """Return the foreign keys that lead from `model` to the tenant model.

    Args:
        path: their names, joined by ``__``; "": the only foreign key of the model to the tenant model, or the only one
            that must have a value.

    Raises:
        TypeError: the way does not lead to the tenant model; says where it leads, and which ways do.
    """
    path = path or _only_way(model)
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
