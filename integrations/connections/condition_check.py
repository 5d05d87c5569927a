"""Check a condition against the shape of its payload: when it is saved, never when an event is recorded.

In: an expression and the shape of the payload. Out: what is wrong, in sentences for its author. It finds paths that the
payload does not have, double quotes around a text, values that a choice never has, comparisons of different kinds, and
functions that can only fail.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from jmespath.lexer import Lexer

from .payload_shapes import ANYTHING, DECIMAL, Shape, shape_of, union

MOST_NAMED = 30
_NUMBER, _TEXT, _BOOLEAN = (Shape(frozenset({kind})) for kind in ("number", "text", "boolean"))
_WORDS = {
    "text": gettext_lazy("text"),
    "number": gettext_lazy("a number"),
    DECIMAL: gettext_lazy("a number"),
    "boolean": gettext_lazy("true or false"),
    "null": "null",
    "object": gettext_lazy("an object"),
    "array": gettext_lazy("a list"),
}
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_ANY: frozenset[str] = frozenset()
# Function → what each argument may be; none: anything.
_ARGUMENTS: dict[str, tuple[frozenset[str], ...]] = {
    "abs": (frozenset({"number"}),),
    "contains": (frozenset({"array", "text"}), _ANY),
    "ends_with": (frozenset({"text"}), frozenset({"text"})),
    "length": (frozenset({"array", "object", "text"}),),
    "starts_with": (frozenset({"text"}), frozenset({"text"})),
    "to_number": (_ANY,),
    "type": (_ANY,),
}
_RESULTS: dict[str, Shape] = {
    "abs": _NUMBER,
    "contains": _BOOLEAN,
    "ends_with": _BOOLEAN,
    "length": _NUMBER,
    "starts_with": _BOOLEAN,
    "to_number": _NUMBER,
    "type": Shape(frozenset({"text"}), values=frozenset({"array", "boolean", "null", "number", "object", "string"})),
}
_TESTS: dict[str, Any] = {
    "contains": lambda value, part: part in value,
    "ends_with": str.endswith,
    "starts_with": str.startswith,
}


def examine(
    text: str, tree: Mapping[str, Any], payload: Shape, *, may_be_fixed: bool = False
) -> tuple[list[str], Shape]:
    """Return what is wrong with the expression `text`, whose parsed `tree` this is, and what it gives.

    Args:
        may_be_fixed: it may look at no field, as a part of a text may.
    """
    checker = _Checker(text)
    shape = checker.shape_of(tree, payload, "")
    if not checker.found and not may_be_fixed and not _looks(tree):
        checker.found.append(_("It looks at no field, so it is always the same; fields stand without quotes"))
    return [each if each.endswith("?") else f"{each}." for each in dict.fromkeys(checker.found)], shape


def _looks(node: Any) -> bool:
    """Tell whether the value of `node` depends on the payload."""
    return node["type"] in ("field", "current", "identity") or any(
        _looks(child) for child in node["children"] if isinstance(child, Mapping)
    )


class _Checker:
    def __init__(self, text: str) -> None:
        self.found: list[str] = []
        tokens = list(Lexer().tokenize(text))
        before = ["", *(token["type"] for token in tokens)]
        self._quoted = {
            token["value"]
            for token, last in zip(tokens, before, strict=False)
            if token["type"] == "quoted_identifier" and last != "dot"
        }

    def shape_of(self, node: Any, scope: Shape, where: str) -> Shape:
        """Return what `node` is of `scope`, which stands at the path `where`; note what is wrong."""
        method = getattr(self, f"_{node['type']}", None)
        return method(node, scope, where) if method else ANYTHING

    # -- paths ------------------------------------------------------------------------------------

    def _field(self, node: Any, scope: Shape, where: str) -> Shape:
        name = node["value"]
        if not scope.kinds:
            return ANYTHING
        if "object" not in scope.kinds:
            if scope.kinds != {"null"}:
                words = _("{what} is {kinds} and has no {name}")
                if "array" in scope.kinds:
                    words = _("{what} is {kinds} and has no {name}; write {what}[0].{name} or {what}[*].{name}")
                what = where or _("The payload")
                self.found.append(words.format(what=what, kinds=kinds_in_words(scope), name=name))
            return ANYTHING
        if (found := scope.fields.get(name)) is not None:
            return found
        if name == "null" and not where:
            return Shape(frozenset({"null"}))  # read from nowhere, it is what it says
        if not scope.is_open or (name in self._quoted and not where):
            self.found.append(self._unknown(name, scope, where))
        return ANYTHING

    def _unknown(self, name: str, scope: Shape, where: str) -> str:
        path = f"{where}.{name}" if where else name
        if name in self._quoted and not where:
            return _(
                "Double quotes name a field, and there is no {name}; a text stands in single quotes: '{text}'"
            ).format(name=name[:50], text=name)
        if name in ("true", "false") and not where:
            return _("There is no field {name}; the value stands in backticks: `{name}`").format(name=name)
        deeper = [f"{at}.{name}" for at, part in scope.fields.items() if name in part.fields]
        close = [f"{where}.{each}" if where else each for each in difflib.get_close_matches(name, scope.fields, 1)]
        if meant := close or deeper:
            return _("There is no {path}; did you mean {meant}?").format(path=path[:100], meant=meant[0])
        words, what = _("There is no {path}; {what} has {names}"), where or _("the payload")
        return words.format(path=path[:100], what=what, names=_listed(scope.fields))

    def _subexpression(self, node: Any, scope: Shape, where: str) -> Shape:
        first = node["children"][0]
        if first["type"] == "not_expression" and node["type"] != "pipe":
            path = _path({**node, "children": [first["children"][0], *node["children"][1:]]}, where)
            self.found.append(_("! is read before the dot; write !({path})").format(path=path))
            return ANYTHING
        at = where
        for child in node["children"]:
            scope = self.shape_of(child, scope, at)
            at = _path(child, at)
        return scope

    _index_expression = _pipe = _subexpression

    def _index(self, node: Any, scope: Shape, where: str) -> Shape:
        return self._element(scope, where)

    def _element(self, scope: Shape, where: str) -> Shape:
        if scope.kinds and "array" not in scope.kinds:
            if scope.kinds != {"null"}:
                words = _("{what} is {kinds} and no list")
                self.found.append(words.format(what=where or _("The payload"), kinds=kinds_in_words(scope)))
            return ANYTHING
        return scope.items or ANYTHING

    def _projection(self, node: Any, scope: Shape, where: str) -> Shape:
        base, right = node["children"][:2]
        at = _path(base, where)
        element = self._element(self.shape_of(base, scope, where), at)
        if len(node["children"]) > 2:
            self.shape_of(node["children"][2], element, f"{at}[]")
        return Shape(frozenset({"array"}), items=self.shape_of(right, element, f"{at}[]"))

    _filter_projection = _projection

    def _flatten(self, node: Any, scope: Shape, where: str) -> Shape:
        base = node["children"][0]
        element = self._element(self.shape_of(base, scope, where), _path(base, where))
        inner = element.items if element.items and element.kinds == {"array"} else ANYTHING
        return Shape(frozenset({"array"}), items=inner if "array" in element.kinds else element)

    def _value_projection(self, node: Any, scope: Shape, where: str) -> Shape:
        self.shape_of(node["children"][0], scope, where)
        return Shape(frozenset({"array"}))

    def _identity(self, node: Any, scope: Shape, where: str) -> Shape:
        return scope

    _current = _identity

    # -- what a payload builds --------------------------------------------------------------------

    def _multi_select_dict(self, node: Any, scope: Shape, where: str) -> Shape:
        fields = {pair["value"]: self.shape_of(pair["children"][0], scope, where) for pair in node["children"]}
        return Shape(frozenset({"object"}), fields)

    def _multi_select_list(self, node: Any, scope: Shape, where: str) -> Shape:
        for child in node["children"]:
            self.shape_of(child, scope, where)
        return Shape(frozenset({"array"}))

    # -- values -----------------------------------------------------------------------------------

    def _literal(self, node: Any, scope: Shape, where: str) -> Shape:
        return shape_of(node["value"])

    def _or_expression(self, node: Any, scope: Shape, where: str) -> Shape:
        left, right = (self.shape_of(child, scope, where) for child in node["children"])
        return left | right

    _and_expression = _or_expression

    def _not_expression(self, node: Any, scope: Shape, where: str) -> Shape:
        self.shape_of(node["children"][0], scope, where)
        return _BOOLEAN

    def _comparator(self, node: Any, scope: Shape, where: str) -> Shape:
        sides = node["children"]
        shapes = [self.shape_of(side, scope, where) for side in sides]
        if not any(map(_looks, sides)):
            said = " and ".join(_said(side, where) for side in sides)
            self.found.append(_("It compares two fixed values, {said}; fields stand without quotes").format(said=said))
        elif node["value"] in ("eq", "ne"):
            self._compare_values(sides, shapes, where)
        else:
            self._compare_order(node["value"], sides, shapes, where)
        return _BOOLEAN

    def _compare_values(self, sides: list[Any], shapes: list[Shape], where: str) -> None:
        kinds = [_comparable(shape) for shape in shapes]
        if all(kinds) and kinds[0].isdisjoint(kinds[1]):
            self.found.append(_unlike(sides, shapes, where))
            return
        for side, shape, other in ((0, shapes[0], sides[1]), (1, shapes[1], sides[0])):
            if other["type"] == "literal" and isinstance(other["value"], str | int):
                self._check_value(_path(sides[side], where), shape, other["value"])

    def _check_value(self, path: str, shape: Shape, value: Any) -> None:
        if shape.values is None or value in shape.values or isinstance(value, bool) or value == "":
            return
        alike = [each for each in shape.values if _folded(each) == _folded(value)]
        known = _listed(map(_quoted, shape.values))
        advice = _("write {value}").format(value=_quoted(alike[0])) if alike else _("it is {known}").format(known=known)
        if not alike and len(shape.values) > 1:
            advice = _("it is one of: {known}").format(known=known)
        self.found.append(
            _("{path} is never {quoted}; {advice}").format(path=path, quoted=_quoted(value), advice=advice)
        )

    def _compare_order(self, sign: str, sides: list[Any], shapes: list[Shape], where: str) -> None:
        for side, shape in zip(sides, shapes, strict=True):
            if shape.kinds and not _comparable(shape) & {"text", "number"}:
                self.found.append(
                    _("{said} is {kinds}: {signs} compares numbers, or texts").format(
                        said=_said(side, where), kinds=kinds_in_words(shape), signs=_SIGNS[sign]
                    )
                    + _parts(side, shape, where)
                )
                return
        left, right = (_comparable(shape) & {"text", "number"} for shape in shapes)
        if left and right and left.isdisjoint(right):
            self.found.append(_unlike(sides, shapes, where))

    def _function_expression(self, node: Any, scope: Shape, where: str) -> Shape:
        name, given = node["value"], node["children"]
        shapes = [self.shape_of(child, scope, where) for child in given]
        if name == "not_null":
            if not shapes:
                self.found.append(_("not_null() takes at least one value"))
            return union(shapes) or ANYTHING
        wanted = _ARGUMENTS.get(name)
        if wanted is None:
            return ANYTHING
        if len(wanted) != len(given):
            self.found.append(f"{name}() takes {len(wanted)} value{'s' if len(wanted) > 1 else ''}, not {len(given)}")
            return _RESULTS[name]
        for argument, shape, kinds in zip(given, shapes, wanted, strict=True):
            if kinds and shape.kinds and not _takes(shape) & kinds:
                takes = _(" or ").join(str(_WORDS[kind]) for kind in sorted(kinds, reverse=True))
                self.found.append(f"{name}() takes {takes}; {_said(argument, where)} is {kinds_in_words(shape)}")
                return _RESULTS[name]
        if name in _TESTS:
            self._check_test(name, given, shapes, where)
        return _RESULTS[name]

    def _check_test(self, name: str, given: list[Any], shapes: list[Shape], where: str) -> None:
        """Check contains(), starts_with() and ends_with(), which may be about a choice."""
        (first, second), (subject, part) = given, shapes
        if first["type"] == "literal" and isinstance(first["value"], list):
            for value in first["value"]:
                if isinstance(value, str | int):
                    self._check_value(_path(second, where), part, value)
        elif not _takes(subject) - {"text", DECIMAL, "number"} and part.kinds and "text" not in _takes(part):
            if subject.kinds:
                self.found.append(
                    _("{name}() looks for text in text; {said} is {kinds}").format(
                        name=name, said=_said(second, where), kinds=kinds_in_words(part)
                    )
                )
        elif second["type"] == "literal" and isinstance(second["value"], str) and subject.values is not None:
            texts = [value for value in subject.values if isinstance(value, str)]
            if texts and not any(_TESTS[name](value, second["value"]) for value in texts):
                known, said = _listed(map(_quoted, texts)), f"{_path(first, where)}, {_quoted(second['value'])}"
                self.found.append(
                    _("{name}({said}) is never true; it is one of: {known}").format(name=name, said=said, known=known)
                )


def _comparable(shape: Shape) -> frozenset[str]:
    """Return the kinds as they are compared: null is like everything, and a decimal is a number."""
    return frozenset("number" if kind == DECIMAL else kind for kind in shape.kinds if kind != "null")


def _takes(shape: Shape) -> frozenset[str]:
    """Return the kinds as functions see them: a decimal is text on the wire, and abs() reads it."""
    kinds = shape.kinds - {"null"}
    return kinds | {"text", "number"} if DECIMAL in kinds else kinds


def _unlike(sides: list[Any], shapes: list[Shape], where: str) -> str:
    words = [f"{_said(side, where)} is {kinds_in_words(shape)}" for side, shape in zip(sides, shapes, strict=True)]
    advice = ""
    for side, other, shape in ((sides[0], sides[1], shapes[1]), (sides[1], sides[0], shapes[0])):
        if side["type"] == "literal":
            advice = advice or _rewritten(side["value"], shape)
        advice = advice or _parts(other, shape, where)
    return f"{words[0]}, and {words[1]}{advice}"


def _rewritten(value: Any, wanted: Shape) -> str:
    """Return how to write a literal so that it is of the wanted kind, "" if it cannot be."""
    kinds = _comparable(wanted)
    if isinstance(value, str):
        try:
            read = json.loads(value)
        except ValueError:
            return ""
        kind = "boolean" if isinstance(read, bool) else "number" if isinstance(read, int | float) else ""
        return _(": write {value}").format(value=f"`{value}`") if kind in kinds else ""
    is_number = "text" in kinds and isinstance(value, int | float)
    return _(": write {value}").format(value=_quoted(str(value))) if is_number else ""


def _parts(node: Any, shape: Shape, where: str) -> str:
    """Return advice to name a part of an object."""
    if "object" not in shape.kinds or not shape.fields:
        return ""
    path = _path(node, where)
    return _("; name a part of it: {names}").format(names=_listed(f"{path}.{name}" for name in shape.fields))


def _said(node: Any, where: str) -> str:
    """Return a node as its author wrote it, more or less."""
    if node["type"] == "literal":
        value = node["value"]
        return _quoted(value)[:60] if isinstance(value, str) else f"`{json.dumps(value)}`"[:60]
    if node["type"] == "function_expression":
        return f"{node['value']}()"
    return _path(node, where) or _("the payload")


def _path(node: Any, where: str) -> str:
    kind, children = node["type"], node["children"]
    if kind == "field":
        return f"{where}.{node['value']}" if where else str(node["value"])
    if kind == "index":
        return f"{where}[{node['value']}]"
    if kind in ("subexpression", "index_expression", "pipe"):
        for child in children:
            where = _path(child, where)
        return where
    if kind in ("projection", "filter_projection", "value_projection"):
        return f"{_path(children[0], where)}[]"
    if kind in ("current", "identity"):
        return where
    return _("this")


def _quoted(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else f"`{value}`"


def _folded(value: Any) -> str:
    return "".join(char for char in str(value).casefold() if char.isalnum())


def kinds_in_words(shape: Shape) -> str:
    """Return what kinds of values may stand somewhere: "text or a number"."""
    return _(" or ").join(dict.fromkeys(str(_WORDS[kind]) for kind in sorted(shape.kinds - {"null"}))) or "null"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    found = sorted(found) if found and found[0].startswith(("'", "`")) else found
    return ", ".join(found[:MOST_NAMED]) + (", …" if len(found) > MOST_NAMED else "")
