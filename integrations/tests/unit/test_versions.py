"""Versions: semver, ranges, and whether what was stored can still be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.connectors.versions import Version, VersionRange, check_sdk, check_stored
from integrations.errors import IncompatibleConnector, IntegrationNotConfigured

numbers = st.integers(min_value=0, max_value=999_999_999)
versions = st.builds(Version, numbers, numbers, numbers)
small = st.builds(Version, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))


def never(_: Version) -> bool:
    return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.4.2", (1, 4, 2)),
        ("1.4", (1, 4, 0)),
        ("0", (0, 0, 0)),
        (" 2.0.0 ", (2, 0, 0)),
        ("1.2.3-rc.1", (1, 2, 3)),
        ("1.2.3+build.5", (1, 2, 3)),
    ],
)
def test_versions_are_read(text: str, expected: tuple[int, int, int]) -> None:
    assert Version.parse(text) == expected


@pytest.mark.parametrize("text", ["", "1.", "v1", "01.2", "1.2.3.4", "-1", "1.x", "1.2.3-", "١.٢", "9" * 50, "1.2\n.3"])
def test_what_is_no_version_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no version such as 1\.4\.2"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("*", ["0.0.0", "9.9.9"], []),
        ("^1.2", ["1.2.0", "1.9.0"], ["1.1.9", "2.0.0"]),
        ("^0.3", ["0.3.0", "0.3.9"], ["0.2.9", "0.4.0", "1.0.0"]),
        ("1.x", ["1.0.0", "1.9.9"], ["0.9.9", "2.0.0"]),
        ("1.4.x", ["1.4.0", "1.4.7"], ["1.5.0", "1.3.9"]),
        (">=1.2,<3", ["1.2.0", "2.9.9"], ["1.1.9", "3.0.0"]),
        (">= 1.2 , <= 2.0.0", ["2.0.0"], ["2.0.1"]),
        (">1.2.3", ["1.2.4"], ["1.2.3"]),
        ("1.2.3", ["1.2.3"], ["1.2.4", "1.2.2"]),
        ("=1.2.3,<3", ["1.2.3"], ["2.0.0"]),
        (">=1,>=2", ["2.0.0"], ["1.5.0"]),
        ("<3,<2", ["1.0.0"], ["2.5.0"]),
    ],
)
def test_ranges(text: str, inside: list[str], outside: list[str]) -> None:
    found = VersionRange(text)
    assert all(Version.parse(each) in found for each in inside)
    assert not any(Version.parse(each) in found for each in outside)


@pytest.mark.parametrize("text", ["^", "~1.2", ">=", "1 - 2", "x", ">=1,", "latest", "^1.2 || ^2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        VersionRange(text)


def test_only_versions_are_in_a_range() -> None:
    assert "1.0.0" not in VersionRange()


@given(versions)
def test_a_version_reads_back_what_it_writes(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(small, small)
def test_a_caret_takes_what_does_not_break(start: Version, version: Version) -> None:
    breaks = version.major != start.major or (start.major == 0 and version.minor != start.minor)
    assert (version in VersionRange(f"^{start}")) == (version >= start and not breaks)


@given(small, small, small)
def test_all_bounds_hold(low: Version, high: Version, version: Version) -> None:
    assert (version in VersionRange(f">={low},<{high}")) == (low <= version < high)


@given(st.text(max_size=60))
def test_no_text_does_worse_than_a_value_error(text: str) -> None:
    for parse in (Version.parse, VersionRange):
        try:
            parse(text)
        except ValueError:
            continue


def test_a_connector_for_another_kit_is_refused_with_the_reason() -> None:
    check_sdk("acme", "^1.0")
    with pytest.raises(IncompatibleConnector) as caught:
        check_sdk("acme", "^2.0")
    assert str(caught.value) == "connector acme was written for version ^2.0 of the connector kit; this is 1.0"
    assert isinstance(caught.value, IntegrationNotConfigured)


@pytest.mark.parametrize("stored", ["", "2.0.0", "2.7.1", "2.0.0-rc.1"])
def test_settings_of_the_same_major_version_need_nothing(stored: str) -> None:
    assert check_stored("acme", stored, "2.3.0", never) is False


def test_settings_of_an_older_major_version_are_migrated_or_refused() -> None:
    asked: list[Version] = []
    assert check_stored("acme", "1.4.0", "2.0.0", lambda before: not asked.append(before)) is True
    assert asked == [Version(1, 4)]
    with pytest.raises(IncompatibleConnector, match=r"saved by version 1\.4\.0 of connector acme, and version 2\.0\.0"):
        check_stored("acme", "1.4.0", "2.0.0", never)


def test_settings_of_a_newer_version_are_refused() -> None:
    with pytest.raises(IncompatibleConnector, match="update it, or save the integration again"):
        check_stored("acme", "3.0.0", "2.9.9", lambda _: True)
