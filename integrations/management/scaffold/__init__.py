"""A new connector's first files: a connector that works, and a test that passes (``manage.py connector new``).

In: a name, a family, code or YAML, and where to. Out: a `Plan`, which writes nothing until asked and never overwrites.
Errors: ``ScaffoldError`` in words for the person at the keyboard.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

from integrations.connectors.registry import KINDS

FILES = Path(__file__).parent / "files"
INTEGRATIONS = Path(__file__).resolve().parents[2]

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}", re.ASCII)
_FAMILY = re.compile(r"[a-z][a-z0-9-]{0,29}", re.ASCII)


class ScaffoldError(ValueError):
    """What cannot be made, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a connector go: `code` or `template`, and `test`.

    Attributes:
        module: what imports the connector's class.
        packages: empty files that make packages of folders; those that are there are kept.
        is_app: it is another app, where connectors are registered by hand.
    """

    code: Path
    template: Path
    test: Path
    module: str
    packages: tuple[Path, ...]
    is_app: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to write, and what is left to do by hand."""

    files: dict[Path, str]
    test: Path
    next_steps: str

    def write(self) -> None:
        """Write all files, or none.

        Raises:
            ScaffoldError: one of them is there already.
        """
        if there := [str(path) for path in self.files if path.exists() and self.files[path]]:
            raise ScaffoldError(f"{', '.join(there)} is there already; nothing was written")
        for path, text in self.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if text or not path.exists():
                path.write_text(text)


def here(name: str) -> Place:
    """Return the place among this project's own connectors: a folder with all that is about one.

    Raises:
        ScaffoldError: this is an installed package: what is written into it is lost with the next update.
    """
    if not (INTEGRATIONS / "tests").is_dir() or "site-packages" in INTEGRATIONS.parts:
        raise ScaffoldError("integrations is an installed package here; name your app with --app")
    folder = KINDS / name
    return Place(
        code=folder / "connector.py",
        template=folder / "connector.yaml",
        test=folder / "tests" / "test_conformance.py",
        module=f"integrations.connectors.kinds.{name}",
        packages=(folder / "__init__.py", folder / "tests" / "__init__.py"),
        is_app=False,
    )


def in_app(name: str, folder: Path, package: str) -> Place:
    """Return the place in another app: its ``connectors`` folder, code and tests side by side."""
    connectors = folder / "connectors"
    return Place(
        code=connectors / f"{name}.py",
        template=connectors / "templates" / f"{name}.yaml",
        test=connectors / f"test_{name}.py",
        module=f"{package}.connectors.{name}",
        packages=(connectors / "__init__.py",),
        is_app=True,
    )


def plan(name: str, family: str, place: Place, *, is_yaml: bool) -> Plan:
    """Return what makes a connector called `name`.

    Raises:
        ScaffoldError: the name or the family cannot be used.
    """
    check_names(name, family)
    class_name = "".join(word.capitalize() for word in name.split("_")) + "Connector"
    imports = (
        "from integrations.testing import Answer, ConnectorConformance",
        f"from {place.module} import {class_name}",
    )
    words = {
        "key": name,
        "label": name.replace("_", " ").title(),
        "family": family,
        "class": class_name,
        "template": f"{place.template.parent.name}/{place.template.name}",
        "imports": "\n\n".join(imports) if place.is_app else "\n".join(reversed(imports)),  # as isort sorts them
    }
    sources = {
        place.template if is_yaml else place.code: "connector.yaml.txt" if is_yaml else "connector.py.txt",
        place.test: "test_template.py.txt" if is_yaml else "test_connector.py.txt",
    }
    files = dict.fromkeys(place.packages, "")
    files |= {path: filled((FILES / source).read_text(), words) for path, source in sources.items()}
    if not (is_yaml or place.is_app):
        files[place.packages[0]] = f'from .connector import {class_name}\n\n__all__ = ["{class_name}"]\n'
    return Plan(files, place.test, _next_steps(name, place, class_name, is_yaml=is_yaml))


def check_names(name: str, family: str) -> None:
    """Raise ScaffoldError if a module or a manifest could not have these names."""
    if not _NAME.fullmatch(name):
        raise ScaffoldError(
            "a name has 2 to 40 small letters, digits and underscores, and begins with a letter: my_erp"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ScaffoldError(f"{name} is a word of Python; choose another name")
    if not _FAMILY.fullmatch(family):
        raise ScaffoldError("a family has small letters, digits and hyphens, and begins with a letter: crm")


def filled(text: str, words: dict[str, str]) -> str:
    """Return `text` with ``@@word@@`` replaced (not ``${…}``, which templates use themselves)."""
    for name, value in words.items():
        text = text.replace(f"@@{name}@@", value)
    return text


def _next_steps(name: str, place: Place, class_name: str, *, is_yaml: bool) -> str:
    if not place.is_app:
        return "It is registered by being there. `manage.py connector docs` writes its page."
    if is_yaml:
        return f'Register it: INTEGRATIONS = {{"TEMPLATE_DIRS": ["{place.template.parent}"]}} in the settings.'
    return (
        f"Register it: `from {place.module.rpartition('.')[0]} import {name}` in your AppConfig's ready(),\n"
        f'or, in a package of its own, [project.entry-points."integrations.connectors"] with '
        f'{name} = "{place.module}:{class_name}" in pyproject.toml.'
    )
