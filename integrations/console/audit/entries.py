"""Which entries of the audit trail a person may read, and the filters of the list."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext_noop

from integrations.audit import search
from integrations.audit.trail import AuditEntry
from integrations.connections.models import TenantIntegration
from integrations.console.access import Access
from integrations.database.first_key import keys_between
from integrations.tenancy.capabilities import Capability

MOST_LISTED = 300  # integrations that the filter offers
LONGEST = 200  # characters of a filter

# What the field Action offers; any other word may be typed.
ACTIONS = (
    gettext_noop("created"),
    gettext_noop("changed"),
    gettext_noop("deleted"),
    gettext_noop("switched on"),
    gettext_noop("switched off"),
    gettext_noop("paused"),
    gettext_noop("resumed"),
    gettext_noop("re-enabled"),
    gettext_noop("disabled"),
    gettext_noop("connected"),
    gettext_noop("tested"),
    gettext_noop("checked"),
    gettext_noop("rotated"),
    gettext_noop("secret shown"),
    gettext_noop("retried"),
    gettext_noop("replayed"),
    gettext_noop("sent anyway"),
    gettext_noop("cancelled"),
)
# And what else people do.
OTHERS = (
    gettext_noop("added"),
    gettext_noop("changed role"),
    gettext_noop("removed"),
    gettext_noop("made"),
    gettext_noop("revoked"),
    gettext_noop("started"),
    gettext_noop("exported"),
    gettext_noop("pulled"),
    gettext_noop("started over"),
    gettext_noop("processed again"),
    gettext_noop("could not rotate"),
    gettext_noop("asked the provider for access to"),
)


def readable(access: Access) -> QuerySet[AuditEntry]:
    """Return the entries that this person may read: of the tenants where they may, and all for a superuser."""
    rows = AuditEntry.objects.all()
    sees_all = access.user.is_active and access.user.is_superuser
    # Where there is one tenant only, it is always looked at; what belongs to none must not be hidden by that.
    if access.tenant is not None and not (sees_all and len(access.tenants) == 1):
        return rows.filter(tenant_key=str(access.tenant.pk))
    if sees_all:
        return rows
    return rows.filter(tenant_key__in=_keys(access))


def readable_everywhere(access: Access) -> QuerySet[AuditEntry]:
    """Return the same whichever tenant is looked at, for the page of one entry."""
    if access.user.is_active and access.user.is_superuser:
        return AuditEntry.objects.all()
    return AuditEntry.objects.filter(tenant_key__in=_keys(access))


def _keys(access: Access) -> list[str]:
    """Return the keys of the tenants whose trail this person may read, as entries have them."""
    return [str(key) for key in access.keys_where(Capability.AUDIT)]


class Filters:
    """The filters of the list, as the address names them; what nobody could mean is left out.

    Attributes:
        values: what stands in the fields.
        is_set: at least one of them chooses.
    """

    NAMES = ("who", "action", "object", "integration", "source", "from", "to")

    def __init__(self, request: HttpRequest, access: Access) -> None:
        self.values = {name: request.GET.get(name, "").replace("\0", "").strip()[:LONGEST] for name in self.NAMES}
        if self.values["source"] not in AuditEntry.Source.values:
            self.values["source"] = ""
        for name in ("from", "to"):
            if _day(self.values[name]) is None:
                self.values[name] = ""
        self.integration = self._integration(access)
        if self.integration is None:
            self.values["integration"] = ""
        self.is_set = any(self.values.values())

    def _integration(self, access: Access) -> TenantIntegration | None:
        try:
            public_id = UUID(self.values["integration"])
        except ValueError:
            return None
        return access.visible(TenantIntegration.objects.all()).filter(public_id=public_id).first()

    def narrow(self, rows: QuerySet[AuditEntry]) -> QuerySet[AuditEntry]:
        """Return those of `rows` that are chosen."""
        since, until = self._times()
        return search.narrow(
            rows,
            actor=self.values["who"],
            action=self.values["action"],
            source=self.values["source"],
            about=self.values["object"],
            integration=self.integration.pk if self.integration is not None else None,
            since=since,
            until=until,
        )

    def keys(self) -> tuple[int, int]:
        """Return the first key that the days leave over, and the one behind the last: no other need be looked at."""
        return keys_between(AuditEntry, *self._times())

    def _times(self) -> tuple[datetime | None, datetime | None]:
        first, last = _day(self.values["from"]), _day(self.values["to"])
        return first, last + timedelta(days=1) if last is not None else None

    def in_words(self) -> dict[str, Any]:
        """Return the filters that choose something, for the entry about an export."""
        said = {name: value for name, value in self.values.items() if value}
        if self.integration is not None:
            said["integration"] = self.integration.name
        return said


def integrations_of(access: Access) -> list[TenantIntegration]:
    """Return the integrations that the filter offers, by name."""
    rows = access.rows(TenantIntegration.objects.select_related("tenant")).order_by("name", "id")
    return list(rows.only("public_id", "name", "tenant", "integration_type")[:MOST_LISTED])


def _day(text: str) -> datetime | None:
    try:
        day = parse_date(text) if text else None
    except ValueError:
        return None
    return timezone.make_aware(datetime.combine(day, time.min)) if day is not None and 1970 < day.year < 9999 else None
