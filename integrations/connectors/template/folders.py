"""Folders of templates, one connector a file (``*.yaml``, ``*.yml``), by name.

In: a folder and the connectors that interpret templates. Out: a template, or what is wrong with it, for every file:
one broken file takes none of the others down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from integrations.errors import TemplateError

from .compiled import Template
from .load import load
from .source import MAX_BYTES

SUFFIXES = frozenset({".yaml", ".yml"})


def templates_in(folder: Path, connectors: Mapping[str, str]) -> Iterator[Template | TemplateError]:
    """Yield a `Template` or the error for each file; for a folder that cannot be read, one error."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        yield TemplateError(f"the folder cannot be read ({error.strerror}); see TEMPLATE_DIRS", file=str(folder))
        return
    for path in files:
        try:
            yield load(_bytes(path), str(path), connectors)
        except TemplateError as problem:
            yield problem


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        problem = f"the file cannot be read ({error.strerror})"
    raise TemplateError(problem, file=str(path))
