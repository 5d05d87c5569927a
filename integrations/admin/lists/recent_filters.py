"""Filters for lists of a million rows of anybody's model: they offer what stands in the newest rows that a person sees.

Django's own would ask for all different values of the column, or list every connection of every tenant.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from integrations.inbound.by_hand import LOOKED_AT, has_field
from integrations.inbound.models import AbstractWebhookEvent
from integrations.tenancy.harmless_text import harmless

OFFERED = 30
REJECTED = "rejected"


class RecentValuesFilter(admin.SimpleListFilter):
    """Base: filter by a column; offers its values in the newest LOOKED_AT rows, and the chosen one."""

    field = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        if not has_field(model_admin.model, self.field):
            return []
        newest = model_admin.get_queryset(request).order_by("-pk").values_list(self.field, flat=True)[:LOOKED_AT]
        found = dict.fromkeys(value for value in newest if value not in (None, ""))
        return self.named(sorted(found, key=str)[:OFFERED], model_admin)

    def named(self, values: list[Any], model_admin: Any) -> list[tuple[Any, str]]:
        """Return (value, words) of what is offered."""
        return [(value, harmless(str(value))) for value in values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        try:
            return queryset.filter(**{self.field: self.value()})
        except (ValueError, ValidationError, OverflowError):
            return queryset.none()  # forged: no key looks like this


class ConnectionFilter(RecentValuesFilter):
    """Filter by connection, whoever it belongs to: a person sees only rows of their own."""

    title = "connection"
    parameter_name = "connection"
    field = "connection"

    def named(self, values: list[Any], model_admin: Any) -> list[tuple[Any, str]]:
        remote = model_admin.model._meta.get_field(self.field).related_model
        found = remote._default_manager.in_bulk(values)
        offered = ((pk, harmless(str(found[pk]))) for pk in values if pk in found)
        return sorted(offered, key=lambda pair: pair[1].lower())


class EventTypeFilter(RecentValuesFilter):
    """Filter by the provider's word for what happened."""

    title = "event type"
    parameter_name = "event_type"
    field = "event_type"


class ActionFilter(RecentValuesFilter):
    """Filter by the action in the address that was called."""

    title = "action"
    parameter_name = "action_name"  # "action" is the list's own
    field = "action"


class OutcomeFilter(admin.SimpleListFilter):
    """Filter inbound webhooks by their badge: what was rejected has a status too, which nobody sees."""

    title = "status"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [
            *((value, str(label)) for value, label in AbstractWebhookEvent.Status.choices),
            (REJECTED, "✗ Rejected"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        if self.value() == REJECTED:
            return queryset.filter(signature_valid=False)
        return queryset.filter(signature_valid=True, status=self.value())
