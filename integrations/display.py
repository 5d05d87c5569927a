"""How states, times and answers look on every page: a symbol, a word and a colour, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil

from integrations.clock import now as clock_now
from integrations.outbox.models import IntegrationEvent, IntegrationSync

NOTHING = "–"

Kind = Literal["ok", "warn", "bad", "off"]
_SYNC_KINDS: dict[str, Kind] = {
    "pending": "warn",
    "synced": "ok",
    "failed": "bad",
    "cancelled": "off",
    "skipped": "off",
}


@dataclass(frozen=True, slots=True)
class Badge:
    """A state in one word; `hint` says more."""

    kind: Kind
    label: str  # with its symbol
    hint: str = ""

    def __html__(self) -> SafeString:
        return format_html('<span class="ig-badge ig-{}" title="{}">{}</span>', self.kind, self.hint, self.label)

    __str__ = __html__


def sync_badge(sync: IntegrationSync) -> Badge:
    """Return ✓ Synced, ⚠ Pending, ✗ Failed, – Cancelled or – Skipped for `sync`."""
    return Badge(_SYNC_KINDS[sync.status], sync.get_status_display(), sync.reason)


def sync_story(sync: IntegrationSync) -> str:
    """Say what a pending `sync` waits for, "" for one that is settled; needs integration and lane joined."""
    if sync.status != IntegrationSync.Status.PENDING:
        return ""
    parts = []
    now = clock_now()
    lane = getattr(sync.integration, "lane", None)
    if sync.attempts:
        parts.append(f"retrying, attempt {sync.attempts + 1}")
    if not sync.integration.is_active:
        parts.append("will be cancelled: the integration is switched off")
    elif not sync.integration.is_enabled:
        parts.append("held until the integration is re-enabled")
    elif lane is not None and lane.paused_until and lane.paused_until > max(now, sync.next_attempt_at):
        parts.append(f"paused until {clock(lane.paused_until)}")
    elif sync.next_attempt_at > now:
        parts.append(f"next at {clock(sync.next_attempt_at)}")
    else:
        parts.append("due now")
    return ", ".join(parts)


def cause(event: IntegrationEvent) -> str:
    """Say which integration caused `event` by calling back, "" for a person's or the application's; needs it joined."""
    if event.origin_id is None:
        return ""
    # It may be gone: events keep the number.
    return f"caused by {event.origin.name if event.origin else f'integration {event.origin_id}, deleted since'}"


def clock(moment: datetime) -> str:
    """Return the time of day of a near `moment`, with the date if it is another day."""
    local = timezone.localtime(moment)
    return f"{local:%H:%M:%S}" if local.date() == timezone.localdate() else f"{local:%Y-%m-%d %H:%M}"


def exact(moment: datetime | None) -> str:
    """Return `moment` to the second."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else NOTHING


def when(moment: datetime | None) -> SafeString | str:
    """Return "3 minutes ago" with the exact time as its tooltip."""
    if moment is None:
        return NOTHING
    now = clock_now()
    if abs(now - moment) < timedelta(minutes=1):
        text = "just now" if moment <= now else "in a moment"
    elif moment < now:
        text = f"{timesince(moment, now, depth=1)} ago"
    else:
        text = f"in {timeuntil(moment, now, depth=1)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), text)


def short(text: Any, length: int = 90) -> SafeString | str:
    """Return `text` cut to `length`, with all of it as its tooltip."""
    text = str(text or "")
    if len(text) <= length:
        return text or NOTHING
    return format_html('<span title="{}">{}…</span>', text, text[: length - 1])
