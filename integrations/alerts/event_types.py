"""What can be told: event types whose object is an integration, or a tenant where the whole product is meant."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop

from integrations.connections import event_types
from integrations.connectors.summary import SummaryFormat
from integrations.health.alert import BACKLOG, DISABLED, FAILING, GIVEN_UP, LABELS, RECOVERED, SILENT

_PUBLIC_ID = "0b5c7a7e-5d0e-4a52-9f1c-2d3b8d4f6a10"
_FAILED_INTEGRATION = {"id": _PUBLIC_ID, "name": "Slack, repairs", "connector_type": "slack"}


def example(name: str) -> dict[str, Any]:
    """Return a payload as the alert `name` has it, for the catalogue and for conditions."""
    alert: dict[str, Any] = {
        "title": f"{LABELS[name]}: Slack, repairs",
        "since": "2026-11-30T12:00:00Z",
        "why": "The destination answered 500.",
        "what_to_do": "Look at the address and the settings, send a test event, and retry what failed.",
        "count": 3 if name in (GIVEN_UP, BACKLOG) else None,
        "url": f"https://app.example.com/console/integrations/{_PUBLIC_ID}/",
    }
    about = None if name == SILENT else dict(_FAILED_INTEGRATION)
    return {"alert": alert, "integration": about}


_WHEN = {
    FAILING: gettext_noop("Nothing that was due has arrived for a while."),
    RECOVERED: gettext_noop("An integration that failed or was disabled takes events again."),
    DISABLED: gettext_noop("An integration was disabled: refused credentials, or the receiver wants no more."),
    GIVEN_UP: gettext_noop("Deliveries were given up; told once an hour with how many."),
    BACKLOG: gettext_noop("Due deliveries wait too long, though nothing holds them back."),
    SILENT: gettext_noop("No worker takes messages from a queue, or beat sends none."),
}


def register() -> None:
    """Make the alerts known, so that integrations can subscribe to them."""
    for name, label in LABELS.items():
        summary = SummaryFormat(
            title="{alert.title}",
            description="{alert.why}",
            lines=("What to do: alert.what_to_do", "Since: alert.since"),
            link="{alert.url}",
        )
        event_types.register(name, label, example=example(name), summary=summary, when=_WHEN[name])
