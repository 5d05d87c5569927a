"""What the site adds to the pages of this folder (a hook of mkdocs): pages made of code, and of files beside it.

The pages are written to be read in the repository, too: links to files of the code have no place on the site, and
become the file's name.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
WORKER, OUR_WORKER = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker-1.0.4.js"
EVERY = "every page of "  # in the navigation, before the name of a folder
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Fill the entries of the navigation that name a folder."""
    for room in config.nav:
        for entries in room.values():
            if isinstance(entries, list):
                for entry in entries:
                    title, page = next(iter(entry.items()))
                    if page.startswith(EVERY):
                        entry[title] = _pages_of(page.removeprefix(EVERY))
    return config


def _pages_of(folder: str) -> list[str]:
    names = sorted(path.name for path in (ROOT / "docs" / folder).glob("*.md") if path.name != "README.md")
    return [f"{folder}/{name}" for name in ["README.md", *names]]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not in this folder."""
    for name, page in BESIDE.items():
        text = re.sub(r"\]\(docs/", "](", (ROOT / name).read_text())
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "errors.md", content=_errors()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to files outside of this folder be the page that the site has of them, or the file's name."""

    def rewritten(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        folder = ROOT / "docs" / Path(page.file.src_uri).parent
        path = (folder / target).resolve()
        if page.file.src_uri in BESIDE.values() and not path.exists():
            path = (ROOT / target).resolve()
        if path.is_relative_to(ROOT / "docs") and path.suffix:
            return found[0]
        name = str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else target
        if name in BESIDE:
            return f"[{words}]({'../' * (len(Path(page.file.src_uri).parts) - 1)}{BESIDE[name]}{anchor})"
        return words if words.startswith("`") else f"{words} (`{name}`)"

    return _LINK.sub(rewritten, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Load what the search needs without a server (npm's `iframe-worker`, MIT) from the site itself."""
    return output.replace(WORKER, "../" * (len(Path(page.file.dest_uri).parts) - 1) + OUR_WORKER)


def on_post_template(output_content: str, **_: Any) -> str:
    """Do the same for the page of what is not found."""
    return output_content.replace(WORKER, f"/{OUR_WORKER}")


def _errors() -> str:
    """Return the reference of the errors, made of their docstrings."""
    sys.path.insert(0, str(ROOT))
    try:
        from integrations import errors
    finally:
        sys.path.remove(str(ROOT))
    lines = [
        "# Errors",
        "",
        "Made from `integrations/errors.py`: every way in which talking to another system can go wrong.",
        "",
    ]
    tree, _, rest = (errors.__doc__ or "").partition("\n\nThe class says")
    lines += [
        "```text",
        *[line.removeprefix("    ") for line in tree.splitlines()[2:]],
        "```",
        "",
        "The class says" + rest,
        "",
    ]
    found = [
        each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.IntegrationError)
    ]
    for each in found:
        base = next((base.__name__ for base in each.__mro__[1:] if base.__module__ == errors.__name__), "Exception")
        words = inspect.getdoc(each) if "__doc__" in vars(each) else ""
        lines += [f"## `{each.__name__}`", "", f"A `{base}`. {words}".strip(), ""]
    return "\n".join(lines)
