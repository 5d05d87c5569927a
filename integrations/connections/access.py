"""Who may use which connectors: a permission for each family, within the tenants of the person.

``integrations.use_chat_connectors`` lets a person set up and change integrations of the family ``chat``, for the
tenants they work for; ``integrations.use_any_connector`` those of every family. Superusers may use all. They are rows
of Django's own, made after each migration, so that teams are groups as everywhere else (docs/COLLABORATION.md).

Beside these, Django's ``add_``, ``change_``, ``delete_`` and ``view_tenantintegration`` hold as before: they say what
a person may do with integrations at all, these say with which.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import models

from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import manifests
from integrations.label import app_label
from integrations.tenancy.scope import tenants_of

from .models import TenantIntegration

ANY = "use_any_connector"


def may_use(user: Any, manifest: Manifest, tenant: models.Model | None = None) -> bool:
    """Tell whether `user` may set up or change integrations of this kind; with `tenant`, for that tenant.

    Ask it wherever somebody chooses a kind, saves an integration, or acts on one.
    """
    if not any(user.has_perm(f"{app_label()}.{name}") for name in (ANY, codename_of(manifest.family))):
        return False
    return tenant is None or tenants_of(user).filter(pk=tenant.pk).exists()


def usable_by(user: Any) -> list[Manifest]:
    """Return the manifests of the connectors that `user` may use, sorted by key: the choices of a form."""
    return [manifest for manifest in manifests() if may_use(user, manifest)]


def codename_of(family: str) -> str:
    """Return the name of the permission for `family`, without its app."""
    return f"use_{family.replace('-', '_')}_connectors"


def ensure_permissions(using: str) -> None:
    """Make the permissions that are missing in the database `using`; those of a family that is gone stay."""
    content_type = ContentType.objects.db_manager(using).get_for_model(TenantIntegration)
    there = set(Permission.objects.using(using).filter(content_type=content_type).values_list("codename", flat=True))
    missing = [(codename, name) for codename, name in _wanted() if codename not in there]
    Permission.objects.using(using).bulk_create(
        (Permission(codename=codename, name=name, content_type=content_type) for codename, name in missing),
        ignore_conflicts=True,  # another process migrates too
    )


def _wanted() -> Iterable[tuple[str, str]]:
    yield ANY, "Can use connectors of every family"
    for family in sorted({manifest.family for manifest in manifests()}):
        yield codename_of(family), f"Can use connectors of the family {family}"
