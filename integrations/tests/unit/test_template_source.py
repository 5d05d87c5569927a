"""A template's YAML: what is read, and what is refused with its line before anything else looks at it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.connectors.template.source import MAX_BYTES, MAX_DEPTH, MAX_PARTS, Block, Text, core, read
from integrations.errors import IntegrationNotConfigured, TemplateError
from integrations.tests.effort import computing


def refused(data: str | bytes) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        read(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"), "crm.yaml")
    return caught.value


def test_a_template_error_is_what_is_not_configured_and_a_value_error() -> None:
    error = refused("- a")
    assert isinstance(error, IntegrationNotConfigured) and isinstance(error, ValueError)
    assert str(error).startswith("crm.yaml:1:1: ")


def test_every_part_knows_its_place() -> None:
    tree = read(b"a:\n  b: [x, 'y']\n")
    assert (tree["a"].line, tree["a"].column) == (2, 3)
    first, second = tree["a"]["b"]
    assert (first.line, first.column, first.is_plain) == (2, 7, True)
    assert (second, second.is_plain) == ("y", False)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: !!python/object/apply:os.system ['id']", 2, "tags"),  # B246
        ("a: !!python/name:os.system ''", 1, "tags"),
        ("a: !!str x", 1, "tags"),
        ("a: !important x", 1, "tags"),
        ("a: ! x", 1, "tags"),
        ("!!map {a: b}", 1, "tags"),
        ("a: &x 1", 1, "anchors"),
        ("a: &x [1]\nb: [*x, *x]", 1, "anchors"),
        ("a: *nothing", 1, "anchors"),
        ("a: 1\n<<: {b: 2}", 2, "merge keys"),
        ("a: 1\nb: 2\na: 3", 3, "line 1"),
        ("a: {b: 1, 'b': 2}", 1, "given twice"),
        ("? [a, b]\n: c", 1, "must be text"),
        ("? {a: b}\n: c", 1, "must be text"),
        ("'': c", 1, "must be text"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("", 0, "empty"),
        ("# nothing", 0, "empty"),
        ("[a, b]", 1, "mapping"),
        ("text", 1, "mapping"),
        ("a: 1\nb: [1, 2", 2, "not YAML"),
        ("a: 1\n\tb: 2", 2, "not YAML"),
        ("a: 'open", 1, "not YAML"),
        ("a: b: c", 1, "not YAML"),
        ("a: 1\nb: \x07", 2, "control character"),
        ('a: "\\0"', 1, "cannot be sent"),
        ('a: "\\uD800"', 1, "cannot be sent"),
        ('a: 1\nb: "\\UFFFFFFFF"', 2, "not YAML"),
        (b"a: 1\nb: caf\xe9", 2, "UTF-8"),
        ("a: 1".encode("utf-16"), 1, "UTF-8"),
        ("%YAML 9.9\n---\na: 1", 1, "not YAML"),
    ],
)
def test_what_is_refused_says_where(text: str | bytes, line: int, says: str) -> None:
    error = refused(text)
    assert says in error.problem and error.line == line


def test_bombs_and_masses_are_refused_quickly() -> None:
    with computing() as computed:
        laughs = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))
        assert "anchors" in refused(laughs).problem
        assert "deep" in refused("a: " + "[" * 30000).problem
        assert "deep" in refused("a: " + "{b: " * 15000).problem
        assert "deep" in refused("\n".join(" " * n + "a:" for n in range(300))).problem
        assert "deep" in refused("a:\n" + "- " * 20000).problem
        assert f"{MAX_PARTS}" in refused("a: [" + "1," * 20000 + "]").problem
        assert f"{MAX_BYTES}" in refused("a: " + "x" * MAX_BYTES).problem
    assert computed.seconds < 10
    assert read(("a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)).encode())


def test_scalars_stay_text_until_a_schema_says_more() -> None:
    """B251: Norway, octal, dates, versions."""
    tree = read(b"a: no\nb: 010\nc: 2025-01-01\nd: 1.10\ne: 0x1F\nf: 12:30:00\ng: ~\nh: on\ni: 1_000\nj: =")
    assert list(tree.values()) == ["no", "010", "2025-01-01", "1.10", "0x1F", "12:30:00", "~", "on", "1_000", "="]


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        ("no", "no"),
        ("off", "off"),
        ("010", "010"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("2025-01-01", "2025-01-01"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        ("1.", "1."),
        (".5", ".5"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("١٢", "١٢"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e3", 1000.0),
    ],
)
def test_plain_scalars_in_free_json(scalar: str, expected: Any) -> None:
    value = core(Text.at(scalar, 1, 1, is_plain=True))
    assert value == expected and type(value) is type(expected)
    assert core(Text.at(scalar, 1, 1, is_plain=False)) == scalar


_YAMLISH = st.text(st.sampled_from("ab:-[]{}'\"\n #&*!|>?%@`,\\x0u~<$.1é\t\0\ud800\x85"), max_size=120)


@settings(max_examples=400)
@given(st.one_of(_YAMLISH, st.text(max_size=60)).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary())
def test_whatever_comes_it_is_a_tree_or_a_template_error(data: bytes) -> None:
    try:
        tree = read(data, "crm.yaml")
    except TemplateError as error:
        assert error.file == "crm.yaml" and error.problem and "\n" not in str(error)
    else:
        assert type(tree) is Block
