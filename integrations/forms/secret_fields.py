"""Form fields whose value never travels back to a browser: it sees the mask, and the mask means "unchanged".

An emptied field removes what was stored. The mask itself is never stored: where nothing stands behind it, or
where something was typed beside it, the field refuses it. What was typed is not sent back either: after an error
in another field it must be typed again (`forgets`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from integrations.credentials.masking import MASK, is_mask, mask, mask_values
from integrations.transport.http.headers import HeaderRejected, check_headers, parse_headers_json
from integrations.transport.redaction import mask_url

_BULLET = "•"
# What stands for the mask while the JSON is parsed: a latin-1 text that nobody types.
_KEPT = "\xad-unchanged-\xad"
_QUIET = {"autocomplete": "off", "spellcheck": "false"}


class SecretInput(forms.PasswordInput):
    """A password box that may hold the mask, and nothing else that came from us."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {"autocomplete": "new-password", "class": "vTextField ig-secret", **(attrs or {})}, render_value=True
        )

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, value if is_mask(value) else None, attrs)


class SecretTextarea(forms.Textarea):
    """The same for a secret of several lines: a password box would join them."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"rows": 3, "class": "vLargeTextField ig-secret", **_QUIET, **(attrs or {})})

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, value if is_mask(value) else None, attrs)


class SecretField(forms.CharField):
    """A secret text. Cleans to the new text, or to the mask for "unchanged"."""

    widget = SecretInput

    def __init__(self, *, stored: Any = None, **kwargs: Any) -> None:
        # Not stripped: a password may begin with a space. The check of the configuration limits the length.
        super().__init__(**{"required": False, "strip": False, "initial": mask(stored), **kwargs})

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if is_mask(text):
            if not is_mask(self.initial):
                raise ValidationError(_("The dots stand for a stored value, but none is stored: type the value."))
            return MASK
        if _BULLET in text:
            raise ValidationError(_("Remove the dots before you type: they stand for the stored value."))
        return text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or "") != ("" if data is None else data)

    def forgets(self, data: Any) -> bool:
        """Tell whether `data` was typed, and is not shown again."""
        return bool(data) and not is_mask(data)


class AddressInput(forms.TextInput):
    """Shows the mask of the stored address, but not a typed one."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, value if _BULLET in (value or "") else None, attrs)


class AddressField(forms.CharField):
    """The integration's address. Cleans to the new one, or to the stored one for "unchanged".

    Args:
        stored: the address that the mask stands for.
        is_secret: its path is a secret; one that is not is shown again after an error.
    """

    def __init__(self, *, stored: str = "", is_secret: bool = True, **kwargs: Any) -> None:
        widget = (AddressInput if is_secret else forms.TextInput)({"class": "vLargeTextField", **_QUIET})
        super().__init__(**{"widget": widget, "initial": mask_url(stored) if stored else "", **kwargs})
        self.stored, self.is_secret = stored, is_secret

    def clean(self, value: Any) -> str:
        url = super().clean(value)
        if self.stored and url == self.initial:
            return self.stored
        if _BULLET in url:
            raise ValidationError(_("The dots hide the stored address: enter all of the new one."))
        return url

    def forgets(self, data: Any) -> bool:
        return self.is_secret and bool(data) and _BULLET not in data


def parse_masked_headers(text: str, stored: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a form's JSON, each mask replaced by the `stored` value of the same header.

    Raises:
        ValidationError: whatever is wrong with them; the message never quotes a value.
    """
    try:
        found = parse_headers_json(text.replace(MASK, _KEPT))
        of_name = {name.lower(): value for name, value in stored.items()}
        for name, value in found.items():
            if value == _KEPT and name.lower() in of_name:
                found[name] = of_name[name.lower()]
            elif value == _KEPT:
                raise ValidationError(
                    _("The dots of {name} stand for a stored value, but none is stored: type it.").format(name=name)
                )
            elif _KEPT in value:
                raise ValidationError(
                    _("Remove the dots from {name}: they stand for a whole stored value.").format(name=name)
                )
        return check_headers(found)
    except HeaderRejected as rejected:
        raise ValidationError(rejected.message) from None


class HeadersInput(forms.Textarea):
    """JSON of headers, with the values that were typed left out."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, _without_typed_values(value or ""), attrs)


class HeadersField(forms.CharField):
    """JSON of headers with masked values. Cleans to the headers, those behind the masks included."""

    def __init__(self, *, stored: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        widget = HeadersInput({"rows": 5, "class": "vLargeTextField ig-code", **_QUIET})
        super().__init__(**{"widget": widget, "required": False, "initial": masked_json(stored or {}), **kwargs})
        self.stored = stored or {}

    def clean(self, value: Any) -> dict[str, str]:
        return parse_masked_headers(super().clean(value), self.stored)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return _lines(initial) != _lines(data)

    def forgets(self, data: Any) -> bool:
        return _without_typed_values(data or "") != (data or "")


def _lines(text: Any) -> str:
    return str(text or "").replace("\r\n", "\n").strip()


def _without_typed_values(text: str) -> str:
    """Return `text` with every value emptied that is not the mask; "" if it cannot be read."""
    if not text.strip():
        return text
    try:
        headers = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(headers, dict):
        return ""
    if all(is_mask(value) for value in headers.values()):
        return text
    return _layout({name: MASK if is_mask(value) else "" for name, value in headers.items()})


def masked_json(headers: Mapping[str, str]) -> str:
    """Return `headers` as the form shows them."""
    return _layout(mask_values(headers))


def _layout(headers: Mapping[str, str]) -> str:
    if not headers:
        return ""
    return json.dumps(headers, ensure_ascii=False, indent=2)
