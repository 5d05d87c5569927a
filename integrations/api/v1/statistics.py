"""Figures of deliveries: by the minute, the hour and the day, as the console's charts have them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from integrations.api.caller import allowed_tenants, one
from integrations.statistics.figures import Figures, total
from integrations.statistics.reading import RANGES, Whose, series
from integrations.tenancy.capabilities import Capability

from .document import WHEN, example
from .problems import ROW_PROBLEMS

router = Router(tags=["Statistics"])


_FIGURES = {
    "delivered": 1204,
    "retrying": 3,
    "given_up": 0,
    "cancelled": 0,
    "success_rate": 0.9975,
    "answer_ms": {"p50": 84.0, "p95": 310.0, "p99": 900.0},
    "age_ms": {"p50": 110.0, "p95": 420.0, "p99": 1300.0},
}


class FiguresOut(Schema):
    """What became of deliveries in a stretch of time."""

    model_config = example(_FIGURES)

    delivered: int
    retrying: int = Field(description="attempts that failed and are tried again")
    given_up: int
    cancelled: int
    success_rate: float | None = Field(description="of the attempts, 0 to 1; null without any")
    answer_ms: dict[str, float | None] = Field(description="how long receivers took: p50, p95, p99")
    age_ms: dict[str, float | None] = Field(description="from when it was recorded until the receiver had it")


class PointOut(FiguresOut):
    """The figures of one step."""

    model_config = example({**_FIGURES, "at": WHEN, "minutes": 10})

    at: datetime
    minutes: float


class StatisticsOut(Schema):
    """Figures of a range, in all and step by step."""

    model_config = example({"total": _FIGURES, "series": [{**_FIGURES, "at": WHEN, "minutes": 10}]})

    total: FiguresOut
    series: list[PointOut]


@router.get("", response={200: StatisticsOut, **ROW_PROBLEMS}, summary="Read figures")
def statistics(
    request: HttpRequest,
    range: Annotated[Literal["1h", "24h", "7d", "30d", "13m"], Query(description="how far back")] = "24h",
    integration: Annotated[UUID | None, Query(description="of this one alone")] = None,
) -> Any:
    """Return figures of your tenants, or of one integration."""
    if integration is not None:
        whose = Whose(integration=one(request, integration, Capability.VIEW).pk)
    else:
        tenants = allowed_tenants(request, Capability.VIEW)
        whose = Whose(tenants=tuple(tenant.pk for tenant in tenants))
    points = series(whose, next(each for each in RANGES if each.name == range))
    return {
        "total": _shown(total(point.figures for point in points)),
        "series": [{"at": point.at, "minutes": point.minutes, **_shown(point.figures)} for point in points],
    }


def _shown(figures: Figures) -> dict[str, Any]:
    return {
        **{name: getattr(figures, name) for name in ("delivered", "retrying", "given_up", "cancelled")},
        "success_rate": figures.success_rate,
        "answer_ms": {f"p{part}": figures.duration(part / 100) for part in (50, 95, 99)},
        "age_ms": {f"p{part}": figures.age(part / 100) for part in (50, 95, 99)},
    }
