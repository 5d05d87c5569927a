"""Ask a connector for one page, and understand what it returns.

A page is a `Page`, any object or mapping with ``items``, ``cursor`` and ``has_more``, or simply the items.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from integrations.connectors.base import BaseConnector
from integrations.connectors.exported import exported_methods
from integrations.delivery import run_slot
from integrations.errors import IntegrationPermanentError

from .models import why_not_kept

MAX_ITEMS = 100_000  # of one page: a generator that never ends would fill the memory

FetchFn = Callable[..., Any]  # fetch_fn(adapter, cursor=…)


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page in our own words. `cursor` None: the provider said nothing."""

    items: list[Any] = field(repr=False)
    cursor: str | None = field(repr=False)
    has_more: bool


class BadPage(IntegrationPermanentError):
    """What came is no page that could be read on from; the provider or its connector must be mended."""

    default_code = "bad_page"


def method_for(connector: type[BaseConnector], resource_type: str) -> str:
    """Return the name of the method that reads `resource_type`: ``get_orders`` for ``orders``.

    Raises:
        IntegrationPermanentError: the connector exports none, or one that wants more than a cursor, such as an id.
            Names come from messages, so nothing else is callable.
    """
    name = f"get_{resource_type}"
    if name not in exported_methods(connector):
        raise IntegrationPermanentError(
            f"method not exported: {connector.manifest.key} has no {name[:60]} to pull with; pass a fetch_fn",
            code="not_exported",
        )
    if not _wants_a_cursor_at_most(connector, name):
        raise IntegrationPermanentError(
            f"{connector.manifest.key}'s {name[:60]} wants more than a cursor; pass a fetch_fn", code="not_a_list"
        )
    return name


def resources_of(connector: type[BaseConnector]) -> list[str]:
    """Return what `connector` lets us pull by name, sorted: ``orders`` for its ``get_orders``, and no ``order``."""
    names = [name for name in exported_methods(connector) if name.startswith("get_")]
    return sorted(name.removeprefix("get_") for name in names if _wants_a_cursor_at_most(connector, name))


def _wants_a_cursor_at_most(connector: type[BaseConnector], name: str) -> bool:
    found = list(inspect.signature(getattr(connector, name)).parameters.values())
    if inspect.isfunction(inspect.getattr_static(connector, name)):
        found = found[1:]  # self
    return not any(
        each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
        for each in found
        if each.name != "cursor"
    )


def fetch(adapter: BaseConnector, resource_type: str, cursor: str, fetch_fn: FetchFn | None = None) -> Fetched:
    """Ask for the page at `cursor` ("" is the beginning, which connectors get as None).

    Raises:
        BadPage: the answer is no page.
        Exception: whatever the connector or `fetch_fn` raises.
    """
    at: dict[str, Any] = {"cursor": cursor or None}
    if fetch_fn is not None:
        with run_slot.away():
            return read_page(fetch_fn(adapter, **at))
    method = getattr(adapter, method_for(type(adapter), resource_type))
    parameters = inspect.signature(method).parameters.values()
    if not any(each.name == "cursor" or each.kind is each.VAR_KEYWORD for each in parameters):
        at = {}  # it has one page only
    with run_slot.away():
        return read_page(method(**at))


def read_page(answer: Any) -> Fetched:
    """Return `answer` as a page.

    Raises:
        BadPage: it is none, or says something of itself that cannot be.
    """
    if isinstance(answer, Mapping):
        if "items" not in answer:
            raise BadPage("the page is a mapping without 'items'")
        found, cursor, has_more = answer["items"], answer.get("cursor"), answer.get("has_more")
    elif hasattr(answer, "items") and not callable(answer.items):
        found, cursor = answer.items, getattr(answer, "cursor", None)
        has_more = getattr(answer, "has_more", None)
    else:
        found, cursor, has_more = answer, None, None
    if has_more not in (None, False, True):
        raise BadPage(f"the page's has_more is {type(has_more).__name__}; expected True or False")
    return Fetched(_items(found), _checked(cursor), bool(has_more))


def _items(found: Any) -> list[Any]:
    if isinstance(found, str | bytes | bytearray | Mapping) or not isinstance(found, Iterable):
        raise BadPage(f"the page's items are {type(found).__name__}; expected a list")
    items = list(islice(found, MAX_ITEMS + 1))
    if len(items) > MAX_ITEMS:
        raise BadPage(f"the page has more than {MAX_ITEMS:,} items; let the connector ask for fewer at once")
    return items


def _checked(cursor: Any) -> str | None:
    """Return a cursor that can be stored whole."""
    if cursor is None:
        return None
    if not isinstance(cursor, str):
        raise BadPage(f"the page's cursor is {type(cursor).__name__}; expected text")
    if problem := why_not_kept(cursor):
        raise BadPage(f"the page's cursor {problem}")
    return cursor


def next_cursor(page: Fetched, sent: str, visited: Collection[str] = ()) -> str:
    """Return where to go on after `page`, which was asked for at `sent`.

    Without a cursor the last page leaves us where we were: the next run reads it again, with what was added to it.

    Raises:
        BadPage: it says that there is more, and leads nowhere new: reading on would never end.
    """
    if not page.has_more:
        return sent if page.cursor is None else page.cursor
    if not page.cursor:
        raise BadPage("the page says that there are more, but not where: it has no cursor")
    if page.cursor == sent:
        raise BadPage("the page says that there are more, at the same cursor: reading on would never end")
    if page.cursor in visited:
        raise BadPage("the page leads back to one that was read before: reading on would never end")
    return page.cursor
