"""Open every page of the console on a large database, and say what each costs (`make console-load`).

As the operator, who sees all tenants, and as a person of the largest tenant, of a small one, and of thirty. Each page
is opened four times; the median of the last three counts. More than 15 queries or 250 ms is said, and ends with 1.

On a machine that is busy with other things, time says how busy. So the CPU time that the page costs is told, too: of
this process, and of the database's session if it is on this machine; while the machine is busy, their sum is judged.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

QUERIES, MILLISECONDS, TIMES = 15, 250.0, 4


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
    for what, name in (("largest tenant", "scale-0"), ("small tenant", "scale-7"), ("thirty tenants", "scale-many")):
        user = User.objects.filter(username=name).first()
        if user is not None:
            people.append((what, user, Tenant.objects.filter(membership__user=user).first()))
    offenders = 0
    for who, user, tenant in people:
        client = Client(raise_request_exception=False)
        client.force_login(user)
        sys.stdout.write(f"\n{who}\n")
        for page in pages(tenant):
            if options.only in page.name:
                for label, url in _addresses(client, page, tenant):
                    offenders += _measured(client, label, url)
    sys.stdout.write(f"\n{offenders} pages above {QUERIES} queries or {MILLISECONDS:.0f} ms\n")
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    sys.stdout.write(
        f"The machine was busy ({load}): read the CPU, ours and the database's.\n" if _is_busy() else load + "\n"
    )
    return min(offenders, 1)


def _addresses(client: Any, page: Any, tenant: Any) -> Iterator[tuple[str, str]]:
    name, url = page.name, page.url
    answer = client.get(url, secure=True)
    if answer.status_code in (404, 405):  # a button; a person of one tenant while all are looked at
        return
    yield name, url
    for query, address in page.sought(tenant):
        yield f"{name}?{query}", address
    before, mark, _ = b"".join(answer).decode().rpartition('" rel="next"')
    if mark:
        yield f"{name}, next page", urljoin(url, before.rpartition('href="')[2].replace("&amp;", "&"))


def _is_busy() -> bool:
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def _cpu_of_session() -> float:
    """Return the CPU time of the database's session in ms; 0.0 if it is not on this machine."""
    from django.db import connection

    connection.ensure_connection()
    try:
        return int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


def _measured(client: Any, label: str, url: str) -> int:
    """Open `url`, print its line, and return 1 if it costs too much."""
    from django.db import connection

    counts: list[int] = []
    took: list[float] = []
    ours: list[float] = []
    theirs: list[float] = []
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
        started, worked, asked = time.perf_counter(), time.process_time(), _cpu_of_session()
        with connection.execute_wrapper(count):
            answer = client.get(url, secure=True)
            status, _content = answer.status_code, b"".join(answer)
        took.append((time.perf_counter() - started) * 1000)
        ours.append((time.process_time() - worked) * 1000)
        theirs.append(_cpu_of_session() - asked)
    queries, ms, here, there = counts[-1], *(statistics.median(each[1:]) for each in (took, ours, theirs))
    judged = min(ms, here + there) if there and _is_busy() else ms
    # A file is written while it is sent; a refusal is as cheap as it is.
    is_file = "attachment" in answer.headers.get("Content-Disposition", "")
    is_bad = ((queries > QUERIES or judged > MILLISECONDS) and not is_file) or status not in (200, 403)
    mark = "✗" if is_bad else "·"
    sys.stdout.write(
        f"  {mark} {label:<58} {status}  {queries:>3} queries  {ms:>6.0f} ms  CPU {here:>4.0f} + {there:>4.0f} ms\n"
    )
    if is_bad:
        sys.stdout.write(f"      slowest statement {slowest[0]:.0f} ms: {slowest[1][:300]}\n")
    sys.stdout.flush()
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
