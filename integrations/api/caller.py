"""Who calls the API, whose rows there are for them, and what they may do: asked by every call.

A person with a session, or a program with an API key. What is another tenant's does not exist here (404).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest

from integrations.api_keys.models import APIKey
from integrations.api_keys.scopes import Scope, scopes
from integrations.connections.access import WITH_CONNECTORS, not_usable, types_of
from integrations.connections.models import TenantIntegration
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import ConfigurationError
from integrations.inbound.actions import not_theirs
from integrations.tenancy.capabilities import Capability, may, tenants_where
from integrations.tenancy.scope import tenants_of
from integrations.tenancy.tenant import find_tenant, present, slug_of, tenant_model

_CAPABILITY, _SCOPE, _KIND, _ACTION = "capability", "scope", "connector type", "inbound action"


class Caller(ABC):
    """Whose rows there are for a call, and what it may do with them.

    Attributes:
        user: the person; of a program, nobody.
        name: who it is, for logs.
        identity: the same for the same caller, never for two.
        granted: what this call asked for and was allowed, as JSON: (capability, scope, connector type or inbound
            action, its name, the tenant's key).
    """

    user: Any
    name: str
    identity: str

    def __init__(self) -> None:
        self.granted: list[tuple[str, str, str]] = []

    @abstractmethod
    def tenants(self) -> QuerySet[Any]:
        """Return the tenants that exist for this caller."""

    @abstractmethod
    def tenants_where(self, capability: Capability) -> QuerySet[Any]:
        """Return those of them for which the caller may do it."""

    @abstractmethod
    def may(self, capability: Capability, tenant_key: Any) -> bool:
        """Tell whether the caller may do it for this tenant."""

    @abstractmethod
    def not_usable(self, keys: Sequence[str], tenant: Any) -> list[str]:
        """Return those of these connector types that the caller may not use for `tenant`."""

    @abstractmethod
    def lacks(self, capability: Capability) -> str:
        """Say what it takes to be allowed to do it."""

    @abstractmethod
    def tenants_with(self, scope: Scope) -> QuerySet[Any]:
        """Return the tenants for which the caller may do what a project's own `scope` allows."""

    @abstractmethod
    def lacks_scope(self, scope: Scope) -> str:
        """Say what it takes to be allowed to do what `scope` allows."""

    def require(self, capability: Capability, tenant_key: Any) -> None:
        """Refuse a caller who may not do it.

        Raises:
            PermissionDenied: the message says what it takes.
        """
        if not self.may(capability, tenant_key):
            raise PermissionDenied(self.lacks(capability))
        self.granted.append((_CAPABILITY, capability.name, str(tenant_key)))

    def require_for(self, integration: TenantIntegration, capability: Capability) -> None:
        """Refuse a caller who may not do it with `integration`: its connector type must be theirs to use, too.

        Raises:
            PermissionDenied: the message says what it takes.
        """
        self.require(capability, integration.tenant_id)
        if capability in WITH_CONNECTORS:
            self.require_use(integration)

    def require_scope(self, scope: Scope, tenant_key: Any) -> None:
        """Refuse a caller who may not do what a project's own `scope` allows.

        Raises:
            PermissionDenied: the message says what it takes.
        """
        if not self.tenants_with(scope).filter(pk=tenant_key).exists():
            raise PermissionDenied(self.lacks_scope(scope))
        self.granted.append((_SCOPE, scope.name, str(tenant_key)))

    def require_kind(self, key: str, tenant: Any) -> None:
        """Refuse a caller who may not set up and change integrations of the connector type `key` for `tenant`.

        Raises:
            PermissionDenied: the message names the family.
            UnknownConnector: there is no such type.
        """
        ConnectorRegistry.type_of(key)
        self._require_types([key], tenant)

    def require_use(self, integration: TenantIntegration) -> None:
        """Refuse a caller who may not use the connector type of `integration`; one not installed has no family.

        Raises:
            PermissionDenied: the message names the family.
        """
        self._require_types([integration.integration_type], integration.tenant)

    def require_use_of_all(self, tenant: Any) -> None:
        """Refuse a caller who may not use each connector type of which `tenant` has integrations.

        Raises:
            PermissionDenied: the message names the families.
        """
        self._require_types(types_of(tenant.pk), tenant)

    def _require_types(self, keys: Sequence[str], tenant: Any) -> None:
        if refused := self.not_usable(keys, tenant):
            families = sorted({ConnectorRegistry.type_of(key).manifest.family for key in refused})
            noun = "family" if len(families) == 1 else "families"
            raise PermissionDenied(f"Connectors of the {noun} {', '.join(families)} are not yours to use.")
        self.granted += [(_KIND, key, str(tenant.pk)) for key in keys]

    def refusal_to_tick(self, names: list[str], ticked: list[str], tenant_key: Any) -> str:
        """Say why the caller may not let an integration of this tenant do these inbound actions, "" if they may.

        Args:
            ticked: what it may do already; that stays, whoever asks.
        """
        problem = not_theirs(self.user, names, ticked)
        if not problem:
            self.granted += [(_ACTION, name, str(tenant_key)) for name in sorted(set(names) - set(ticked))]
        return problem

    def require_again(self, granted: Iterable[Sequence[str]]) -> None:
        """Refuse a caller who may no longer do what was `granted` to an earlier call of theirs.

        Raises:
            Http404: the tenant is not theirs any more.
            PermissionDenied: the message says what it takes.
        """
        known = {scope.name: scope for scope in scopes()}
        for kind, name, text in granted:
            key = tenant_model()._meta.pk.to_python(text)
            tenant = self.tenants().filter(pk=key).first()
            if tenant is None:
                raise Http404
            if kind == _CAPABILITY and name in Capability.__members__:
                self.require(Capability[name], key)
            elif kind == _SCOPE and name in known:
                self.require_scope(known[name], key)
            elif kind == _KIND:
                self._require_types([name], tenant)
            elif kind == _ACTION:
                if problem := self.refusal_to_tick([name], [], key):
                    raise PermissionDenied(problem)
            else:
                raise PermissionDenied  # a newer release has no such thing


class Person(Caller):
    """Somebody who is signed in."""

    def __init__(self, user: Any) -> None:
        super().__init__()
        self.user = user
        self.name = user.get_username()
        self.identity = f"user {user.pk}"

    def tenants(self) -> QuerySet[Any]:
        return tenants_of(self.user)

    def tenants_where(self, capability: Capability) -> QuerySet[Any]:
        return tenants_where(self.user, capability)

    def may(self, capability: Capability, tenant_key: Any) -> bool:
        return may(self.user, capability, tenant_key)

    def not_usable(self, keys: Sequence[str], tenant: Any) -> list[str]:
        return not_usable(self.user, keys, tenant)

    def lacks(self, capability: Capability) -> str:
        return f"You need the role {capability.role.word} to {capability.words}."

    def tenants_with(self, scope: Scope) -> QuerySet[Any]:
        is_allowed = bool(scope.permissions) and self.user.has_perms(scope.permissions)
        return self.tenants() if is_allowed else self.tenants().none()

    def lacks_scope(self, scope: Scope) -> str:
        if not scope.permissions:
            return f"This takes an API key with the scope {scope.name}."
        noun = "permission" if len(scope.permissions) == 1 else "permissions"
        return f"You need the {noun} {', '.join(scope.permissions)} to do this."


class Program(Caller):
    """Somebody's program, which sent an API key."""

    def __init__(self, key: APIKey) -> None:
        super().__init__()
        self.key, self.user = key, AnonymousUser()
        self.name = key.actor[:150]
        self.identity = f"key {key.pk}"

    def tenants(self) -> QuerySet[Any]:
        return present().filter(pk=self.key.tenant_id)

    def tenants_where(self, capability: Capability) -> QuerySet[Any]:
        return self.tenants() if self.key.may(capability) else self.tenants().none()

    def may(self, capability: Capability, tenant_key: Any) -> bool:
        return bool(self.key.tenant_id == tenant_key) and self.key.may(capability)

    def not_usable(self, keys: Sequence[str], tenant: Any) -> list[str]:
        return []  # only who may use all gives a key that does anything with integrations (api_keys/keys.py)

    def lacks(self, capability: Capability) -> str:
        fitting = [scope.name for scope in scopes() if capability in scope.capabilities]
        return (
            f"This API key needs the scope {' or '.join(fitting)} to {capability.words}."
            if fitting
            else "No key may do this."
        )

    def tenants_with(self, scope: Scope) -> QuerySet[Any]:
        return self.tenants() if self.key.has(scope.name) else self.tenants().none()

    def lacks_scope(self, scope: Scope) -> str:
        return f"This API key needs the scope {scope.name}."


def caller_of(request: HttpRequest) -> Caller:
    """Return who calls; the API's authentication (authentication.py) has put it there."""
    caller: Caller = request.auth  # type: ignore[attr-defined]
    return caller


# -- whose rows --------------------------------------------------------------------------------------


def allowed_tenants(request: HttpRequest, capability: Capability) -> QuerySet[Any]:
    """Return the tenants for which the caller may do it.

    Raises:
        PermissionDenied: there is none, although the caller has tenants.
    """
    caller = caller_of(request)
    return some_of(caller, caller.tenants_where(capability), caller.lacks(capability))


def some_of(caller: Caller, tenants: QuerySet[Any], lacks: str) -> QuerySet[Any]:
    """Return `tenants`.

    Raises:
        PermissionDenied: there is none, although the caller has tenants; `lacks` says what it takes.
    """
    if not tenants.exists() and caller.tenants().exists():
        raise PermissionDenied(lacks)
    return tenants


def visible(request: HttpRequest, capability: Capability) -> QuerySet[TenantIntegration]:
    """Return the integrations of the tenants for which the caller may do it; one that is being deleted is gone.

    Raises:
        PermissionDenied: there is no such tenant.
    """
    return TenantIntegration.objects.present().filter(tenant__in=allowed_tenants(request, capability))


def one(
    request: HttpRequest, public_id: UUID, capability: Capability, *, lock: bool = False, installed: bool = False
) -> TenantIntegration:
    """Return one integration with which the caller may do it.

    Args:
        lock: lock it until the end of the transaction.
        installed: its connector type must be installed.

    Raises:
        Http404: it does not exist for this caller.
        PermissionDenied: the caller may not do that with it, or not with its connector type.
        UnknownConnector, IncompatibleConnector: its type is not installed.
    """
    caller = caller_of(request)
    rows = TenantIntegration.objects.present().filter(tenant__in=caller.tenants(), public_id=public_id)
    integration = (rows.select_for_update(of=("self",)) if lock else rows.select_related("tenant")).first()
    if integration is None:
        raise Http404
    caller.require_for(integration, capability)
    if installed:
        ConnectorRegistry.type_of(integration.integration_type)
    return integration


def one_row(request: HttpRequest, rows: QuerySet[Any], pk: int, capability: Capability, *, of: str = "") -> Any:
    """Return the row `pk` of `rows`, with which the caller may do it.

    Args:
        of: the field that is its integration; "": it is a tenant's, and its field is ``tenant``.

    Raises:
        Http404: it does not exist for this caller.
        PermissionDenied: the caller may not do that with it, or not with the connector type.
    """
    caller, path = caller_of(request), f"{of}__tenant" if of else "tenant"
    row = rows.select_related(path).filter(pk=pk, **{f"{path}__in": caller.tenants()}).first()
    if row is None:
        raise Http404
    if of:
        caller.require_for(getattr(row, of), capability)
    else:
        caller.require(capability, row.tenant_id)
    return row


def rows_of(request: HttpRequest, model: type[Model], public_id: UUID | None, capability: Capability) -> QuerySet[Any]:
    """Return the rows of `model` (whose field ``connection`` is an integration) with which the caller may do it.

    Args:
        public_id: only those of this integration; None: of all.

    Raises:
        Http404: the integration does not exist for this caller.
        PermissionDenied: the caller may not do that.
    """
    if public_id is not None:
        return model._default_manager.filter(connection=one(request, public_id, capability).pk)
    return model._default_manager.filter(connection__tenant__in=allowed_tenants(request, capability))


def tenant_of(request: HttpRequest, key: str | int | None) -> Any:
    """Return the tenant that `key` names, or the only one that the caller has.

    Raises:
        ConfigurationError: there is none of that name, or nobody said which one.
    """
    mine = caller_of(request).tenants()
    if key is None:
        only = list(mine[:2])
        if len(only) == 1:
            return only[0]
        raise ConfigurationError({"tenant": "say which one: its slug or id"})
    tenant = find_tenant(key)
    if tenant is None or not mine.filter(pk=tenant.pk).exists():
        raise ConfigurationError({"tenant": "there is no such tenant"})
    return tenant


def tenant_shown(row: Any) -> str:
    """Return how answers name the tenant of `row`: its slug, or its key if it has none."""
    return slug_of(row.tenant) or str(row.tenant_id)
