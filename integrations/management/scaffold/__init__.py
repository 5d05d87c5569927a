"""A new connector's first files: a connector that works, and a test that passes (``manage.py connector new``).

In: a name, a family, code or YAML, and where to. Out: a `Plan`, which writes nothing until asked and never overwrites.
Errors: ``ScaffoldError`` in words for the person at the keyboard.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).parent / "files"
INTEGRATIONS = Path(__file__).resolve().parents[2]

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}", re.ASCII)
_FAMILY = re.compile(r"[a-z][a-z0-9-]{0,29}", re.ASCII)


class ScaffoldError(ValueError):
    """What cannot be made, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the files of a connector go.

    Attributes:
        package: the package that the connector's module is in.
    """

    code: Path
    templates: Path
    tests: Path
    package: str


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


def here() -> Place:
    """Return the place of this project's own connectors.

    Raises:
        ScaffoldError: this is an installed package: what is written into it is lost with the next update.
    """
    tests = INTEGRATIONS / "tests" / "conformance"
    if not tests.is_dir() or "site-packages" in INTEGRATIONS.parts:
        raise ScaffoldError("integrations is an installed package here; name your app with --app")
    kinds = "integrations.connectors.kinds"
    return Place(INTEGRATIONS / "connectors" / "kinds", INTEGRATIONS / "connectors" / "templates", tests, kinds)


def in_app(folder: Path, package: str) -> Place:
    """Return the place in another app: its ``connectors`` folder, code and tests side by side."""
    connectors = folder / "connectors"
    return Place(connectors, connectors / "templates", connectors, f"{package}.connectors")


def plan(name: str, family: str, place: Place, *, is_yaml: bool, is_app: bool) -> Plan:
    """Return what makes a connector called `name`.

    Raises:
        ScaffoldError: the name or the family cannot be used.
    """
    check_names(name, family)
    class_name = "".join(word.capitalize() for word in name.split("_")) + "Connector"
    module = f"{place.package}.{name}"
    code, test = place.code / f"{name}.py", place.tests / f"test_{name}.py"
    template = place.templates / f"{name}.yaml"
    imports = ("from integrations.testing import Answer, ConnectorConformance", f"from {module} import {class_name}")
    words = {
        "key": name,
        "label": name.replace("_", " ").title(),
        "family": family,
        "class": class_name,
        "module": module,
        "template": f"{template.parent.name}/{template.name}",
        "imports": "\n\n".join(imports) if is_app else "\n".join(reversed(imports)),  # as isort sorts them
    }
    sources = (
        {template: "connector.yaml.txt", test: "test_template.py.txt"}
        if is_yaml
        else {code: "connector.py.txt", test: "test_connector.py.txt"}
    )
    files = {path: filled((FILES / source).read_text(), words) for path, source in sources.items()}
    if is_app:
        files[place.code / "__init__.py"] = ""
    return Plan(files, test, _next_steps(place, module, class_name, template, is_yaml=is_yaml, is_app=is_app))


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


def _next_steps(place: Place, module: str, class_name: str, template: Path, *, is_yaml: bool, is_app: bool) -> str:
    if not is_app:
        return "It is registered by being there. `manage.py connector docs` writes its page."
    if is_yaml:
        return f'Register it: INTEGRATIONS = {{"TEMPLATE_DIRS": ["{template.parent}"]}} in the settings.'
    return (
        f"Register it: `from {place.package} import {module.rpartition('.')[2]}` in your AppConfig's ready(),\n"
        f'or, in a package of its own, [project.entry-points."integrations.connectors"] with '
        f'{module.rpartition(".")[2]} = "{module}:{class_name}" in pyproject.toml.'
    )
