"""Form fields whose value never travels back to a browser: it sees the mask, and the mask means "unchanged".

An emptied field removes what was stored. The mask itself is never stored: where nothing stands behind it, or
where something was typed beside it, the field refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from integrations.credentials.masking import MASK, is_mask, mask_values
from integrations.transport.headers import HeaderRejected, check_headers, parse_headers_json

_BULLET = "•"
# What stands for the mask while the JSON is parsed: a latin-1 text that nobody types.
_KEPT = "\xad-unchanged-\xad"


class SecretInput(forms.PasswordInput):
    """A password box that may hold the mask, and nothing else that came from us."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(
            {"autocomplete": "new-password", "class": "vTextField ig-secret", **(attrs or {})}, render_value=True
        )

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, value if is_mask(value) else None, attrs)


class SecretField(forms.CharField):
    """A secret text. Cleans to the new text, or to the mask for "unchanged"."""

    widget = SecretInput

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "max_length": 4096, **kwargs})

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        if is_mask(text):
            if not is_mask(self.initial):
                raise ValidationError("The dots stand for a stored value, and there is none: type the value.")
            return MASK
        if _BULLET in text:
            raise ValidationError("Remove the dots before you type: they stand for the stored value.")
        return text

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or "") != ("" if data is None else data)


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
                raise ValidationError(f"The dots of {name} stand for a stored value, and there is none: type it.")
            elif _KEPT in value:
                raise ValidationError(f"Remove the dots from {name}: they stand for a whole stored value.")
        return check_headers(found)
    except HeaderRejected as rejected:
        raise ValidationError(rejected.message) from None


class HeadersField(forms.CharField):
    """JSON of headers with masked values, as text; ``parse_masked_headers`` reads it."""

    widget = forms.Textarea(attrs={"rows": 5, "class": "vLargeTextField ig-code", "spellcheck": "false"})

    def has_changed(self, initial: Any, data: Any) -> bool:
        return _lines(initial) != _lines(data)


def _lines(text: Any) -> str:
    return str(text or "").replace("\r\n", "\n").strip()


def masked_json(headers: Mapping[str, str]) -> str:
    """Return `headers` as the form shows them."""
    if not headers:
        return ""
    lines = ",\n".join(f"  {_json(name)}: {_json(value)}" for name, value in mask_values(headers).items())
    return f"{{\n{lines}\n}}"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
