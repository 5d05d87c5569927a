"""What the site adds to the pages of this folder (a hook of mkdocs): pages that are files beside it.

The pages are written to be read in the repository, too: links to files of the code have no place on the site, and
become the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pymdownx.slugs import slugify

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
WORKER, OUR_WORKER = "https://unpkg.com/iframe-worker/shim", "assets/iframe-worker-1.0.4.js"
EVERY = "every page of "  # in the navigation, before the name of a folder
_FOREIGN = re.compile(r"(https?:)?//")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Fill the entries of the navigation that name a folder; give headings the anchors that GitHub gives them."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
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


def on_post_build(config: Any, **_: Any) -> None:
    """Refuse a page that loads something from another host: the site is read without a network."""
    foreign = sorted({found for page in Path(config.site_dir).rglob("*.html") for found in _loads(page)})
    foreign += sorted({found for sheet in Path(config.site_dir).rglob("*.css") for found in _imports(sheet)})
    if foreign:
        raise PluginError("The site loads from other hosts:\n" + "\n".join(foreign))


def _loads(page: Path) -> Iterator[str]:
    parser = _Loads()
    parser.feed(page.read_text())
    yield from (f"{page.name}: {address}" for address in parser.found if _FOREIGN.match(address))


def _imports(sheet: Path) -> Iterator[str]:
    addresses = re.findall(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)", sheet.read_text())
    yield from (f"{sheet.name}: {first or second}" for first, second in addresses if _FOREIGN.match(first or second))


class _Loads(HTMLParser):
    """The addresses that a page loads by itself; a link is followed by people."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        name = {"link": "href", "object": "data"}.get(tag, "src")
        is_link = tag == "link" and values.get("rel") in ("canonical", "next", "prev")
        if tag != "a" and not is_link and values.get(name):
            self.found.append(values[name] or "")
