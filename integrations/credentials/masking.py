"""What forms and the admin show instead of a secret.

A secret never travels back to a browser: the form shows the mask, and a submitted mask means "unchanged".
The mask has a fixed length, so it does not tell how long the secret is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MASK = "••••••••"


def mask(value: object) -> str:
    """Return the mask, or "" when there is nothing to hide, so that a form can show what is missing."""
    return MASK if value else ""


def is_mask(value: object) -> bool:
    """Tell whether `value` is the mask (white space around it, as browsers add, does not count)."""
    return isinstance(value, str) and value.strip() == MASK


def mask_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the same keys with every value masked: header names are no secret, their values are."""
    return {key: mask(value) for key, value in values.items()}


def has_mask(values: Mapping[str, Any]) -> bool:
    """Tell whether a value of the top level is the mask."""
    return any(is_mask(value) for value in values.values())


def merge_masked(submitted: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return `submitted` with the `stored` value wherever the mask came back.

    A mask for a key that is not stored is dropped: the mask itself is never stored.
    """
    return {
        key: stored[key] if is_mask(value) else value
        for key, value in submitted.items()
        if not is_mask(value) or key in stored
    }
