"""An event in words: what any payload gives, and what a trigger handler may say instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.summary import Summary, SummaryFormat, object_of, summarise

INVOICE = {"code": "C-1", "number": "INV-7", "total": "99.00", "customer": {"id": 3, "name": "Jane"}, "note": None}
PAYLOAD: dict[str, Any] = {
    "event_type": "invoice_paid",
    "timestamp": "2026-01-05T09:00:00Z",
    "tenant": {"id": 1, "name": "Acme"},
    "invoice": INVOICE,
    "changes": {"status": {"old": "Open", "new": "Paid"}},
}


def test_without_a_format_the_payload_tells() -> None:
    assert summarise(PAYLOAD, "invoice_paid") == Summary(
        title="Invoice paid: INV-7",
        name="INV-7",
        lines=(("Code", "C-1"), ("Total", "99.00"), ("Customer", "Jane")),
        changes=(("Status", "Open", "Paid"),),
    )


def test_a_handler_says_how_its_events_read() -> None:
    form = SummaryFormat(
        name="{invoice.code}",
        description="{invoice.customer.name} owes nothing.",
        lines=("Sum: invoice.total", "Note: invoice.note"),
        link="https://billing.example.com/invoices/{invoice.number}",
    )
    assert summarise(PAYLOAD, "invoice_paid", form=form) == Summary(
        title="Invoice paid: C-1",
        name="C-1",
        description="Jane owes nothing.",
        lines=(("Sum", "99.00"),),
        changes=(("Status", "Open", "Paid"),),
        link="https://billing.example.com/invoices/INV-7",
    )
    own = summarise(PAYLOAD, "invoice_paid", ["Who: invoice.customer.name"], SummaryFormat(title="{invoice.code}\nok"))
    assert (own.title, own.lines) == ("C-1 ok", (("Who", "Jane"),))  # a tenant's lines come first


def test_what_a_payload_does_not_have_is_left_out() -> None:
    form = SummaryFormat(name="{invoice.nothing}", lines=("A: invoice.nothing",), link="{invoice.url}")
    before = {"event_type": "invoice_paid", "invoice": {"id": 7}}  # of an event from before the format
    assert summarise(before, "invoice_paid", form=form) == Summary("Invoice paid: 7", "7")


@pytest.mark.parametrize(
    ("link", "number", "expected"),
    [
        ("https://x.example/{invoice.number}", "../a b?c#d", "https://x.example/..%2Fa%20b%3Fc%23d"),
        ("{invoice.number}", "https://x.example/a?b=c", "https://x.example/a?b=c"),
        ("{invoice.number}", "javascript:alert(1)", ""),
        ("{invoice.number}", "https://x.example/ <b>", ""),
        ("{invoice.number}", "https://x.example/|x>", ""),
        ("{invoice.number}{invoice.number}", "https://", ""),
        ("/invoices/{invoice.number}", "7", "https://app.example.com/invoices/7"),
        ("https://x.example/{invoice.number}", "9" * 600, ""),
    ],
)
def test_a_link_leads_where_its_author_says(link: str, number: str, expected: str, settings: Any) -> None:
    settings.INTEGRATIONS = {"PUBLIC_URL": "https://app.example.com/"}
    found = summarise({"invoice": {"number": number}}, "invoice_paid", form=SummaryFormat(link=link)).link
    assert found == expected


def test_without_our_own_address_there_is_no_link(settings: Any) -> None:
    settings.INTEGRATIONS = {"PUBLIC_URL": ""}
    assert summarise(PAYLOAD, "invoice_paid", form=SummaryFormat(link="/x")).link == ""


def test_a_format_that_is_wrong_says_where() -> None:
    with pytest.raises(ValueError, match=r"title: .*without its '}'.*; lines: 'Sum' has no label"):
        SummaryFormat(title="{invoice", lines=("Sum",))


@pytest.mark.parametrize(
    ("payload", "event_type", "expected"),
    [
        ({"order": {"id": 1}, "order_line": {"id": 2}}, "order_line_added", {"id": 2}),
        ({"order": {"id": 1}, "tenant": {"id": 2}}, "anything", {"id": 1}),
        ({"title": "x", "timestamp": "…"}, "alert", {"title": "x"}),
        ({}, "", {}),
    ],
)
def test_what_an_event_is_about(payload: Any, event_type: str, expected: Any) -> None:
    assert object_of(payload, event_type) == expected


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "name", "a", ""]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["invoice", "changes", "tenant", "title", "x"]), _JSON))
def test_any_payload_has_a_summary(payload: dict[str, Any]) -> None:
    form = SummaryFormat("{invoice.name}", "", "{x}", ("A: invoice.a", "B: join(',', x)"), "https://x.example/{title}")
    for made in (summarise(payload, "invoice_paid"), summarise(payload, "invoice_paid", form=form)):
        assert made.title.startswith("Invoice paid") and "\n" not in made.title
        json.dumps(made.as_json())
        assert all(label and value for label, value in made.lines)


def test_a_template_gets_a_bounded_number_of_lines_and_all_of_the_text() -> None:
    changes = {f"c{number}": {"old": None, "new": number} for number in range(9)}
    payload = {"it": {"name": "N", **{f"f{number}": number for number in range(30)}}, "changes": changes}
    made = summarise(payload, "it_updated").as_json()
    assert (len(made["lines"]), len(made["changes"])) == (10, 5)
    assert made["lines"][0] == {"label": "F0", "value": "0"}
    assert made["changes"][0] == {"label": "C0", "old": "", "new": "0", "value": "– → 0"}
    assert "F29: 29" in made["text"] and "C8: – → 8" in made["text"]
