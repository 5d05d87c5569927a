"""Pulls: what is fetched from providers, how far, when next, what went wrong; run one now, start it over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import one_row, rows_of
from integrations.pull import by_hand
from integrations.pull.models import SyncState
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.harmless_text import harmless

from .deliveries import DoneOut
from .document import INTEGRATION, WHEN, example
from .paging import Before, Limit, SearchedPage, page_of
from .problems import ROW_PROBLEMS, WRITE_PROBLEMS, ProblemDetails, Refused

router = Router(tags=["Pulls"])


class PullOut(Schema):
    """What is pulled from one integration, of one kind of thing, and how far it is."""

    model_config = example(
        {
            "id": 4,
            "integration": INTEGRATION,
            "integration_name": "Shop",
            "resource_type": "orders",
            "status": "idle",
            "cursor": "2026-11-30T11:45:00Z",
            "last_error": "",
            "error_count": 0,
            "interval_minutes": 15,
            "is_handled": True,
            "is_reading": False,
            "last_sync_at": WHEN,
            "next_sync_at": WHEN,
        }
    )

    id: int
    integration: UUID
    integration_name: str
    resource_type: str
    status: str
    cursor: str
    last_error: str
    error_count: int
    interval_minutes: int | None
    is_handled: bool = Field(description="false: nothing in this product takes what is fetched, so it is not")
    is_reading: bool = Field(description="a worker reads just now")
    last_sync_at: datetime | None
    next_sync_at: datetime | None = Field(description="null: only when somebody asks")


class PullPage(SearchedPage):
    data: list[PullOut]


@router.get("", response={200: PullPage, **ROW_PROBLEMS}, summary="List pulls")
def pulls(
    request: HttpRequest,
    status: Annotated[Literal["", "idle", "running", "completed", "failed"], Query()] = "",
    integration: UUID | None = None,
    limit: Limit = 50,
    before: Before = None,
) -> Any:
    """List what is pulled, newest first. Where a page is not full because only so many ids were looked at,
    `looked_at` says it, and `next` goes on from there."""
    rows = rows_of(request, SyncState, integration, Capability.VIEW_DELIVERIES)
    if status:
        rows = rows.filter(status=status)
    return page_of(request, rows.select_related("connection"), _shown, limit=limit, before=before, is_sparse=True)


@router.get("/{int:pk}", response={200: PullOut, **ROW_PROBLEMS}, summary="Read one pull")
def pull(request: HttpRequest, pk: int) -> Any:
    """Return one pull, and how far it is."""
    return _shown(one_row(request, SyncState.objects.all(), pk, Capability.VIEW_DELIVERIES, of="connection"))


def _act(name: str, act: Any, capability: Capability, summary: str, words: str) -> None:
    @router.post(
        f"/{{int:pk}}/{name}",
        response={200: DoneOut, 503: ProblemDetails, **WRITE_PROBLEMS},
        summary=summary,
        operation_id=f"pull_{name.replace('-', '_')}",
        description=words,
    )
    def view(request: HttpRequest, pk: int) -> Any:
        state = one_row(request, SyncState.objects.all(), pk, capability, of="connection")
        done = act(SyncState.objects.filter(pk=state.pk), lambda row: True)
        if done.unasked:
            words = "No worker can be told: the broker is away. A pull that has an interval is due now."
            raise Refused(503, "broker_away", words, headers={"Retry-After": "30"})
        if not done.count:
            raise Refused(409, "nothing_done", " ".join(text for _, text in done.messages()))
        return {"count": done.count, "message": f"{done.did}: a worker was asked."}


_act("run", by_hand.pull_now, Capability.PULL, "Run one pull now", "Ask a worker to go on from the cursor.")
_act(
    "start-over",
    by_hand.start_over,
    Capability.SETTINGS,
    "Start one pull over",
    "Forget the cursor, and ask a worker to read everything again.",
)


def _shown(state: Any) -> dict[str, Any]:
    same = ("status", "cursor", "error_count", "interval_minutes", "last_sync_at", "next_sync_at")
    return {
        "id": state.pk,
        "integration": state.connection.public_id,
        "integration_name": state.connection.name,
        "resource_type": harmless(state.resource_type),
        "last_error": harmless(state.last_error),
        "is_handled": bool(state.has_taker),
        "is_reading": by_hand.is_leased(state),
        **{name: getattr(state, name) for name in same},
    }
