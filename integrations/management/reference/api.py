"""The page of the API's operations, from its OpenAPI documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from integrations.management.markdown import table

_INTRO = """# API operations

Every call of the API; [JSON API](../api.md) says how to sign in, page, repeat and read problems. A running installation
has the same at `/api/v1/docs` and `/api/docs`, and as OpenAPI at `/api/v1/openapi.json` and `/api/openapi.json`.
An answer of 400 or more is a [problem](errors.md#problems-of-the-api)."""
_METHODS = ("get", "post", "put", "patch", "delete")


def page() -> str:
    """Return the page: every operation of both versions; nothing but a word where django-ninja is missing."""
    if find_spec("ninja") is None:
        return f"{_INTRO}\n\nThe API is not installed here: it needs the extra `api`."
    from integrations.api.routes import api as connections
    from integrations.api.v1.api import api as version_1

    parts = [_INTRO]
    for title, prefix, api in (("Version 1", "/api/v1/", version_1), ("Set-up of connections", "/api/", connections)):
        document = api.get_openapi_schema(path_prefix=prefix)
        parts.append(f"## {title}")
        schemas = document.get("components", {}).get("schemas", {})
        for path, item in document["paths"].items():
            parts += [_operation(path, method, item[method], schemas) for method in _METHODS if method in item]
    return "\n\n".join(parts)


def _operation(path: str, method: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    parts = [f"### {method.upper()} `{path}`"]
    summary, description = operation.get("summary", ""), operation.get("description", "")
    parts.append(description.strip() or f"{summary}.")
    if rows := list(_parameters(operation)):
        parts.append(table(("parameter", "in", "kind", "meaning"), rows))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body and (rows := list(_fields(body, schemas))):
        parts += ["The body:", table(("field", "kind", "meaning"), rows)]
    parts.append(f"Answers: {', '.join(sorted(map(str, operation['responses'])))}.")
    return "\n\n".join(parts)


def _parameters(operation: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for each in operation.get("parameters", []):
        schema = each.get("schema", {})
        meaning = each.get("description") or schema.get("description", "")
        if each["in"] == "path" and not meaning:
            continue  # its name in the path says it
        yield f"`{each['name']}`", each["in"], _kind(schema), meaning


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found = schemas[name] if name else schema
    required = found.get("required", [])
    for name, each in found.get("properties", {}).items():
        kind = _kind(each)
        yield f"`{name}`", f"{kind}, required" if name in required else kind, each.get("description", "")


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    words = str(schema.get("type", "anything"))
    if "format" in schema:
        words += f" ({schema['format']})"
    if words == "array":
        words = f"list of {_kind(schema.get('items', {}))}"
    if "enum" in schema:
        words += f": {', '.join(f'`{value}`' for value in schema['enum'])}"
    if schema.get("default") not in (None, "", [], {}):
        words += f", default `{schema['default']}`"
    return words
