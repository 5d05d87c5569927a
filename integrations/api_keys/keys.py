"""Make API keys and revoke them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from integrations import conf
from integrations.audit.trail import record
from integrations.connections.access import WITH_CONNECTORS, may_use_all
from integrations.counted import counted
from integrations.database import clock
from integrations.tenancy.roles import said_role
from integrations.tenancy.tenant import tenant_model

from .models import APIKey
from .scopes import Scope, scopes, unknown
from .token import new_token


def keys_of(tenant_key: Any) -> QuerySet[APIKey]:
    """Return the keys of one tenant, the newest first; those that are revoked or expired among them."""
    found: QuerySet[APIKey] = APIKey.objects.filter(tenant=tenant_key)
    return found


def in_use(rows: QuerySet[APIKey], now: datetime | None = None) -> QuerySet[APIKey]:
    """Return those of `rows` that are neither revoked nor expired."""
    return rows.filter(Q(expires_at=None) | Q(expires_at__gt=now or clock.now()), revoked_at=None)


def scopes_for(user: Any, tenant_key: Any) -> list[Scope]:
    """Return the scopes that `user` may give to a key of this tenant: nobody gives what they may not do themselves.

    Whoever may use connectors of some families only gives no key that does anything with integrations.
    """
    said = said_role(user, tenant_key)  # asked once for all of them
    return [
        scope
        for scope in scopes()
        if all(capability.is_allowed_by(user, said) for capability in scope.capabilities)
        and user.has_perms(scope.permissions)
        and (not scope.capabilities & WITH_CONNECTORS or may_use_all(user, tenant_key))
    ]


def make_key(
    tenant: Any, name: str, wanted: Iterable[str], *, user: Any, expires_at: datetime | None = None
) -> tuple[APIKey, str]:
    """Make a key and return it with its text: the one time that there is one.

    Args:
        wanted: names of scopes.
        user: who makes it, and must be allowed to do what it may do.

    Raises:
        ValidationError: a dict of what is wrong, by field.
    """
    asked = set(wanted)
    known = [scope.name for scope in scopes() if scope.name in asked]
    names = known + sorted(asked - set(known))
    token = new_token()
    key = APIKey(
        tenant=tenant,
        name=name.strip(),
        prefix=token.prefix,
        digest=token.digest,
        scopes=names,
        made_by=user.get_username()[:150],
        made_by_key=str(user.pk)[:64],
        expires_at=expires_at,
    )
    _check(key, user)
    with transaction.atomic():
        # One after the other, or two at once would both be the last one allowed.
        tenant_model()._base_manager.select_for_update(no_key=True).get(pk=tenant.pk)
        if in_use(keys_of(tenant.pk)).count() >= conf.API_KEYS_PER_TENANT:
            most = counted(conf.API_KEYS_PER_TENANT, "API key")
            raise ValidationError(
                {"name": _("The tenant has {most} already; revoke one that is not used any more.").format(most=most)}
            )
        key.save()
        record("made", key, details={"scopes": names, "expires": str(expires_at or "never")}, actor=user)
    return key, token.text


def _check(key: APIKey, user: Any) -> None:
    problems: dict[str, Any] = {}
    try:
        key.clean_fields(exclude=["tenant"])
    except ValidationError as error:
        problems = error.update_error_dict(problems)
    if "name" not in problems and in_use(keys_of(key.tenant_id)).filter(name=key.name).exists():
        problems["name"] = [_("There is a key called {name} already.").format(name=key.name)]
    if not key.scopes:
        problems["scopes"] = [_("Choose what the key may do.")]
    elif strange := unknown(key.scopes):
        problems["scopes"] = [_("There is no scope {names}.").format(names=", ".join(strange))]
    elif refused := sorted(set(key.scopes) - {scope.name for scope in scopes_for(user, key.tenant_id)}):
        problems["scopes"] = [
            _("You may not give {names}: it allows more than you may do yourself.").format(names=", ".join(refused))
        ]
    if key.expires_at is not None and key.expires_at <= clock.now():
        problems["expires_at"] = [_("This is in the past.")]
    if problems:
        raise ValidationError(problems)


def revoke(key: APIKey, *, actor: Any) -> bool:
    """Refuse `key` from now on, because the user `actor` wants it; return False if it was revoked before."""
    with transaction.atomic():
        mine = APIKey.objects.filter(pk=key.pk, revoked_at=None)
        is_done = bool(mine.update(revoked_at=clock.now(), revoked_by=actor.get_username()[:150]))
        if is_done:
            record("revoked", key, actor=actor)
    key.refresh_from_db(fields=["revoked_at", "revoked_by"])
    return is_done
