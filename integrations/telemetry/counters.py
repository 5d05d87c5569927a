"""What this process counts for Prometheus. Without ``prometheus_client`` (the extra ``metrics``), nothing is counted.

Labels have few values: connector types, outcomes, queues, HTTP statuses; never a tenant, an integration or an address.
Where several processes serve one machine (gunicorn, a prefork worker), set ``PROMETHEUS_MULTIPROC_DIR`` for all of
them: they then count into files of that folder, and whoever is asked adds them up. docs/observability.md lists the
names; metrics/ says what is read from the database instead, and who may ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

try:
    from prometheus_client import Counter, Histogram
except ImportError:  # the extra is left out

    class _Silent:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def labels(self, *_: Any, **__: Any) -> _Silent:
            return self

        def inc(self, *_: Any) -> None: ...

        def observe(self, *_: Any) -> None: ...

    Counter = Histogram = _Silent  # type: ignore[assignment,misc]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_AGES = (0.1, 0.5, 1, 2, 5, 15, 60, 300, 1800, 7200, 43_200, 86_400, 259_200)

DELIVERIES = Counter(
    "integrations_deliveries",
    "Attempts to deliver, by what became of them: delivered, failed (tried again later) or given_up.",
    ["connector_type", "outcome"],
)
REQUEST_SECONDS = Histogram(
    "integrations_delivery_request_seconds",
    "How long one attempt took, from the request to the answer.",
    ["connector_type"],
    buckets=_SECONDS,
)
AGE_SECONDS = Histogram(
    "integrations_delivery_age_seconds",
    "How old a delivery was when the receiver had it, counted from when it was to be sent.",
    ["connector_type"],
    buckets=_AGES,
)
WAKE_UPS = Counter(
    "integrations_wake_ups",
    "Wake-ups that the broker took (sent) or did not (lost).",
    ["queue", "outcome"],
)
SWEEPS = Counter("integrations_sweeps", "Sweeps that this process ran.")
SWEPT_LANES = Counter(
    "integrations_swept_lanes", "Lanes that sweeps found due, and those of them that could be woken.", ["outcome"]
)
INBOUND = Counter("integrations_inbound_requests", "Webhooks of providers, by the status of our answer.", ["status"])
PULL_PAGES = Counter(
    "integrations_pull_pages", "Pages that pulls fetched: committed, or failed and fetched again later.", ["outcome"]
)
CONNECTIONS = Counter(
    "integrations_http_connections",
    "Requests by whether an open connection was used again (kept) or one was opened (opened).",
    ["outcome"],
)


def count_deliveries(connector_type: str, attempts: Iterable[tuple[str, int | None, float | None]]) -> None:
    """Count the attempts of one slice.

    Args:
        attempts: of each its outcome, the milliseconds that its request took (None: none was sent), and, of what was
            delivered, the age in seconds when the receiver had it.
    """
    requests = REQUEST_SECONDS.labels(connector_type)
    ages = AGE_SECONDS.labels(connector_type)
    numbers: dict[str, int] = {}
    for outcome, milliseconds, age in attempts:
        numbers[outcome] = numbers.get(outcome, 0) + 1
        if milliseconds is not None:
            requests.observe(milliseconds / 1000)
        if age is not None:
            ages.observe(age)
    for outcome, number in numbers.items():
        DELIVERIES.labels(connector_type, outcome).inc(number)
