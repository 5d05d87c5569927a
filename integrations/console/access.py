"""Who looks at the console, at which tenants' rows, and what they may do there."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _

from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role, role_by_permissions, said_roles
from integrations.tenancy.scope import tenants_of
from integrations.tenancy.tenant import name_of, tenant_key

CHOSEN = "integrations_console_tenant"  # in the session: the key of the tenant that is looked at, as text
LISTED = 500  # tenants that the switch names


Needed = Role | Capability


class RoleNeeded(PermissionDenied):
    """A person's role is too small for what they asked for.

    Attributes:
        needed: the smallest role that may do it.
        has: the role that the person has.
        tenant: for which tenant it was asked; None: for all that are looked at.
    """

    def __init__(self, needed: Needed, has: Role | None, tenant: Any = None) -> None:
        self.needed = needed if isinstance(needed, Role) else needed.role
        self.has, self.tenant = has, tenant
        words = needed.words if isinstance(needed, Capability) else _("do this")
        super().__init__(_("You need the role {role} to {words}.").format(role=self.needed.said, words=words))


class Access:
    """What the signed-in person may see and do; made once for each request.

    A tenant in which the person has no role does not exist here. Rows are those of tenants in which the person may do
    what the page is for.

    Attributes:
        user: the person.
        needed: what the page is for.
        tenant: the tenant that is looked at; None: all that the person may see.
    """

    def __init__(self, request: HttpRequest, needed: Needed = Role.VIEWER) -> None:
        self.user: Any = request.user
        self.needed = needed
        self._wanted = request.session.get(CHOSEN, "")

    @cached_property
    def tenants(self) -> list[Any]:
        """The tenants that the person may see, the first LISTED by name or key."""
        if self._is_superuser or self._few is None:
            return list(self._all[:LISTED])
        visible = set(self.keys_where(Role.VIEWER))
        return [tenant for tenant in self._few if tenant.pk in visible]

    @cached_property
    def _few(self) -> list[Any] | None:
        """The tenants of which the person is one of the people, read once; None: more than LISTED."""
        found = list(tenants_of(self.user)[: LISTED + 1])
        return found if len(found) <= LISTED else None

    @property
    def _all(self) -> QuerySet[Any]:
        tenants = tenants_of(self.user)
        return tenants if self._is_superuser else tenants.filter(pk__in=self.keys_where(Role.VIEWER))

    @property
    def _is_superuser(self) -> bool:
        return bool(self.user.is_active and self.user.is_superuser)

    @cached_property
    def _said(self) -> dict[Any, Role | str]:
        return said_roles(self.user, None if self._few is None else [tenant.pk for tenant in self._few])

    @cached_property
    def _by_permissions(self) -> Role | None:
        return role_by_permissions(self.user)

    def keys_where(self, needed: Needed) -> list[Any]:
        """Return the keys of the tenants in which the person may do it; not for superusers, who may everywhere."""
        return [key for key in self._said if self.may(needed, key)]

    @cached_property
    def tenant(self) -> Any:
        key = tenant_key(self._wanted) if self._wanted else None
        found = self._visible_tenant(key)
        if found is None and len(self.tenants) == 1:
            return self.tenants[0]
        return found

    def _visible_tenant(self, key: Any) -> Any:
        """Return the tenant of this key, None if it does not exist for this person."""
        if key is None:
            return None
        if self._is_superuser or self._few is None:
            return self._all.filter(pk=key).first()
        return next((tenant for tenant in self.tenants if tenant.pk == key), None)

    @property
    def tenant_name(self) -> str:
        """The name of the tenant that is looked at, or that it is all of them."""
        return name_of(self.tenant) if self.tenant is not None else _("All tenants")

    @property
    def sees_several(self) -> bool:
        """True: rows of several tenants may be on one page, so that each must say whose it is."""
        return self.tenant is None and len(self.tenants) > 1

    @property
    def is_operator(self) -> bool:
        """True: the person runs the product, and sees processes, queues and clocks."""
        return bool(self.user.is_active and self.user.is_staff)

    def rows(self, queryset: QuerySet[Any], path: str = "tenant") -> QuerySet[Any]:
        """Return the rows of the tenant that is looked at, or of all that the person may see.

        Args:
            path: how the rows lead to their tenant, such as ``integration__tenant``.
        """
        if self.tenant is not None:
            return queryset.filter(**{path: self.tenant.pk})
        return self.visible(queryset, path)

    def visible(self, queryset: QuerySet[Any], path: str = "tenant") -> QuerySet[Any]:
        """Return the rows of all tenants that the person may see, whichever is looked at: for a page of one row."""
        return queryset if self._is_superuser else queryset.filter(**{f"{path}__in": self.keys_where(self.needed)})

    def one(self, queryset: QuerySet[Any], path: str = "tenant", **lookup: Any) -> Any:
        """Return the row that `lookup` names.

        Raises:
            Http404: there is none, or it is of a tenant that this person does not see.
            RoleNeeded: it is of a tenant in which the person may not do what the page is for.
        """
        found = self.visible(queryset, path).filter(**lookup).first()
        if found is None:
            if not self._is_superuser:
                rows = queryset.filter(**lookup, **{f"{path}__in": self.keys_where(Role.VIEWER)})
                for key in rows.order_by().values_list(path, flat=True)[:1]:
                    self.require(self.needed, key)
            raise Http404
        return found

    def tenant_of(self, key: Any) -> Any:
        """Return the tenant of this key.

        Raises:
            Http404: it does not exist for this person.
        """
        found = self._visible_tenant(key)
        if found is None:
            raise Http404
        return found

    def role_in(self, tenant_key: Any) -> Role | None:
        """Return the person's role for one tenant; None: it does not exist for them."""
        if self._is_superuser:
            return Role.MANAGER
        said = self._said.get(tenant_key)
        return said if isinstance(said, Role) else self._by_permissions if said else None

    @cached_property
    def role(self) -> Role | None:
        """The person's role for the tenant that is looked at; the smallest one where several are."""
        if self._is_superuser:
            return Role.MANAGER
        if self.tenant is not None:
            return self.role_in(self.tenant.pk)
        roles = [self.role_in(key) for key in self._said]
        return min((role for role in roles if role is not None), default=None)

    def require(self, needed: Needed, tenant_key: Any) -> None:
        """Refuse who may not do it for that tenant, or has a smaller role there.

        Raises:
            Http404: the tenant does not exist for this person.
            RoleNeeded: what the page of the refusal says.
        """
        if not self.may(needed, tenant_key):
            if (has := self.role_in(tenant_key)) is None:
                raise Http404
            raise RoleNeeded(needed, has, self._visible_tenant(tenant_key))

    def may(self, needed: Needed, tenant_key: Any) -> bool:
        """Tell whether the person may do it for that tenant, or has at least that role there: to offer a button."""
        if self._is_superuser:
            return True
        if isinstance(needed, Capability):
            return needed.is_allowed_by(self.user, self._said.get(tenant_key))
        has = self.role_in(tenant_key)
        return has is not None and has >= needed

    def has_role(self, tenant_key: Any) -> bool:
        """Tell whether somebody gave the person a role there; else Django's permissions say what they may."""
        return self._is_superuser or isinstance(self._said.get(tenant_key), Role)

    def may_here(self, needed: Needed) -> bool:
        """Tell the same of the tenant that is looked at; where several are, of at least one of them."""
        if self.tenant is not None:
            return self.may(needed, self.tenant.pk)
        return self._is_superuser or bool(self.keys_where(needed))
