"""Open every page of the console on a large database, and say what each costs (`make console-load`).

As the operator, who sees all tenants, and as a person of the largest and of a small tenant. Each page is opened four
times; the median of the last three counts. More than 15 queries or 250 ms is said, and ends with 1.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

QUERIES, MILLISECONDS, TIMES = 15, 250.0, 4
# What people look for in lists, beside the first page.
SOUGHT = {
    "deliveries": (
        "status=failed",
        "status=pending",
        "error=did+not+answer",
        "http=503",
        "event_type=workitem_updated",
    ),
    "events": ("type=workitem_updated", "type=workitem_deleted", "object=17"),
    "inbound": ("state=failed", "state=rejected"),
    "integrations": ("health=failing", "sort=-backlog", "q=Destination+7"),
    "overview": ("range=7d", "range=30d"),
    "pushes": ("state=FAILED",),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m app.bench.console", description=__doc__.partition("\n")[0])
    parser.add_argument("database", help="postgres://…, made by app.bench.scale")
    parser.add_argument("--only", default="", help="pages whose name contains this")
    options = parser.parse_args()
    os.environ["DATABASE_URL"] = options.database
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.demo.settings")

    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client

    from app.demo.pages import pages
    from tenants.models import Tenant

    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0, interactive=False)
    largest = Tenant.objects.order_by("pk").first()
    people: list[tuple[str, Any, Any]] = [("operator", User.objects.get(username="scale-operator"), largest)]
    for what, number in (("largest tenant", 0), ("small tenant", 7)):
        user = User.objects.filter(username=f"scale-{number}").first()
        if user is not None:
            people.append((what, user, Tenant.objects.filter(membership__user=user).first()))
    offenders = 0
    for who, user, tenant in people:
        client = Client(raise_request_exception=False)
        client.force_login(user)
        sys.stdout.write(f"\n{who}\n")
        for page in pages(tenant):
            if options.only in page.name:
                for label, url in _addresses(client, page.name, page.url):
                    offenders += _measured(client, label, url)
    sys.stdout.write(f"\n{offenders} pages above {QUERIES} queries or {MILLISECONDS:.0f} ms\n")
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    if busy > cores:
        sys.stdout.write(f"The machine was busy (load {busy:.1f} on {cores} cores): times say little, “ours” more.\n")
    return min(offenders, 1)


def _addresses(client: Any, name: str, url: str) -> Iterator[tuple[str, str]]:
    answer = client.get(url, secure=True)
    if answer.status_code in (404, 405):  # a button; a person of one tenant while all are looked at
        return
    yield name, url
    for query in SOUGHT.get(name, ()):
        yield f"{name}?{query}", f"{url}?{query}"
    before, mark, _ = b"".join(answer).decode().rpartition('" rel="next"')
    if mark:
        yield f"{name}, next page", urljoin(url, before.rpartition('href="')[2].replace("&amp;", "&"))


def _measured(client: Any, label: str, url: str) -> int:
    """Open `url`, print its line, and return 1 if it costs too much."""
    from django.db import connection

    counts: list[int] = []
    took: list[float] = []
    cpu: list[float] = []
    slowest = (0.0, "")

    def count(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal slowest
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            counts[-1] += 1
            slowest = max(slowest, ((time.perf_counter() - started) * 1000, sql))

    status = 0
    for _ in range(TIMES):
        counts.append(0)
        started, worked = time.perf_counter(), time.process_time()
        with connection.execute_wrapper(count):
            answer = client.get(url, secure=True)
            status, _content = answer.status_code, b"".join(answer)
        took.append((time.perf_counter() - started) * 1000)
        cpu.append((time.process_time() - worked) * 1000)
    queries, ms, busy = counts[-1], statistics.median(took[1:]), statistics.median(cpu[1:])
    # A file is written while it is sent; a refusal is as cheap as it is.
    is_file = "attachment" in answer.headers.get("Content-Disposition", "")
    is_bad = ((queries > QUERIES or ms > MILLISECONDS) and not is_file) or status not in (200, 403)
    mark = "✗" if is_bad else "·"
    sys.stdout.write(
        f"  {mark} {label:<52} {status}  {queries:>3} queries  {ms:>6.0f} ms  {busy:>6.0f} ms of them ours\n"
    )
    if is_bad:
        sys.stdout.write(f"      slowest statement {slowest[0]:.0f} ms: {slowest[1][:300]}\n")
    sys.stdout.flush()
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
