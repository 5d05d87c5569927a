"""What an event says has changed, and who did it: people and other rows by their names, not by their keys.

The body has keys, for programs; the names are those of now. One query for each kind of row, however many events.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.translation import gettext as _

from integrations.outbox.models import IntegrationEvent
from integrations.outbox.objects import called, model_of, readable
from integrations.tenancy.boundary import is_own, owner_of
from integrations.tenancy.harmless_text import harmless
from integrations.tenancy.people import name_of_user
from integrations.tenancy.tenant import as_key

Change = tuple[str, Any, Any]
MOST = 20  # fields that are named


def changes_of(event: IntegrationEvent) -> list[Change]:
    """Return (field, before, after) of what `event` says has changed, MOST of them."""
    try:
        body = json.loads(event.body)
    except ValueError:
        return []
    changes = body.get("changes") if isinstance(body, dict) else None
    if not isinstance(changes, dict):
        return []
    whole = [(name, both) for name, both in changes.items() if isinstance(both, dict) and {"old", "new"} <= both.keys()]
    found = [(name, both["old"], both["new"]) for name, both in whole[:MOST]]
    model = model_of(event.content_type_id)
    targets = {name: _target(model, name) for name, *_both in found}
    wanted: dict[models.Field[Any, Any], set[Any]] = defaultdict(set)
    for name, *both in found:
        target = targets[name]
        if target is not None:
            wanted[target].update(as_key(target, value) for value in both)
    named = {target: _named(target, keys - {None}, event.tenant_id) for target, keys in wanted.items()}

    def said(name: str, value: Any) -> Any:
        target = targets[name]
        if target is None or value is None:
            return value
        gone = {"kind": str(target.model._meta.verbose_name), "key": harmless(str(value))}
        return named[target].get(as_key(target, value)) or _("%(kind)s %(key)s, which is gone") % gone

    return [(name, said(name, old), said(name, new)) for name, old, new in found]


def name_actors(events: Iterable[IntegrationEvent]) -> None:
    """Set ``event.by`` on each: what people call who did it, and that the account is gone if it is; one query."""
    listed = list(events)
    model: Any = get_user_model()
    found = {str(row.pk): row for row in _rows(model, model._meta.pk, {event.actor_key for event in listed} - {""})}
    for event in listed:
        user, by = found.get(event.actor_key), event.actor
        if user is not None:  # what follows the name, as in "ann, nightly import", says by what means
            _account, comma, means = event.actor.partition(", ")
            by = f"{harmless(name_of_user(user))}{comma}{means}"
        elif event.actor_key:
            by = _("%(name)s, whose account is gone") % {"name": event.actor}
        event.by = by  # type: ignore[attr-defined]


def names_of(accounts: Iterable[str]) -> dict[str, str]:
    """Return what people are called whose accounts have these names; nothing of other actors."""
    model: Any = get_user_model()
    rows = _rows(model, model._meta.get_field(model.USERNAME_FIELD), accounts)
    return {str(row.get_username()): harmless(name_of_user(row)) for row in rows}


def _target(model: Any, name: str) -> models.Field[Any, Any] | None:
    """Return the field by whose values the relation `name` leads to other rows; None if it is no relation."""
    if model is None:
        return None
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
    return field.target_field if field.concrete and field.is_relation and not field.many_to_many else None


def _named(target: Any, keys: Iterable[Any], tenant_id: Any) -> dict[Any, str]:
    """Return what those of the rows are called that are there and the tenant's, by their key."""
    found = {}
    for row in _rows(target.model, target, keys):
        if is_own(owner_of(row), tenant_id):
            is_user = isinstance(row, get_user_model())
            found[getattr(row, target.attname)] = harmless(name_of_user(row)) if is_user else called(row)
    return found


def _rows(model: Any, field: Any, values: Iterable[Any]) -> list[Any]:
    """Return the rows of `model` in which `field` has one of `values`; what can be no key of it is in none."""
    wanted = {as_key(field, value) for value in values} - {None}
    return readable(model._base_manager.filter(**{f"{field.attname}__in": wanted})) if wanted else []
