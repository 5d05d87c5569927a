"""Take the pictures of the console that README and docs show, from the running demo: ``make pictures``.

Starts `make run` with a database of its own, lets people work for a while, and photographs the main pages.
Needs the package playwright and a Chromium (CHROMIUM, else /usr/bin/chromium).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.embedded_broker import PROJECT

FOLDER = PROJECT / "docs" / "pictures"
READY_SECONDS = 240.0
LIVE_SECONDS = 75.0  # of people at work before the first picture: charts of the last hour have something to move
DESK, PHONE = (1280, 800), (390, 780)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        path: of the page below /console/, with rows named as {key} (`_rows`).
        person: whose link to sign in with.
    """

    name: str
    path: str
    person: str = "the console"
    scheme: str = "light"
    size: tuple[int, int] = DESK


PICTURES = (
    Picture("overview", "?range=7d"),
    Picture("overview-dark", "?range=1h", scheme="dark"),
    Picture("integrations", "integrations/"),
    Picture("workbench", "integrations/{failing}/", "as Acme's operator"),
    Picture("deliveries", "deliveries/", "as Acme's operator"),
    Picture("delivery", "deliveries/{failed}/", "as Acme's operator"),
    Picture("event", "events/{event}/", "as Acme's operator"),
    Picture("condition", "integrations/{pager}/events/workitem_created/", "as Acme's manager"),
    Picture("gallery", "integrations/new/", "as Acme's manager"),
    Picture("slack", "integrations/new/slack/", "as Acme's manager"),
    Picture("job", "jobs/{job}/", "as Acme's manager"),
    Picture("phone", "integrations/", "as Acme's viewer", size=PHONE),
)


def main() -> int:
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    only = set(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{folder}/pictures.sqlite3"
        told = Path(folder) / "told.txt"
        environment = {**os.environ, "DEMO_DATABASE_URL": database}
        with told.open("w") as output:
            demo = subprocess.Popen([sys.executable, "-m", "app.demo"], cwd=PROJECT, stdout=output, env=environment)
        try:
            links = _links(told, demo)
            _say(f"The demo runs; people work for {LIVE_SECONDS:.0f} s …")
            time.sleep(LIVE_SECONDS)
            rows = _rows(database)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
                _take(browser, links, rows, only)
                browser.close()
        finally:
            demo.send_signal(signal.SIGINT)
            demo.wait()
    return 0


def _take(browser: Any, links: dict[str, str], rows: dict[str, str], only: set[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    base = links["the console"].partition("/demo/")[0]
    states: dict[str, Any] = {}  # a link signs in once
    for picture in PICTURES:
        if only and picture.name not in only:
            continue
        if picture.person not in states:
            context = browser.new_context()
            context.new_page().goto(links[picture.person])
            states[picture.person] = context.storage_state()
            context.close()
        width, height = picture.size
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=picture.scheme,
            storage_state=states[picture.person],
            reduced_motion="reduce",
        )
        page = context.new_page()
        answer = page.goto(f"{base}/console/{picture.path.format(**rows)}")
        if answer.status != 200:
            _say(f"  {picture.name}: {picture.path} answers {answer.status}; no picture")
        else:
            page.wait_for_timeout(600)
            file = FOLDER / f"{picture.name}.png"
            page.screenshot(path=file)
            _say(f"  {file.relative_to(PROJECT)}  {file.stat().st_size // 1024} KiB")
        context.close()


def _links(told: Path, demo: subprocess.Popen[bytes]) -> dict[str, str]:
    """Return the links to sign in with, as the demo tells them."""
    deadline = time.monotonic() + READY_SECONDS
    while demo.poll() is None and time.monotonic() < deadline:
        found = re.findall(r"^  (the console|as Acme's \w+) +(http\S+)$", told.read_text(), re.MULTILINE)
        if len(found) >= 4:
            return dict(found)
        time.sleep(0.5)
    raise SystemExit(f"The demo did not come up:\n{told.read_text()[-2000:]}")


def _rows(database: str) -> dict[str, str]:
    """Return what to photograph: rows of the demo's first tenant that have a story."""
    os.environ["DATABASE_URL"] = database
    os.environ["ENV_FILE"] = ""
    os.environ["DJANGO_SETTINGS_MODULE"] = "app.demo.settings"
    import django

    django.setup()
    from integrations.jobs.models import Job
    from integrations.models import IntegrationSync, TenantIntegration

    portal = TenantIntegration.objects.get(name="Customer portal")
    tried = IntegrationSync.objects.filter(integration=portal, attempts__gte=3, status="synced").order_by("-pk")
    job = Job.objects.filter(tenant=portal.tenant_id).order_by("-pk").first()
    lake = IntegrationSync.objects.filter(integration__name="Warehouse data lake", attempts__gt=0).order_by("-pk")
    return {
        "failing": str(portal.public_id),
        "pager": str(TenantIntegration.objects.get(name="On-call pager").public_id),
        "failed": str(tried.values_list("pk", flat=True).first()),
        "event": str(lake.values_list("event", flat=True).first()),
        "job": str(job.pk if job is not None else 0),
    }


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
