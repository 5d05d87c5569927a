"""The one way in: say that something happened, inside the transaction in which it happened.

    publish(event_type="invoice_paid", tenant=invoice.tenant, obj=invoice, payload={"invoice": {…}})

Trigger handlers (trigger_handler.py) do this for saves and deletes; call it yourself for what no save shows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.contenttypes.models import ContentType
from django.db import models, transaction

from integrations import conf
from integrations.acting import acting, may_loop, origin
from integrations.connections import event_types
from integrations.connections.conditions import judge, why_unmet
from integrations.database import clock
from integrations.delivery.wakeup import wake_on_commit
from integrations.outbox.canonical_json import TRUNCATED, TooLarge, encode_within, sanitise_object
from integrations.outbox.loops import refuse_loops
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.outbox.record import Occurrence, body_of, record
from integrations.tenancy.boundary import hosts_code, refuse_foreign
from integrations.tenancy.tenant import name_of, tenant_model

from .questions import Subscribers, Wanted, subscribers_of

logger = logging.getLogger("integrations.publish")


@dataclass(frozen=True, slots=True)
class Happening:
    """One event to record, without the fields that every body begins with.

    Attributes:
        not_to: an integration that is not told, because it is what the event is about.
    """

    event_type: str
    tenant: models.Model
    object_id: str
    payload: Mapping[str, Any]
    minimal: Mapping[str, Any]
    not_to: int | None = None


def publish_all(
    happenings: Iterable[Happening],
    subscribers: Subscribers,
    *,
    model: type[models.Model],
    using: str,
) -> list[int]:
    """Record `happenings` of one model: owed to those of `subscribers` whose condition they meet, skipped for others.

    Returns:
        The ids of the events.

    Raises:
        IntegrationPermanentError: an integration caused it, and integrations caused too much of one object already.
    """
    content_type_id = ContentType.objects.db_manager(using).get_for_model(model).pk
    now, who, cause = clock.now(), acting(), origin() if may_loop() else None
    actor = who.label
    occurrences = []
    frames: dict[tuple[Any, str], dict[str, Any]] = {}
    for happening in happenings:
        tenant_id, event_type = happening.tenant.pk, happening.event_type
        wanted: Sequence[Wanted] = subscribers.get(tenant_id, {}).get(event_type, ())
        if happening.not_to is not None:
            wanted = [each for each in wanted if each[0] != happening.not_to]
        if not wanted:
            continue
        frame = frames.get((tenant_id, event_type))
        if frame is None:
            frame = frames[tenant_id, event_type] = _frame(happening, now)
        about = {"occurred_at": now, "origin_id": cause, "actor": actor, "actor_key": who.key}
        occurrence = _occurrence(happening, frame, content_type_id, using, **about)
        newest = occurrence.payload_version
        for version, those in ({1: wanted} if newest == 1 else _by_version(event_type, wanted)).items():
            if version == newest:
                _owe(occurrence, those, frame, occurrence.payload)
            else:
                older = _older(frame, happening, occurrence.payload, version, using)
                _owe(occurrence, those, frame, older, version)
        if occurrence.integration_ids or occurrence.skipped:
            occurrences.append(occurrence)
    if not occurrences:
        return []
    if cause is not None:
        refuse_loops(occurrences, what=str(model._meta.verbose_name), using=using)
    event_ids = record(occurrences, using=using)
    owed_to = {pk for occurrence in occurrences for pk in occurrence.integration_ids}
    if owed_to:
        wake_on_commit(owed_to, using=using)
    return event_ids


def body_now(happening: Happening, version: int, *, model: type[models.Model], using: str) -> str:
    """Return the body that a subscriber with this `version` of the payload would get now; nothing is written."""
    frame = _frame(happening, clock.now())
    content_type_id = ContentType.objects.db_manager(using).get_for_model(model).pk
    occurrence = _occurrence(happening, frame, content_type_id, using)
    wanted = event_types.nearest_version(happening.event_type, version)
    if wanted == occurrence.payload_version:
        return body_of(occurrence, occurrence.payload)
    return body_of(occurrence, _older(frame, happening, occurrence.payload, wanted, using))


def _frame(happening: Happening, at: datetime) -> dict[str, Any]:
    """Return the fields that every body begins with."""
    tenant = happening.tenant
    named = {"id": tenant.pk, "name": name_of(tenant)}
    about = {"event_type": happening.event_type, "timestamp": at, "tenant": named}
    return sanitise_object(about, limit=conf.MAX_BODY_BYTES)


def _occurrence(
    happening: Happening, frame: dict[str, Any], content_type_id: int, using: str, **more: Any
) -> Occurrence:
    """Return `happening` as it is recorded, owed to nobody yet."""
    return Occurrence(
        tenant_id=happening.tenant.pk,
        event_type=happening.event_type,
        content_type_id=content_type_id,
        object_id=happening.object_id,
        payload=_sendable(frame, happening, using),
        payload_version=event_types.newest_version(happening.event_type),
        is_sanitised=True,
        minimal={**frame, **happening.minimal},
        **more,
    )


def _owe(
    occurrence: Occurrence,
    wanted: Sequence[Wanted],
    frame: dict[str, Any],
    payload: dict[str, Any],
    older: int | None = None,
) -> None:
    """Owe `occurrence` to those whose condition `payload` meets.

    Args:
        older: the version of `payload`, if it is not the newest.
    """
    is_about_cuts = any(TRUNCATED in condition for _, condition, *_ in wanted)
    seen = _with_cuts(frame, payload) if is_about_cuts else payload
    for pk, condition, shaped, _ in wanted:
        is_met, remark = judge(condition, seen)
        if is_met:
            occurrence.integration_ids.append(pk)
        elif conf.RECORD_SKIPPED:
            occurrence.skipped[pk] = why_unmet(condition, seen)
        else:
            continue
        if remark:
            occurrence.remarks[pk] = remark
        if shaped:
            occurrence.payloads[pk] = shaped
        if older is not None:
            occurrence.versions[pk], occurrence.older[older] = older, payload


def _by_version(event_type: str, wanted: Iterable[Wanted]) -> dict[int, list[Wanted]]:
    """Return `wanted` by the version of the payload that they get."""
    found: dict[int, list[Wanted]] = {}
    for each in wanted:
        found.setdefault(event_types.nearest_version(event_type, each[3]), []).append(each)
    return found


def _older(
    frame: dict[str, Any], happening: Happening, payload: dict[str, Any], version: int, using: str
) -> dict[str, Any]:
    """Return `payload` in an older version; the minimal body if the function that makes it raises."""
    try:
        with hosts_code(using, happening.tenant.pk):
            made = event_types.in_version(happening.event_type, payload, version)
            return sanitise_object(made, limit=conf.MAX_BODY_BYTES)
    except Exception:  # a mistake in it must cost neither the user's save nor the event
        said = "version %s of a payload of %s cannot be made; a minimal event is sent"
        logger.warning(said, version, happening.event_type, exc_info=True)
    return {**frame, **sanitise_object(happening.minimal, limit=conf.MAX_BODY_BYTES)}


def _sendable(frame: dict[str, Any], happening: Happening, using: str) -> dict[str, Any]:
    """Return the body in JSON's own types; the minimal one if a value, a lazy text say, raises when it is read."""
    marks: dict[str, Any] = {}
    try:
        with hosts_code(using, happening.tenant.pk):  # a QuerySet is read here
            return {**frame, **sanitise_object(happening.payload, limit=conf.MAX_BODY_BYTES)}
    except TooLarge as error:
        logger.warning("%s; a minimal event is sent", error)
        marks = {TRUNCATED: list(happening.payload)}
    except Exception:  # a mistake in a payload must cost neither the user's save nor the event
        logger.warning("a value of a payload cannot be read; a minimal event is sent", exc_info=True)
    return {**frame, **sanitise_object({**happening.minimal, **marks}, limit=conf.MAX_BODY_BYTES)}


def _with_cuts(frame: Mapping[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Return the whole `payload` with the names of what will be cut, for conditions about that."""
    text, _ = encode_within(payload, conf.MAX_BODY_BYTES)
    names = [name for name in payload if name not in frame] if text is None else json.loads(text).get(TRUNCATED)
    return {**payload, TRUNCATED: names}


def publish(
    *, event_type: str, tenant: models.Model, obj: models.Model, payload: Mapping[str, Any], using: str = "default"
) -> list[IntegrationEvent]:
    """Record that `event_type` happened to `obj`; opens a transaction if none is open.

    Args:
        event_type: a registered event type, e.g. ``workitem_created``.
        tenant: the tenant whose integrations are to hear of it.
        obj: one of its rows, or one that belongs to no tenant.
        payload: what comes beside ``event_type``, ``timestamp`` and ``tenant`` in the body. Rows of other tenants in it
            are sent as null.

    Returns:
        The event in a list; an empty list when nobody subscribes to it. If no subscription's condition is met, its
        syncs are skipped.

    Raises:
        TypeError: `tenant` is no tenant: its key would be taken for that of one.
        OtherTenant: `obj` belongs to another tenant; nothing was recorded.
    """
    if not isinstance(tenant, tenant_model()):
        label = tenant_model()._meta.label
        raise TypeError(
            f"publish(tenant=…) takes a {label} (INTEGRATIONS_TENANT_MODEL), not a {type(tenant).__name__}; "
            "pass the tenant to which the object belongs."
        )
    refuse_foreign(obj, tenant.pk, using=using)
    with transaction.atomic(using=using, savepoint=False):
        subscribers = subscribers_of([event_type], [tenant.pk], using=using)
        if not subscribers:
            return []
        happening = Happening(
            event_type=event_type,
            tenant=tenant,
            object_id=object_id_of(obj.pk),
            payload=payload,
            minimal={"id": obj.pk},
        )
        event_ids = publish_all([happening], subscribers, model=type(obj), using=using)
        return list(IntegrationEvent.objects.using(using).filter(pk__in=event_ids)) if event_ids else []
