"""What people write into conditions and settings costs little, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from integrations.connections.conditions import validate_condition, wants
from integrations.connectors import functions, texts
from integrations.errors import IntegrationPermanentError
from integrations.expressions import MAX_LENGTH, Interpreter, compile_expression, literal_problem

FIVE = "{" + ", ".join(f"k{n}: @" for n in range(5)) + "}"
MANY = f"{FIVE}.* | [*].{FIVE} | [*].* | []"  # what it is given, 25 times


def test_a_long_way_through_a_payload_ends(caplog: Any) -> None:
    condition = "lines[?" + " || ".join(["@ == 'x'"] * 10) + "]"
    with pytest.raises(IntegrationPermanentError, match="too many steps"):
        Interpreter().visit(compile_expression(condition).parsed, {"lines": ["a"] * 60_000})
    assert wants(condition, {"lines": ["a"] * 60_000})  # one event too many is better than one lost
    assert not wants(condition, {"lines": ["a"] * 1000})
    assert "IntegrationPermanentError" in caplog.text


def test_a_list_that_is_searched_for_each_part_of_another() -> None:
    tree = compile_expression("lines[?contains(`[" + "1," * 400 + "1]`, @)]").parsed
    with pytest.raises(IntegrationPermanentError, match="too many steps"):
        Interpreter().visit(tree, {"lines": list(range(2, 10_000))})


@pytest.mark.parametrize(
    "text",
    [
        f"{MANY} | [*].join('{'-' * 100}', list)",
        f"{MANY} | [*].to_string(@)",
        f"{MANY} | [*].cut(@, `1`)",
        f"{MANY} | [*].cut_bytes(@, `1`)",
        f"{MANY} | [*].without_prefix(@, 'x')",
        f"{MANY} | [*].uuid(@)",
    ],
)
def test_the_texts_of_one_evaluation_are_bounded_together(text: str) -> None:
    payload = {"list": ["x" * 100] * 2000}
    with pytest.raises(IntegrationPermanentError, match="is over 4194304 characters"):
        functions.value_of(functions.compiled(text).parsed, payload)
    assert texts.value_at(payload, text) is None


def test_each_evaluation_has_the_whole_budget() -> None:
    tree = functions.compiled("to_string(@)").parsed
    for _ in range(3):
        assert len(functions.value_of(tree, ["x" * 1_500_000])) == 1_500_004


REFUSE: dict[str, Callable[[str], Any]] = {
    "in a condition": compile_expression,
    "in a setting": functions.compiled,
}


@pytest.mark.parametrize("where", REFUSE)
@pytest.mark.parametrize("text", ["\\'" * MAX_LENGTH, "`" + "\\`" * MAX_LENGTH, "a" * (MAX_LENGTH + 1)])
def test_an_expression_has_a_largest_length(where: str, text: str) -> None:
    with pytest.raises(ValueError, match="longer than 4096 characters"):
        REFUSE[where](text)


def test_of_what_is_too_long_quotes_are_not_even_looked_for() -> None:
    assert literal_problem("\\'" * MAX_LENGTH) == "It is longer than 4096 characters"
    with pytest.raises(ValidationError, match="longer than 4096 characters"):
        validate_condition("\\'" * MAX_LENGTH)
    assert "longer than 4096 characters" in texts.problem_of("text", "{" + "a" * MAX_LENGTH + "b}")
