"""The pages in docs/connectors/: what a manifest says, for people, and what the connector's docstring adds.

In: connector classes. Out: {file name: Markdown}. Nothing here is written by hand, so nothing here goes stale
(``manage.py connector docs --check``).

A manifest's words stand in Python and in YAML, and are translated when they are shown. ``makemessages`` finds only what
is marked, so they stand once more in a file that nothing imports (`texts`).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

from integrations.auth.spec import OAuth
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import HEADERS, URL, Field, Manifest
from integrations.connectors.registry import KINDS
from integrations.faults import MEANINGS, grouped

from .markdown import cell

GENERATED = "<!-- Written by `manage.py connector docs` from the manifest. Edit the connector, not this page. -->"
TOP = '''"""Texts of connector types for ``makemessages``; nothing imports it. Made by ``manage.py connector texts``."""

from __future__ import annotations

from django.utils.translation import gettext_noop

# ruff: noqa: E501
# fmt: off
'''
CAN = {
    "deliver": "takes events",
    "export": "takes orders",
    "check": "can be tested without sending anything",
    "read": "can be read from",
}
_FORMS = {
    "text": "Each `{…}` holds an",
    "line": "Behind the colon stands an",
    "mapping": "Behind the colon stands an",
    "expression": "It is an",
}


def pages(kinds: Iterable[type[BaseConnector]]) -> dict[str, str]:
    """Return every page, the index included."""
    kinds = list(kinds)
    return {"README.md": _index(kinds), **{file_name(kind): page(kind) for kind in kinds}}


def file_name(kind: type[BaseConnector]) -> str:
    return f"{kind.manifest.key.lower()}.md"


def is_ours(kind: type[BaseConnector]) -> bool:
    """Tell whether a connector belongs to this project; other packages document their own."""
    template = template_of(kind)
    return KINDS in template.parents if template else kind.__module__.startswith("integrations.connectors.kinds.")


def template_of(kind: type[BaseConnector]) -> Path | None:
    """Return the YAML file that a connector was made of, None if it is code."""
    file = getattr(getattr(kind, "template", None), "file", "")
    return Path(file) if file else None


def origin_of(kind: type[BaseConnector]) -> str:
    """Return where a connector came from: a module, or a template's file."""
    template = template_of(kind)
    return str(template) if template else kind.__module__


def page(kind: type[BaseConnector]) -> str:
    """Return the page of one connector."""
    manifest = kind.manifest
    parts = [GENERATED, f"# {manifest.label}", manifest.description, _facts(manifest, kind)]
    if manifest.fields:
        parts += ["## What you fill in", _fields(manifest)]
    if manifest.oauth:
        parts += ["## Access", _access(manifest.oauth)]
    if kind.faults:
        parts += ["## What its answers mean", _faults(kind)]
    if prose := _prose(kind):
        parts += ["## How it works", prose]
    return "\n\n".join(part for part in parts if part) + "\n"


def _index(kinds: Iterable[type[BaseConnector]]) -> str:
    rows = ["| connector | family | what it does |", "| --- | --- | --- |"]
    rows += [
        f"| [{cell(kind.manifest.label)}]({file_name(kind)}) | {kind.manifest.family} "
        f"| {cell(kind.manifest.description)} |"
        for kind in sorted(kinds, key=lambda kind: (kind.manifest.family, kind.manifest.label.lower()))
    ]
    words = (
        "One page for each kind of system that comes with this project. "
        "[Write your own](../write-your-own-connector.md) in ten minutes."
    )
    return "\n\n".join([GENERATED, "# Connectors", words, "\n".join(rows)]) + "\n"


def _facts(manifest: Manifest, kind: type[BaseConnector]) -> str:
    hosts = ", ".join(f"`{host}`" for host in manifest.allowed_hosts)
    template, limit = template_of(kind), manifest.rate_limit
    facts = {
        "integration type": f"`{manifest.key}`, version {manifest.version}",
        "family": manifest.family,
        "does": ", ".join(CAN[each] for each in manifest.does),
        "talks to": f"{hosts}, and what the operator allow-lists" if hosts else "any public host",
        "signed": "with Standard Webhooks signatures ([SECURITY.md](../SECURITY.md))" if manifest.signs else "",
        "calls us back": f"with webhooks, signed as `{manifest.inbound.scheme}` says" if manifest.inbound else "",
        "at most": f"{limit.per_minute} requests a minute{f' ({limit.note})' if limit.note else ''}" if limit else "",
        "a tenant may have": ""
        if manifest.allow_multiple
        else f"one active integration of the family {manifest.family}",
        "provider's documentation": f"<{manifest.docs_url}>" if manifest.docs_url else "",
        "made of": f"the template `{template.parent.name}/{template.name}`" if template else "",
    }
    rows = [f"| {name} | {cell(text)} |" for name, text in facts.items() if text]
    return "\n".join(["| | |", "| --- | --- |", *rows])


def _fields(manifest: Manifest) -> str:
    rows = ["| field | name | | default | |", "| --- | --- | --- | --- | --- |"]
    for field in manifest.fields:
        default = "" if field.default is None else f"`{field.default}`"
        rows.append(f"| {cell(field.title)} | `{field.name}` | {_marks(field)} | {default} | {cell(_help(field))} |")
    return "\n".join(rows)


def _marks(field: Field) -> str:
    marks = {
        "required": field.required,
        "secret": field.is_secret,
        "encrypted": field.name in (URL, HEADERS),
        "advanced": field.advanced,
    }
    return ", ".join(name for name, holds in marks.items() if holds)


def _help(field: Field) -> str:
    choices = f"One of: {', '.join(field.choices)}." if field.choices else ""
    hint = f"It {field.hint}." if field.hint else ""
    form = f"{_FORMS[field.form]} [expression](../adding-a-model.md#how-its-events-read)." if field.form else ""
    return " ".join(part for part in (field.help, choices, hint, form) if part)


def _access(oauth: OAuth) -> str:
    scopes = ", ".join(f"`{scope}`" for scope in oauth.scopes) or "none of its own"
    grant = oauth.grant.replace("_", " ")
    return f"OAuth 2, grant {grant}. Scopes asked for, and no others: {scopes}. Tokens come from `{oauth.token_url}`."


def _faults(kind: type[BaseConnector]) -> str:
    rows = ["| answer | whose fault it is, and what happens | what to do |", "| --- | --- | --- |"]
    for codes, fault in grouped(kind.faults):
        rows.append(f"| {', '.join(map(_code, codes))} | {MEANINGS[fault.kind].words} | {cell(fault.advice)} |")
    rest = "What is not listed is as its status says: [whose fault it is](../state-machine.md#whose-fault-it-is)."
    return "\n".join(rows) + f"\n\n{rest}"


def _code(text: str) -> str:
    """Return `text` as code in a cell; JMESPath has single marks of its own."""
    mark, pad = ("``", " ") if "`" in text else ("`", "")
    return f"{mark}{pad}{cell(text)}{pad}{mark}"


def _prose(kind: type[BaseConnector]) -> str:
    """Return the docstrings' text; for a template, the comment that it begins with."""
    template = template_of(kind)
    if template:
        lines = template.read_text().splitlines()
        head = takewhile(lambda line: line.startswith("#"), lines)
        return _as_markdown("\n".join(line.removeprefix("#").removeprefix(" ") for line in head))
    module = inspect.cleandoc(sys.modules[kind.__module__].__doc__ or "")
    own = inspect.cleandoc(kind.__doc__ or "")
    return _as_markdown("\n\n".join(text for text in (own, module) if text))


def _as_markdown(text: str) -> str:
    """Return a docstring as Markdown: ``code`` with single marks, no stray HTML, and what is indented as a block."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if all(line.startswith("    ") for line in lines):
            code = inspect.cleandoc(paragraph)
            paragraphs.append(f"```{_language(code)}\n{code}\n```")
            continue
        for number, line in enumerate(lines):
            parts = re.split(r"(``.+?``|`.+?`)", line)
            parts[::2] = [part.replace("<", "\\<") for part in parts[::2]]
            lines[number] = "".join(parts).replace("``", "`")
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs).strip()


def _language(code: str) -> str:
    try:
        compile(code, "a docstring", "exec")
    except SyntaxError:
        return "text"
    return "python"


# -- texts for makemessages ----------------------------------------------------------------------------


def texts_of(manifest: Manifest) -> Iterator[str]:
    """Yield what people read of a manifest: what it is for, what it needs, and its fields."""
    yield manifest.description
    yield from manifest.needs
    for field in manifest.fields:
        yield field.title
        yield field.help
        yield field.hint


def texts(kinds: Iterable[type[BaseConnector]]) -> str:
    """Return the file for these connector types: each text once, in a fixed order."""
    found = {text for kind in kinds for text in texts_of(kind.manifest) if text}
    return TOP + "".join(f"gettext_noop({_quoted(text)})\n" for text in sorted(found))


def _quoted(text: str) -> str:
    """Return `text` as ruff writes it."""
    quote = "'" if '"' in text and "'" not in text else '"'
    body = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"{quote}{body.replace(quote, chr(92) + quote)}{quote}"
