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
from integrations.inbound.models import AbstractWebhookEvent
from integrations.outbox.models import IntegrationEvent, IntegrationSync
from integrations.pull.by_hand import is_leased
from integrations.pull.handlers import NOBODY
from integrations.pull.models import AbstractSyncState

NOTHING = "–"

Kind = Literal["ok", "warn", "bad", "off"]
WebhookStatus, PullStatus = AbstractWebhookEvent.Status, AbstractSyncState.Status
_SYNC_KINDS: dict[str, Kind] = {
    "pending": "warn",
    "synced": "ok",
    "failed": "bad",
    "cancelled": "off",
    "skipped": "off",
}
_INBOUND_KINDS: dict[str, Kind] = {
    "received": "warn",
    "processing": "warn",
    "processed": "ok",
    "failed": "bad",
    "duplicate": "off",
}
_PULL_KINDS: dict[str, Kind] = {"idle": "off", "running": "warn", "completed": "ok", "failed": "bad"}


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
    elif lane is not None and lane.paused_since is not None:
        parts.append(f"waits: paused by {lane.paused_by}")
    elif lane is not None and lane.paused_until and lane.paused_until > max(now, sync.next_attempt_at):
        parts.append(f"paused until {clock(lane.paused_until)}")
    elif sync.next_attempt_at > now:
        parts.append(f"next at {clock(sync.next_attempt_at)}")
    else:
        parts.append("due now")
    return ", ".join(parts)


def inbound_badge(event: Any) -> Badge:
    """Return ✓ Processed, ⚠ Received, ✗ Failed …; ✗ Rejected for what did not prove where it came from."""
    if not event.signature_valid:
        return Badge("bad", "✗ Rejected", event.error or "Its signature is missing or wrong.")
    return Badge(_INBOUND_KINDS.get(event.status, "off"), event.get_status_display(), event.error)


def inbound_story(event: Any) -> str:
    """Say what an inbound webhook waits for, "" for nothing."""
    if not event.signature_valid or event.next_attempt_at is None:
        return ""
    if off := switched_off(event):
        return off
    if event.status == WebhookStatus.PROCESSED:
        return "processed; a receiver of its signal is told again"
    again = f"attempt {event.attempts + 1}, " if event.attempts else ""
    if event.status == WebhookStatus.PROCESSING:
        return f"attempt {max(event.attempts, 1)}"
    return f"{again}due now" if event.next_attempt_at <= clock_now() else f"{again}at {clock(event.next_attempt_at)}"


def switched_off(event: Any) -> str:
    """Say that `event` waits because what it came for is switched off, "" if it is not; sweeps pass such rows over."""
    connection = getattr(event, "connection", None)
    if connection is None:
        return ""
    noun = str(connection._meta.verbose_name).split()[-1]
    if not connection.is_enabled:
        return f"waits until the {noun} is re-enabled"
    return "" if connection.accepts_webhooks else f"waits until the {noun} is active again"


def pull_badge(state: Any) -> Badge:
    """Return ✓ Completed, ⚠ Running, ✗ Failed or ○ Idle for `state`; ⚠ Interrupted if its worker is gone."""
    if state.status == PullStatus.RUNNING and not is_leased(state):
        return Badge("warn", "⚠ Interrupted", "Its worker is gone; the next run repeats the page.")
    label = "○ Idle" if state.status == PullStatus.IDLE else state.get_status_display()
    return Badge(_PULL_KINDS.get(state.status, "off"), label, state.last_error)


def next_pull(state: Any) -> Any:
    """Say when it is pulled next; after a failure nobody asks the provider before that time."""
    if not state.has_taker:
        return f"never: {NOBODY}"
    if state.next_sync_at is None:
        return "when asked"
    if state.next_sync_at > clock_now():
        return when(state.next_sync_at)
    return "due now" if getattr(state, "interval_minutes", 1) else "when asked"


def every(minutes: int | None) -> str:
    """Return ``every 15 min``, ``every 2 h``, ``every day``; "when asked" for none."""
    if not minutes:
        return "when asked"
    for size, word in ((1440, "day"), (60, "h")):
        if minutes % size == 0:
            count = minutes // size
            return f"every {word}" if count == 1 else f"every {count} {word}{'s' if word == 'day' else ''}"
    return f"every {minutes} min"


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


def lasting(since: datetime | None) -> SafeString | str:
    """Return "for 3 minutes" of what has been so since then, with the exact time as its tooltip."""
    if since is None:
        return NOTHING
    now = clock_now()
    text = f"for {timesince(since, now, depth=1)}" if now - since >= timedelta(minutes=1) else "since just now"
    return format_html('<time datetime="{}" title="since {}">{}</time>', since.isoformat(), exact(since), text)


def short(text: Any, length: int = 90) -> SafeString | str:
    """Return `text` cut to `length`, with all of it as its tooltip."""
    text = str(text or "")
    if len(text) <= length:
        return text or NOTHING
    return format_html('<span title="{}">{}…</span>', text, text[: length - 1])
