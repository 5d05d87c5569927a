"""What a database holds already: data of others, or an earlier week of the demo."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone

from integrations.models import IntegrationEvent
from tenants.models import Tenant

from .fill import DAYS, Filled, fill
from .places import COMPANIES


def others_here() -> str:
    """Name some tenants that are none of the demo's, "" if there are none."""
    names = Tenant.objects.exclude(name__in=[company.name for company in COMPANIES]).values_list("name", flat=True)
    found = list(names[:4])
    return ", ".join(found[:3]) + (" and others" if len(found) > 3 else "")


ENOUGH = timedelta(minutes=30)


def continue_week(receiver: str) -> Filled | None:
    """Fill a week, or what is missing since the last time; None: nothing is missing. Addresses are set anew."""
    since, now = last_filled(), timezone.now()
    is_quiet = since is not None and now - since < ENOUGH
    filled = fill(receiver, since=now if is_quiet else since, now=now)
    return None if is_quiet else filled


def last_filled() -> datetime | None:
    """Return when the demo's traffic ends, None if there is none of the last week: it is then continued from there."""
    rows = IntegrationEvent.objects.filter(tenant__name__in=[company.name for company in COMPANIES[1:]])
    last = rows.order_by("-id").values_list("occurred_at", flat=True).first()
    return last if last is not None and last > timezone.now() - timedelta(days=DAYS) else None
