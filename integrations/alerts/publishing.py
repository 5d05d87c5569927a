"""Publish alerts as events: a few statements for all that one look found, however many they are."""

from __future__ import annotations

from collections.abc import Sequence

from integrations.capture.publishing import Happening, publish_all
from integrations.capture.questions import subscribers_of
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.outbox.models import object_id_of
from integrations.tenancy.tenant import present, tenant_model

from .word import Word, payload_of

USING = "default"


def publish_words(words: Sequence[Word]) -> None:
    """Record an event for each of `words`, in the caller's transaction; the integration that it is about gets none."""
    about = [
        Happening(
            event_type=word.name,
            tenant=word.integration.tenant,
            object_id=object_id_of(word.integration.pk),
            payload=payload_of(word),
            minimal={"id": word.integration.pk},
            not_to=word.integration.pk,
        )
        for word in words
        if word.integration is not None and not word.is_quiet
    ]
    _publish(about, TenantIntegration)
    for word in words:
        if word.integration is None:
            _publish(_to_every_tenant(word), tenant_model())


def _to_every_tenant(word: Word) -> list[Happening]:
    """Return `word` for each tenant that wants it."""
    wanted = EventSubscription.objects.filter(event_type=word.name, integration__is_active=True)
    payload = payload_of(word)
    return [
        Happening(word.name, tenant, object_id_of(tenant.pk), payload, {"id": tenant.pk})
        for tenant in present().filter(pk__in=wanted.values("integration__tenant")).order_by("pk")
    ]


def _publish(happenings: Sequence[Happening], model: type) -> None:
    if happenings:
        names = {each.event_type for each in happenings}
        tenants = {each.tenant.pk for each in happenings}
        wanted = subscribers_of(sorted(names), sorted(tenants, key=str), using=USING)
        publish_all(happenings, wanted, model=model, using=USING)
