"""The tenant model of this project: ``INTEGRATIONS_TENANT_MODEL = "accounts.Account"``, with a key of any type.

Two fields of it are used if it has them: ``name`` (what people read; else ``str()``) and ``slug`` (its name in code and
in the API, beside its key). One that is being deleted in batches (marks.py) is found no more.
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured, ValidationError
from django.db import models

from integrations import conf
from integrations.database.stretches import MAX_KEY

from .marks import MarkedDeletion

_WHOLE = re.compile(r"-?[0-9]{1,19}")
_UNASKABLE = re.compile("[\0\ud800-\udfff]")


def tenant_model() -> type[models.Model]:
    """Return the model that ``INTEGRATIONS_TENANT_MODEL`` names.

    Raises:
        ImproperlyConfigured: there is no such model.
    """
    label = conf.tenant_label()
    try:
        return apps.get_model(label, require_ready=False)
    except (LookupError, ValueError) as error:
        raise ImproperlyConfigured(
            f"INTEGRATIONS_TENANT_MODEL is {label!r}, and there is no such model ({error}); "
            'name yours as "app_label.Model".'
        ) from None


def is_tenant(model: type[models.Model]) -> bool:
    """Tell whether rows of `model` are tenants."""
    return bool(model._meta.concrete_model is tenant_model()._meta.concrete_model)


def tenant_field(name: str) -> models.Field[Any, Any] | None:
    """Return the column `name` of the tenant model, None if it has none."""
    return _column(tenant_model(), name)


def _column(model: Any, name: str) -> models.Field[Any, Any] | None:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field if isinstance(field, models.Field) and field.concrete else None


def name_of(tenant: models.Model) -> str:
    """Return what people call `tenant`."""
    return str(getattr(tenant, "name") if _column(tenant, "name") else tenant)  # noqa: B009 - a host's column


def slug_of(tenant: models.Model) -> str:
    """Return the word for `tenant` in code, in folders and in the API: its slug, or its key if it has no such field."""
    return str((getattr(tenant, "slug") or "") if _column(tenant, "slug") else tenant.pk)  # noqa: B009 - a host's column


def present() -> models.QuerySet[Any]:
    """Return the tenants without those that are being deleted (marks.py)."""
    tenants = tenant_model()._default_manager.all()
    return tenants.filter(deleting_since=None) if issubclass(tenants.model, MarkedDeletion) else tenants


def find_tenant(key: Any) -> Any:
    """Return the tenant that `key` names: a tenant, its key, or its slug ("acme-corp"); None if there is none.

    What may be a key is one: a tenant that is called "7" must not get what is meant for number 7.
    """
    if isinstance(key, tenant_model()):
        return key
    if isinstance(key, bool) or key is None:
        return None
    if (pk := tenant_key(key)) is not None:
        found = present().filter(pk=pk).first()
        if found is not None or not isinstance(pk, str):
            return found
    return present().filter(slug=key).first() if isinstance(key, str) and tenant_field("slug") else None


def tenant_key(value: Any) -> Any:
    """Return `value` as a key of the tenant model; None for what cannot be one, as "acme" of a number."""
    return key_of(tenant_model(), value)


def key_of(model: type[models.Model], value: Any) -> Any:
    """Return `value` as a primary key of `model`; None for what no row has ("²", a hundred digits)."""
    found = as_key(model._meta.pk, value)
    return None if isinstance(found, int) and found < 0 else found


def as_key(field: Any, value: Any) -> Any:
    """Return `value` as what `field`, a key, holds; None for what it holds in no row, whatever it is.

    Such are a number that no database takes, a value of another type (a list, 1.5 or True for a number, a number for
    a UUID), and a text that PostgreSQL cannot be asked for. A composite key is a tuple, or its parts as JSON.
    """
    while field.remote_field is not None:
        field = field.target_field
    if isinstance(field, models.CompositePrimaryKey):
        return _as_composite_key(field, value)
    if isinstance(field, models.IntegerField):
        is_number = isinstance(value, int) and not isinstance(value, bool)
        text = value if isinstance(value, str) else str(value) if is_number and abs(value) <= MAX_KEY else ""
        number = int(text) if _WHOLE.fullmatch(text) else None
        return number if number is not None and abs(number) <= MAX_KEY else None
    try:
        found = field.to_python(value) if value not in ("", None) else None
    except (ArithmeticError, TypeError, ValueError, ValidationError):
        return None
    if found is None or not isinstance(value, str | type(found)):
        return None
    return None if isinstance(found, str) and _UNASKABLE.search(found) else found


def _as_composite_key(field: models.CompositePrimaryKey, value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (RecursionError, ValueError):
            return None
    if not isinstance(value, list | tuple) or len(value) != len(field.fields):
        return None
    parts = tuple(as_key(part, each) for part, each in zip(field.fields, value, strict=True))
    return None if None in parts else parts
