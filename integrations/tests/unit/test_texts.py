"""Expressions in settings: what may be written, and that what was written before reads as it did."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.config_check import check
from integrations.connectors.manifest import Field, Manifest
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.texts import Form, filled, problem_of, shown, value_at, words

PAYLOAD: dict[str, Any] = {
    "event_type": "order_paid",
    "order": {
        "number": "A-7",
        "status": "Paid",
        "total": "150.00",
        "gift": True,
        "customer": {"id": 45, "name": "John Doe"},
        "lines": [{"sku": "X", "qty": 2}, {"sku": "Y", "qty": 1}],
        "2nd": {"name": "Eve"},
    },
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order {order.number} is {order.status}", "Order A-7 is Paid"),
        ("{order.customer}", "John Doe"),
        ("{order.lines[*].sku}", "X, Y"),
        ("{order.lines[?qty > `1`].sku | [0]}", "X"),
        ("{order.missing || order.number}", "A-7"),
        ("{order.total > `100` && 'large' || 'small'}", "large"),
        ("{join('/', order.lines[*].sku)} {cut(order.customer.name, `4`)}", "X/Y John"),
        ("{order.gift}", "yes"),
        ("{order.missing.deeper}|", "|"),
        ("{'{'}x}", "{x}"),
        ("no expression", "no expression"),
        ("", ""),
    ],
)
def test_a_text_is_filled_in(text: str, expected: str) -> None:
    assert problem_of("text", text) == "" and filled(text, PAYLOAD) == expected


def test_values_are_escaped_and_what_is_written_around_them_is_not() -> None:
    assert filled("<b>{order.number}</b>", {"order": {"number": "<i>"}}, lambda value: value.replace("<", "&lt;")) == (
        "<b>&lt;i></b>"
    )


def test_lines_and_expressions() -> None:
    lines = ["Customer: order.customer.name", "Items: order.lines[*].sku", "Nothing: order.nothing", "Sum:order.total"]
    assert shown(lines, PAYLOAD) == [("Customer", "John Doe"), ("Items", "X, Y"), ("Sum", "150.00")]
    assert value_at(PAYLOAD, "length(order.lines)") == 2


# What a tenant wrote when these settings knew paths alone, and how it reads since.
OLD_TEXTS = [
    ("{order.number}: {order.customer.name}", "A-7: John Doe"),
    ("${order.total}", "$150.00"),
    ("{{order.number}}", "{A-7}"),
    ("{order.2nd.name}", "Eve"),
    ("{order.number} {not a path}", "A-7 {not a path}"),
    ("{order.number} {order[number]} {}", "A-7 {order[number]} {}"),
    ("{order.number} {", "A-7 {"),
]


@pytest.mark.parametrize(("text", "expected"), OLD_TEXTS)
def test_a_stored_text_reads_as_before(text: str, expected: str) -> None:
    assert filled(text, PAYLOAD) == expected


@pytest.mark.parametrize(
    ("form", "text", "says"),
    [
        ("text", "{order.2nd.name}", 'stands in double quotes: {"2nd"}'),
        ("text", "{not a path}", "a plain brace is written {'{'}"),
        ("text", "{{order.number}}", "a plain brace is written {'{'}"),
        ("text", "{order.number", "without its '}'; write {'{'}"),
        ("text", "{}", "is no JMESPath expression"),
        ("text", "{sort(order.lines)}", "sort() is not allowed here; there are: abs"),
        ("text", "{order.status == `Paid`}", "a text stands in single quotes: 'Paid'"),
        ("line", "Customer", "write Label: expression"),
        ("line", ": order.number", "write Label: expression"),
        ("line", "Second: order.2nd", 'stands in double quotes: "2nd"'),
        ("line", "Origin: =Shop", "is no JMESPath expression"),
        ("mapping", "Subject: order..number", "is no JMESPath expression"),
        ("expression", "order.2nd", 'stands in double quotes: "2nd"'),
        ("expression", "order number", "is no JMESPath expression"),
    ],
)
def test_what_can_mean_nothing_is_refused_with_what_to_write(form: Form, text: str, says: str) -> None:
    assert says in problem_of(form, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("text", "{order.\"2nd\".name} {'{'}"),
        ("line", 'Second: order."2nd".name'),
        ("mapping", "Origin: =Repair shop: counter"),
        ("mapping", "Origin: 'Repair shop'"),
        ("expression", "order.id"),
        ("", "{anything"),
    ],
)
def test_what_it_says_to_write_is_taken(form: Form, text: str) -> None:
    assert problem_of(form, text) == ""


def test_a_line_from_before_shows_what_it_did() -> None:
    lines = ["Customer", "Second: order.2nd.name", "Odd: order number", "Number: order.number"]
    assert shown(lines, PAYLOAD) == [("Second", "Eve"), ("Number", "A-7")]
    assert value_at(PAYLOAD, "order.2nd.name") == "Eve"


def test_the_form_refuses_a_new_one_and_lets_a_stored_one_stay() -> None:
    fields = (Field(name="subject", form="text"), Field(name="lines", kind="lines", form="line"))
    manifest = Manifest(key="acme", label="Acme", fields=fields)
    old = {"subject": "{not a path}", "lines": ["Customer"]}
    problems = check(manifest, old)[1]
    assert "a plain brace is written" in problems["subject"] and "write Label: expression" in problems["lines"]
    assert check(manifest, old, stored=old) == (old, {})
    assert check(manifest, {**old, "subject": "{another one}"}, stored=old)[1].keys() == {"subject"}


def test_a_stored_text_stops_nobody_from_changing_other_settings() -> None:
    slack = ConnectorRegistry.type_of("slack")
    stored = {"url": "https://hooks.slack.com/services/T0/B0/X", "text": "{order.2nd}", "fields": ["Customer"]}
    assert slack.validate_config(stored).keys() == {"text", "fields"}
    assert slack.checked_config({**stored, "heading": "*{order.number}*"}, stored)["text"] == "{order.2nd}"


def test_nothing_of_a_value_is_too_large_for_words() -> None:
    assert len(words("x" * 5000)) == len(words(["x" * 600] * 30)) == 1000
    assert filled("{ {a: @, b: @} | {a: @, b: @} | {a: @, b: @} }", PAYLOAD) == ""


@given(st.text(st.sampled_from("{}order.number 'x`\"[]*|&!?:,@0é$"), max_size=40))
def test_whatever_is_written_it_runs(text: str) -> None:
    assert isinstance(filled(text, PAYLOAD), str)
    assert isinstance(problem_of("text", text) + problem_of("line", text) + problem_of("expression", text), str)
    value_at(PAYLOAD, text)
