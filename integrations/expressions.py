"""JMESPath (jmespath.org) that can only look: what conditions and connector templates may say.

In: an expression. Out: the compiled one. Errors: ``ValueError``, one line that says what is wrong.
JMESPath has no loops and no side effects, but it can build: forty times ``[@, @]`` is a value of 2^40 parts. So what
builds values is refused, unless the caller allows it and bounds the result.
"""

from __future__ import annotations

from typing import Any

import jmespath

MAX_NODES = 64
MAX_BUILDERS = 4  # objects that one expression may build, where that is allowed
FUNCTIONS = frozenset({"abs", "contains", "ends_with", "length", "not_null", "starts_with", "to_number", "type"})
NODES = frozenset(
    {
        "and_expression",
        "comparator",
        "current",
        "field",
        "filter_projection",
        "function_expression",
        "identity",
        "index",
        "index_expression",
        "literal",
        "not_expression",
        "or_expression",
        "pipe",
        "projection",
        "subexpression",
        "value_projection",
    }
)


def compile_expression(text: str, *, nodes: frozenset[str] = NODES, functions: frozenset[str] = FUNCTIONS) -> Any:
    """Return `text` compiled; its ``.parsed`` is the tree, ``.search(value)`` its value.

    Raises:
        ValueError: it is not JMESPath, it has too many parts, or it uses more than `nodes` and `functions`.
    """
    try:
        expression = jmespath.compile(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:  # JMESPathError is one; its words go over several lines
        raise ValueError(str(error).partition(", for expression")[0].partition("\n")[0].rstrip(": ")) from None
    waiting, count, builders = [expression.parsed], 0, 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > MAX_NODES:
            raise ValueError(f"it has more than {MAX_NODES} parts")
        kind = node["type"]
        if kind not in nodes:
            raise ValueError(f"{kind.replace('_', ' ')} is not allowed here; compare fields instead")
        if kind == "function_expression" and node["value"] not in functions:
            raise ValueError(f"{node['value']}() is not allowed here; there are: {', '.join(sorted(functions))}")
        builders += kind == "multi_select_dict"
        if builders > MAX_BUILDERS:
            raise ValueError(f"it builds more than {MAX_BUILDERS} objects")
        waiting += node["children"]
    return expression
