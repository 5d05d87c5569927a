"""Open every page of the console on a large database, and say what each costs (`make console-load`).

As the operator, who sees all tenants, and as a person of the largest tenant, of a small one, and of thirty. Each page
is opened four times; the median of the last three counts. More than 15 queries or 250 ms is said, and ends with 1.
A file that is sent while it is written is judged by its beginning; all of it is told beside that.

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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

QUERIES, MILLISECONDS, TIMES = 15, 250.0, 4
BEGINNING = 2  # blocks of a file that is sent while it is written: its head, its first lines


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
    """Return the CPU time of the database's session in ms; 0.0 if it has none on this machine."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0.0
    connection.ensure_connection()
    try:
        return int(Path(f"/proc/{connection.connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer or its beginning cost: queries, and milliseconds by the clock, of our CPU, of the database's."""

    queries: int
    ms: float
    ours: float
    theirs: float

    @property
    def is_too_much(self) -> bool:
        judged = min(self.ms, self.ours + self.theirs) if self.theirs and _is_busy() else self.ms
        return self.queries > QUERIES or judged > MILLISECONDS

    def __str__(self) -> str:
        return f"{self.queries:>3} queries  {self.ms:>6.0f} ms  CPU {self.ours:>4.0f} + {self.theirs:>4.0f} ms"


class _Meter:
    """Counts from its making on."""

    def __init__(self) -> None:
        self.slowest = (0.0, "")
        self._queries = 0
        self._began = self._now()

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self._queries += 1
            self.slowest = max(self.slowest, ((time.perf_counter() - started) * 1000, sql))

    def cost(self) -> Cost:
        took = [after - before for before, after in zip(self._began, self._now(), strict=True)]
        return Cost(self._queries, *took)

    def _now(self) -> tuple[float, float, float]:
        return time.perf_counter() * 1000, time.process_time() * 1000, _cpu_of_session()


def _median(costs: list[Cost]) -> Cost:
    """Return the median of what each cost but the first time, when a process reads what it then keeps."""
    ms, ours, theirs = (
        statistics.median(getattr(each, name) for each in costs[1:]) for name in ("ms", "ours", "theirs")
    )
    return Cost(costs[-1].queries, ms, ours, theirs)


def _measured(client: Any, label: str, url: str) -> int:
    """Open `url`, print its line, and return 1 if it costs too much.

    Of a file that is sent while it is written, people wait for its beginning: its head and its first lines are judged,
    and the whole is told beside it.
    """
    from django.db import connection

    begun: list[Cost] = []
    whole: list[Cost] = []
    for _ in range(TIMES):
        meter = _Meter()
        with connection.execute_wrapper(meter):
            answer = client.get(url, secure=True)
            parts = iter(answer)
            size = sum(map(len, islice(parts, BEGINNING)))
            begun.append(meter.cost())
            size += sum(map(len, parts))
        whole.append(meter.cost())
    is_file = answer.streaming
    judged, all_of_it = _median(begun if is_file else whole), _median(whole)
    is_bad = judged.is_too_much or answer.status_code not in (200, 403)  # a refusal is as cheap as it is
    mark = "✗" if is_bad else "·"
    sys.stdout.write(f"  {mark} {label + ', its beginning' if is_file else label:<58} {answer.status_code}  {judged}\n")
    if is_file:
        sys.stdout.write(f"    {f'all {size / 1e6:.1f} MB of it':<62} {all_of_it}\n")
    if is_bad:
        sys.stdout.write(f"      slowest statement {meter.slowest[0]:.0f} ms: {meter.slowest[1][:300]}\n")
    sys.stdout.flush()
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
