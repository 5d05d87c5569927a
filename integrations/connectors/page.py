"""Pages: one of what a provider has, as every ``get_…(cursor=None)`` of a port returns it; and all, one by one.

    for page in pages(fetch, first="issues?per_page=100"):
        …

`pages` follows cursors to the end, and never for ever. `fetch` gets a cursor (a path, a token, a number) and returns
``(page, next cursor)``; an empty next cursor is the end. Errors: IntegrationPermanentError ``paging_loop`` if a cursor
comes twice, ``too_many_pages`` at the cap. What was yielded before is right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urljoin

from integrations.errors import IntegrationPermanentError
from integrations.transport.http_client import origin
from integrations.transport.response import Response

MAX_PAGES = 1000

Cursor = TypeVar("Cursor")
One = TypeVar("One")

_LINK = re.compile(r"""<([^<>]{0,4096})>((?:\s*;\s*[\w*-]+\s*=\s*(?:"[^"]*"|[^\s",;]+))*)""")
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s",;]+))""", re.IGNORECASE)

MAX_CURSOR = 500  # characters; AbstractSyncState.cursor holds no more

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A page, and where the next one is.

    Attributes:
        items: in the order in which they should be processed.
        cursor: what the next call gets; only the connector that made it reads it. On the last page it is where the
            next run begins, None there says: where this one began. At most `MAX_CURSOR` characters.
        has_more: whether there is another page in this run.
    """

    items: Sequence[Item]
    cursor: str | None = None
    has_more: bool = False

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def pages(
    fetch: Callable[[Cursor], tuple[One, Cursor | None]],
    first: Cursor,
    *,
    most: int = MAX_PAGES,
    mark: Callable[[Any], Hashable] = lambda cursor: cursor,
) -> Iterator[One]:
    """Yield each page from cursor `first` on, at most `most` of them; `mark` tells one cursor from another."""
    seen: set[Hashable] = set()
    cursor = first
    while True:
        if (marked := mark(cursor)) in seen:
            raise IntegrationPermanentError("the answer leads back to a page that was already read", code="paging_loop")
        if len(seen) == most:
            raise IntegrationPermanentError(
                f"more than {most} pages; ask for less, with a filter or a limit", code="too_many_pages"
            )
        seen.add(marked)
        page, following = fetch(cursor)
        yield page
        if not following:
            return
        cursor = following


def next_link(response: Response, base_url: str) -> str:
    """Return the address that ``Link: <…>; rel="next"`` names (RFC 8288), "" if there is none.

    Raises:
        IntegrationPermanentError: see `own_page`.
    """
    for target, parameters in _LINK.findall(response.headers.get("link", "")):
        if any("next" in (quoted or word).lower().split() for quoted, word in _REL.findall(parameters)):
            return own_page(urljoin(base_url, target), base_url)
    return ""


def own_page(url: str, base_url: str) -> str:
    """Return `url`, if it is where `base_url` is: our credentials go nowhere else.

    Raises:
        IntegrationPermanentError: ``foreign_page``: it leads away from the origin of `base_url`.
    """
    if origin(url) != origin(base_url):
        raise IntegrationPermanentError("the answer's next page is on another host", code="foreign_page")
    return url
