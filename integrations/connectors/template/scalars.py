"""What a plain scalar means where no schema says it: in free JSON.

The core schema of YAML 1.2 as far as JSON goes: ``true``, ``null``, ``12``, ``1.5``. So ``no``, ``010`` and
``2025-01-01`` are text, as in JSON nobody would doubt. Source: YAML 1.2.2 §10.3.
"""

from __future__ import annotations

import math
import re

from .source import Text

_WORDS = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,299})(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,4})?", re.ASCII)


def core(text: Text) -> str | int | float | bool | None:
    """Return the JSON value of `text`; quoted text is always text, and so is a number that no float holds."""
    if not text.is_plain:
        return str(text)
    if text in _WORDS:
        return _WORDS[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        return str(text)
    if match[1] is None and match[2] is None:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else str(text)
