"""Settings from the environment: ours, other guides' (CONNECTOR_*), and what is neither."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations import conf
from integrations.conf import ALIASES, DEFAULTS, from_environment


def test_nothing_set_is_nothing_changed() -> None:
    assert from_environment({"PATH": "/bin", "CONNECTOR_UNKNOWN": "x"}) == {}


@pytest.mark.parametrize(
    ("name", "raw", "values"),
    [
        ("CONNECTOR_RETRY_MAX_ATTEMPTS", "5", {"HTTP_MAX_ATTEMPTS": 5}),
        ("CONNECTOR_RETRY_BASE_DELAY_MS", "250", {"HTTP_BASE_SECONDS": 0.25}),
        ("CONNECTOR_RETRY_BASE_DELAY_MS", " 1.5e3 ", {"HTTP_BASE_SECONDS": 1.5}),
        ("CONNECTOR_TIMEOUT_MS", "30000", {"TIMEOUT_SECONDS": 30.0}),
        ("CONNECTOR_TIMEOUT_MS", "0", {"TIMEOUT_SECONDS": 0.0}),  # the client makes at least one second of it
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
@pytest.mark.parametrize("raw", ["five", "5s", "-1", "nan", "inf", "1e400", "0x10", "1,5", "٣x", "None"])
def test_garbage_is_refused_with_the_name_that_was_typed(alias: str, raw: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{alias}=.*expected a (whole )?number that is not negative$"):
        from_environment({alias: raw})


@pytest.mark.parametrize("alias", ["CONNECTOR_RETRY_MAX_ATTEMPTS", "CONNECTOR_CIRCUIT_BREAKER_THRESHOLD"])
def test_half_an_attempt_is_refused(alias: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="expected a whole number"):
        from_environment({alias: "3.7"})


def test_our_own_names_win() -> None:
    both = {"CONNECTOR_TIMEOUT_MS": "1000", "INTEGRATIONS_TIMEOUT_SECONDS": "9", "CONNECTOR_RETRY_MAX_ATTEMPTS": "2"}
    assert from_environment(both) == {"TIMEOUT_SECONDS": 9.0, "HTTP_MAX_ATTEMPTS": 2}


def test_an_unknown_name_of_ours_is_a_typo() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"INTEGRATIONS_TIMEOUT_SECOND$"):
        from_environment({"INTEGRATIONS_TIMEOUT_SECOND": "9"})


@pytest.mark.parametrize(("raw", "value"), [("a:1, b:2", ["a:1", "b:2"]), ('["a:1"]', ["a:1"]), ("", []), (" , ", [])])
def test_lists(raw: str, value: list[str]) -> None:
    assert from_environment({"INTEGRATIONS_ALLOWED_HOSTS": raw}) == {"ALLOWED_HOSTS": value}


@pytest.mark.parametrize(
    ("name", "raw"), [("ALLOW_HTTP", "maybe"), ("SLICE_ROWS", "many"), ("SLICE_ROWS", "1.5"), ("ALLOWED_HOSTS", "[1,")]
)
def test_unreadable_values_are_refused(name: str, raw: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"INTEGRATIONS_{name}="):
        from_environment({f"INTEGRATIONS_{name}": raw})


def test_attributes(settings: object) -> None:
    settings.INTEGRATIONS = {"LEASE_SECONDS": 5.0}  # type: ignore[attr-defined]
    assert (5.0, DEFAULTS["SWEEP_SECONDS"]) == (conf.LEASE_SECONDS, conf.SWEEP_SECONDS)
    with pytest.raises(AttributeError, match="no such integration setting: NOPE"):
        conf.NOPE  # noqa: B018


@pytest.mark.parametrize("name", [name for name, value in DEFAULTS.items() if type(value) in (int, float)])
@pytest.mark.parametrize("raw", ["inf", "-inf", "nan", "-1", "1e400", "10000000000", "many", ""])
def test_nothing_starts_with_a_number_that_is_none(name: str, raw: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^INTEGRATIONS_{name}='{raw}': expected a"):
        from_environment({f"INTEGRATIONS_{name}": raw})
