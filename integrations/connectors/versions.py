"""Versions of connectors and of this kit: semver, ranges, and what to do with what an older one stored.

In: ``1.4.2``, and ranges ``^1.2``, ``>=1.2,<3``, ``1.x``, ``*``. Errors: ``ValueError`` for what is neither.
Source: https://semver.org; ranges as npm and Cargo write them, but nothing cleverer than these four forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from packaging.specifiers import SpecifierSet

from integrations.errors import IncompatibleConnector

SDK_VERSION = "1.0"  # of the port; its major number changes when connectors must

_VERSION = re.compile(
    r"(0|[1-9][0-9]{0,8})(?:\.(0|[1-9][0-9]{0,8}))?(?:\.(0|[1-9][0-9]{0,8}))?(?:[-+][0-9A-Za-z.+-]{1,50})?", re.ASCII
)
_BOUND = re.compile(r"(>=|<=|>|<|=)\s*(\S+)")


class Version(NamedTuple):
    """A semver's three numbers; labels after ``-`` or ``+`` are allowed and do not count."""

    major: int
    minor: int = 0
    patch: int = 0

    @classmethod
    def parse(cls, text: str) -> Version:
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text[:40]!r} is no version such as 1.4.2")
        return cls(*(int(part or 0) for part in match.groups()))

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


class VersionRange:
    """The versions that a range such as ``^1.2`` names."""

    def __init__(self, text: str = "*") -> None:
        """Read `text`.

        Raises:
            ValueError: it is none of the four forms.
        """
        self._bounds = SpecifierSet(_as_bounds(text.strip()))

    def __contains__(self, version: object) -> bool:
        return isinstance(version, Version) and str(version) in self._bounds


def _as_bounds(text: str) -> str:
    """Return a range in the words of `packaging`: ``^1.2`` is ``>=1.2.0,<2.0.0``."""
    if text in ("*", ""):
        return ""
    if text.startswith("^"):
        start = Version.parse(text[1:])
        # Below 1.0 every minor version may break.
        after = Version(start.major + 1) if start.major else Version(0, start.minor + 1)
        return f">={start},<{after}"
    if text.endswith(".x"):
        start = Version.parse(text[:-2])
        return f"=={start.major}.{start.minor}.*" if "." in text[:-2] else f"=={start.major}.*"
    bounds = []
    for part in text.split(","):
        match = _BOUND.fullmatch(part.strip())
        sign, version = (match[1], match[2]) if match else ("=", part)
        bounds.append(f"{'==' if sign == '=' else sign}{Version.parse(version)}")
    return ",".join(bounds)


def check_sdk(key: str, sdk: str) -> None:
    """Raise IncompatibleConnector if connector `key`, written for the range `sdk` of this kit, cannot run on it."""
    if Version.parse(SDK_VERSION) not in VersionRange(sdk):
        raise IncompatibleConnector(
            f"connector {key} was written for version {sdk} of the connector kit; this is {SDK_VERSION}"
        )


def check_stored(key: str, stored: str, current: str, can_migrate: Callable[[Version], bool]) -> bool:
    """Return whether a configuration stored by version `stored` must be migrated before `current` runs on it.

    Raises:
        IncompatibleConnector: it was stored by a newer version, or by an older major one that nothing migrates.
    """
    if not stored:
        return False
    before, now = Version.parse(stored), Version.parse(current)
    if before.major > now.major:
        raise IncompatibleConnector(
            f"this integration was saved by version {before} of connector {key}, and version {now} is running: update "
            "it, or save the integration again"
        )
    if before.major == now.major:
        return False
    if not can_migrate(before):
        raise IncompatibleConnector(
            f"this integration was saved by version {before} of connector {key}, and version {now} cannot read that: "
            "open it, check its fields and save it again"
        )
    return True
