"""Following a cursor: to the end, and never for ever."""

from __future__ import annotations

import pytest

from integrations.connectors.paging import pages
from integrations.errors import IntegrationPermanentError


def book(**leaves: str) -> tuple[list[str], list[str]]:
    """Read from page ``a`` on; return what was read and what was asked for."""
    asked: list[str] = []

    def fetch(cursor: str) -> tuple[str, str]:
        asked.append(cursor)
        return f"page {cursor}", leaves[cursor]

    return list(pages(fetch, "a", most=3)), asked


def test_to_the_end() -> None:
    assert book(a="b", b="c", c="") == (["page a", "page b", "page c"], ["a", "b", "c"])
    assert book(a="") == (["page a"], ["a"])


@pytest.mark.parametrize("leaves", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "b"}])
def test_a_cursor_that_repeats_is_an_error(leaves: dict[str, str]) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        book(**leaves)
    assert caught.value.code == "paging_loop"


def test_the_cap_is_an_error_and_no_silent_end() -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        book(a="b", b="c", c="d")
    assert caught.value.code == "too_many_pages"


def test_what_was_read_before_the_error_is_yielded() -> None:
    read = []
    with pytest.raises(IntegrationPermanentError):
        for page in pages(lambda cursor: (cursor, cursor + 1), 1, most=2):
            read.append(page)
    assert read == [1, 2]
