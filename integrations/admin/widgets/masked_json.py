"""A JSON object in a form, whose secret values never travel to the browser: it sees the mask, which means "unchanged".

What was typed is not sent back either: after an error in another field it must be typed again (compare
secret_fields.py, which does this for single values and for headers).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from integrations.credentials.masking import is_mask, mask

_BULLET = "•"
LONGEST = 100_000  # characters; nobody types more
IsSecret = Callable[[str], bool]


class MaskedJSONInput(forms.Textarea):
    """The text box; the field decides what is in it."""

    def __init__(self) -> None:
        super().__init__({"rows": 8, "class": "vLargeTextField ig-code", "autocomplete": "off", "spellcheck": "false"})


class MaskedJSONField(forms.CharField):
    """Cleans to a dict, the `stored` values in the place of their masks.

    Args:
        stored: what the masks stand for.
        is_secret: tells by its name whether a value is never shown.
        empty: names to offer with an empty value, so that a person sees what is wanted.
    """

    def __init__(
        self,
        *,
        stored: Mapping[str, Any] | None = None,
        is_secret: IsSecret,
        empty: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        self.stored, self.is_secret, self.empty = dict(stored or {}), is_secret, dict.fromkeys(empty, "")
        shown = self.empty | masked(self.stored, is_secret)
        options = {"required": False, "widget": MaskedJSONInput(), "initial": _layout(shown), "max_length": LONGEST}
        super().__init__(**{**options, **kwargs})

    def clean(self, value: Any) -> dict[str, Any]:
        if value is None:
            return self.stored  # the page did not have the field
        text = super().clean(value)
        if not text.strip():
            return {}
        found = self._parse(text)
        return self._unmask(found, self.stored, "")

    def _parse(self, text: str) -> dict[str, Any]:
        problem, found = "", None
        try:
            found = json.loads(text, parse_constant=_refuse_constant)
            json.dumps(found, ensure_ascii=False).encode()
        except json.JSONDecodeError as error:
            problem = f"This is not JSON: look at line {error.lineno}, column {error.colno}."
        except (ValueError, RecursionError):
            problem = "This holds what JSON cannot carry: NaN, Infinity, half a character, or nesting without end."
        if not problem and not isinstance(found, dict):
            problem = 'This must be a JSON object such as {"name": "value"}.'
        if not problem and "\\u0000" in json.dumps(found).replace("\\\\", ""):
            problem = "This holds a NUL character, which cannot be stored."
        if problem:
            raise ValidationError(problem)  # not while the parser's error is handled: it quotes what was typed
        return found  # type: ignore[return-value]

    def _unmask(self, found: dict[str, Any], stored: Any, path: str) -> dict[str, Any]:
        known = stored if isinstance(stored, dict) else {}
        clean = {}
        for name, value in found.items():
            where = f"{path}{name}"
            if is_mask(value):
                if name not in known:
                    raise ValidationError(f"The dots of {where} stand for a stored value, but none is stored: type it.")
                clean[name] = known[name]
            elif isinstance(value, dict):
                clean[name] = self._unmask(value, known.get(name), f"{where}.")
            elif _BULLET * 3 in json.dumps(value, ensure_ascii=False):
                raise ValidationError(f"Remove the dots from {where}: they stand for a whole stored value.")
            else:
                clean[name] = value
        return clean

    def has_changed(self, initial: Any, data: Any) -> bool:
        return data is not None and _lines(self.initial) != _lines(data)

    def masks_of(self, data: Any) -> set[str]:
        """Return the names of the top level whose stored value, or a part of it, the browser sent as a mask."""
        try:
            found = json.loads(str(data or ""))
        except (ValueError, RecursionError):
            return set()
        return {name for name, value in found.items() if _holds_mask(value)} if isinstance(found, dict) else set()

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Return what to show again after an error: no typed secret, and the stored for unreadable JSON."""
        try:
            found = json.loads(str(data or "{}"))
        except (ValueError, RecursionError):
            return self.initial
        return _layout(self.empty | _forget(found, self.is_secret)) if isinstance(found, dict) else self.initial

    def forgets(self, data: Any) -> bool:
        """Tell whether something of `data` is not shown again."""
        try:
            found = json.loads(str(data or "{}"))
        except (ValueError, RecursionError):
            return True
        return isinstance(found, dict) and _forget(found, self.is_secret) != found


def masked(values: Any, is_secret: IsSecret) -> Any:
    """Return `values` with everything masked whose name says that it is a secret, at any depth."""
    if isinstance(values, dict):
        return {
            name: mask(value) if is_secret(str(name)) or _hides(value, is_secret) else masked(value, is_secret)
            for name, value in values.items()
        }
    return values


def _hides(value: Any, is_secret: IsSecret) -> bool:
    """Tell whether a list holds a secret somewhere: its entries have no names, so all of it is masked."""
    return isinstance(value, list) and any(
        (isinstance(entry, dict) and masked(entry, is_secret) != entry) or _hides(entry, is_secret) for entry in value
    )


def _forget(values: Any, is_secret: IsSecret) -> Any:
    if not isinstance(values, dict):
        return values
    return {
        name: value
        if is_mask(value)
        else ""
        if is_secret(str(name)) or _hides(value, is_secret)
        else _forget(value, is_secret)
        for name, value in values.items()
    }


def _holds_mask(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_mask(inner) for inner in value.values())
    return is_mask(value)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _layout(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2) if values else ""


def _lines(text: Any) -> str:
    return str(text or "").replace("\r\n", "\n").strip()
