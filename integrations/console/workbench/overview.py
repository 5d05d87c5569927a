"""The first tab: how it is and why, the last day, what was sent last, what this person may do."""

from __future__ import annotations

from collections.abc import Iterator
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations import conf
from integrations.connections.signing_keys import old_key_until
from integrations.console.access import Access
from integrations.console.page import page, show
from integrations.counted import count_up_to
from integrations.delivery.trial import types_to_test
from integrations.errors import EncryptionError
from integrations.forms.grant_state import GrantState
from integrations.health.explanations import Explained, explanations
from integrations.outbox.models import NEWEST, IntegrationSync, of_lane
from integrations.pages.display import clock, exact, sync_badge, sync_story
from integrations.statistics.figures import total
from integrations.statistics.reading import DAY_LONG, Point, Whose, series
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role

from .actions import take_answer
from .bench import Bench, open_bench

COUNTED = 1000
RECENT = 8


@page(Role.VIEWER)
def overview(request: HttpRequest, access: Access, public_id: UUID) -> HttpResponse:
    """Show the tab; htmx asks for the part that changes."""
    bench = open_bench(access, public_id, "overview")
    integration = bench.integration
    first = _first_rows(integration.pk)
    next_row = min(first, key=lambda row: row.next_attempt_at, default=None)
    if next_row is not None:
        next_row.integration = integration
    sees = access.may(Capability.VIEW_DELIVERIES, integration.tenant_id)
    rows = IntegrationSync.objects.filter(of_lane(integration.pk)).select_related("event")
    recent = list(rows.order_by(*NEWEST)[:RECENT])
    for sync in recent:
        sync.integration = integration
        sync.badge, sync.story = sync_badge(sync), sync_story(sync)  # type: ignore[attr-defined]
    of = Explained(
        integration,
        bench.facts,
        bench.health,
        list(integration.subscriptions.order_by("id")),
        next_row,
        bool(recent),
    )
    points = series(Whose(integration=integration.pk), DAY_LONG)
    day = total(point.figures for point in points)
    failed = day.retrying + day.given_up
    context = {
        "bench": bench,
        "answer": take_answer(request, integration),
        "explanations": list(explanations(of)),
        "subscriptions": of.subscriptions,
        "types_to_test": types_to_test(integration, of.subscriptions) if bench.may(Capability.TEST) else [],
        "recent": recent if sees else [],
        "sees_deliveries": sees,
        "pending": _pending(integration.pk),
        "oldest": min((row.created_at for row in first), default=None),
        "next": sync_story(next_row) if next_row is not None else "",
        "chart": chart_of(points),
        "day": day,
        "attempts": day.delivered + failed,
        "rate": _per_cent(day.delivered, day.delivered + failed),
        "facts": list(_facts(bench)),
    }
    return show(request, access, "workbench_overview.html", context)


def chart_of(points: list[Point]) -> dict[str, Any]:
    """Return the last day as a chart."""
    delivered = [point.figures.delivered for point in points]
    failed = [point.figures.retrying + point.figures.given_up for point in points]
    return {
        "times": [int(point.at.timestamp()) for point in points],
        "series": [
            {"label": _("Delivered"), "kind": "ok", "values": delivered, "fill": True},
            {"label": _("Failed attempts"), "kind": "bad", "values": failed},
        ],
    }


def _pending(integration_id: int) -> str:
    """Return how many deliveries wait, "1000+" for more."""
    rows = IntegrationSync.objects.filter(integration=integration_id, status=IntegrationSync.Status.PENDING)
    return count_up_to(rows.order_by("object_key", "id"), COUNTED)


def _first_rows(integration_id: int) -> list[IntegrationSync]:
    """Return the first row that never failed, and the first that is to be tried again: one index each, one query."""
    pending = IntegrationSync.objects.filter(of_lane(integration_id), status=IntegrationSync.Status.PENDING)
    fresh = pending.filter(first_failed_at=None).order_by("integration_id", "id")
    retry = pending.filter(first_failed_at__isnull=False).order_by("integration_id", "next_attempt_at", "id")
    either = or_(*(Q(pk=Subquery(rows.values("pk")[:1])) for rows in (fresh, retry)))
    return list(IntegrationSync.objects.filter(either).order_by())


def _facts(bench: Bench) -> Iterator[tuple[str, Any]]:
    """Yield (name, value) of what else is known: authentication, breaker, limits, signing."""
    integration, lane, facts = bench.integration, bench.lane, bench.facts
    if facts.takes_events:
        yield _("Last delivery"), lane.last_success_at
        yield _("Last failure"), lane.last_failure_at
        yield _("Delivered so far"), f"{lane.delivered_count:,}"
        yield _("Given up so far"), f"{lane.failed_count:,}"
    yield _("Authentication"), authentication(bench)
    if facts.takes_events:
        yield _("Breaker"), breaker(bench)
        yield _("Rate limit"), rate_limit(bench)
    if bench.manifest is not None and "read" in bench.manifest.does:
        yield _("Last pull"), facts.pulled_at
    yield _("Last passed test"), _last_test(bench)
    grant = GrantState(integration)
    if grant.wanted or grant.grant:
        yield _("Access"), format_html('{} <span class="quiet">{}</span>', grant.summary, grant.scope)
    if bench.manifest is not None and bench.manifest.signs:
        yield _("Signing"), _signing(bench)
    yield _("Credentials changed"), integration.credentials_rotated_at
    if (days := integration.overdue_days) is not None:
        yield (
            _("Overdue"),
            _("{age} days old; change them every {days} days").format(age=days, days=conf.ROTATE_EVERY_DAYS),
        )


def authentication(bench: Bench) -> str:
    """Say whether the credentials are accepted, as far as anybody knows."""
    facts = bench.facts
    if facts.awaits_connection:
        return _("not connected yet")
    if facts.refusals:
        count = facts.refusals
        words = ngettext(
            "the credentials were refused {count} time in a row",
            "the credentials were refused {count} times in a row",
            count,
        )
        if facts.is_set_up_at_fault:
            words = ngettext(
                "the set-up was refused {count} time in a row", "the set-up was refused {count} times in a row", count
            )
        return words.format(count=count)
    return _("accepted") if facts.is_connected or facts.last_success_at else _("not tried yet")


def breaker(bench: Bench) -> str:
    """Say whether the breaker is open, since when, after how many failures, and when it is probed next."""
    lane, facts = bench.lane, bench.facts
    count = lane.consecutive_failures
    failures = ngettext("{count} failure in a row", "{count} failures in a row", count).format(count=count)
    if not facts.times_opened:
        return _("closed; {failures}").format(failures=failures) if count else _("closed")
    probe = (
        _("next probe {time}").format(time=clock(bench.health.until))
        if bench.health.until
        else _("the next request is the probe")
    )
    if facts.opened_at:
        words = _("open since {time}; {failures}; {probe}")
        return words.format(time=exact(facts.opened_at), failures=failures, probe=probe)
    return _("open; {failures}; {probe}").format(failures=failures, probe=probe)


def rate_limit(bench: Bench) -> str:
    """Say how many requests a minute it gets."""
    own = bench.integration.rate_limit_per_minute
    manifest = bench.manifest
    limit = own or (manifest.rate_limit.per_minute if manifest is not None and manifest.rate_limit else None)
    return _("{limit} a minute").format(limit=limit) if limit else _("none")


def _last_test(bench: Bench) -> Any:
    facts = bench.facts
    if facts.last_test_at is None or facts.is_connected:
        return facts.last_test_at or (_("passed") if facts.is_connected else _("none yet"))
    return _("{time}; the last one did not pass").format(time=exact(facts.last_test_at))


def _signing(bench: Bench) -> str:
    """How requests are signed; never a key."""
    integration = bench.integration
    try:
        keys = integration.credentials.get("signing_keys") or []
    except EncryptionError:
        return _("the stored keys cannot be opened")
    if not integration.is_signed:
        return _("off")
    if not keys:
        return _("on, but there is no key yet: rotate the secret to make one")
    until = old_key_until(keys)
    return _("on; the previous secret signs too until {until}").format(until=exact(until)) if until else _("on")


def _per_cent(part: int, whole: int) -> str:
    if not whole:
        return "–"
    value = part * 100 / whole
    return f"{value:.0f} %" if value in (0, 100) or value < 99 else f"{value:.2f} %"
