"""Which versions of a payload there are, and how an older one is made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from jsonschema import Draft202012Validator

from integrations.capture.trigger_handler import problem_of
from integrations.catalogue.asyncapi import document
from integrations.catalogue.entries import entries, entry
from integrations.connections import event_types
from integrations.connections.conditions import validate_condition
from integrations.connections.payload_shapes import DECIMAL, shape_of
from integrations.connections.payload_versions import Versions, as_example
from integrations.signals.workitem import WorkItemTrigger
from integrations.tests.versions import second_version

THREE = Versions(3, {2: lambda body: {"b": body.pop("c"), **body}, 1: lambda body: {"a": body["b"], "event_type": "?"}})


def test_each_version_is_made_of_the_next_newer_one_and_the_frame_stays() -> None:
    body = {"event_type": "thing", "tenant": {"id": 1}, "c": [1]}
    assert THREE.made(body, 3) == body
    assert THREE.made(body, 2) == {"event_type": "thing", "tenant": {"id": 1}, "b": [1]}
    assert THREE.made(body, 1) == {"a": [1], "event_type": "thing", "tenant": {"id": 1}}
    assert body == {"event_type": "thing", "tenant": {"id": 1}, "c": [1]}  # nobody changed it
    assert THREE.made({"b": 2}, 1, of=2)["a"] == 2
    assert THREE.made({"b": 2}, 3, of=2) == {"b": 2}  # older already: nobody can make it newer


@pytest.mark.parametrize(
    ("older", "wanted", "sent"),
    [({1: dict, 2: dict}, 1, 1), ({2: dict}, 1, 2), ({}, 1, 3), ({2: dict}, 3, 3), ({2: dict}, 9, 3)],
)
def test_for_a_version_that_nobody_makes_the_next_newer_one_is_sent(older: Any, wanted: int, sent: int) -> None:
    assert Versions(3, older).nearest(wanted) == sent


@pytest.mark.parametrize(
    ("newest", "older", "words"),
    [
        (0, {}, "payload_version must be a whole number from 1 on, not 0"),
        (True, {}, "payload_version must be a whole number"),
        (2, {1: "x"}, r"older_payloads must be \{version: function\}"),
        (2, {2: dict}, "older_payloads has version 2, which is not older than payload_version 2"),
        (4, {1: dict, 3: dict}, "older_payloads has no version 2: version 1 is made of it"),
        (2, {0: dict, 1: dict}, "older_payloads has version 0; the first is 1"),
    ],
)
def test_a_wrong_description_is_refused_with_the_way_out(newest: Any, older: Any, words: str) -> None:
    kind = type("Wrong", (WorkItemTrigger,), {"payload_version": newest, "older_payloads": older})
    assert problem_of(kind) and words.split("\\")[0] in problem_of(kind)
    with pytest.raises(TypeError, match=words):
        event_types.register("x_created", "X", version=newest, older=older)
    assert "x_created" not in dict(event_types.choices())


def test_examples_are_json_and_still_say_what_is_a_decimal() -> None:
    found = as_example({"price": Decimal("12.50"), "at": datetime(2025, 1, 2, tzinfo=UTC), "tags": ("a",), "n": None})
    assert found == {"price": "12.50", "at": "2025-01-02T00:00:00Z", "tags": ["a"], "n": None}
    assert shape_of(found).fields["price"].kinds == {DECIMAL}


def test_the_catalogue_has_every_version_and_what_changed() -> None:
    before = entry("workitem_created")
    assert before is not None and (before.version, before.older) == (1, ())
    with second_version():
        found = {each.name: each for each in entries()}
        made = document(found.values(), title="Events", version="1")
    now = found["workitem_created"]
    (older,) = now.older
    assert (now.version, older.version) == (2, 1)
    assert older.schema == before.schema  # what receivers of version 1 were told stays true
    assert older.changes == (
        "workitem.estimated_price is gone.",
        "workitem.final_price is gone.",
        "workitem.prices is new.",
    )
    for schema, example in ((now.schema, now.example), (older.schema, older.example)):
        Draft202012Validator(schema).validate(example)
    assert [name for name in found if found[name].older] == [
        *(f"workitem_{kind}" for kind in ("created", "status_changed", "updated", "deleted")),
        "workitem_snapshot",
    ]
    message = made["components"]["messages"]["workitem_created.v1"]
    assert message["headers"]["properties"]["webhook-payload-version"]["const"] == "1"
    assert "estimated_price" in message["payload"]["properties"]["workitem"]["properties"]


def test_conditions_are_checked_against_the_version_they_are_asked_of() -> None:
    with second_version():
        validate_condition("workitem.estimated_price > `100`", "workitem_created", 1)
        validate_condition("workitem.prices.estimated > `100`", "workitem_created", 2)
        with pytest.raises(ValidationError, match=r"There is no workitem\.estimated_price"):
            validate_condition("workitem.estimated_price > `100`", "workitem_created")
        with pytest.raises(ValidationError, match=r"There is no workitem\.prices"):
            validate_condition("workitem.prices", "workitem_created", 1)


def test_a_payload_that_breaks_receivers_is_not_written_without_a_new_version(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    call_command("event_catalogue", file)
    stored = file.read_text()
    with second_version(older={}):
        for options in ({"check": True}, {"because": "prices are together"}):
            with pytest.raises(CommandError, match="version 1 of its payload is made no more") as refused:
                call_command("event_catalogue", file, **options)
            assert "Count up payload_version" in str(refused.value)
        assert file.read_text() == stored
    with second_version():
        with pytest.raises(CommandError, match="workitem_created: version 2 of its payload is new"):
            call_command("event_catalogue", file, check=True)
        call_command("event_catalogue", file, because="prices are together")
        call_command("event_catalogue", file, check=True)
        found = json.loads(file.read_text())["workitem_created"]
    assert (found["version"], list(found["older"])) == (2, ["1"])
    assert found["changes"] == [{"version": 2, "what": "prices are together"}]


def test_what_an_older_version_has_is_held_to_what_was_stored(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    with second_version():
        call_command("event_catalogue", file)
    with (
        second_version(older={1: lambda body: {**body, "more": 1}}),
        pytest.raises(CommandError, match=r"workitem_created, version 1: workitem\.estimated_price is gone\."),
    ):
        call_command("event_catalogue", file, because="a mistake")
