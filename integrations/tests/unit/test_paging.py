"""Following a cursor: to the end, and never for ever."""

from __future__ import annotations

import pytest

from integrations.connectors.page import next_link, pages
from integrations.errors import IntegrationPermanentError
from integrations.tests.effort import computing
from integrations.transport.response import Headers, Response


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


def linked(value: str) -> str:
    return next_link(Response(200, Headers([("link", value)]), b""), "https://api.example.com/v1/")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ('<https://api.example.com/?page=2>; rel="next", <https://api.example.com/>; rel="last"', "/?page=2"),
        ('<https://api.example.com/a>; rel="prev", </b>; title="x; rel=no"; REL="up Next"', "/b"),
        ("<https://api.example.com/c> ; rel = next", "/c"),
        ('<https://api.example.com/>; rel="nextish", <https://api.example.com/>; title="next"', ""),
        ("", ""),
    ],
)
def test_the_link_to_the_next_page(value: str, url: str) -> None:
    assert linked(value) == (f"https://api.example.com{url}" if url else "")


def test_a_hostile_link_header_costs_no_time() -> None:
    with computing() as computed:
        for value in (
            f"<https://a/>; rel={' ' * 60000}x",
            f"<https://a/>{'; rel=' * 10000}",
            "<" * 60000,
            "<>;" * 20000,
        ):
            assert linked(value) == ""
    assert computed.seconds < 2  # it was a minute
