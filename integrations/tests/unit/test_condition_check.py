"""A condition that no event can meet is refused when it is saved, in words that say what to write instead."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.core.checks import WARNING
from django.core.exceptions import ValidationError
from django.db import models
from django.test.utils import isolate_apps

from integrations.capture.examples import learnt_shape
from integrations.checks import summaries_can_be_made
from integrations.connections import event_types
from integrations.connections.conditions import problems_of_summaries, validate_condition, wants
from integrations.connections.payload_shapes import Shape
from integrations.connectors.summary import SummaryFormat
from integrations.models import EventSubscription

CREATED, CHANGED = "workitem_created", "workitem_status_changed"
INVOICE = {
    "invoice": {"id": 7, "number": "1001", "total": Decimal("9.50"), "is_paid": False, "extra": {}},
    "lines": [{"sku": "A", "price": Decimal("1.00")}],
    "tags": [],
}


@pytest.fixture
def invoice_paid() -> Iterator[str]:
    event_types.register("invoice_paid", "Invoice paid", example=INVOICE)
    yield "invoice_paid"
    event_types._known.pop("invoice_paid")


def problem_of(condition: str, event_type: str) -> str:
    with pytest.raises(ValidationError) as caught:
        validate_condition(condition, event_type)
    return " ".join(caught.value.messages)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        # a text in double quotes
        ('workitem.priority == "Urgent"', "single quotes: 'Urgent'"),
        ('"Urgent" == workitem.priority', "single quotes: 'Urgent'"),
        ('contains(workitem.comments, "fragile")', "single quotes: 'fragile'"),
        ('workitem.priority == "In Progress"', "single quotes: 'In Progress'"),
        ("workitem.priority == `Urgent`", "single quotes: 'Urgent'"),
        ("workitem.comments == '`' || workitem.id == `five`", "single quotes: 'five'"),
        # a path that there is not
        ("workitem.prority == 'Urgent'", "did you mean workitem.priority?"),
        ("priority == 'Urgent'", "did you mean workitem.priority?"),
        ("workitem.customer.phone", "has id, name, email"),
        ("workitem.priority.label == 'Urgent'", "workitem.priority is text and has no label"),
        ("length(workitem.coments) > `3`", "did you mean workitem.comments?"),
        ("workitem.lines[*].sku", "no workitem.lines"),
        ("workitem[0].priority == 'Urgent'", "workitem is an object and no list"),
        ("!workitem.customer", "!(workitem.customer)"),
        ("workitem | prority == 'Urgent'", "did you mean workitem.priority?"),
        ("changes.status.new == 'Completed'", "no changes"),
        ("workitem.customer == true", "`true`"),
        # a value that a choice never has
        ("workitem.status == 'completed'", "write 'Completed'"),
        ("workitem.status != 'in_progress'", "write 'In Progress'"),
        ("workitem.priority == 'Critical'", "it is one of: 'High', 'Low', 'Standard', 'Urgent'"),
        ("workitem.intake_method == 'Walk-in'", "write 'walk_in'"),
        ("event_type == 'workitem_updated'", "it is 'workitem_created'"),
        ("starts_with(workitem.status, 'in_')", "is never true"),
        ("contains(`[\"urgent\", \"High\"]`, workitem.priority)", "write 'Urgent'"),
        ("workitem.customer || workitem.status == 'new'", "write 'New'"),
        # unlike kinds
        ("workitem.estimated_price > '100'", "write `100`"),
        ("workitem.final_price == '100.00'", "write `100.00`"),
        ("workitem.id == '5'", "write `5`"),
        ("workitem.reference_id == `5`", "write '5'"),
        ("workitem.due_date > `2026`", "is text"),
        ("workitem.customer == 'Ann'", "workitem.customer.name"),
        ("workitem.customer > `5`", "workitem.customer.id"),
        ("length(workitem.comments) > 'a'", "length() is a number"),
        ("type(workitem.id) == 'int'", "'number'"),
        # functions that can only fail
        ("starts_with(workitem.id, '5')", "takes text"),
        ("abs(workitem.comments) > `1`", "takes a number"),
        ("length(workitem.id) > `1`", "takes text or an object or a list"),
        ("contains(workitem.customer, 'Ann')", "takes text or a list"),
        ("contains(workitem.comments, `5`)", "looks for text in text"),
        ("starts_with(workitem.status)", "takes 2 values, not 1"),
        ("not_null() == 'a'", "at least one value"),
        # what is always the same
        ("'workitem.priority' == 'Urgent'", "compares two fixed values"),
        ("`true`", "looks at no field"),
        # slips of the pen
        ("workitem.priority = 'Urgent'", "write == to compare"),
        ("workitem.estimated_price > 100", "a number stands in backticks"),
        ("workitem.customer and workitem.owner", "write &&"),
        ("workitem.priority == 'a\0'", "cannot be stored"),
    ],
)  # fmt: skip
def test_what_no_event_meets_is_named(condition: str, words: str) -> None:
    assert words in problem_of(condition, CREATED)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("changes.status.new == 'completed'", "write 'Completed'"),
        ("changes.intake_method.old == 'walk_in'", "write 'Walk-in'"),
        ("changes.status == 'Completed'", "changes.status.old, changes.status.new"),
        ("changes.stauts.new == 'Completed'", "did you mean changes.status?"),
        ("changes.estimated_price.new > '100'", "write `100`"),
        ("changes.customer.new.name == 'Ann'", "changes.customer.new is a number and has no name"),
    ],
)
def test_what_no_change_meets_is_named(condition: str, words: str) -> None:
    assert words in problem_of(condition, CHANGED)


@pytest.mark.parametrize(
    "condition",
    [
        "workitem.priority == 'Urgent'",
        'workitem."priority" == `"Urgent"`',
        "workitem.customer != null && workitem.customer.email != ''",
        "changes.status.new == 'Completed' && changes.status.old != 'Waiting'",
        "changes.estimated_price.new > changes.estimated_price.old",
        "workitem.final_price >= workitem.estimated_price",
        "abs(workitem.estimated_price) > `100`",
        "to_number(workitem.estimated_price) > `100`",
        "workitem.estimated_price == `100.5`",
        "starts_with(workitem.status, 'In')",
        "contains(`[\"Urgent\", \"High\"]`, workitem.priority)",
        "not_null(workitem.customer.name, workitem.owner.name) == 'Ann'",
        "length(workitem.comments) > `100`",
        "workitem.due_date < '2026-02-01'",
        "tenant.name == 'Acme Corp' && workitem.technician.id == `12`",
        "!(workitem.customer)",
        "workitem | priority == 'Low'",
        "workitem.* | contains(@, 'Urgent')",
    ],
)  # fmt: skip
def test_what_makes_sense_is_taken(condition: str) -> None:
    validate_condition(condition, CHANGED)


def test_an_example_says_what_conditions_on_a_published_event_may_name(invoice_paid: str) -> None:
    assert "did you mean invoice.total?" in problem_of("invoice.totl > `1`", invoice_paid)
    assert "did you mean lines[].price?" in problem_of("lines[?prise > `1`]", invoice_paid)
    assert "lines is a list and has no sku; write lines[0].sku" in problem_of("lines.sku == 'A'", invoice_paid)
    assert "write `false`" in problem_of("invoice.is_paid == 'false'", invoice_paid)
    assert "write '1001'" in problem_of("invoice.number == `1001`", invoice_paid)
    for fine in ("invoice.extra.anything == 'x'", "tags[0].n == `1`", "lines[?price > `1`] && invoice.total > `2`"):
        validate_condition(fine, invoice_paid)


def test_of_an_event_that_nobody_described_only_what_is_wrong_anywhere_is_named() -> None:
    validate_condition("parcel.weight > `5` && parcel.state == 'sent'", "parcel_sent")
    assert "single quotes: 'sent'" in problem_of('parcel.state == "sent"', "parcel_sent")
    validate_condition('@."line-items"[0]', "parcel_sent")
    assert "takes 1 value" in problem_of("length(parcel, `1`) > `2`", "parcel_sent")


def test_the_model_says_it_beside_its_field() -> None:
    subscription = EventSubscription(event_type=CREATED, condition="workitem.prority == 'Urgent'")
    with pytest.raises(ValidationError) as caught:
        subscription.full_clean(exclude=["integration"], validate_unique=False)
    assert caught.value.message_dict == {"condition": ["There is no workitem.prority; did you mean workitem.priority?"]}


# -- numbers compare as numbers ---------------------------------------------------------------------------------------

PRICES: dict[str, Any] = {
    "event_type": CREATED,
    "workitem": {"estimated_price": "99.00", "final_price": "100.00", "due_date": None, "reference_id": "007", "id": 3},
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("workitem.estimated_price > `100`", False),
        ("workitem.estimated_price < `100`", True),
        ("workitem.estimated_price == `99`", True),
        ("workitem.estimated_price != `99.0`", False),
        ("workitem.final_price > workitem.estimated_price", True),
        ("workitem.estimated_price > '100'", False),  # stored before it was refused
        ("abs(workitem.estimated_price) == `99`", True),
        ("`98.999` < workitem.estimated_price", True),
        ("workitem.reference_id == '7'", False),
        ("workitem.due_date > `5`", False),
        ("starts_with(workitem.due_date, '2026')", False),
        ("contains(workitem.due_date, '2026')", False),
        ("ends_with(workitem.due_date, 'Z')", False),
        ("abs(workitem.due_date) > `1`", False),
    ],
)
def test_numbers_that_are_sent_as_text(condition: str, expected: bool) -> None:
    assert wants(condition, PRICES) is expected


def test_long_numbers_are_compared_exactly() -> None:
    payload = {"a": "90071992547409930.01", "b": 90071992547409930}
    assert wants("a > b", payload) and not wants("a == b", payload)


# -- what is learnt from a model --------------------------------------------------------------------------------------


with isolate_apps():  # a registry of its own: makemigrations must never see it

    class Parcel(models.Model):
        class State(models.IntegerChoices):
            SENT = 1, "Sent"
            LOST = 2, "Lost"

        key = models.UUIDField(primary_key=True)
        state = models.IntegerField(choices=State.choices)
        speed = models.CharField(max_length=9, choices=[("Usual", [("slow", "Slow")]), ("More", [("fast", "Fast")])])
        weight = models.DecimalField(max_digits=5, decimal_places=2, null=True)
        sent_on = models.DateField(null=True)
        data = models.JSONField(default=dict)
        parent = models.ForeignKey("self", on_delete=models.CASCADE, null=True)

        def __str__(self) -> str:
            return str(self.pk)

        class Meta:
            app_label = "tests"


def shape(payload: Any) -> Shape:
    return learnt_shape(Parcel, payload).fields["parcel"]


def test_values_are_learnt_where_they_depend_on_one_choice_alone() -> None:
    found = shape(
        lambda obj: {
            "parcel": {
                "key": obj.key,
                "state": obj.state,
                "label": obj.get_state_display(),
                "both": f"{obj.state} {obj.speed}",
                "title": f"{obj.speed}, {obj.sent_on}",
                "is_quick": "yes" if obj.speed == "fast" else "no",
                "weight": obj.weight,
                "data": obj.data,
                "parent": obj.parent and {"speed": obj.parent.speed},
            }
        }
    )
    values = {name: part.values for name, part in found.fields.items() if part.values is not None}
    assert values == {"state": {1, 2}, "label": {"Sent", "Lost"}, "is_quick": {"yes", "no"}}
    assert found.fields["weight"].kinds == {"decimal", "null"} and found.fields["data"].is_open
    assert found.fields["key"].kinds == {"text"} and found.fields["parent"].kinds == {"object", "null"}


def test_what_is_there_only_sometimes_is_known_too() -> None:
    found = shape(lambda obj: {"parcel": {"on": obj.sent_on} if obj.sent_on else {"lost": True}})
    assert set(found.fields) == {"on", "lost"}


def test_a_payload_that_takes_no_example_allows_everything() -> None:
    event_types.register("parcel_sent", "Parcel sent", shape=lambda: learnt_shape(Parcel, lambda obj: obj.data["x"]))
    try:
        validate_condition("parcel.weight > `5`", "parcel_sent")
    finally:
        event_types._known.pop("parcel_sent")


def test_a_summary_that_names_what_the_payload_does_not_have_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    form = SummaryFormat(
        name="{workitem.referenceid}", lines=("Who: workitem.customer.name", "Odd: workitem.colour"), link="/{'{'}"
    )
    monkeypatch.setattr(event_types._known["workitem_created"], "summary", form)
    assert [event_type for event_type, _ in problems_of_summaries()] == ["workitem_created"] * 2
    first, second = summaries_can_be_made(None)
    assert first.msg.endswith("did you mean workitem.reference_id?") and "There is no workitem.colour" in second.msg
    assert (first.id, first.level) == ("integrations.W011", WARNING)
