"""One set of rules for a configuration: every kind, every sentence, and no value in any of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.config_check import MAX_SECRETS, MAX_TEXT, check, checked, doubts
from integrations.connectors.manifest import Field, Kind, Manifest
from integrations.connectors.registry import ConnectorRegistry, manifests
from integrations.credentials.masking import MASK
from integrations.errors import ConfigurationError

CANARY = "canary-7f3a91"
KINDS: tuple[Kind, ...] = (
    "text",
    "secret",
    "url",
    "email",
    "host",
    "integer",
    "boolean",
    "choice",
    "lines",
    "json",
)


def manifest_of(*fields: Field, **more: Any) -> Manifest:
    return Manifest(key="acme", label="Acme", fields=fields, **more)


def field_of(kind: Kind, **more: Any) -> Field:
    return Field(name="it", kind=kind, **{"choices": ("one", "two") if kind == "choice" else (), **more})


def result(kind: Kind, value: Any, **more: Any) -> Any:
    """What becomes of `value`, or the problem's sentence."""
    clean, problems = check(manifest_of(field_of(kind, **more)), {"it": value})
    assert set(clean) | set(problems) <= {"it"} and len(clean) + len(problems) == 1
    return clean["it"] if clean else ("!", problems["it"])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "  a b  ", "a b"),
        ("secret", " spaces count ", " spaces count "),
        ("secret", "ключ", "ключ"),
        ("url", " https://acme.example/a?b=c ", "https://acme.example/a?b=c"),
        ("email", " ops@acme.example ", "ops@acme.example"),
        ("host", "SFTP.Acme.example", "sftp.acme.example"),
        ("host", "203.0.113.7", "203.0.113.7"),
        ("host", "[2001:db8::1]", "2001:db8::1"),
        ("integer", " 22 ", 22),
        ("integer", 22, 22),
        ("integer", "-3", -3),
        ("integer", 0, 0),
        ("boolean", True, True),
        ("boolean", "on", True),
        ("boolean", "Off", False),
        ("boolean", 0, False),
        ("boolean", False, False),
        ("choice", " one ", "one"),
        ("lines", "a\n\n b \r\n", ["a", "b"]),
        ("lines", ["a", " b ", ""], ["a", "b"]),
        ("lines", ("a",), ["a"]),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", {}, {}),
        ("json", 0, 0),
        ("json", "null", None),
        ("json", {"path": "\\u0000 written out"}, {"path": "\\u0000 written out"}),
    ],
)
def test_good_values(kind: Kind, value: Any, expected: Any) -> None:
    found = result(kind, value)
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("text", 7, "must be text"),
        ("text", "a\0b", "cannot be sent"),
        ("text", "a\ud800", "cannot be sent"),
        pytest.param("text", "a" * (MAX_TEXT + 1), f"longer than {MAX_TEXT} characters", id="long"),
        ("secret", ["a"], "must be text"),
        ("url", "acme.example", "must begin with https://"),
        ("url", "http://acme.example", "Plain http:// is switched off"),
        ("url", f"https://u:{CANARY}@acme.example", "user name or password"),
        ("url", "https://10.0.0.1/", "private or reserved"),
        ("email", CANARY, "must be an e-mail address"),
        ("email", "a@b.example\r\nBcc: c@d.example", "must be an e-mail address"),
        ("host", "acme example", "not a valid name"),
        ("host", "https://acme.example", "not a valid name"),
        ("host", "acme.example/path", "not a valid name"),
        ("integer", "2.5", "must be a whole number"),
        ("integer", True, "must be a whole number"),
        ("integer", "٣", "must be a whole number"),
        pytest.param("integer", 10**5000, "must be a whole number", id="huge"),
        pytest.param("integer", "1" * 5000, "must be a whole number", id="digits"),
        ("integer", 2.0, "must be a whole number"),
        ("boolean", "maybe", "must be true or false"),
        ("boolean", 2, "must be true or false"),
        pytest.param("boolean", 10**5000, "must be true or false", id="huge-boolean"),
        ("boolean", {}, "must be true or false"),
        ("choice", CANARY, "must be one of: one, two"),
        ("lines", 7, "must be a list of texts"),
        ("lines", ["a", 7], "must be a list of texts"),
        ("lines", ["a\0"], "cannot be sent"),
        ("json", "{", "must be JSON"),
        pytest.param("json", "[" * 100_000, "must be JSON", id="deep"),
        ("json", "NaN", "without NaN"),
        ("json", {"a": float("inf")}, "without NaN"),
        ("json", {"a": "\0"}, "cannot be sent"),
        ("json", {"a": "\ud800"}, "cannot be sent"),
        ("json", {"a": object()}, "must be JSON"),
    ],
)
def test_bad_values(kind: Kind, value: Any, words: str) -> None:
    mark, problem = result(kind, value)
    assert mark == "!" and words in problem and CANARY not in problem


def test_bounds_and_patterns() -> None:
    assert result("integer", 0, minimum=1) == ("!", "must be at least 1")
    assert result("integer", 70000, maximum=65535) == ("!", "must be at most 65535")
    assert result("text", CANARY, pattern="[a-c]+", hint="letters a to c") == ("!", "letters a to c")
    assert result("text", "ab1", pattern="[a-c]+") == ("!", "must match [a-c]+")
    assert result("lines", ["ab", "x"], pattern="[a-c]+", hint="letters a to c") == ("!", "letters a to c")


@pytest.mark.parametrize("value", [None, "", "  \t ", [], ()])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_nothing_of_every_kind(kind: Kind, value: Any) -> None:
    field = field_of(kind, required=True)
    assert check(manifest_of(field), {"it": value}) == ({}, {"it": "missing; it is required"})
    assert check(manifest_of(field_of(kind)), {"it": value}) == ({}, {})


def test_lines_of_nothing_are_nothing() -> None:
    assert check(manifest_of(field_of("lines", required=True)), {"it": [" ", ""]})[1]
    assert check(manifest_of(field_of("lines", required=True)), {"it": " \n "})[1]


def test_defaults_stand_in() -> None:
    manifest = manifest_of(field_of("integer", required=True, default=22))
    assert checked(manifest, {}) == {"it": 22} == checked(manifest, {"it": ""})


def test_an_unknown_field_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked(manifest_of(Field(name="api_key", kind="secret", required=True)), {"apikey": CANARY})
    assert caught.value.problems == {
        "apikey": "unknown; Acme has: api_key",
        "api_key": "missing; it is required",
    }
    assert str(caught.value) == "apikey: unknown; Acme has: api_key; api_key: missing; it is required"


def test_headers_are_checked_as_headers() -> None:
    manifest = manifest_of(Field(name="headers", kind="json"))
    assert checked(manifest, {"headers": '{"X-Team": "a"}'}) == {"headers": {"X-Team": "a"}}
    for bad in ('{"Host": "x"}', f'{{"X-A": "{CANARY}\\n"}}', "[]", f'"{CANARY}"'):
        _, problems = check(manifest, {"headers": bad})
        assert set(problems) == {"headers"} and CANARY not in problems["headers"]


def test_an_address_must_be_of_this_system_or_opened_by_the_operator() -> None:
    manifest = manifest_of(Field(name="base_url", kind="url"), allowed_hosts=("acme.example", "*.acme.example"))
    for good in ("https://acme.example/x", "https://eu.acme.example"):
        assert not check(manifest, {"base_url": good})[1]
    for bad in (f"https://evil.example/{CANARY}", "https://acme.example.evil.example", "https://notacme.example"):
        (problem,) = check(manifest, {"base_url": bad})[1].values()
        assert "is not a host of this kind of system" in problem and CANARY not in problem
    with override_settings(INTEGRATIONS={"ALLOWED_HOSTS": ["127.0.0.1:8099"]}):
        assert not check(manifest, {"base_url": "http://127.0.0.1:8099"})[1]
        assert check(manifest, {"base_url": "http://127.0.0.1:8098"})[1]


def test_a_connector_without_fields_takes_anything() -> None:
    assert check(manifest_of(), {"whatever": object}) == ({"whatever": object}, {})


def test_the_error_leaves_no_configuration_in_its_traceback() -> None:
    with pytest.raises(ConfigurationError) as caught:
        checked(manifest_of(field_of("integer"), Field(name="key", kind="secret")), {"it": "x", "key": CANARY})
    frames = caught.tb.tb_next  # the first is this test
    while frames is not None:
        assert CANARY not in repr(frames.tb_frame.f_locals)
        frames = frames.tb_next
    assert caught.value.__context__ is None and caught.value.__cause__ is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
all_kinds = manifest_of(
    *(Field(name=kind, kind=kind, choices=("one",) if kind == "choice" else (), required=True) for kind in KINDS),
    Field(name="headers", kind="json"),
)


@given(st.dictionaries(st.sampled_from([*KINDS, "headers", "other"]), anything))
def test_whatever_is_typed_it_raises_nothing_but_configuration_error(settings: dict[str, Any]) -> None:
    try:
        clean = checked(all_kinds, settings)
    except ConfigurationError as error:
        assert set(error.problems) <= {*KINDS, "headers", "other"} and error.problems
    else:
        json.dumps(clean, allow_nan=False)


@given(st.sampled_from(KINDS), st.text(max_size=20), st.text(max_size=20))
def test_no_sentence_holds_the_value(kind: Kind, before: str, after: str) -> None:
    _, problems = check(manifest_of(field_of(kind)), {"it": f"{before}{CANARY}@{after}"})
    assert CANARY not in "".join(problems.values())


# -- secrets: spaces around them, dots in them, too many of them ------------------------------------------------------

SPACE = "begins or ends with a space or an invisible character; remove it"
AROUND = [" {}", "{} ", "\t{}", "{}\u00a0", "\u200b{}", "{}\ufeff", "\n {} \n", " \u200b {}"]
ALL = [manifest for manifest in manifests() if not manifest.is_open]
SECRETS = [(manifest, field) for manifest in ALL for field in manifest.fields if field.is_secret]
MULTILINE = [(manifest, field) for manifest, field in SECRETS if field.multiline]


def named(value: Any) -> str:
    return str(getattr(value, "key", getattr(value, "name", value)))


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("manifest", "field"), SECRETS, ids=named)
def test_a_space_around_a_secret_of_any_kind_is_dropped_or_doubted(
    manifest: Manifest, field: Field, around: str
) -> None:
    clean, problems = check(manifest, {field.name: around.format("a-Secret of-some-Length-0123456789")})
    assert field.name not in problems
    if field.trim:
        assert clean[field.name] == "a-Secret of-some-Length-0123456789" and not doubts(manifest, clean)
    else:
        assert doubts(manifest, clean) == {field.name: SPACE}
        assert not doubts(manifest, clean, clean), "what is stored already may be right"


@pytest.mark.parametrize("around", AROUND)
def test_a_key_of_standard_webhooks_has_none_in_any_field(around: str) -> None:
    key = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    for manifest, field in SECRETS:
        assert check(manifest, {field.name: around.format(key)})[0][field.name] == key


@pytest.mark.parametrize(("manifest", "field"), MULTILINE, ids=named)
def test_each_line_of_a_secret_of_several_counts(manifest: Manifest, field: Field) -> None:
    clean, problems = check(manifest, {field.name: "first-secret-0123456789\r\n second-secret-0123456789"})
    if field.trim:
        assert clean[field.name] == "first-secret-0123456789\nsecond-secret-0123456789"
    else:
        assert field.name not in problems and doubts(manifest, clean)[field.name] == f"line 2 {SPACE}"


@pytest.mark.parametrize("dots", [MASK, f" {MASK} ", f"x{MASK}", f"{MASK}x", "x•", f"a\n{MASK}"])
@pytest.mark.parametrize(("manifest", "field"), SECRETS, ids=named)
def test_dots_are_no_secret_of_any_kind(manifest: Manifest, field: Field, dots: str) -> None:
    clean, problems = check(manifest, {field.name: dots})
    assert "remove the dots" in problems[field.name] and field.name not in clean


def test_dots_are_no_address_header_or_setting_either() -> None:
    manifest = ConnectorRegistry.type_of("webhook").manifest
    for name, value in (
        ("url", "https://a.example/•••"),
        ("headers", {"X-Key": MASK}),
        ("headers", f'{{"X-Key": "x{MASK}"}}'),
        ("username", MASK),
    ):
        assert "remove the dots" in check(manifest, {"url": "https://a.example/x", name: value})[1][name]
    an_open_one = Manifest(key="open", label="Open")
    assert "remove the dots" in check(an_open_one, {"nested": {"password": [f"x{MASK}"]}})[1]["nested"]
    assert doubts(an_open_one, {"password": "x ", "host": "x "}) == {"password": SPACE}
    assert result("text", "• one\n• two") == "• one\n• two"


@pytest.mark.parametrize(
    "manifest", [manifest for manifest in ALL if manifest.inbound], ids=lambda manifest: manifest.key
)
def test_a_handful_of_secrets_proves_a_webhook(manifest: Manifest) -> None:
    assert manifest.inbound is not None
    name = manifest.inbound.secret_field
    lines = [f"secret-number-{number:04}-0123456789" for number in range(MAX_SECRETS + 1)]
    assert name not in check(manifest, {name: "\n".join(lines[1:])})[1]
    assert check(manifest, {name: "\n".join(lines)})[1][name].startswith("at most 5 secrets")


def test_what_is_stored_already_stops_no_other_change() -> None:
    value = "\n".join("secret-0123456789-" + letter for letter in "abcdef")
    kind = ConnectorRegistry.type_of("woocommerce")
    fine = {"store_url": "https://a.example", "consumer_key": "ck_" + "a" * 40, "consumer_secret": "cs_" + "b" * 40}
    stored = {**fine, "webhook_secret": value}
    assert kind.checked_config({**stored, "prices_include_vat": True}, stored)["webhook_secret"] == value
    with pytest.raises(ConfigurationError, match="webhook_secret"):
        kind.checked_config(stored, fine)
