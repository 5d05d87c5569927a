"""Versions of connectors and of this kit: semver, ranges, and what to do with what an older one stored.

In: ``1.4.2``, and ranges ``^1.2``, ``>=1.2,<3``, ``1.x``, ``*``. Errors: ``ValueError`` for what is neither.
Source: https://semver.org; ranges as npm and Cargo write them, but nothing cleverer than these four forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

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


class VersionRange(NamedTuple):
    """`low` ≤ version < `high`; None: open."""

    low: Version | None = None
    high: Version | None = None

    @classmethod
    def parse(cls, text: str) -> VersionRange:
        text = text.strip()
        if text in ("*", ""):
            return cls()
        if text.startswith("^"):
            start = Version.parse(text[1:])
            # Below 1.0 every minor version may break.
            return cls(start, Version(start.major + 1) if start.major else Version(0, start.minor + 1))
        if text.endswith(".x"):
            start = Version.parse(text[:-2])
            is_minor = "." in text[:-2]
            return cls(start, Version(start.major, start.minor + 1) if is_minor else Version(start.major + 1))
        lows: list[Version] = []
        highs: list[Version] = []
        for part in text.split(","):
            match = _BOUND.fullmatch(part.strip())
            sign, version = (match[1], Version.parse(match[2])) if match else ("=", Version.parse(part))
            after = version._replace(patch=version.patch + 1)
            if sign in (">=", ">", "="):
                lows.append(after if sign == ">" else version)
            if sign in ("<", "<=", "="):
                highs.append(version if sign == "<" else after)
        return cls(max(lows, default=None), min(highs, default=None))  # all of them hold

    def __contains__(self, version: object) -> bool:
        if not isinstance(version, Version):
            return False
        return (self.low is None or version >= self.low) and (self.high is None or version < self.high)


def check_sdk(key: str, sdk: str) -> None:
    """Raise IncompatibleConnector if connector `key`, written for the range `sdk` of this kit, cannot run on it."""
    if Version.parse(SDK_VERSION) not in VersionRange.parse(sdk):
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
