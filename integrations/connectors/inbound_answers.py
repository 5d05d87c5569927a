"""What the sender of a webhook is answered, by the scheme of its signature: a connector may answer otherwise.

In: what the delivery says. Out: an `Answer`, or None where a scheme has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of a 200: a JSON object; None: nothing at all."""

    body: Mapping[str, Any] | None = None


def _slack_handshake(payload: Mapping[str, Any]) -> Answer | None:
    """Slack tries an address with a word that it wants back, and its certificate with ``ssl_check=1``."""
    if payload.get("type") == "url_verification":
        return Answer({"challenge": str(payload.get("challenge", ""))})
    return Answer() if str(payload.get("ssl_check", "")) == "1" else None


HANDSHAKES: dict[str, Callable[[Mapping[str, Any]], Answer | None]] = {"slack": _slack_handshake}

# What stands in the answer to a slash command is shown to whoever typed it, and a modal closes only on an empty one.
STORED: dict[str, Answer] = {"slack": Answer()}
