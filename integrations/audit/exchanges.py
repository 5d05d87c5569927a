"""Read what an attempt sent and got from the execution log: each request in full, as it went out, and its answer.

What is stored is written by transport/recording.py, masked; nothing here can unmask it. Lines from before that was kept
have no exchanges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeGuard

from integrations.connections.binding import bind
from integrations.connections.models import TenantIntegration
from integrations.connections.payloads import PayloadFailed, bytes_of
from integrations.outbox.models import IntegrationSync
from integrations.transport.recording import FROM_ROW, HIDDEN
from integrations.transport.redaction import mask_known, redact

from .models import ExecutionLog

Head = list[tuple[str, str]]


class File(NamedTuple):
    """What was attached to a mail; `is_row`: it is the event's bytes, or what the row's own payload makes of it."""

    name: str
    content_type: str
    size: int
    is_row: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request, mail or file and what came of it, as a person may see it.

    Attributes:
        url: masked; where the path is a secret, only the host.
        head, answer_head: names and values in the order in which they travelled; ``***`` for what may be a secret.
        body: None: there was none, or it is not kept (`is_hidden`).
        is_event: the body is the event's, byte for byte.
        is_cut: the body was longer than what is kept.
        status: None: nothing came back; `error` says why.
        answer: what came back, masked and capped.
        was_sent: False: it certainly never left.
        left_out: how many exchanges before this one were not kept.
        protocol: ``http``, or how a mail or file was handed over: ``smtp``, ``sftp``, ``file``. Those have no method
            and no status: without an `error` they were taken.
        envelope: what was said beside a mail or file: sender and recipients, the path.
        files: what was attached to a mail.
    """

    method: str
    url: str
    head: Head
    body: str | None
    is_event: bool
    is_hidden: bool
    size: int | None
    status: int | None
    ms: int | None
    answer_head: Head
    answer: str
    error: str
    was_sent: bool
    left_out: int
    protocol: str = "http"
    envelope: Head = field(default_factory=list)
    files: tuple[File, ...] = ()

    @property
    def is_http(self) -> bool:
        """Tell whether it was a request."""
        return self.protocol == "http"

    @property
    def is_cut(self) -> bool:
        """Tell whether the body was longer than what is kept."""
        return self.body is not None and self.body.endswith("…") and (self.size or 0) > len(self.body)


def exchanges_of(logs: Iterable[ExecutionLog], sync: IntegrationSync) -> dict[int, list[Exchange]]:
    """Return the exchanges of each of `logs` (by key), all attempts at `sync`; one query more if any refers to others.

    An attempt that cannot be told has none: it is from before they were kept, nothing was sent, or what it refers to
    has been purged.
    """
    rows = list(logs)
    body = sync.body
    if sync.payload:
        try:
            body = bytes_of(sync.payload, body).decode()
        except PayloadFailed as failure:  # a limit is lower than it was when it was sent
            body = f"({failure.message})"
    models = _models_of(rows)
    found = {}
    for log in rows:
        kept = log.exchanges
        if isinstance(kept, list) and kept and not isinstance(kept[0], Mapping):
            model = models.get((kept[0], log.created_at))
            kept = [_like(model, kept, log, sync)] if model else None
        listed = kept if isinstance(kept, list) else []
        last = len(listed) - 1
        found[log.pk] = [
            _exchange(each, log, body, is_own=not (sync.payload or sync.older_body), is_last=number == last)
            for number, each in enumerate(listed)
            if isinstance(each, Mapping)
        ]
    return found


def masked(exchange: Exchange, secrets: tuple[str, ...] | None) -> Exchange:
    """Return `exchange` with secrets masked in its body: one that was kept is masked already, one that is made again of
    the event is not.

    Args:
        secrets: of the integration as it is now; None: they cannot be read, so that all that looks like one is masked.
    """
    return exchange if exchange.body is None else replace(exchange, body=masked_text(exchange.body, secrets))


def masked_text(body: str, secrets: tuple[str, ...] | None) -> str:
    """Return a body that is made again of the event with secrets masked, as `masked` does it."""
    return redact(body) if secrets is None else mask_known(body, secrets)


def secrets_of(integration: TenantIntegration) -> tuple[str, ...] | None:
    """Return every secret that is configured now; None if they cannot be read."""
    try:
        return tuple(bind(integration, may_be_incomplete=True).secrets)
    except Exception:  # settings of another version, a key that is gone, a constructor of anybody's
        return None


def _models_of(logs: list[ExecutionLog]) -> dict[tuple[int, Any], Mapping[str, Any]]:
    """Return the exchange that each of `logs` may refer to: of another row that was settled by the same statement."""
    asked = {kept[0] for kept in (log.exchanges for log in logs) if _refers(kept)}
    if not asked:
        return {}
    lines = ExecutionLog.objects.filter(sync__in=asked).values_list("sync_id", "created_at", "exchanges")
    return {(row, at): kept[0] for row, at, kept in lines if kept and not _refers(kept)}


def _refers(kept: Any) -> TypeGuard[list[Any]]:
    return isinstance(kept, list) and bool(kept) and isinstance(kept[0], int)


def _like(model: Mapping[str, Any], kept: list[Any], log: ExecutionLog, sync: IntegrationSync) -> Mapping[str, Any]:
    """Return `model` with what this row has of its own."""
    event = sync.event
    own = {
        "webhook-id": event.idempotency_key,
        "webhook-timestamp": kept[1],
        "webhook-event": event.event_type,
        "webhook-sequence": event.pk,
        "webhook-attempt": log.attempt,
        "webhook-payload-version": sync.version,
        "webhook-signature": kept[2] if len(kept) > 2 else "",
        "traceparent": kept[3] if len(kept) > 3 else "",
    }
    head = [(name, own.get(name, value)) for name, value in _pairs(model.get("head"))]
    return {**model, "head": "\n".join(f"{name}: {value}" for name, value in head), "ms": log.duration_ms}


def _exchange(kept: Mapping[str, Any], log: ExecutionLog, body: str, *, is_own: bool, is_last: bool) -> Exchange:
    is_same = kept.get("body_is") == FROM_ROW
    return Exchange(
        method="" if "protocol" in kept else kept.get("method") or log.method,
        url=kept.get("url") or log.url,
        head=_pairs(kept.get("head")),
        body=body if is_same else kept.get("body"),
        is_event=is_same and is_own,
        is_hidden=kept.get("body_is") == HIDDEN,
        size=len(body.encode()) if is_same else kept.get("size"),
        status=kept.get("status"),
        ms=kept.get("ms"),
        answer_head=_pairs(kept.get("answer_head")),
        answer=kept.get("answer") or (_said(log) if is_last and kept.get("status") else ""),
        error=kept.get("error") or "",
        was_sent=kept.get("was_sent", True),
        left_out=kept.get("left_out") or 0,
        protocol=kept.get("protocol") or "http",
        envelope=_pairs(kept.get("envelope")),
        files=tuple(File(name, kind, size, same == FROM_ROW) for name, kind, size, same in kept.get("files") or ()),
    )


def _said(log: ExecutionLog) -> str:
    """Return what the log keeps of the answer; with facts of the receipt it is an object that holds both."""
    found = log.response_payload
    return str(found.get("answer", "")) if isinstance(found, Mapping) else log.answer


def _pairs(head: Any) -> Head:
    lines = head.split("\n") if isinstance(head, str) and head else []
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
