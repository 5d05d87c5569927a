"""``${…}``: what may be named, and that a value is a value wherever it stands."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from integrations.connectors.functions import MAX_RENDERED
from integrations.connectors.template.call import Request
from integrations.connectors.template.values import Compiler, Scope
from integrations.errors import IntegrationPermanentError, TemplateError
from integrations.tests.template_files import DELIVER, line_of, template

EVENT = {"type": "workitem_created", "id": "evt_1", "sequence": 5}
CONFIG = {"base_url": "https://api.example.com", "folder": "inbox", "column": ""}


def request(text: str, payload: Any = None, config: dict[str, Any] | None = None) -> Request:
    """The request that a template's ``deliver`` makes of `payload`."""
    deliver = template(text).deliver
    assert deliver is not None
    scope = Scope({"config": {**CONFIG, **(config or {})}, "event": EVENT, "payload": payload})
    return deliver.request(scope, scope.plus(secret={"token": "t0ken"}))


def body(json_lines: str, payload: Any = None, config: dict[str, Any] | None = None) -> Any:
    return request(f"{DELIVER}  json:\n    {json_lines}\n", payload, config).body


def refused(text: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        template(text)
    return caught.value


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        ("${payload.n}", 7),
        ("'${payload.n}'", 7),
        ("${payload.none}", None),
        ("${payload.missing.deeper[3].x}", None),
        ("${payload.list}", [1, {"a": None}]),
        ("n=${payload.n}, ${payload.yes}, ${payload.none}|${payload.f}", "n=7, true, |1.5"),
        ("x${payload.list}", 'x[1,{"a":null}]'),
        ("$${payload.n}", "${payload.n}"),
        ("$5 and $", "$5 and $"),
        ("${'$'}${payload.n}", "$7"),
        ("\"${payload.s == 'a}b' && '}'}\"", "}"),
        ("'${payload.lines[*].{sku: s, qty: q}}'", [{"sku": "A", "qty": 1}, {"sku": "B", "qty": None}]),
        ("${payload.lines[?q == `1`].s | [0]}", "A"),
        ("${payload.nested[].s}", ["A", "B"]),
        ("${not_null(payload.none, config.column, event.type)}", ""),
        ("${config.folder[0]}", None),  # declared, and a text has no parts
        ("${cut(payload.s, `2`)}", "a}"),
        ("${cut(payload.none, `2`)}", None),
        ("${join(', ', payload.lines[*].s)}", "A, B"),
        ("${to_string(payload.list)}", '[1,{"a":null}]'),
        ("${to_string(payload.n)}", "7"),
        ("${uuid(event.id)}", "6a8e695c-6681-5dba-b067-c5f87edbef1a"),
        ("${to_number('nan')}", None),
        ("no", "no"),
        ("010", "010"),
        ("2025-01-01", "2025-01-01"),
        ("12", 12),
        ("'12'", "12"),
        ("true", True),
        ("null", None),
    ],
)
def test_scalars(scalar: str, expected: Any) -> None:
    lines = [{"s": "A", "q": 1}, {"s": "B"}]
    payload = {"n": 7, "none": None, "yes": True, "f": 1.5, "s": "a}b", "list": [1, {"a": None}], "lines": lines}
    value = body(f"a: {scalar}", {**payload, "nested": [[{"s": "A"}], [{"s": "B"}]]})["a"]
    assert value == expected and type(value) is type(expected)


def test_a_key_with_a_question_mark_is_left_out_where_it_is_empty() -> None:
    json_lines = (
        "{'a?': '${payload.a}', 'b?': {'c?': '${payload.a}'}, 'd?': ['${payload.a}'], 'e??': 1, '${config.column}?': 2,"
        " '${config.folder}?': 3, 'f?': 0, 'g?': false, h: '${payload.a}'}"
    )
    assert body(json_lines, {}) == {"d": [None], "e?": 1, "inbox": 3, "f": 0, "g": False, "h": None}
    assert body(json_lines, {"a": 1})["b"] == {"c": 1}


def test_an_object_in_a_list_goes_with_its_keys() -> None:
    json_lines = "{list: [{'a?': '${payload.a}'}, {}, '${payload.o}', {'a?': '${payload.a}', b: 1}]}"
    assert body(json_lines, {"o": {}}) == {"list": [{}, {}, {"b": 1}]}
    assert body(json_lines, {"a": 1, "o": {}})["list"][0] == {"a": 1}


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("${SECRET_KEY}", "not declared"),  # B249
        ("${env.SECRET_KEY}", "not declared"),
        ("${config.nothing}", "config.base_url, config.column, config.folder"),
        ("${config.token}", "not declared"),
        ("${config}", "by itself"),
        ("${config.*}", "by itself"),
        ("${payload | config}x${config | token}", "by itself"),
        ("${not_null(payload, secret.token)}", "only in 'headers' and 'auth'"),
        ("${secret.token}", "only in 'headers' and 'auth'"),
        ("${{a: secret.token}}", "only in 'headers' and 'auth'"),
        ("${payload.a[?secret.token]}${secret}", "only in 'headers' and 'auth'"),
        ("${@}", "everything"),
        ("${*}", "everything"),
        ("${[0]}", "everything"),
        ("${response.json}", "not declared"),
        ("${param.x}", "not declared"),
        ("${}", "empty"),
        ("${payload", "without its '}'"),
        ("${payload['}", "without its '}'"),
        ("${payload.}", "expression"),
        ("${payload.__class__.__init__()}", "expression"),
        ("${payload | [@, @]}", "not allowed"),
        ("${sort_by(payload, &a)}", "not allowed"),
        ("${eval('1')}", "not allowed"),
        ("${payload.a == `text`}", "a text stands in single quotes: 'text'"),  # which JMESPath was going to refuse
        ("${payload | {a: @} | {a: @} | {a: @} | {a: @} | {a: @}}", "more than 4"),
        ("${payload" + " || payload" * 80 + "}", "more than 64"),
        ("${payload.a" + "(" * 3000 + "}", "expression"),
    ],
)
def test_what_may_not_be_said_is_refused_when_it_is_loaded(expression: str, says: str) -> None:
    text = f"{DELIVER}  json:\n    here:\n      - '{expression.replace(chr(39), chr(39) * 2)}'\n"
    error = refused(text)
    assert says in error.problem
    assert error.line == line_of(text, "- '") and error.file == "crm.yaml"


def test_a_secret_may_stand_in_headers_and_auth() -> None:
    made = request(DELIVER + "  headers: {X-Key: 'k ${secret.token}', X-None: '${config.column}'}\n")
    assert made.headers == {"X-Key": "k t0ken"}
    assert "t0ken" not in repr(made)
    assert template("auth: {bearer: '${secret.token}'}\n").auth is not None


@pytest.mark.parametrize(
    "place", ["path: /x/${secret.token}", "query: {a: '${secret.token}'}", "json: '${secret.token}'"]
)
def test_a_secret_may_stand_nowhere_else(place: str) -> None:
    text = DELIVER.replace("  path: /items\n", "") + ("" if "path" in place else "  path: /x\n") + f"  {place}\n"
    assert "only in 'headers' and 'auth'" in refused(text).problem


def test_a_sender_names_no_keys() -> None:
    assert "not declared" in refused(f"{DELIVER}  json: {{'${{payload.a}}': 1}}\n").problem
    with pytest.raises(IntegrationPermanentError, match="same name"):
        body("{inbox: 1, '${config.folder}': 2}")


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a b/c", "/x/a%20b%2Fc/y"),
        ("../../admin", "/x/..%2F..%2Fadmin/y"),
        ("?a=b#c", "/x/%3Fa%3Db%23c/y"),
        ("%2e%2e", "/x/%252e%252e/y"),
        ("é\n", "/x/%C3%A9%0A/y"),
        ("\\..\\", "/x/%5C..%5C/y"),
        ("…", "/x/%E2%80%A6/y"),
        (7, "/x/7/y"),
        (True, "/x/true/y"),
    ],
)
def test_a_value_stays_in_its_path_segment(value: Any, path: str) -> None:
    assert request(DELIVER.replace("/items", "/x/${payload.v}/y"), {"v": value}).path == path


@pytest.mark.parametrize("value", ["", None, ".", "..", [1], {"a": 1}, []])
def test_a_value_that_would_make_another_path_is_refused(value: Any) -> None:
    with pytest.raises(IntegrationPermanentError, match=r"crm\.yaml:\d+: a value"):
        request(DELIVER.replace("/items", "/x/${payload.v}"), {"v": value})
    with pytest.raises(IntegrationPermanentError, match="change the path"):
        request(DELIVER.replace("/items", "/x/${payload.v}${payload.v}"), {"v": "."})


@pytest.mark.parametrize(
    "path", ["x", "/a/../b", "/a//b", "/a?b=c", "/a#b", "/a b", "//evil.example", "https://evil.example", "/."]
)
def test_a_path_is_a_path(path: str) -> None:
    assert "path" in refused(DELIVER.replace("/items", path)).problem


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "日本"])
def test_a_value_stays_in_its_header(value: str) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        request(DELIVER + "  headers: {X-A: 'v${payload.v}'}\n", {"v": value})
    assert caught.value.code == "header_invalid" and value not in str(caught.value)


@pytest.mark.parametrize("name", ["Host", "Content-Length", "webhook-id", "X A", "Proxy-Authorization"])
def test_headers_that_are_the_clients_are_refused(name: str) -> None:
    assert name in refused(f"{DELIVER}  headers: {{{name}: x}}\n").problem
    assert name in refused(f"auth: {{header: {{{name}: '${{secret.token}}'}}}}\n").problem


def test_a_query_is_encoded_by_the_client() -> None:
    made = request(
        DELIVER + "  query: {a: '${payload.v}', b: '${payload.none}', c: [1, true, x], d: true}\n", {"v": "x&y=z"}
    )
    assert made.query == {"a": "x&y=z", "c": ["1", "true", "x"], "d": "true"}


def test_what_is_missing_and_what_is_a_number_is_as_in_conditions() -> None:
    found = body(
        "{a: \"${contains(payload.none, 'x')}\", b: '${length(payload.none)}', c: '${payload.price > `100`}', "
        "d: '${payload.price == `150`}'}",
        {"price": "150.00"},
    )
    assert found == {"a": False, "b": None, "c": True, "d": True}


@pytest.mark.parametrize(
    "expression",
    ["contains(payload.n, 'x')", "length(payload.n)", "join(payload.n, payload.list)", "cut(payload.n, payload.s)"],
)
def test_a_function_that_cannot_is_a_permanent_error_without_the_value(expression: str) -> None:
    with pytest.raises(IntegrationPermanentError) as caught:
        body(f'a: "${{{expression}}}"', {"n": 7, "list": ["canary"], "s": "canary"})
    assert caught.value.code == "template" and "canary" not in repr(vars(caught.value))
    assert str(caught.value).startswith("crm.yaml:")


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/srv/acme/crm.yaml", "crm.yaml:0"),
        ("/srv/integrations/connectors/kinds/notion/connector.yaml", "notion/connector.yaml:0"),
    ],
)
def test_a_place_says_which_kind_and_no_more_of_the_path(file: str, place: str) -> None:
    assert Compiler(file).place(None) == place


@pytest.mark.parametrize(
    "expression",
    [
        "payload.big",
        "{a: payload, b: payload, c: payload}",
        "payload | {a:@,b:@,c:@,d:@} | {a:@,b:@,c:@,d:@} | {a:@,b:@,c:@,d:@}",
        "join(payload.big, payload.many)",
        "to_string(payload | {a:@,b:@,c:@,d:@} | {a:@,b:@,c:@,d:@} | {a:@,b:@,c:@,d:@})",
    ],
)
def test_what_grows_is_stopped(expression: str) -> None:
    payload = {"big": "x" * (MAX_RENDERED // 2), "many": ["a"] * 3}
    with pytest.raises(IntegrationPermanentError):
        body(f"{{a: '${{{expression}}}', b: '${{{expression}}}', c: '${{payload.big}}'}}", payload)


def test_deep_values_are_stopped() -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    with pytest.raises(IntegrationPermanentError, match="deep"):
        body("a: ${payload}", deep)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_STRUCTURE = (
    "{whole: '${payload.v}', text: \"a ${payload.v} b\", list: ['${payload.v}', fixed], inner: {k: 'x${payload.v}'}}"
)


@settings(max_examples=300)
@given(_JSON)
def test_a_value_never_changes_the_structure(value: Any) -> None:
    """B248: whatever it holds: quotes, braces, ``${…}``, YAML."""
    made = json.loads(json.dumps(body(_STRUCTURE, {"v": value}), allow_nan=False))
    assert set(made) == {"whole", "text", "list", "inner"} and list(made["inner"]) == ["k"]
    assert isinstance(made["text"], str) and isinstance(made["inner"]["k"], str)
    assert len(made["list"]) == 2 and made["list"][1] == "fixed"
    if isinstance(value, str) and value.isascii():
        assert made["whole"] == value and made["text"] == f"a {value} b"


@settings(max_examples=300)
@given(st.text(st.sampled_from("${}payload.config secret@[]*|&!'`\"\\,:?()a0é"), max_size=40))
def test_whatever_is_written_it_loads_or_is_a_template_error(text: str) -> None:
    quoted = text.replace("'", "''")
    assume("\n" not in text)
    try:
        made = body(f"a: '{quoted}'", {"a": 1})
    except TemplateError as error:
        assert error.line and "t0ken" not in str(error)
    except IntegrationPermanentError as error:
        assert error.code == "template"
    else:
        json.dumps(made, allow_nan=False)
