r"""SOQL with values put in safely; nobody else builds a query out of text.

    format_soql("SELECT Id FROM Contact WHERE Email = {email} AND CreatedDate > {since}", email=…, since=…)
    format_soql("SELECT Id FROM Account WHERE Name LIKE {name:contains} AND Type IN {types}", name="50% off", types=[…])

A value is always a whole literal: text is quoted and escaped, and there is no way to put text in as it is.
``:contains`` and ``:begins`` make a LIKE pattern in which ``%`` and ``_`` of the value stand for themselves.
Errors: ValueError for a pattern or value that cannot be used; it names the placeholder, never the value.
Source: https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl (quoted strings, date formats).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_PARTS = re.compile(
    r"""(?P<literal>'(?:[^'\\]|\\.)*')|\{(?P<name>[A-Za-z_]\w*)(?::(?P<how>\w+))?\}|(?P<stray>['{}])|[^'{}]+""",
    re.ASCII | re.DOTALL,
)
_PLACEHOLDER = re.compile(r"\{[A-Za-z_]\w*(?::\w+)?\}", re.ASCII)
_ESCAPES = {"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
_LIKE = {"": ("", ""), "contains": ("%", "%"), "begins": ("", "%")}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}", re.ASCII)


def format_soql(pattern: str, **values: Any) -> str:
    """Return `pattern` with each ``{name}`` replaced by the literal of ``values["name"]``.

    Text, numbers, bool, None, dates, aware datetimes, and lists of those (for IN) are understood.
    """
    used: set[str] = set()
    parts: list[str] = []
    for part in _PARTS.finditer(pattern):
        name = part["name"]
        if part["stray"] or (part["literal"] and _PLACEHOLDER.search(part["literal"])):
            raise ValueError("a quote or a brace that does not belong: write {name} without quotes around it")
        if name is None:
            parts.append(part[0])
            continue
        if name not in values:
            raise ValueError(f"no value for {{{name}}}")
        used.add(name)
        parts.append(_literal(name, values[name], part["how"] or ""))
    if unused := sorted(values.keys() - used):
        raise ValueError(f"values that the query does not use: {', '.join(unused)}")
    return "".join(parts)


def checked_name(name: str) -> str:
    """Return `name` if it can be the name of an object or a field.

    Raises:
        ValueError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("the name of an object or a field has letters, digits and underscores")
    return name


def _literal(name: str, value: Any, how: str) -> str:
    if how not in _LIKE or (how and not isinstance(value, str)):
        raise ValueError(f"{{{name}:{how}}}: contains and begins are for text, and there is nothing else")
    if isinstance(value, str):
        return _text(name, value, how)
    if isinstance(value, list | tuple | set | frozenset):
        if not value or any(isinstance(item, list | tuple | set | frozenset) for item in value):
            raise ValueError(f"{{{name}}}: a list for IN has at least one value, and no lists")
        return f"({', '.join(_literal(name, item, '') for item in value)})"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float | Decimal) and (number := Decimal(str(value))).is_finite():
        return format(number, "f")
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise ValueError(f"{{{name}}}: a {type(value).__name__} of this kind has no place in a query")


def _text(name: str, value: str, how: str) -> str:
    before, after = _LIKE[how]
    if any(char == "\0" or 0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise ValueError(f"{{{name}}}: contains a character that cannot be sent")
    escaped = "".join(_ESCAPES.get(char) or (char if char >= " " else f"\\u{ord(char):04x}") for char in value)
    if how:
        escaped = escaped.replace("%", r"\%").replace("_", r"\_")
    return f"'{before}{escaped}{after}'"
