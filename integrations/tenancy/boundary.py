"""Keep other tenants' rows out of what is read and told of one tenant's row, whatever refers to what.

    with only_of(item.tenant_id):
        item.customer            None if the customer belongs to another tenant, and a warning
        item.notes.all()         only this tenant's

    with only_own():
        item.customer            the same for each row by its own tenant, without a warning: for pages

Rows that refer to each other across tenants should not exist; forms refuse to make them, `save()` does not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connections, models

from .harmless_text import harmless
from .tenant import as_key, is_tenant

logger = logging.getLogger("integrations.tenants")


class OtherTenant(ValueError):
    """Something was asked about a row of another tenant; nothing was done."""


_only: ContextVar[Any] = ContextVar("only_of_tenant", default=None)
_own: ContextVar[bool] = ContextVar("only_own", default=False)


@contextmanager
def only_of(tenant_id: Any) -> Iterator[None]:
    """Keep other tenants' rows out of what is read through relations; None: keep nothing out."""
    token = _only.set(tenant_id)
    try:
        yield
    finally:
        _only.reset(token)


@contextmanager
def only_own() -> Iterator[None]:
    """Keep out of what is read through a relation whatever belongs to another tenant than the row that refers to it."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)


@contextmanager
def whoevers() -> Iterator[None]:
    """Keep nothing out while the owner of a row is looked up, which `only_of` and `only_own` need to know first."""
    only, own = _only.set(None), _own.set(False)
    try:
        yield
    finally:
        _own.reset(own)
        _only.reset(only)


@contextmanager
def hosts_code(using: str, tenant_id: Any = None) -> Iterator[None]:
    """Run a project's own code, such as a payload(): it finds this tenant's rows alone, and what it does in the
    database is undone if it raises.

    On PostgreSQL a statement that fails spoils the transaction around it, even if its exception is handled: that of the
    user's save. So a savepoint is set, before the first statement of the block: code that asks nothing costs nothing.

    Args:
        tenant_id: None: everybody's rows.
    """
    connection = connections[using]
    in_transaction, was_spoilt = connection.in_atomic_block, connection.needs_rollback
    savepoint: str | None = None
    is_first = True

    def before(execute: Callable[..., Any], *statement: Any) -> Any:
        nonlocal is_first, savepoint
        if is_first:
            is_first = False  # the savepoint is a statement, too
            savepoint = connection.savepoint()
        return execute(*statement)

    token = _only.set(tenant_id)
    try:
        with connection.execute_wrapper(before) if in_transaction else nullcontext():
            yield
    except Exception:
        if in_transaction:
            connection.needs_rollback = was_spoilt
        if savepoint:
            connection.savepoint_rollback(savepoint)
            connection.savepoint_commit(savepoint)
        raise
    finally:
        _only.reset(token)
    if savepoint:
        connection.savepoint_commit(savepoint)


def only_tenant() -> Any:
    """Return the key of the only tenant whose rows may be read now; None: everybody's may."""
    return _only.get()


def owner_of(row: Any) -> Any:
    """Return the key of the tenant to which `row` belongs; None: to nobody in particular, as a user or a country."""
    for kind in type(row).__mro__:
        if kind in _told:
            return _told[kind].owner(row)
    model: type[models.Model] = type(row)
    path = owner_path(model)
    return None if path is None else getattr(row, path)


class Way(NamedTuple):
    """How rows of a model lead to their tenant.

    Attributes:
        path: what the ORM calls the tenant's key: ``client__account__pk``.
        owner: returns the key of the tenant of an instance.
    """

    path: str
    owner: Callable[[Any], Any]


_told: dict[type, Way] = {}


def tell_way(model: type[models.Model], way: Way) -> None:
    """Say how rows of `model`, and of what inherits from it, lead to their tenant; their relations obey `only_of`."""
    _told[model] = way
    owner_path.cache_clear()
    bound_relations(model)


def forget_way(model: type[models.Model]) -> None:
    """Undo `tell_way`."""
    _told.pop(model, None)
    owner_path.cache_clear()


@cache
def owner_path(model: type[models.Model]) -> str | None:
    """Return the way from `model` to the key of the tenant to which a row belongs; None: rows belong to nobody.

    It is what `tell_way` said, or else the only foreign key to the tenant model that must have a value, or the one that
    is called ``tenant``.
    """
    if is_tenant(model):
        return "pk"
    for kind in model.__mro__:
        if kind in _told:
            return _told[kind].path
    keys = [field for field in model._meta.concrete_fields if _leads_to_tenant(field)]
    required = [field.attname for field in keys if not field.null]
    if len(required) == 1:
        return required[0]
    return next((field.attname for field in keys if field.name == "tenant"), None)


def _leads_to_tenant(field: Any) -> bool:
    return isinstance(field, models.ForeignKey) and field.target_field.primary_key and is_tenant(field.related_model)


def stored_owner(model: type[models.Model], pk: Any, using: str) -> Any:
    """Return the key of the tenant to which the stored row belongs; None: to nobody, or there is no such row."""
    if (path := owner_path(model)) is None:
        return None
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using)
    try:
        field: Any = model._meta.pk
        key = as_key(field, pk) if isinstance(field, models.CompositePrimaryKey) else field.to_python(pk)
        return rows.filter(pk=key).values_list(path, flat=True).first()
    except (ArithmeticError, TypeError, ValueError, ValidationError):  # "abc" is no key of this model
        return None


def refuse_foreign(row: models.Model, tenant_id: Any, *, using: str) -> None:
    """Refuse a row of another tenant; of an instance that was not read from the database, the stored row counts too.

    Raises:
        OtherTenant: says whose row it is not.
    """
    owners = [owner_of(row)]
    if owners[0] is not None and "_loaded_tenant_id" not in vars(row):  # made by hand: any key may stand in it
        owners.append(stored_owner(type(row), row.pk, using))
    else:
        owners.append(vars(row).get("_loaded_tenant_id"))
    for owner in owners:
        _refuse(type(row), row.pk, owner, tenant_id)


def refuse_foreign_key(model: type[models.Model] | None, pk: Any, tenant_id: Any, *, using: str) -> None:
    """Refuse the key of a row of another tenant; a key without a row is nobody's.

    Raises:
        OtherTenant: says whose row it is not.
    """
    if model is not None:
        _refuse(model, pk, stored_owner(model, pk, using), tenant_id)


def _refuse(model: type[models.Model], pk: Any, owner: Any, tenant_id: Any) -> None:
    if not is_own(owner, tenant_id):
        name = model._meta.verbose_name
        raise OtherTenant(f"The {name} {pk} belongs to another tenant, not to tenant {tenant_id}; nothing was done.")


def is_kept_out(row: Any, path: str) -> bool:
    """Tell whether `row` belongs to another tenant than the one that is spoken of; if so, warn.

    Args:
        path: where it was found, e.g. ``work item 12.customer``.
    """
    only = _only.get()
    if only is None or is_own(owner_of(row), only):
        return False
    warn_kept_out(path, type(row), row.pk, only)
    return True


def is_own(owner: Any, tenant_id: Any) -> bool:
    """Tell whether what belongs to `owner` may be told to this tenant: it is its own, or nobody's."""
    return owner is None or owner == tenant_id or str(owner) == str(tenant_id)


def warn_kept_out(path: str, model: type[models.Model], pk: Any, tenant_id: Any) -> None:
    """Log that a row of another tenant was found at `path`."""
    name, path = model._meta.verbose_name, harmless(path).replace("\n", "\\n")  # keys of a payload are in it
    logger.warning(
        "%s: the %s %s belongs to another tenant; null is sent instead", path, name, pk, extra={"tenant_id": tenant_id}
    )


class _Bounded:
    """Mixed into the class of a relation's descriptor."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        only = _only.get()
        if instance is None or (only is None and not _own.get()):
            return super().__get__(instance, cls)  # type: ignore[misc]
        with whoevers():  # it is found first, then it is judged
            related = super().__get__(instance, cls)  # type: ignore[misc]
        if isinstance(related, models.Manager):
            return related if only is None else _limited(related, only)
        if not isinstance(related, models.Model):
            return related
        if only is None:
            owner = owner_of(instance)  # None: nobody has said yet whose it will be
            return related if owner is None or is_own(owner_of(related), owner) else None
        return None if is_kept_out(related, f"{instance._meta.verbose_name} {instance.pk}.{_name(self)}") else related


def _limited(manager: Any, only: Any) -> Any:
    """Let the manager of one object's relation find the rows of one tenant alone."""
    if (path := owner_path(manager.model)) is not None:
        whole = manager.get_queryset
        manager.get_queryset = lambda: whole().filter(**{path: only})
        manager.count = lambda: manager.get_queryset().count()  # many-to-many counts what lies between
    return manager


def _name(descriptor: Any) -> str:
    related: Any = getattr(descriptor, "related", None)  # of a one-to-one relation, from its other side
    name: str = related.get_accessor_name() if related else getattr(descriptor, "field", descriptor).name
    return name


@cache
def _bounded(kind: Any) -> Any:
    return type(kind.__name__, (_Bounded, kind), {"__module__": kind.__module__})


def bound_relations(model: type[models.Model]) -> None:
    """Let the relations of `model` obey `only_of`: to one row and to many, generic ones, and those of others to it."""
    fields: Any = (*model._meta.local_fields, *model._meta.local_many_to_many, *model._meta.private_fields)
    names = [field.name for field in fields if field.is_relation]
    if apps.models_ready:  # before that, not all who refer to it are known
        names += [name for each in model._meta.related_objects if (name := each.get_accessor_name())]
    for name in names:
        descriptor: Any = vars(model).get(name)
        kind: Any = type(descriptor)
        if hasattr(kind, "__get__") and not isinstance(descriptor, _Bounded):
            descriptor.__class__ = _bounded(kind)
