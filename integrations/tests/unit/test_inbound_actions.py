"""Actions that an integration may do here: the registry, and what is read of a stranger's body."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.incoming import WebhookDTO
from integrations.database.stretches import MAX_KEY
from integrations.errors import IntegrationPermanentError
from integrations.inbound import actions
from integrations.inbound.fields import choice_in, key_in, text_in

STATUSES = {"new": "New", "in_progress": "In Progress"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def nothing(dto: WebhookDTO, connection: Any) -> None:
    pass


@pytest.fixture
def action() -> Iterator[str]:
    actions.register_action("test-nothing", "Do nothing", nothing, help="For tests.")
    yield "test-nothing"
    actions.forget_action("test-nothing")


def test_an_action_is_offered_and_forgotten(action: str) -> None:
    found = actions.action_named(action)
    assert found is not None and (found.label, found.help, found.handle) == ("Do nothing", "For tests.", nothing)
    assert (action, "Do nothing") in actions.action_choices()
    actions.forget_action(action)
    assert actions.action_named(action) is None


@pytest.mark.parametrize("permission", ["change_workitem", "tasks.", "tasks change", "a.b.c"])
def test_a_permission_that_nobody_could_have_is_refused(permission: str) -> None:
    with pytest.raises(ValueError, match=r"app\.codename"):
        actions.register_action("test-nothing", "x", nothing, permission=permission)


def test_ours_are_offered() -> None:
    names = [name for name, _ in actions.action_choices()]
    assert names == sorted(names) and {"workitem-note", "workitem-status"} <= set(names)


@pytest.mark.parametrize("name", ["", "Note", "a b", "a/b", "-a", "a-", "a--b", "a.b", "é", "a\n", "a" * 101])
def test_a_name_that_cannot_stand_in_an_address_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words joined by hyphens"):
        actions.register_action(name, "x", nothing)


@pytest.mark.parametrize(
    ("allowed", "answer"),
    [
        ([], False),
        (None, False),
        (["workitem-note"], False),
        (["test-nothing"], True),
        (["workitem-note", "test-nothing"], True),
    ],
)
def test_only_what_is_ticked_is_allowed(action: str, allowed: Any, answer: bool) -> None:
    assert actions.is_allowed(SimpleNamespace(inbound_actions=allowed), action) is answer


def test_a_connection_without_the_column_may_do_nothing(action: str) -> None:
    assert not actions.is_allowed(SimpleNamespace(), action)


def test_a_word_that_stayed_behind_allows_nothing() -> None:
    assert not actions.is_allowed(SimpleNamespace(inbound_actions=["gone"]), "gone")


def test_an_unknown_action_and_one_that_is_not_allowed_are_errors(action: str) -> None:
    with pytest.raises(IntegrationPermanentError, match="There is no action no-such") as caught:
        actions.run_action("no-such", WebhookDTO(""), SimpleNamespace(inbound_actions=["no-such"]))
    assert caught.value.code == "unknown_action"
    with pytest.raises(IntegrationPermanentError, match="may not do test-nothing: tick it in its form") as caught:
        actions.run_action(action, WebhookDTO(""), SimpleNamespace(inbound_actions=[]))
    assert caught.value.code == "forbidden"


# -- keys --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "key"), [(7, 7), ("7", 7), ("007", 7), (None, None), ("", None), (MAX_KEY, MAX_KEY)])
def test_a_key(value: Any, key: int | None) -> None:
    assert key_in(value, "workitem.id") == key


@pytest.mark.parametrize(
    "value",
    [0, -1, True, False, 1.0, "1.0", "x", " 7", "7\n", "٧", "-7", MAX_KEY + 1, str(MAX_KEY + 1), "9" * 5000, [], {}],
)
def test_no_key(value: Any) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        key_in(value, "workitem.id")
    assert caught.value.message == "workitem.id: must be a whole number greater than 0"


# -- texts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Done", "Done"),
        ("  two\r\nlines\t✓ \n", "two\nlines\t✓"),
        ("nul\x00 esc\x1b[31m del\x7f c1\x9b half\ud800", "nul esc[31m del c1 half"),
        ("👩\u200d🔧 שלום\u200f", "👩\u200d🔧 שלום\u200f"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
    ],
)
def test_a_text_keeps_what_can_be_read(value: str, text: str) -> None:
    assert text_in(value, "text", 100) == text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is missing or empty"),
        ("", "is missing or empty"),
        (" \n\x00", "is missing or empty"),
        (7, "must be a text"),
        (["a"], "must be a text"),
        ({"a": "b"}, "must be a text"),
        ("x" * 11, "is longer than 10 characters"),
    ],
)
def test_no_text(value: Any, problem: str) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        text_in(value, "text", 10)
    assert caught.value.message == f"text: {problem}"


@pytest.mark.parametrize("value", ["in_progress", "In Progress"])
def test_a_choice_by_value_or_label(value: str) -> None:
    assert choice_in(value, "status", STATUSES) == "in_progress"


@pytest.mark.parametrize("value", [None, "", "done", "IN_PROGRESS", 1, [], {}, ["new"]])
def test_no_choice(value: Any) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        choice_in(value, "status", STATUSES)
    assert caught.value.message == "status: must be one of new, in_progress"


@given(JSON)
def test_whatever_comes_is_a_value_or_a_readable_error(value: Any) -> None:
    for read in (
        lambda: key_in(value, "field"),
        lambda: text_in(value, "field", 5),
        lambda: choice_in(value, "field", STATUSES),
    ):
        try:
            found = read()
        except IntegrationPermanentError as error:
            assert error.message.startswith("field: ")
        else:
            assert found is None or isinstance(found, int) or found.encode().strip()
