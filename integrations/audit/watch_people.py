"""Write down who may do what, whoever changes it: memberships with their roles, and Django's permissions.

A console, an admin, a shell and a command save alike, so the models are watched and not the pages. What is said of a
membership is said of its person, for the tenant: added, changed role, removed. Of an account only what lets it do more
or less: its switches, groups and permissions; and of a group its permissions.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from integrations.tenancy.people import name_of_user

from .differences import as_saved
from .trail import CHANGED, record
from .watch import WATCHED, as_deleted, remember_before_deletion, watch_deletions

ADDED, CHANGED_ROLE, REMOVED = "added", "changed role", "removed"
BY_PERMISSIONS = "by permissions"  # the role of a membership without one
SWITCHES = ("is_active", "is_staff", "is_superuser")
_BEFORE = "_audit_rights_before"
_LISTS = ("groups", "user_permissions", "permissions")  # of accounts and of groups


def note_role(tenant: Any, user: Any, before: str | None, after: str | None, **said: Any) -> None:
    """Write down that somebody works for `tenant` with another role than before.

    Args:
        before, after: a role's word, "" for none of its own; None: they do not work for it.
        said: see `entry_of`.
    """
    action = ADDED if before is None else REMOVED if after is None else CHANGED_ROLE
    shown = [role if role is None else role or BY_PERMISSIONS for role in (before, after)]
    name = f"{name_of_user(user)} ({user.get_username()})"
    record(action, user, tenant=tenant, name=name, changes={"role": shown}, **said)


def watch_memberships(model: type[models.Model]) -> None:
    """Write down changes of the rows that say who works for whom.

    Args:
        model: has foreign keys ``tenant`` and ``user``, and a text ``role``.
    """
    WATCHED.add(model)
    name = model._meta.label
    pre_save.connect(_read_membership, sender=model, dispatch_uid=f"audit before {name}")
    post_save.connect(_note_membership, sender=model, dispatch_uid=f"audit {name}")
    remember_before_deletion(model)
    post_delete.connect(_note_leaving, sender=model, dispatch_uid=f"audit deletion {name}")
    m2m_changed.connect(partial(_note_added, model), sender=model, weak=False, dispatch_uid=f"audit added {name}")


def watch_permissions() -> None:
    """Write down changes of what accounts and groups may do by Django's permissions."""
    user = get_user_model()
    WATCHED.update((user, Group))
    watch_deletions(user, Group)
    pre_save.connect(_read_switches, sender=user, dispatch_uid="audit before switches")
    post_save.connect(_note_switches, sender=user, dispatch_uid="audit switches")
    for model in (user, Group):
        for name in _LISTS:
            through = getattr(getattr(model, name, None), "through", None)
            if through is not None:
                noted = partial(_note_list, model, name)
                m2m_changed.connect(noted, sender=through, weak=False, dispatch_uid=f"audit {model._meta.label}.{name}")


def _read_membership(sender: type[models.Model], instance: Any, raw: bool, using: str, **_: Any) -> None:
    if not raw:
        old = None if instance._state.adding else sender._base_manager.using(using).filter(pk=instance.pk).first()
        instance.__dict__[_BEFORE] = old


def _note_membership(instance: Any, raw: bool, update_fields: Collection[str] | None = None, **_: Any) -> None:
    before = instance.__dict__.pop(_BEFORE, None)
    if raw:
        return
    saved = as_saved(instance, before, update_fields)
    whose = ("tenant_id", "user_id")
    if before is not None and any(getattr(before, name) != getattr(saved, name) for name in whose):
        note_role(before.tenant, before.user, before.role, None)
        before = None
    if before is None or before.role != saved.role:
        note_role(saved.tenant, saved.user, None if before is None else before.role, saved.role)


def _note_leaving(instance: Any, **_: Any) -> None:
    gone = as_deleted(instance)
    try:
        tenant, user = gone.tenant, gone.user
    except ObjectDoesNotExist:
        return  # whose end is told goes with everything that it had
    if getattr(tenant, "deleting_since", None) is None:
        note_role(tenant, user, gone.role, None)


def _note_added(
    rows_of: Any, instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **_: Any
) -> None:
    """`tenant.members.add(user)` makes rows that no save shows; removing them deletes them one by one."""
    if action == "post_add" and pk_set:
        mine, others = ("user", "tenant") if isinstance(instance, get_user_model()) else ("tenant", "user")
        rows = rows_of._base_manager.using(using).filter(**{mine: instance.pk, f"{others}__in": pk_set})
        for row in rows.select_related("tenant", "user").order_by("pk"):
            note_role(row.tenant, row.user, None, row.role)


def _read_switches(
    instance: Any, raw: bool, using: str, update_fields: Collection[str] | None = None, **_: Any
) -> None:
    names = _switches(instance)
    if raw or instance._state.adding or (update_fields is not None and not set(names) & set(update_fields)):
        return  # signing in writes when, and no more
    rows = type(instance)._base_manager.using(using).filter(pk=instance.pk)
    instance.__dict__[_BEFORE] = rows.first()


def _note_switches(instance: Any, update_fields: Collection[str] | None = None, **_: Any) -> None:
    before = instance.__dict__.pop(_BEFORE, None)
    if before is None:
        return
    saved = as_saved(instance, before, update_fields)
    states = ((name, getattr(before, name), getattr(saved, name)) for name in _switches(instance))
    changes = {name: [old, new] for name, old, new in states if old != new}
    if changes:
        record(CHANGED, saved, name=_name(saved), changes=changes)


def _switches(instance: Any) -> list[str]:
    columns = {field.name for field in instance._meta.concrete_fields}
    return [name for name in SWITCHES if name in columns]


def _note_list(
    owner: type[models.Model],
    name: str,
    instance: Any,
    action: str,
    pk_set: set[Any] | None,
    using: str,
    **_: Any,
) -> None:
    """Compare the list before and after; seen from the other side, that of each row that it concerns."""
    moment = action.partition("_")[0]
    if moment == "pre":
        if isinstance(instance, owner):
            rows = [instance]
        else:
            field: Any = owner._meta.get_field(name)
            wanted = {f"{field.name}": instance.pk} if pk_set is None else {"pk__in": pk_set}
            rows = list(owner._base_manager.using(using).filter(**wanted))
        instance.__dict__[_BEFORE] = [(row, _listed(row, name, using)) for row in rows]
        return
    for row, before in instance.__dict__.pop(_BEFORE, ()):
        after = _listed(row, name, using)
        if before != after:
            record(CHANGED, row, name=_name(row), changes={name: [before, after]})


def _listed(row: Any, name: str, using: str) -> list[str]:
    listed = getattr(row, name).using(using).order_by("pk")
    # What a name may contain; not by select_related, whose join leaves out what names a row that is not there.
    named_by = [field.name for field in listed.model._meta.concrete_fields if field.many_to_one]
    return sorted(map(_named, listed.prefetch_related(*named_by)))


def _named(row: Any) -> str:
    try:
        return str(row)
    except ObjectDoesNotExist:  # loaddata: the content type that a permission names may come after it
        return f"{row._meta.verbose_name} {row.pk}"


def _name(row: Any) -> str:
    return str(row) if isinstance(row, Group) else f"{name_of_user(row)} ({row.get_username()})"
