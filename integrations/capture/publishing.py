"""The one way in: say that something happened, inside the transaction in which it happened.

    publish(event_type="invoice_paid", tenant=invoice.tenant, obj=invoice, payload={"invoice": {…}})

Trigger handlers (trigger_handler.py) do this for saves and deletes; call it yourself for what no save shows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from integrations.outbox.lazy_savepoint import lazy_savepoint
from integrations.outbox.loops import refuse_loops
from integrations.outbox.models import IntegrationEvent, object_id_of
from integrations.outbox.record import Occurrence, body_of, record
from integrations.tenancy.boundary import only_of, refuse_foreign
from integrations.tenancy.tenant import name_of, tenant_model

from .questions import Subscribers, Wanted, subscribers_of

logger = logging.getLogger("integrations.publish")


@dataclass(frozen=True, slots=True)
class Happening:
    """What a trigger handler has seen: `payload` without the frame that every event has.

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
    now = clock.now()
    is_answer, who = may_loop(), acting()
    actor = who.label
    occurrences = []
    frames: dict[tuple[Any, str], dict[str, Any]] = {}
    for happening in happenings:
        tenant, event_type = happening.tenant, happening.event_type
        wanted: Sequence[Wanted] | None = subscribers.get(tenant.pk, {}).get(event_type)
        if wanted and happening.not_to is not None:
            wanted = [each for each in wanted if each[0] != happening.not_to]
        if not wanted:
            continue
        frame = frames.get((tenant.pk, event_type))
        if frame is None:
            frame = frames[tenant.pk, event_type] = _frame(happening, now)
        minimal = {**frame, **happening.minimal}
        payload = _sendable(frame, happening, using)
        newest, owing = event_types.newest_version(event_type), _Owing()
        if newest == 1:
            owing.judge(wanted, frame, payload)
        else:
            for version, those in _by_version(event_type, wanted).items():
                older = payload if version == newest else _older(frame, happening, payload, version, using)
                owing.judge(those, frame, older, None if version == newest else version)
        if owing.owed or owing.skipped:
            occurrences.append(
                Occurrence(
                    tenant_id=tenant.pk,
                    event_type=event_type,
                    content_type_id=content_type_id,
                    object_id=happening.object_id,
                    payload=payload,
                    is_sanitised=True,
                    minimal=minimal,
                    integration_ids=owing.owed,
                    skipped=owing.skipped,
                    remarks=owing.remarks,
                    payloads=owing.payloads,
                    payload_version=newest,
                    versions=owing.versions,
                    older=owing.older,
                    occurred_at=now,
                    origin_id=origin() if is_answer else None,
                    actor=actor,
                    actor_key=who.key,
                )
            )
    if not occurrences:
        return []
    if is_answer:
        refuse_loops(occurrences, what=str(model._meta.verbose_name), using=using)
    event_ids = record(occurrences, using=using)
    owed_to = {pk for occurrence in occurrences for pk in occurrence.integration_ids}
    if owed_to:
        wake_on_commit(owed_to, using=using)
    return event_ids


def body_now(happening: Happening, version: int, *, model: type[models.Model], using: str) -> str:
    """Return what whoever has that `version` of the payload would be owed now; nothing is written."""
    frame, event_type = _frame(happening, clock.now()), happening.event_type
    payload = _sendable(frame, happening, using)
    wanted = event_types.nearest_version(event_type, version)
    occurrence = Occurrence(
        tenant_id=happening.tenant.pk,
        event_type=event_type,
        content_type_id=ContentType.objects.db_manager(using).get_for_model(model).pk,
        object_id=happening.object_id,
        payload=payload,
        is_sanitised=True,
        minimal={**frame, **happening.minimal},
        integration_ids=(),
    )
    if wanted != event_types.newest_version(event_type):
        payload = _older(frame, happening, payload, wanted, using)
    return body_of(occurrence, payload)


def _frame(happening: Happening, at: datetime) -> dict[str, Any]:
    """Return what every body begins with."""
    tenant = happening.tenant
    named = {"id": tenant.pk, "name": name_of(tenant)}
    about = {"event_type": happening.event_type, "timestamp": at, "tenant": named}
    return sanitise_object(about, limit=conf.MAX_BODY_BYTES)


@dataclass(slots=True)
class _Owing:
    """To whom one event is owed, by integration: as `Occurrence` has it."""

    owed: list[int] = field(default_factory=list)
    skipped: dict[int, str] = field(default_factory=dict)
    remarks: dict[int, str] = field(default_factory=dict)
    payloads: dict[int, str] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    older: dict[int, dict[str, Any]] = field(default_factory=dict)

    def judge(
        self, wanted: Sequence[Wanted], frame: dict[str, Any], payload: dict[str, Any], version: int | None = None
    ) -> None:
        """Ask the conditions of those who want `payload`.

        Args:
            version: of `payload`, if that is an older one.
        """
        is_about_cuts = any(TRUNCATED in condition for _, condition, *_ in wanted)
        seen = _with_cuts(frame, payload) if is_about_cuts else payload
        for pk, condition, shaped, _ in wanted:
            is_met, remark = judge(condition, seen)
            if is_met:
                self.owed.append(pk)
            elif conf.RECORD_SKIPPED:
                self.skipped[pk] = why_unmet(condition, seen)
            else:
                continue
            if remark:
                self.remarks[pk] = remark
            if shaped:
                self.payloads[pk] = shaped
            if version is not None:
                self.versions[pk], self.older[version] = version, payload


def _by_version(event_type: str, wanted: Iterable[Wanted]) -> dict[int, list[Wanted]]:
    """Return `wanted` by the version of the payload that they get."""
    found: dict[int, list[Wanted]] = {}
    for each in wanted:
        found.setdefault(event_types.nearest_version(event_type, each[3]), []).append(each)
    return found


def _older(
    frame: dict[str, Any], happening: Happening, payload: dict[str, Any], version: int, using: str
) -> dict[str, Any]:
    """Return what an older version has of `payload`; the minimal body if its function raises."""
    try:
        with only_of(happening.tenant.pk), lazy_savepoint(using):
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
        with only_of(happening.tenant.pk), lazy_savepoint(using):  # a QuerySet is read here
            return {**frame, **sanitise_object(happening.payload, limit=conf.MAX_BODY_BYTES)}
    except TooLarge as error:
        logger.warning("%s; a minimal event is sent", error)
        marks = {TRUNCATED: list(happening.payload)}
    except Exception:  # a mistake in a payload must cost neither the user's save nor the event
        logger.warning("a value of a payload cannot be read; a minimal event is sent", exc_info=True)
    return {**frame, **sanitise_object({**happening.minimal, **marks}, limit=conf.MAX_BODY_BYTES)}


def _with_cuts(frame: Mapping[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
    """Return `payload` for conditions about what is cut: whole, and with the names of what will be."""
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
