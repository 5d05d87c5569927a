"""What a subscription sends in the place of the event's body: an object, the same bytes each time, never too much."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from integrations.connections.payloads import PayloadFailed, bytes_of, made_of, validate_payload
from integrations.connectors.port import Envelope
from integrations.connectors.summary import SummaryFormat

BODY: dict[str, Any] = {
    "event_type": "workitem_created",
    "workitem": {"title": "Screen é", "priority": "Urgent", "price": "150.00", "customer": None, "lines": [{"n": 1}]},
    "rows": [[1, 2], [3]],
}


@pytest.mark.parametrize(
    ("expression", "payload"),
    [
        ("{text: workitem.title}", {"text": "Screen é"}),
        ("{b: `1`, a: {price: workitem.price}}", {"b": 1, "a": {"price": "150.00"}}),
        ("{text: join(' ', [workitem.title, 'is', workitem.priority])}", {"text": "Screen é is Urgent"}),
        ("{lines: workitem.lines[*].{number: n}, flat: rows[]}", {"lines": [{"number": 1}], "flat": [1, 2, 3]}),
        ("{\n  who: workitem.customer.name,\n  all: [workitem.title, `2`]\n}", {"who": None, "all": ["Screen é", 2]}),
        ("workitem.lines[0]", {"n": 1}),
        ("@", BODY),
    ],
)
def test_what_people_write(expression: str, payload: dict[str, Any]) -> None:
    validate_payload(expression)
    body = json.dumps(BODY)
    assert made_of(expression, BODY) == payload
    assert json.loads(bytes_of(expression, body)) == payload
    assert bytes_of(expression, body) == bytes_of(expression, body)


def test_its_keys_keep_the_order_in_which_they_were_written() -> None:
    assert bytes_of("{b: workitem.price, a: workitem.title}", json.dumps(BODY)) == (
        '{"b":"150.00","a":"Screen é"}'.encode()
    )


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("workitem.title", "it makes text of this event, not an object"),
        ("workitem.customer", r"it makes nothing \(null\) of this event"),
        ("rows", "it makes a list"),
        ("{a: length(workitem.lines[0].n)}", "a function got a value that it cannot take"),
    ],
)
def test_what_makes_no_object_of_an_event_says_so(expression: str, reason: str) -> None:
    with pytest.raises(PayloadFailed, match=reason):
        bytes_of(expression, json.dumps(BODY))


def test_what_is_larger_than_a_body_may_be_is_not_sent(settings: Any) -> None:
    settings.INTEGRATIONS = {"MAX_BODY_BYTES": 2000}
    with pytest.raises(PayloadFailed, match="has 3011 bytes, and a body has at most 2000"):
        bytes_of("{text: a}", json.dumps({"a": "x" * 3000}))


@pytest.mark.parametrize(
    "expression",
    [
        "{a: workitem.",
        "|".join(["{a: @, b: @}"] * 40),
        "|".join(["[@, @]"] * 20),
        "{a: [@, @] == [@, @]}",
        "{a: {b: @}.b}",
        "{a: contains([@, @], @)}",
        "{a: [@, @][]}",
        "{a: nosuch(@)}",
        "{" + ", ".join(f"a{n}: {{b: @}}" for n in range(60)) + "}",
        "{" + ", ".join(f"a{n}: b" for n in range(300)) + "}",
    ],
    ids=lambda text: text[:20],
)
def test_what_could_grow_is_refused_when_it_is_saved_and_when_it_is_used(expression: str) -> None:
    with pytest.raises(ValidationError, match="JMESPath"):
        validate_payload(expression)
    with pytest.raises(PayloadFailed):
        made_of(expression, BODY)


def test_one_evaluation_takes_so_many_steps_and_no_more() -> None:
    many = {"rows": [{"n": n} for n in range(200)]}
    with pytest.raises(PayloadFailed, match="too many steps"):
        made_of("{a: rows[?length(@.n[*]) == `0`].{b: not_null(n, n, n)}, b: rows[*].{c: @}}", many | {
            "rows": many["rows"] * 200
        })  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        ("{text: workitem.prority}", r"There is no workitem.prority; did you mean workitem.priority\?"),
        ("{nested: {list: [workitem.titel]}}", "There is no workitem.titel"),
        ("workitem.priority", r"It makes text, and a payload is an object: write \{name: …\} around it"),
        ("[workitem.priority]", "It makes a list"),
        ("{text: `hello`}", "a text stands in single quotes: 'hello'"),
        ("text: workitem.priority", r"write an object, such as \{text: workitem.title\}"),
        ("{a: 'b\u0000'}", "a character that cannot be stored"),
    ],
)
def test_a_slip_is_told_when_it_is_saved(expression: str, advice: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate_payload(expression, "workitem_created")
    assert refused.match(advice)


def test_a_chat_reads_the_handlers_words_of_the_event_and_the_tenants_of_their_payload() -> None:
    form = SummaryFormat(name="{workitem.title}", lines=("Priority: workitem.priority",))
    body, made = json.dumps(BODY).encode(), b'{"prio":"Urgent!"}'
    plain = Envelope("workitem_created", "k", body, summary_format=form)
    shaped = Envelope("workitem_created", "k", made, summary_format=form, event_body=body)
    assert shaped.summary() == plain.summary()
    assert shaped.summary(["How: prio"]).lines == (("How", "Urgent!"),)
    assert (shaped.summary(["How: prio"]).title, shaped.title("{prio}")) == (plain.summary().title, "Urgent!")
