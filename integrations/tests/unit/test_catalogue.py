"""The catalogue of event types: schemas of shapes, the stored one with its versions, the AsyncAPI document."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from jsonschema import Draft202012Validator

from integrations.catalogue.asyncapi import document
from integrations.catalogue.differences import breaks, differences
from integrations.catalogue.entries import Entry, entries, schema_of
from integrations.catalogue.stored import changes, updated
from integrations.connections.payload_shapes import ANYTHING, shape_of

STORED = Path(__file__).resolve().parents[3] / "docs/events.json"


def test_the_stored_catalogue_says_what_is_sent() -> None:
    call_command("event_catalogue", STORED, check=True)


@pytest.mark.parametrize("each", entries(), ids=lambda each: each.name)
def test_each_example_is_as_its_schema_says(each: Entry) -> None:
    Draft202012Validator.check_schema(each.schema)
    assert each.when and each.example is not None
    Draft202012Validator(each.schema).validate(each.example)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", {"type": "string"}),
        (1, {"type": "number"}),
        (None, {"type": "null"}),
        ({}, {"type": "object"}),
        ([], {"type": "array"}),
        ([1, "a"], {"type": "array", "items": {"type": ["number", "string"]}}),
        (
            {"a": True},
            {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False},
        ),
    ],
)
def test_schemas_of_shapes(value: Any, expected: dict[str, Any]) -> None:
    assert schema_of(shape_of(value)) == expected


def test_where_anything_may_stand_nothing_is_said() -> None:
    assert schema_of(ANYTHING) == {}


def test_choices_may_be_empty() -> None:
    shape = (shape_of("a") | shape_of(None)).with_values((), frozenset({"b", "a"}))
    assert schema_of(shape) == {"type": ["null", "string"], "enum": ["a", "b", "", None]}


def changed(found: list[Entry], name: str, **properties: Any) -> list[Entry]:
    result = copy.deepcopy(found)
    next(each for each in result if each.name == name).schema["properties"].update(properties)
    return result


def said(stored: Any, found: list[Entry]) -> list[str]:
    return [change.words for change in changes(stored, found)]


def test_what_changed_is_named_by_its_place() -> None:
    found = entries()
    stored = updated({}, found, "")
    assert changes(stored, found) == []
    workitem = copy.deepcopy(stored["workitem_created"]["schema"]["properties"]["workitem"])
    del workitem["properties"]["comments"]
    workitem["properties"]["id"] = {"type": "string"}
    workitem["properties"]["colour"] = {"type": "string"}
    assert said(stored, changed(found, "workitem_created", workitem=workitem)) == [
        "workitem_created: workitem.colour is new.",
        "workitem_created: workitem.comments is gone.",
        "workitem_created: workitem.id is string, it was number.",
    ]
    assert said(stored, found[1:]) == ["workitem_created: there is no such event type any more."]
    assert said({}, found[:1]) == ["workitem_created: it is new."]


def test_other_values_of_a_choice_are_named() -> None:
    kind = {"type": "string", "enum": ["Standard", "Urgent", ""]}
    for after, words in (
        ({**kind, "enum": ["Standard", "High", ""]}, "has other values than before (gone: Urgent; new: High)."),
        ({**kind, "enum": ["Standard", "Urgent", "Low", ""]}, "has other values than before (new: Low)."),
        ({**kind, "enum": ["Standard", "Urgent"]}, 'has other values than before (gone: "").'),
        ({**kind, "enum": ["Urgent", "Standard", ""]}, None),
        ({"type": ["null", "string"], "enum": [*kind["enum"], None]}, "is null or string, it was string."),
        ({"type": "string"}, 'is string, it was string, one of Standard, Urgent, "".'),
        ({**kind, "description": "a decimal number as text"}, "is described otherwise than before."),
    ):
        found = differences({"properties": {"priority": kind}}, {"properties": {"priority": after}})
        assert found == ([f"priority {words}"] if words else [])
        assert all(map(breaks, found))
    (many,) = differences(kind, {**kind, "enum": [*kind["enum"], *map(str, range(30))]})
    assert many.startswith("the body has other values than before (new: 0, 1, ") and many.endswith("19, 10 more).")


def test_what_came_to_a_payload_is_kept_in_words_for_receivers() -> None:
    found = entries()
    stored = updated({}, found, "")
    more = changed(found, "workitem_created", colour={"type": "string"})
    again = updated(stored, more, "the colour came")
    assert again["workitem_created"]["changes"] == [{"version": 1, "what": "the colour came"}]
    assert again["workitem_updated"]["changes"] == []
    third = updated(again, changed(more, "workitem_created", size={"type": "string"}), "and its size")
    assert [each["what"] for each in third["workitem_created"]["changes"]] == ["the colour came", "and its size"]


def test_a_changed_payload_is_not_written_without_words(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    call_command("event_catalogue", file)
    stored = json.loads(file.read_text())
    del stored["workitem_created"]["schema"]["properties"]["workitem"]["properties"]["comments"]
    file.write_text(json.dumps(stored))
    for options in ({"check": True}, {}):
        with pytest.raises(CommandError, match=r"workitem_created: workitem\.comments is new\."):
            call_command("event_catalogue", file, **options)
    call_command("event_catalogue", file, because="comments came")
    assert json.loads(file.read_text())["workitem_created"]["changes"] == [{"version": 1, "what": "comments came"}]
    call_command("event_catalogue", file, check=True)


def test_what_breaks_receivers_is_written_only_if_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    call_command("event_catalogue", file)
    stored = json.loads(file.read_text())
    stored["workitem_created"]["schema"]["properties"]["gone"] = {"type": "string"}
    file.write_text(json.dumps(stored))
    for options in ({"check": True}, {"because": "`gone` was never sent"}):
        with pytest.raises(CommandError, match=r"workitem_created: gone is gone\."):
            call_command("event_catalogue", file, **options)
    call_command("event_catalogue", file, because="`gone` was never sent", breaking=True)
    call_command("event_catalogue", file, check=True)


def test_the_asyncapi_document_names_every_event_type_and_refers_to_what_is_there() -> None:
    found = entries()
    made = document(found, title="Events", version="1")
    assert set(made["components"]["messages"]) == {each.name for each in found}
    for reference in _references(made):
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for part in value.values() for each in _references(part)]
    return [each for part in value for each in _references(part)] if isinstance(value, list) else []
