"""Settings from the environment: ours, other guides' (CONNECTOR_*), and what is neither."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations import conf
from integrations.conf import ALIASES, DEFAULTS, from_environment
from integrations.tests.services import is_of_tests


def test_nothing_set_is_nothing_changed() -> None:
    assert from_environment({"PATH": "/bin", "CONNECTOR_UNKNOWN": "x"}) == {}


@pytest.mark.parametrize(
    ("name", "raw", "values"),
    [
        ("CONNECTOR_RETRY_MAX_ATTEMPTS", "5", {"HTTP_MAX_ATTEMPTS": 5}),
        ("CONNECTOR_RETRY_BASE_DELAY_MS", "250", {"HTTP_BASE_SECONDS": 0.25}),
        ("CONNECTOR_RETRY_BASE_DELAY_MS", " 1.5e3 ", {"HTTP_BASE_SECONDS": 1.5}),
        ("CONNECTOR_TIMEOUT_MS", "30000", {"TIMEOUT_SECONDS": 30.0}),
        ("CONNECTOR_CIRCUIT_BREAKER_THRESHOLD", "7", {"BREAKER_FAILURES_TO_OPEN": 7}),
        ("CONNECTOR_TIMEOUT_MS", "", {}),
        ("CONNECTOR_TIMEOUT_MS", "  ", {}),
    ],
)
def test_the_connector_guides_names(name: str, raw: str, values: dict[str, object]) -> None:
    found = from_environment({name: raw})
    assert found == values
    assert [type(value) for value in found.values()] == [type(DEFAULTS[key]) for key in found]


def test_every_alias_is_a_setting() -> None:
    assert {name for name, _ in ALIASES.values()} <= set(DEFAULTS)


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("raw", ["five", "5s", "-1", "0", "nan", "inf", "1e400", "0x10", "1,5", "٣x", "None"])
def test_garbage_is_refused_with_the_name_that_was_typed(alias: str, raw: str) -> None:
    name, factor = ALIASES[alias]
    scale = "" if factor == 1 else f" × {factor}"
    with pytest.raises(ImproperlyConfigured) as caught:
        from_environment({alias: raw})
    assert str(caught.value) == f"{alias}{scale} (INTEGRATIONS_{name}) must be {conf.allowed(name)}, not {raw!r}."
    assert re.match("a (whole number from 1 to|number above 0 and at most) [0-9]+$", conf.allowed(name))


@pytest.mark.parametrize("alias", ["CONNECTOR_RETRY_MAX_ATTEMPTS", "CONNECTOR_CIRCUIT_BREAKER_THRESHOLD"])
def test_half_an_attempt_is_refused(alias: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"must be a whole number from 1 to 1000000000, not '3\.7'\."):
        from_environment({alias: "3.7"})


def test_our_own_names_win() -> None:
    both = {"CONNECTOR_TIMEOUT_MS": "1000", "INTEGRATIONS_TIMEOUT_SECONDS": "9", "CONNECTOR_RETRY_MAX_ATTEMPTS": "2"}
    assert from_environment(both) == {"TIMEOUT_SECONDS": 9.0, "HTTP_MAX_ATTEMPTS": 2}


def test_an_unknown_name_of_ours_is_a_typo() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        from_environment({"INTEGRATIONS_TIMEOUT_SECOND": "9", "INTEGRATIONS_ZZZ": "9"})
    assert str(caught.value).splitlines() == [
        "INTEGRATIONS_TIMEOUT_SECOND: there is no such setting. Did you mean INTEGRATIONS_TIMEOUT_SECONDS?",
        "INTEGRATIONS_ZZZ: there is no such setting.",
    ]


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        from_environment({"INTEGRATIONS_SLICE_ROWS": "many", "INTEGRATIONS_LEASE": "9", "INTEGRATIONS_ALLOW_HTTP": "?"})
    assert set(str(caught.value).splitlines()) == {
        "INTEGRATIONS_SLICE_ROWS must be a whole number from 1 to 10000, not 'many'.",
        "INTEGRATIONS_LEASE: there is no such setting. Did you mean INTEGRATIONS_LEASE_SECONDS?",
        "INTEGRATIONS_ALLOW_HTTP must be true or false, not '?'.",
    }


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        from_environment({"INTEGRATIONS_PUBLIC_URL": "ftp://us:canary-7f3a91@app.example.com"})
    assert "canary" not in str(caught.value) and "'ftp://***@app.example.com'" in str(caught.value)


@pytest.mark.parametrize("name", conf.DEFAULTS)
def test_every_setting_has_a_meaning_and_says_what_is_allowed(name: str) -> None:
    assert conf.Settings.model_fields[name].description and conf.allowed(name)


@pytest.mark.parametrize(("raw", "value"), [("a:1, b:2", ["a:1", "b:2"]), ('["a:1"]', ["a:1"]), ("", []), (" , ", [])])
def test_lists(raw: str, value: list[str]) -> None:
    assert from_environment({"INTEGRATIONS_ALLOWED_HOSTS": raw}) == {"ALLOWED_HOSTS": value}


@pytest.mark.parametrize(
    ("name", "raw"), [("ALLOW_HTTP", "maybe"), ("SLICE_ROWS", "many"), ("SLICE_ROWS", "1.5"), ("ALLOWED_HOSTS", "[1,")]
)
def test_unreadable_values_are_refused(name: str, raw: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^INTEGRATIONS_{name} must be .*, not "):
        from_environment({f"INTEGRATIONS_{name}": raw})


def test_attributes(settings: object) -> None:
    settings.INTEGRATIONS = {"LEASE_SECONDS": 5.0}  # type: ignore[attr-defined]
    assert (5.0, DEFAULTS["SWEEP_SECONDS"]) == (conf.LEASE_SECONDS, conf.SWEEP_SECONDS)
    with pytest.raises(AttributeError, match="no such integration setting: NOPE"):
        conf.NOPE  # noqa: B018


@pytest.mark.parametrize("name", [name for name, value in DEFAULTS.items() if type(value) in (int, float)])
@pytest.mark.parametrize("raw", ["inf", "-inf", "nan", "-1", "1e400", "10000000000", "many", ""])
def test_nothing_starts_with_a_number_that_is_none(name: str, raw: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^INTEGRATIONS_{name} must be a .*[0-9], not '{raw}'\\.$"):
        from_environment({f"INTEGRATIONS_{name}": raw})


def test_every_setting_is_read_and_every_one_that_is_read_exists() -> None:
    package = Path(conf.__file__).parent
    sources = [path for path in package.rglob("*.py") if not is_of_tests(path) and path.name != "conf.py"]
    read = {name for path in sources for name in re.findall(r"\bconf\.([A-Z][A-Z_]+)\b", path.read_text())}
    own = {name for name in vars(conf) if name.isupper()} - set(DEFAULTS)  # a setting stays in vars once it was read
    assert read - own == set(DEFAULTS)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://us:canary 7f3@app.example.com", "'https://***@app.example.com'"),
        ("ftp://us:a@canary-7f3@app.example.com", "'ftp://***@app.example.com'"),
        ("ftp://us:canary/7f3@app.example.com", "'ftp://***@app.example.com'"),
        ("us:canary-7f3@app.example.com", "'***@app.example.com'"),
        ("ftp://us:\"canary'7f3@app.example.com", "'ftp://***@app.example.com'"),
    ],
)
def test_no_password_in_an_address_is_repeated_whatever_is_in_it(address: str, shown: str) -> None:
    for environ in ({"INTEGRATIONS_PUBLIC_URL": address}, {"INTEGRATIONS_ALLOW_HTTP": address}):
        with pytest.raises(ImproperlyConfigured) as caught:
            from_environment(environ)
        assert "canary" not in str(caught.value) and shown in str(caught.value)


def test_a_list_is_shown_without_passwords(settings: Any) -> None:
    settings.INTEGRATIONS = {"SLICE_ROWS": ["redis://:canary-7f3@cache", 5]}
    assert conf.problems() == [
        "INTEGRATIONS_SLICE_ROWS must be a whole number from 1 to 10000, not ['redis://***@cache', 5]."
    ]


def test_a_value_is_shown_as_far_as_a_person_reads_it() -> None:
    for raw in ("9" * 5000, "[" * 100_000):
        with pytest.raises(ImproperlyConfigured) as caught:
            from_environment({"INTEGRATIONS_SLICE_ROWS": raw, "INTEGRATIONS_ALLOWED_HOSTS": "[" * 100_000})
        assert all(len(line) < 400 for line in str(caught.value).splitlines())


@pytest.mark.parametrize("name", ["INTEGRATIONS", "BAPP_CONNECTORS"])
@pytest.mark.parametrize("value", [[1], "x", 1])
def test_settings_that_are_no_dict_are_refused(settings: Any, name: str, value: object) -> None:
    settings.BAPP_CONNECTORS = {}
    setattr(settings, name, value)
    assert conf.problems() == [f"{name} must be a dict of settings, not a {type(value).__name__}."]
