"""Who may use which connectors: a permission for each family, within the tenants of the person.

``integrations.use_chat_connectors`` lets a person set up and change integrations of the family ``chat``, for the
tenants they work for; ``integrations.use_any_connector`` those of every family. Superusers may use all. They are rows
of Django's own, made after each migration, so that teams are groups as everywhere else (docs/COLLABORATION.md).

What a person may do with integrations at all, tenancy/capabilities.py says; these say with which.

For staff who work in the admin there is a group of permissions for each role. What is missing in it is added with each
``migrate``, and nothing is taken away. Who wants something else makes a group of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models

from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import manifests
from integrations.label import app_label
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role, said_role, said_roles
from integrations.tenancy.scope import tenants_of

from .models import TenantIntegration

ANY = "use_any_connector"
# What is done with an integration, and so with a connector of some family.
WITH_CONNECTORS = frozenset(
    {
        Capability.RETRY, Capability.CANCEL, Capability.TEST, Capability.PAUSE, Capability.PULL, Capability.PUSH,
        Capability.ADD, Capability.SETTINGS, Capability.SECRETS, Capability.DELETE, Capability.BACKFILL,
    }
)  # fmt: skip

GROUPS = {role: f"Integrations: {role.word}" for role in Role}
# Beside what capabilities name: what the admin's pages ask for.
_SEEN = ("eventsubscription", "integrationevent", "executionlog", "webhookevent", "syncstate", "erppushlog")
_ALSO: dict[Role, tuple[tuple[str, str], ...]] = {
    Role.VIEWER: tuple(("view", model) for model in _SEEN),
    Role.OPERATOR: (("change", "webhookevent"),),
    Role.MANAGER: (("view", "apikey"), ("add", "syncstate"), ("delete", "syncstate")),
}
# For these, the permission to change integrations is needed, which is a manager's.
_NOT_OF_THE_ROLE = frozenset({Capability.TEST, Capability.PAUSE, Capability.PUSH})


def may_use(user: Any, manifest: Manifest, tenant: models.Model | None = None) -> bool:
    """Tell whether `user` may set up or change integrations of this kind; with `tenant`, for that tenant.

    Ask it wherever somebody chooses a kind, saves an integration, or acts on one; whether they may do that at all,
    tenancy/capabilities.py says. A person with a role for the tenant uses every family.
    """
    if _has_any(user, ANY, codename_of(manifest.family)):
        return tenant is None or tenants_of(user).filter(pk=tenant.pk).exists()
    return _uses_all_by_role(user, tenant.pk if tenant is not None else None)


def may_use_all(user: Any, tenant_key: Any) -> bool:
    """Tell whether `user` may use connectors of every family for this tenant, also of families that come later."""
    return _uses_all_by_role(user, tenant_key) or (
        _has_any(user, ANY) and tenants_of(user).filter(pk=tenant_key).exists()
    )


def may_act_on(user: Any, integration: TenantIntegration) -> bool:
    """Tell whether the connector type of `integration` is `user`'s to use; one that is not installed has no family."""
    return not not_usable(user, [integration.integration_type], integration.tenant)


def not_usable(user: Any, keys: Iterable[str], tenant: models.Model) -> list[str]:
    """Return those of the connector types `keys` that `user` may not use for `tenant`; none that is not installed."""
    if may_use_all(user, tenant.pk):
        return []
    installed = {manifest.key: manifest for manifest in manifests()}
    return [key for key in keys if key in installed and not may_use(user, installed[key], tenant)]


def types_of(tenant_key: Any) -> list[str]:
    """Return the connector types of which a tenant has integrations: what is sent again may go over each of them."""
    rows = TenantIntegration.objects.filter(tenant=tenant_key).order_by()
    return sorted(rows.values_list("integration_type", flat=True).distinct())


def usable_by(user: Any, tenant: models.Model | None = None) -> list[Manifest]:
    """Return the manifests of the connectors that `user` may use, sorted by key: the choices of a form.

    Args:
        tenant: for which tenant; None: for any of theirs.
    """
    key = tenant.pk if tenant is not None else None
    if _uses_all_by_role(user, key):
        return manifests()
    if key is not None and not tenants_of(user).filter(pk=key).exists():
        return []
    return [manifest for manifest in manifests() if _has_any(user, ANY, codename_of(manifest.family))]


def _has_any(user: Any, *codenames: str) -> bool:
    return any(user.has_perm(f"{app_label()}.{name}") for name in codenames)


def _uses_all_by_role(user: Any, tenant_key: Any) -> bool:
    """Tell whether the person has a role: a role is for the connectors of every family."""
    if tenant_key is None:
        return any(isinstance(said, Role) for said in said_roles(user).values())
    return isinstance(said_role(user, tenant_key), Role)


def codename_of(family: str) -> str:
    """Return the name of the permission for `family`, without its app."""
    return f"use_{family.replace('-', '_')}_connectors"


def ensure_permissions(using: str) -> None:
    """Make the permissions that are missing in the database `using`; those of a family that is gone stay."""
    wanted = {ANY: "Can use connectors of every family"}
    for family in sorted({manifest.family for manifest in manifests()}):
        wanted[codename_of(family)] = f"Can use connectors of the family {family}"
    content_type = ContentType.objects.db_manager(using).get_for_model(TenantIntegration)
    there = set(Permission.objects.using(using).filter(content_type=content_type).values_list("codename", flat=True))
    Permission.objects.using(using).bulk_create(
        (
            Permission(codename=codename, name=name, content_type=content_type)
            for codename, name in wanted.items()
            if codename not in there
        ),
        ignore_conflicts=True,  # another process migrates too
    )


def codenames_of(role: Role) -> set[str]:
    """Return the permissions of the group for `role`, those of the smaller roles among them."""
    named = {
        f"{action}_{model}"
        for capability in Capability
        if capability.role <= role and (role == Role.MANAGER or capability not in _NOT_OF_THE_ROLE)
        for action, model in capability.permissions
    }
    also = {f"{action}_{model}" for each in Role if each <= role for action, model in _ALSO[each]}
    return named | also | ({ANY} if role == Role.MANAGER else set())


def ensure_groups(app: AppConfig, using: str) -> None:
    """Make the groups that are missing in the database `using`, and add the permissions that they lack."""
    create_permissions(app, verbosity=0, using=using)  # where Django's own app comes after ours
    own = Permission.objects.using(using).filter(content_type__app_label=app.label)
    for role, name in GROUPS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        wanted = own.filter(codename__in=codenames_of(role))
        there = set(group.permissions.using(using).values_list("pk", flat=True))
        missing = [permission for permission in wanted if permission.pk not in there]
        # No person does this, so it is not in the audit trail, whose table may not exist yet.
        through: Any = Group.permissions.through
        rows = [through(group=group, permission=permission) for permission in missing]
        through.objects.using(using).bulk_create(rows, ignore_conflicts=True)
