"""From a connector's manifest to the fields of a form, and back to settings.

In: a manifest and what is stored. Out: Django fields that draw and read; whether a value is right is said by the
manifest's own check (connectors/config_check.py), so that forms, API and code have one set of rules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.translation import gettext as _

from integrations.connections.models import TenantIntegration
from integrations.connectors.manifest import HEADERS, URL, Field, Manifest
from integrations.credentials.masking import is_mask

from .secret_fields import AddressField, HeadersField, SecretField, SecretInput, SecretTextarea

OPEN = "configuration"  # the one form field of a connector without a manifest: JSON, all of it secret
SETTING = "_setting"  # after the name of a manifest's field that the form uses for something else

_TAKEN = {field.name for field in TenantIntegration._meta.get_fields()} | {
    "connector", "csrfmiddlewaretoken", "event_types", "shown_type", "version", "webhook_url",
}  # fmt: skip
_PLAIN = {"autocomplete": "off", "spellcheck": "false"}


def form_name(name: str) -> str:
    """Return what the form calls the manifest's field `name`."""
    if name == URL:
        return "webhook_url"
    return name + SETTING if name in _TAKEN else name


def names_of(manifest: Manifest, *, advanced: bool = False) -> list[str]:
    """Return the form's names of the manifest's (advanced) fields, in order."""
    if manifest.is_open:
        return [] if advanced else [OPEN]
    return [form_name(field.name) for field in manifest.fields if field.advanced == advanced]


def all_names(manifest: Manifest) -> list[str]:
    """Return the form's names of all the manifest's fields."""
    return [*names_of(manifest), *names_of(manifest, advanced=True)]


def fields_for(manifest: Manifest, stored: Mapping[str, Any]) -> dict[str, forms.Field]:
    """Return the form's fields for `manifest`, holding what is `stored` (a flat dict), or the defaults."""
    if manifest.is_open:
        return {OPEN: OpenField(stored=stored)}
    fields = {}
    for field in manifest.fields:
        drawn = fields[form_name(field.name)] = _form_field(field, manifest, stored.get(field.name))
        if field.default is not None:  # admin.js keeps what differs from it when the kind is changed
            drawn.widget.attrs["data-default"] = _text(field, field.default)
    return fields


def settings_from(manifest: Manifest, cleaned: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat settings of a form's cleaned data; a mask stands for the `stored` value, "" for none."""
    if manifest.is_open:
        found = cleaned.get(OPEN)
        return dict(stored) if is_mask(found) else dict(found or {})
    settings = {}
    for field in manifest.fields:
        value = cleaned.get(form_name(field.name))
        settings[field.name] = stored.get(field.name) if field.is_secret and is_mask(value) else value
    return {name: value for name, value in settings.items() if value not in (None, "")}


class TextField(forms.CharField):
    """Lines of text, however a browser ends them."""

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class OpenField(SecretField):
    """The configuration of a connector that names no fields: a JSON object, all of it secret.

    Nobody knows which of its values is an address, so none of the stored ones survives a change of another.
    """

    def __init__(self, *, stored: Mapping[str, Any]) -> None:
        advice = _(
            'A JSON object such as {"host": "…"}; the connector names no fields. To change it, replace all of it.'
        )
        super().__init__(stored=stored, label="Configuration", help_text=advice, widget=SecretTextarea)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if is_mask(text) or not text.strip():
            return text
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise ValidationError(_('This must be a JSON object such as {"host": "…"}.'))
        return found


def _form_field(field: Field, manifest: Manifest, stored: Any) -> forms.Field:
    is_missing_otherwise = field.required and field.default is None
    common: dict[str, Any] = {
        "label": _(field.title),
        "help_text": escape(_(field.help)),  # the admin's template does not escape it
        "required": is_missing_otherwise and field.kind != "boolean",
    }
    if field.is_secret:
        return SecretField(stored=stored, widget=SecretTextarea if field.multiline else SecretInput, **common)
    if field.name == URL:
        return AddressField(stored=stored or "", is_secret=manifest.secret_path, **common)
    if field.name == HEADERS:
        return HeadersField(stored=stored, **common)
    value = field.default if stored is None else stored
    text = _text(field, value)
    if field.kind == "boolean":
        return forms.BooleanField(initial=bool(value), **common)
    if field.kind == "choice":
        return _choice(field, value, common)
    if field.kind == "lines":
        return TextField(initial=text, widget=_textarea(4), **common)
    if field.kind == "json":
        return TextField(initial=text, widget=_textarea(5, "ig-code"), **common)
    if field.multiline:
        return TextField(initial=text, widget=_textarea(6), **common)
    return forms.CharField(initial=text, widget=_line(field), **common)


def _text(field: Field, value: Any) -> str:
    """Return `value` as a browser posts it."""
    if value is None:
        return ""
    if field.kind == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    if field.kind == "boolean":
        return "on" if value else ""
    return "\n".join(value) if isinstance(value, list | tuple) else str(value)


def _choice(field: Field, value: Any, common: dict[str, Any]) -> forms.Field:
    choices = [(choice, choice) for choice in field.choices]
    if value not in (None, "", *field.choices):
        choices.append(
            (value, _("{value} (no longer offered)").format(value=value))
        )  # chosen still, until a person chooses anew
    if field.default is None:
        choices.insert(0, ("", "---------"))
    return forms.ChoiceField(initial=value, choices=choices, **common)


def _line(field: Field) -> forms.Widget:
    if field.kind == "integer":
        bounds = {name: value for name, value in (("min", field.minimum), ("max", field.maximum)) if value is not None}
        return forms.NumberInput({"class": "vIntegerField", **bounds})
    if field.kind == "email":
        return forms.EmailInput({"class": "vTextField", **_PLAIN})
    return forms.TextInput({"class": "vLargeTextField" if field.kind == "url" else "vTextField", **_PLAIN})


def _textarea(rows: int, css: str = "") -> forms.Widget:
    return forms.Textarea({"rows": rows, "class": f"vLargeTextField {css}".strip(), "spellcheck": "false"})
