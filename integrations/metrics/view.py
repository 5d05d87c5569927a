"""``GET /metrics`` for Prometheus; ``/health/live`` and ``/health/ready`` for whoever starts and stops processes."""

from __future__ import annotations

import ipaddress
import secrets

from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFailure
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from integrations import conf
from integrations.acting import address_of

NOBODY = "Nobody may read metrics here: set INTEGRATIONS_METRICS_TOKEN or INTEGRATIONS_METRICS_NETWORKS."
_TEXT = "text/plain; charset=utf-8"


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all metrics: what this machine's web processes counted, and the state of the whole.

    403 for whoever has neither METRICS_TOKEN nor an address in METRICS_NETWORKS; 404 if neither is set, or the extra
    ``metrics`` is not installed; 503 while the database is away, with what was counted.
    """
    if not conf.METRICS_TOKEN and not conf.METRICS_NETWORKS:
        return _said(404, NOBODY)
    if not _may_read(request):
        return _said(403, "Send the header Authorization: Bearer <INTEGRATIONS_METRICS_TOKEN>.")
    try:
        from prometheus_client import CollectorRegistry, generate_latest

        from .state import CONTENT_TYPE, StateCollector, counted
    except ImportError:
        return _said(404, "There are no metrics: pip install 'django-integration-outbox[metrics]'")
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector())
    try:
        state, status = generate_latest(registry), 200
    except DatabaseFailure:
        state, status = b"", 503
    return HttpResponse(counted() + state, content_type=CONTENT_TYPE, status=status)


def _may_read(request: HttpRequest) -> bool:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if conf.METRICS_TOKEN and kind.lower() == "bearer":
        return secrets.compare_digest(token.strip().encode(), conf.METRICS_TOKEN.encode())
    if "HTTP_X_FORWARDED_FOR" in request.META and not conf.PROXIES:
        return False  # the connection is a proxy's, which is in such a network more often than not
    address = address_of(request.META)
    return address is not None and any(ipaddress.ip_address(address) in network for network in networks())


def networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return METRICS_NETWORKS as subnets.

    Raises:
        ImproperlyConfigured: an entry is none.
    """
    try:
        return [ipaddress.ip_network(text) for text in conf.METRICS_NETWORKS]
    except ValueError as error:
        raise ImproperlyConfigured(f"INTEGRATIONS_METRICS_NETWORKS: {error}; write 10.0.0.0/8 or ::1/128.") from None


@never_cache
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Answer 200: this process runs. Restart it only if this does not answer."""
    return _said(200, "live")


@never_cache
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if this process can serve: its database answers. 503 otherwise: send it nobody for now.

    A broker or worker that is away is no reason: what people save is recorded all the same (``/health/`` tells of it).
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseFailure:
        return _said(503, "the database does not answer")
    return _said(200, "ready")


def _said(status: int, words: str) -> HttpResponse:
    return HttpResponse(words + "\n", content_type=_TEXT, status=status)
