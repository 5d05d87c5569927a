"""How states, times and answers look on every page: a symbol, a word and a colour, never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.database.clock import now as clock_now
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
        parts.append(_("retrying, attempt {number}").format(number=sync.attempts + 1))
    if not sync.integration.is_active:
        parts.append(_("will be cancelled: the integration is switched off"))
    elif not sync.integration.is_enabled:
        parts.append(_("held until the integration is re-enabled"))
    elif lane is not None and lane.paused_since is not None:
        parts.append(_("waits: paused by {name}").format(name=lane.paused_by))
    elif lane is not None and lane.paused_until and lane.paused_until > max(now, sync.next_attempt_at):
        parts.append(_("paused until {time}").format(time=clock(lane.paused_until)))
    elif sync.next_attempt_at > now:
        parts.append(_("next at {time}").format(time=clock(sync.next_attempt_at)))
    else:
        parts.append(_("due now"))
    return ", ".join(parts)


def inbound_badge(event: Any) -> Badge:
    """Return ✓ Processed, ⚠ Received, ✗ Failed …; ✗ Rejected for what did not prove where it came from."""
    if not event.signature_valid:
        return Badge("bad", _("✗ Rejected"), event.error or _("Its signature is missing or wrong."))
    return Badge(_INBOUND_KINDS.get(event.status, "off"), event.get_status_display(), event.error)


def inbound_story(event: Any) -> str:
    """Say what an inbound webhook waits for, "" for nothing."""
    if not event.signature_valid or event.next_attempt_at is None:
        return ""
    if off := switched_off(event):
        return off
    if event.status == WebhookStatus.PROCESSED:
        return _("processed; a receiver of its signal is told again")
    if event.status == WebhookStatus.PROCESSING:
        return _("attempt {number}").format(number=max(event.attempts, 1))
    is_due, time = event.next_attempt_at <= clock_now(), clock(event.next_attempt_at)
    if not event.attempts:
        return _("due now") if is_due else _("at {time}").format(time=time)
    words = _("attempt {number}, due now") if is_due else _("attempt {number}, at {time}")
    return words.format(number=event.attempts + 1, time=time)


def switched_off(event: Any) -> str:
    """Say that `event` waits because what it came for is switched off, "" if it is not; sweeps pass such rows over."""
    connection = getattr(event, "connection", None)
    if connection is None:
        return ""
    noun = str(connection._meta.verbose_name).split()[-1]
    if not connection.is_enabled:
        return _("waits until the {noun} is re-enabled").format(noun=noun)
    return "" if connection.accepts_webhooks else _("waits until the {noun} is active again").format(noun=noun)


def pull_badge(state: Any) -> Badge:
    """Return ✓ Completed, ⚠ Running, ✗ Failed or ○ Idle for `state`; ⚠ Interrupted if its worker is gone."""
    if state.status == PullStatus.RUNNING and not is_leased(state):
        return Badge("warn", _("⚠ Interrupted"), _("Its worker is gone; the next run repeats the page."))
    label = _("○ Idle") if state.status == PullStatus.IDLE else state.get_status_display()
    return Badge(_PULL_KINDS.get(state.status, "off"), label, state.last_error)


def next_pull(state: Any) -> Any:
    """Say when it is pulled next; after a failure nobody asks the provider before that time."""
    if not state.has_taker:
        return _("never: {why}").format(why=NOBODY)
    if state.next_sync_at is None:
        return _("when asked")
    if state.next_sync_at > clock_now():
        return when(state.next_sync_at)
    return _("due now") if getattr(state, "interval_minutes", 1) else _("when asked")


def every(minutes: int | None) -> str:
    """Return ``every 15 min``, ``every 2 h``, ``every day``; "when asked" for none."""
    if not minutes:
        return _("when asked")
    if minutes % 1440 == 0:
        return ngettext("every day", "every {count} days", minutes // 1440).format(count=minutes // 1440)
    if minutes % 60 == 0:
        return ngettext("every h", "every {count} h", minutes // 60).format(count=minutes // 60)
    return _("every {count} min").format(count=minutes)


def cause(event: IntegrationEvent) -> str:
    """Say which integration caused `event` by calling back, "" for a person's or the application's; needs it joined."""
    if event.origin_id is None:
        return ""
    # It may be gone: events keep the number.
    gone = _("integration {number}, deleted since").format(number=event.origin_id)
    return _("caused by {name}").format(name=event.origin.name if event.origin else gone)


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
        text = _("just now") if moment <= now else _("in a moment")
    elif moment < now:
        text = _("{time} ago").format(time=timesince(moment, now, depth=1))
    else:
        text = _("in {time}").format(time=timeuntil(moment, now, depth=1))
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), text)


def lasting(since: datetime | None) -> SafeString | str:
    """Return "for 3 minutes" of what has been so since then, with the exact time as its tooltip."""
    if since is None:
        return NOTHING
    now = clock_now()
    is_long, time = now - since >= timedelta(minutes=1), timesince(since, now, depth=1)
    text = _("for {time}").format(time=time) if is_long else _("since just now")
    title = _("since {time}").format(time=exact(since))
    return format_html('<time datetime="{}" title="{}">{}</time>', since.isoformat(), title, text)


def short(text: Any, length: int = 90) -> SafeString | str:
    """Return `text` cut to `length`, with all of it as its tooltip."""
    text = str(text or "")
    if len(text) <= length:
        return text or NOTHING
    return format_html('<span title="{}">{}…</span>', text, text[: length - 1])
