"""The peers' Celery application: ``celery -A app.bench.peers.celery worker``."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

import requests
from celery import Celery

app = Celery("bench_peers")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.task(name="plain.deliver", bind=True, max_retries=8)
def deliver(self: Any, url: str, secret: str, payload: dict[str, Any]) -> None:
    """Send one webhook: the design of many projects, one task for each delivery and nothing that remembers it."""
    body = json.dumps(payload).encode()
    timestamp = str(int(time.time()))
    signature = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Timestamp": timestamp, "X-Signature": signature}
    try:
        requests.post(url, data=body, headers=headers, timeout=30).raise_for_status()
    except requests.RequestException as error:
        raise self.retry(exc=error, countdown=2**self.request.retries) from error
