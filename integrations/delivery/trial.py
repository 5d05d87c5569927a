"""Is it set up right? Send one event now, or have the connector prove its credentials; show and log the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.utils.translation import gettext as _

from integrations import conf
from integrations.audit.models import ExecutionLog
from integrations.audit.trail import record
from integrations.connections import event_types, health
from integrations.connections.binding import bind
from integrations.connections.conditions import judge, why_unmet
from integrations.connections.destinations import shown_target
from integrations.connections.health import check_connection
from integrations.connections.models import EventSubscription, TenantIntegration
from integrations.connections.payloads import bytes_of
from integrations.connectors.port import Client, Envelope, TestResult
from integrations.connectors.registry import ConnectorRegistry
from integrations.database import clock
from integrations.errors import (
    EncryptionError,
    IncompatibleConnector,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
    UnknownConnector,
)
from integrations.outbox.canonical_json import TooLarge, encode_within, sanitise_object
from integrations.outbox.models import new_idempotency_key
from integrations.tenancy.tenant import name_of
from integrations.transport.http.guarded_client import client as process_client

EVENT_TYPE = "test"
logger = logging.getLogger("integrations.delivery")


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is sent as a test.

    Attributes:
        remark: what people must know of it; "".
    """

    envelope: Envelope
    remark: str = ""


def types_to_test(
    integration: TenantIntegration, subscriptions: Iterable[EventSubscription] | None = None
) -> list[tuple[str, str]]:
    """Return ``[(event type, label), …]`` of what a test event may be; [] if its connector type takes none.

    What it subscribes to comes first, then what else its connector type takes, then a plain one. The first of them is
    sent unless somebody chooses.

    Args:
        subscriptions: its subscriptions, the first first, if they were read already.
    """
    try:
        manifest = ConnectorRegistry.type_of(integration.integration_type).manifest
    except (UnknownConnector, IncompatibleConnector):
        return []
    if "deliver" not in manifest.does:
        return []
    offered = dict(event_types.offered_to(manifest))
    subscribed = _subscribed(integration) if subscriptions is None else [each.event_type for each in subscriptions]
    wanted = [name for name in subscribed if name in offered]
    names = list(dict.fromkeys([*wanted, *offered]))
    plain = (EVENT_TYPE, _("Plain test event"))
    found = [(name, offered[name]) for name in names]
    return [*found, plain] if wanted else [plain, *found]


def send_test_event(integration: TenantIntegration, client: Client, event_type: str | None = None) -> TestResult:
    """Send a made-up event and return the answer; never raises for a failure.

    What is sent is the example of the catalogue, as the subscription's version, condition and payload make it; what the
    condition would skip is sent all the same, and the answer says so.

    Args:
        event_type: one of `types_to_test`; None: the first of them of which there is an example. ``test`` is
            ``{"event_type": "test", "test": true, …}``.

    Sets ``is_connected``, and ``last_test_at`` if it was taken; nothing for a kind that takes no events, or
    that has a check and does not want this event. No outbox row, no attempt, no figure and no
    failure count is touched: a destination may refuse test events only.
    """
    started = time.perf_counter()
    proves_nothing, sample, name = False, None, event_type or ""
    try:
        sample = _first_sample(integration) if event_type is None else _sample_of(integration, event_type)
        name = sample.envelope.event_type
        with bind(integration, client, timeout=conf.TEST_TIMEOUT_SECONDS) as connector:
            if "deliver" not in connector.manifest.does:
                words = _("{label} takes no test event; check the connection instead")
                words = words.format(label=connector.manifest.label)
                return TestResult(False, words, message=words)
            proves_nothing = connector.can_check
            receipt = connector.deliver(sample.envelope)
    except Exception as error:
        failure = (
            error
            if isinstance(error, IntegrationError)
            else IntegrationTemporaryError(_("unexpected {name}").format(name=type(error).__name__), code="unexpected")
        )
        result = TestResult(False, failure.message, _since(started), failure.message, failure.status, failure.excerpt)
        result = replace(result, event_type=name, remark=sample.remark if sample is not None else "")
        if sample is None:
            return result  # nothing was sent
        if proves_nothing and isinstance(failure, IntegrationPermanentError):
            return result  # it is this event that is not taken; whether the connection works, the check says
    else:
        words = _("The destination took it.")
        result = TestResult(True, None, _since(started), words, receipt.status, receipt.excerpt)
        result = replace(result, event_type=name, remark=sample.remark)
    values: dict[str, Any] = {"is_connected": result.success}
    if result.success:
        values["last_test_at"] = clock.now()
    health.write(integration, **values)
    return result


def _first_sample(integration: TenantIntegration) -> _Sample:
    """Return the sample of the first event type it subscribes to of which there is one; else the plain event."""
    for name in _subscribed(integration):
        if event_types.samples(name):
            return _sample_of(integration, name)
    return _plain(integration)


def _subscribed(integration: TenantIntegration) -> list[str]:
    return list(integration.subscriptions.order_by("pk").values_list("event_type", flat=True))


def _plain(integration: TenantIntegration) -> _Sample:
    body = _text({**_frame(integration, EVENT_TYPE), "test": True})
    return _Sample(Envelope(EVENT_TYPE, new_idempotency_key(), body.encode(), is_test=True))


def _sample_of(integration: TenantIntegration, event_type: str) -> _Sample:
    """Return what is sent as a test of `event_type`.

    Raises:
        IntegrationPermanentError: there is no example, or its subscription makes no payload of it.
    """
    if event_type == EVENT_TYPE:
        return _plain(integration)
    found = integration.subscriptions.filter(event_type=event_type).first()
    subscription = found or EventSubscription(event_type=event_type)
    newest = event_types.newest_version(event_type)
    version = event_types.nearest_version(event_type, subscription.payload_version or newest)
    bodies = [_body_of(integration, event_type, each) for each in dict.fromkeys((version, newest))]
    own, whole = _text(bodies[0]), _text(bodies[-1])
    remark = ""
    if not judge(subscription.condition, bodies[0]).is_met:
        why = why_unmet(subscription.condition, bodies[0])
        remark = _("Its condition would skip this event: {why}.").format(why=why)
    sent = bytes_of(subscription.payload, own) if subscription.payload else own.encode()
    envelope = Envelope(
        event_type=event_type,
        idempotency_key=new_idempotency_key(),
        body=sent,
        event_body=b"" if sent == whole.encode() else whole.encode(),
        payload_version=version,
        summary_format=event_types.summary_format(event_type),
        is_test=True,
    )
    return _Sample(envelope, remark)


def _body_of(integration: TenantIntegration, event_type: str, version: int) -> dict[str, Any]:
    for sample in event_types.samples(event_type, version):
        body = {**_frame(integration, event_type), **sample, "test": True}
        try:
            return sanitise_object(body, limit=conf.MAX_BODY_BYTES)
        except TooLarge as error:
            logger.info("the example of %s is not sent as a test: %s", event_type, error)
    problem = _("There is no example of {event_type} that could be sent; choose another event type.")
    raise IntegrationPermanentError(problem.format(event_type=event_type), code="no_example", was_sent=False)


def _frame(integration: TenantIntegration, event_type: str) -> dict[str, Any]:
    tenant = {"id": integration.tenant_id, "name": name_of(integration.tenant)}
    return {"event_type": event_type, "timestamp": clock.now(), "tenant": tenant}


def _text(body: dict[str, Any]) -> str:
    found, _size = encode_within(sanitise_object(body, limit=conf.MAX_BODY_BYTES), conf.MAX_BODY_BYTES)
    return found or "{}"


def run_trial(integration: TenantIntegration, action: str, *, actor: str, event_type: str | None = None) -> TestResult:
    """Send a test event or check the connection, leave a line in the log, and return the answer; never raises.

    Args:
        action: ``test`` or ``check``.
        event_type: of the test event: `send_test_event`.
    """
    if action == "check":
        result = check_connection(integration, process_client())
    else:
        result = send_test_event(integration, process_client(), event_type)
    log_trial(integration, action, result, actor=actor[:150])
    return result


def try_connection(integration: TenantIntegration, *, actor: str = "system") -> TestResult:
    """Check the credentials with a call that changes nothing; where there is none, send a test event. Never raises.

    Sets `is_connected` and leaves a line in the log.
    """
    try:
        can_check = integration.get_adapter().can_check
    except IntegrationError:
        can_check = True  # the check says what is missing
    return run_trial(integration, "check" if can_check else "test", actor=actor)


def log_trial(integration: TenantIntegration, action: str, result: TestResult, *, actor: str) -> None:
    """Leave a line about a trial in the execution log, and an entry in the audit trail.

    Args:
        action: ``test`` (an event was sent) or ``check``.
    """
    try:
        url = shown_target(integration)
    except EncryptionError:
        url = ""
    ExecutionLog.objects.create(
        integration=integration,
        action=action,
        actor=actor,
        attempt=1,
        method="POST" if action == "test" else "",
        url=url[:500],
        response_status=result.status,
        response_payload=result.excerpt or None,
        duration_ms=round(result.latency_ms),
        error="" if result.success else result.message,
    )
    said = {"result": _("it worked") if result.success else result.message}
    if result.event_type:
        said["event type"] = result.event_type
    record("tested" if action == "test" else "checked", integration, actor=actor, details=said)


def _since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)
