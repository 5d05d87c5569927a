"""What two states of a row have not in common, for the audit trail: of secrets only that they were changed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from copy import copy
from typing import Any

from django.db import models

from integrations.connections.row import SIGNING_KEYS
from integrations.connectors.manifest import Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.credentials.fields import EncryptedAttribute, encrypted_attributes
from integrations.errors import EncryptionError, IncompatibleConnector, UnknownConnector
from integrations.tenancy.tenant import is_tenant
from integrations.transport.redaction import mask_url

from .trail import CHANGED

Changes = dict[str, Any]
_UNREADABLE = object()
CONFIG = "config"


def changes_between(
    before: models.Model | None,
    after: models.Model | None,
    *,
    ignored: Collection[str] = (),
) -> Changes:
    """Return name → [old, new] of the columns that differ, name → "changed" of secrets.

    A column is named by its attribute; of an encrypted one each name inside, as ``credentials.api_key``. Times that
    Django writes by itself are left out.

    Args:
        before: None: the row is new; empty columns are then left out.
        after: None: the row is gone.
        ignored: columns that say nothing about what a person did.
    """
    row = after if after is not None else before
    if row is None:
        return {}
    sealed = {each.column: each for each in encrypted_attributes(type(row))}
    found: Changes = {}
    for field in row._meta.concrete_fields:
        automatic = getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False)
        if field.primary_key or automatic or field.name in ignored or field.attname in ignored:
            continue
        if (attribute := sealed.get(field.attname)) is not None:
            found |= _of_secret(attribute, before, after)
        elif field.attname == CONFIG:
            found |= _of_config(before, after, row)
        else:
            old, new = (getattr(each, field.attname, None) if each is not None else None for each in (before, after))
            is_told = old != new and not (before is None and _goes_without_saying(field, new))
            if is_told:
                found[field.name] = [_said(field, old), _said(field, new)]
    return found


def as_saved(row: Any, before: Any, columns: Collection[str] | None) -> Any:
    """Return `row` as a save left it in the database: what else was set on it was not written.

    Args:
        before: what was there; None: the row is new.
        columns: those that the save was told to write (``update_fields``); None: all.
    """
    if columns is None or before is None:
        return row
    saved = copy(before)
    for field in row._meta.concrete_fields:
        if not {field.name, field.attname}.isdisjoint(columns):
            setattr(saved, field.attname, getattr(row, field.attname))
    return saved


def _goes_without_saying(field: Any, value: Any) -> bool:
    """Tell whether a new row has this value unless somebody says otherwise, or the entry names it anyway."""
    if value in (None, "", [], {}) or (field.is_relation and is_tenant(field.related_model)):
        return True
    return field.has_default() and not callable(field.default) and bool(value == field.default)


def _said(field: Any, value: Any) -> Any:
    words = dict(field.flatchoices).get(value) if field.choices and not callable(field.choices) else None
    return value if isinstance(value, bool | int | float) or value is None else words or _json(value)


def _json(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return str(value)


def _of_secret(attribute: EncryptedAttribute[Any], before: Any, after: Any) -> Changes:
    old, new = _opened(attribute, before), _opened(attribute, after)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        return {f"{attribute.name}.{name}": CHANGED for name in names}
    if old is _UNREADABLE and new is _UNREADABLE:
        is_same = getattr(before, attribute.column) == getattr(after, attribute.column)
        return {} if is_same else {attribute.name: CHANGED}
    if old == new or (not old and not new):
        return {}
    if not isinstance(new, str) or not isinstance(old, str):
        return {attribute.name: CHANGED}
    places = [mask_url(text) if text else "" for text in (old, new)]
    shown = {f"{attribute.name} (host)": places} if places[0] != places[1] and "://" in (old or new) else {}
    return {attribute.name: CHANGED, **shown}


def _opened(attribute: EncryptedAttribute[Any], row: Any) -> Any:
    """Return the value, nothing of a row that is not there; what no key of ours opens differs from everything else."""
    if row is None:
        return attribute.value_of("")
    try:
        return attribute.__get__(row)
    except (EncryptionError, ValueError):
        return _UNREADABLE


def _of_config(before: Any, after: Any, row: Any) -> Changes:
    old, new = (getattr(each, CONFIG, None) or {} if each is not None else {} for each in (before, after))
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return {CONFIG: CHANGED} if old != new else {}
    shown = _shown_names(row)
    return {
        f"{CONFIG}.{name}": [_json(old.get(name)), _json(new.get(name))] if name in shown else CHANGED
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    }


def _shown_names(row: Any) -> frozenset[str]:
    """Return the settings that the connector declares as no secret; what nobody declared may be one."""
    key = str(getattr(row, "connector_key", None) or getattr(row, "name", ""))
    try:
        manifest: Manifest = ConnectorRegistry.type_of(key).manifest
    except (UnknownConnector, IncompatibleConnector):
        return frozenset()
    return frozenset(field.name for field in manifest.fields if not field.is_secret) - {SIGNING_KEYS}
