"""A worker answers Prometheus on METRICS_PORT, with what its processes counted.

A prefork worker's children count by themselves: set ``PROMETHEUS_MULTIPROC_DIR`` to an empty folder for it.
"""

from __future__ import annotations

import logging
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from celery.signals import worker_process_shutdown, worker_ready, worker_shutdown

from integrations import conf

logger = logging.getLogger("integrations.observability")

_server: ThreadingHTTPServer | None = None


class _Answers(BaseHTTPRequestHandler):
    timeout = 10.0

    def do_GET(self) -> None:
        from .state import CONTENT_TYPE, counted

        body = counted()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: it is asked every few seconds."""


@worker_ready.connect(dispatch_uid="metrics-worker-ready")
def serve(**_: Any) -> None:
    """Begin to answer, if METRICS_PORT says so; a port that is taken is said, and no reason to stop."""
    global _server
    if not conf.METRICS_PORT:
        return
    try:
        import prometheus_client  # noqa: F401

        _server = ThreadingHTTPServer((conf.METRICS_HOST, conf.METRICS_PORT), _Answers)
    except ImportError:
        logger.warning("METRICS_PORT is set, but no metrics: pip install 'django-integration-outbox[metrics]'")
        return
    except OSError as error:
        logger.warning("no metrics on %s:%s: %s", conf.METRICS_HOST, conf.METRICS_PORT, error.strerror)
        return
    Thread(target=_server.serve_forever, name="metrics", daemon=True).start()


@worker_shutdown.connect(dispatch_uid="metrics-worker-shutdown")
def stop(**_: Any) -> None:
    """End the server that `serve` began."""
    global _server
    if _server is not None:
        _server.shutdown()
        _server.server_close()
        _server = None


@worker_process_shutdown.connect(dispatch_uid="metrics-worker-process-shutdown")
def forget_process(pid: int, **_: Any) -> None:
    """Let the gauges of a pool's process that ends go with it."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)
