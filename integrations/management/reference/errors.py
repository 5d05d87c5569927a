"""The page of errors: the tree, whose fault an answer is, the problems of the API."""

from __future__ import annotations

import inspect
from importlib.util import find_spec

from integrations import errors
from integrations.faults import MEANINGS
from integrations.management.markdown import table

_INTRO = """# Errors

What can go wrong when we talk to another system ([what is raised](#what-is-raised)), what a lane does about it
([whose fault](#whose-fault-an-answer-is)), and what the API answers ([problems](#problems-of-the-api))."""


def page() -> str:
    """Return the page."""
    tree, _, rest = (inspect.getdoc(errors) or "").partition("\n\nThe class says")
    drawing = "\n".join(line.removeprefix("    ") for line in tree.splitlines()[2:])
    parts = [_INTRO, "## What is raised", f"```text\n{drawing}\n```"]
    parts.append(_faults("The class says" + rest))
    classes = [each for each in vars(errors).values() if inspect.isclass(each)]
    parts += [_section(each) for each in classes if issubclass(each, errors.IntegrationError)]
    rows = ((f"`{name}`", f"`{each.error.__name__}`", f"`{each.fault}`", each.words) for name, each in MEANINGS.items())
    meanings = table(("kind", "error", "fault", "whose fault it is, and what happens"), rows)
    parts += ["## Whose fault an answer is", _FAULTS, meanings, "## Problems of the API", _problems()]
    return "\n\n".join(parts)


_FAULTS = (
    "What an answer of a provider means. Each connector's [page](../connectors/README.md) lists the provider's codes; "
    "what is not listed is as its status says ([whose fault it is](../state-machine.md#whose-fault-it-is))."
)


def _faults(text: str) -> str:
    """Let the table that the docstring draws be a block of text."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        "```text\n" + "\n".join(line.removeprefix("    ") for line in part.splitlines()) + "\n```"
        if part.startswith("    ")
        else part
        for part in paragraphs
    ).replace('(docs/state-machine.md, "Whose fault it is")', "([states](../state-machine.md#whose-fault-it-is))")


def _section(kind: type[errors.IntegrationError]) -> str:
    bases = (base for base in kind.__mro__[1:] if base.__module__ == errors.__name__)
    base = next((base.__name__ for base in bases), "Exception")
    words = inspect.cleandoc(vars(kind)["__doc__"]) if vars(kind).get("__doc__") else ""
    summary, _, rest = words.partition("\n\nArgs:\n")
    arguments = "".join(f"\n- `{name}`: {what}" for name, what in _arguments(rest)) if rest else ""
    return f"### `{kind.__name__}`\n\nSubclass of `{base}`. {summary}".strip() + (f"\n{arguments}" if arguments else "")


def _arguments(text: str) -> list[tuple[str, str]]:
    """Return (name, what it is) of the lines of a docstring's ``Args:``."""
    found: list[tuple[str, str]] = []
    for line in inspect.cleandoc(text).splitlines():
        name, colon, what = line.partition(": ")
        if colon and not line.startswith(" "):
            found.append((name, what.strip()))
        elif line.strip() and found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def _problems() -> str:
    if find_spec("ninja") is None:
        return "The API is not installed here: it needs the extra `api`."
    from integrations.api.v1.problems import PROBLEM_TYPES

    rows = (
        (f"`{code}`", ", ".join(map(str, statuses)), meaning) for code, (statuses, meaning) in PROBLEM_TYPES.items()
    )
    words = (
        "`application/problem+json` (RFC 9457): `status`, `title`, `detail` for people, `code` for programs, and "
        "`fields` with what is wrong with which field. What fails in a connector has that error's own code, with 409."
    )
    return f"{words}\n\n{table(('code', 'status', 'means'), rows)}"
