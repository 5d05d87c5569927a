"""Limits: loops that do nothing but read a batch, send its signed requests and settle it.

``python -m app.bench.limits urllib3|pycurl INTEGRATION_ID[,…]`` drains those integrations' rows in one process; it
prints "ready", waits for a line on its input, and prints "done" at the end.

What they leave out: leases, order per object, retries, breakers, pacing, an address guard, notes, several workers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

BATCH = 100
SECRET = base64.b64decode("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")

Send = Callable[[dict[str, str], bytes], int]


def signed(event_id: str, body: bytes) -> dict[str, str]:
    """Return the headers of a Standard Webhooks request."""
    timestamp = str(int(time.time()))
    digest = hmac.new(SECRET, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def urllib3_sender(url: str) -> Send:
    import urllib3

    parts = urlsplit(url)
    pool = urllib3.HTTPConnectionPool(parts.hostname or "", parts.port, maxsize=1, retries=False, timeout=30)

    def send(headers: dict[str, str], body: bytes) -> int:
        return pool.urlopen("POST", parts.path, body=body, headers=headers).status

    return send


def pycurl_sender(url: str) -> Send:
    import pycurl

    handle = pycurl.Curl()
    handle.setopt(pycurl.URL, url)
    handle.setopt(pycurl.POST, 1)
    handle.setopt(pycurl.TIMEOUT_MS, 30_000)
    handle.setopt(pycurl.NOSIGNAL, 1)
    handle.setopt(pycurl.PROXY, "")
    handle.setopt(pycurl.WRITEFUNCTION, len)

    def send(headers: dict[str, str], body: bytes) -> int:
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        handle.setopt(pycurl.POSTFIELDS, body)
        handle.perform()
        return int(handle.getinfo(pycurl.RESPONSE_CODE))

    return send


SENDERS: dict[str, Callable[[str], Send]] = {"urllib3": urllib3_sender, "pycurl": pycurl_sender}


def drain(client: str, integration_ids: list[int]) -> None:
    """Send everything that is pending for these integrations, batch by batch."""
    from django.db import connection

    from integrations.models import ExecutionLog, IntegrationEvent, IntegrationSync, TenantIntegration

    from .rows import insert, table

    targets = {pk: TenantIntegration.objects.get(pk=pk).webhook_url for pk in integration_ids}
    senders = {pk: SENDERS[client](url) for pk, url in targets.items()}
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sync, event = table(IntegrationSync), table(IntegrationEvent)
    read = (
        f"SELECT s.id, e.idempotency_key, e.body FROM {sync} s JOIN {event} e ON e.id = s.event_id "
        f"WHERE s.integration_id = %s AND s.status = 'pending' ORDER BY s.id LIMIT {BATCH}"
    )
    waiting = list(integration_ids)
    while waiting:
        pk = waiting.pop(0)
        with connection.cursor() as cursor:
            cursor.execute(read, [pk])
            rows = cursor.fetchall()
        if not rows:
            continue
        waiting.append(pk)
        for _, key, text in rows:
            body = text.encode()
            if senders[pk](signed(key, body), body) != 200:
                raise RuntimeError("the receiver refused a request")
        ids = ", ".join(str(row[0]) for row in rows)
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {sync} SET status = 'synced', attempts = attempts + 1, response_status = 200, "
                f"synced_at = CURRENT_TIMESTAMP, settled_at = CURRENT_TIMESTAMP WHERE id IN ({ids})"
            )
        insert(
            ExecutionLog,
            {
                "integration_id": str(pk),
                "sync_id": "s.id",
                "action": "'deliver'",
                "attempt": "1",
                "method": "'POST'",
                "response_status": "200",
            },
            f"{sync} s WHERE s.id IN ({ids})",
        )
    sys.stdout.write("done\n")
    sys.stdout.flush()


def bare_sends(client: str, url: str, count: int, body: bytes) -> float:
    """Sign and send `count` requests, nothing else; return the seconds."""
    send = SENDERS[client](url)
    send(signed("warm-up", body), body)
    begun = time.perf_counter()
    for number in range(count):
        send(signed(f"evt_{number}", body), body)
    return time.perf_counter() - begun


def pipelined_sends(url: str, count: int, body: bytes) -> float:
    """Send `count` requests 50 at a time without waiting for single answers: what the receiver can take."""
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nwebhook-id: evt_1\r\n\r\n"
    bundle, each = (head.encode() + body) * 50, len(_one_answer(url, head.encode() + body))
    with socket.create_connection((parts.hostname or "", parts.port or 80), 10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        for _ in range(count // 50):
            connection.sendall(bundle)
            missing = 50 * each
            while missing:
                missing -= len(connection.recv(min(missing, 65536)))
        return time.perf_counter() - begun


def _one_answer(url: str, request: bytes) -> bytes:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 80), 10) as connection:
        connection.sendall(request)
        return connection.recv(65536)


def main(client: str, ids: str) -> None:
    import django

    django.setup()
    drain(client, [int(pk) for pk in ids.split(",")])


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:]
    main(*arguments)
