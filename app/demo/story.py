"""Tell in the terminal what happens: the event, the delivery, the verified signature, the audit note, the way back."""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from integrations.connectors.kinds.webhook import SIGNATURE_HEADER
from integrations.counted import counted
from integrations.errors import IntegrationError, printable
from integrations.models import IntegrationEvent, IntegrationSync
from integrations.observability.heartbeat import is_alive
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from tasks.models import Note, WorkItem

from .data.fill import Filled
from .processes import Processes
from .seed import Demo, new_item_values
from .trickle import Trickle
from .urls import sign_in_path

LOOK_SECONDS = 0.1
ANSWER_SECONDS = 2.0
CALL_SECONDS = 10.0
READY_SECONDS = 60.0
BOLD, DIM, GREEN, RED, RESET = (
    ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("",) * 5
)


class Story:
    """Follows the database and the receiver's log, and prints each new thing once."""

    def __init__(self, demo: Demo, web_url: str, receiver_url: str, trickle: Trickle) -> None:
        self.demo = demo
        self.trickle = trickle
        self.web_url = web_url
        self.receiver_url = receiver_url
        self.seen_event = self._last(IntegrationEvent)
        self.seen_note = self._last(Note)
        self.unsettled: set[int] = set()
        self.read_bytes = 0

    def begin(self, filled: Filled | None) -> None:
        """Say what was filled in, and what is being started."""
        if filled is not None:
            self._say(f"  {', '.join(f'{number:,} {what}' for what, number in filled.counts.items())}")
        self._say(f"{BOLD}Starting web, worker, beat and a receiver …{RESET}")

    def wait_until_ready(self, processes: Processes) -> None:
        """Return when every process answers; raises SystemExit with the log of one that died."""
        started, deadline = timezone.now(), time.monotonic() + READY_SECONDS
        while not is_alive("worker", since=started) or not self._web_answers():
            self._check(processes)
            if time.monotonic() > deadline:
                raise SystemExit(f"not ready after {READY_SECONDS:g} s; see {processes.log('worker').parent}")
            time.sleep(LOOK_SECONDS)

    def _web_answers(self) -> bool:
        """Tell whether the web server is up; until then connections wait for it."""
        client = GuardedClient(AddressPolicy(allowed_hosts=(urlsplit(self.web_url).netloc,)), timeout=ANSWER_SECONDS)
        try:
            return client.request("GET", f"{self.web_url}{reverse('health-live')}").status == HTTPStatus.OK
        except IntegrationError:
            return False
        finally:
            client.close()

    def change_something(self) -> None:
        """Create a work item and change its status, as a person would."""
        self._say(f"\n{BOLD}A work item is created, then goes to work:{RESET}")
        number = 123 + WorkItem.objects.filter(tenant=self.demo.tenant, reference_id__startswith="RMA-").count()
        item = WorkItem.objects.create(**new_item_values(self.demo, number))
        item.status = WorkItem.Status.IN_PROGRESS
        item.save()
        self.item = item

    def tell_for_ever(self, processes: Processes) -> None:
        """Print what happens until Ctrl-C; after the first quiet moment, where to look."""
        has_told_urls = False
        while True:
            self._check(processes)
            if has_told_urls:
                self.trickle.step()
            news = self._events() + self._deliveries(processes) + self._settled() + self._notes()
            for line in news:
                self._say(line)
            if not news and not has_told_urls and not self.unsettled:
                self._urls()
                self.trickle.begin()
                has_told_urls = True
            time.sleep(LOOK_SECONDS)

    def _events(self) -> list[str]:
        lines = []
        for event in IntegrationEvent.objects.filter(id__gt=self.seen_event).order_by("id"):
            self.seen_event = event.pk
            if event.object_id in self.trickle.items or event.event_type.endswith("_snapshot"):
                continue  # nobody's story: people at work, and a backfill of one a second
            owed = dict(event.syncs.values_list("integration", "pk"))
            # Of the other destinations some fail, as they are made to: the console tells of them.
            self.unsettled.update(pk for key, pk in owed.items() if key == self.demo.integration.pk)
            changes = ", ".join(
                f"{name}: {change['old']} → {change['new']}"
                for name, change in json.loads(event.body).get("changes", {}).items()
            )
            lines.append(
                f"  event      {BOLD}{event.event_type}{RESET} {changes}  {DIM}recorded with the change, "
                f"owed to {counted(len(owed), 'integration')}, {event.idempotency_key}{RESET}"
            )
        return lines

    def _deliveries(self, processes: Processes) -> list[str]:
        with processes.log("receiver").open("rb") as log:
            log.seek(self.read_bytes)
            data = log.read()
        complete = data[: data.rfind(b"\n") + 1]
        self.read_bytes += len(complete)
        lines = []
        for line in complete.decode(errors="replace").splitlines():
            if line.startswith("{"):
                got: dict[str, Any] = json.loads(line)
                if got["reference"] in self.trickle.items:
                    continue
                is_valid = got["signature"] == "verified"
                verdict = f"{GREEN}✓ signature verified" if is_valid else f"{RED}✗ signature {got['signature']}"
                lines.append(
                    f"  delivery   {got['event_type']} {got['reference']}  {verdict}{RESET}  "
                    f"{DIM}answered {got['status']}, {got['webhook_id']}{RESET}"
                )
                if is_valid and got["event_type"] == "workitem_status_changed":
                    lines.append(self._answer(got))
        return lines

    def _answer(self, got: dict[str, Any]) -> str:
        """Call back as a workflow would: with a note, under an id made of the event's."""
        integration, reference = self.demo.integration, got["reference"]
        body: dict[str, object] = {
            "id": f"{got['webhook_id']}-note",
            "workitem": {"reference_id": reference},
            "text": "The customer was told.",
        }
        address = f"{self.web_url}/webhooks/{integration.public_id}/workitem-note/"
        answer = call_back(address, integration.credentials["webhook_secret"], body)
        return f"  callback   workitem-note on {reference}  {answer}"

    def _settled(self) -> list[str]:
        lines = []
        rows = IntegrationSync.objects.filter(pk__in=self.unsettled).exclude(status="pending")
        for row in rows.select_related("event", "integration").order_by("pk"):
            self.unsettled.discard(row.pk)
            took = ((row.settled_at or row.created_at) - row.created_at).total_seconds() * 1000
            lines.append(
                f"  sync       {row.get_status_display()}  {row.integration.name}, {row.event.event_type}  "
                f"{DIM}{counted(row.attempts, 'attempt')}, {took:.0f} ms after the change{RESET} {row.last_error}"
            )
        return lines

    def _notes(self) -> list[str]:
        lines = []
        for note in Note.objects.filter(id__gt=self.seen_note).order_by("id").select_related("work_item"):
            self.seen_note = note.pk
            is_told = note.author_id is not None or self.demo.integration.name in note.text
            if str(note.work_item_id) in self.trickle.items or not is_told:
                continue
            lines.append(f"  note       on {note.work_item}: {note.text}")
        return lines

    def _urls(self) -> None:
        admin = f"{self.web_url}/admin/"
        self._say(
            f"\n{BOLD}Look around:{RESET}\n"
            f"  the console           {self.web_url}{sign_in_path(self.demo.admin)}\n"
            f"{self._people()}"
            f"  this work item        {admin}tasks/workitem/{self.item.pk}/change/\n"
            f"  what the receiver got {self.receiver_url}\n"
            f"  health                {self.web_url}/health/\n\n"
            "The first link signs you in as admin, who sees all tenants. Each signs in once, so open those of several\n"
            "people in private windows. Change the work item in the admin and watch here; meanwhile the demo's shops\n"
            f"go on working. {BOLD}Ctrl-C stops everything.{RESET}\n"
        )

    def _people(self) -> str:
        """Return a link for a person of each role, who sees one tenant and has no staff flag."""
        lines = []
        for role in ("viewer", "operator", "manager"):
            user = User.objects.filter(username=f"acme-{role}").first()
            if user is not None:
                lines.append(f"  as Acme's {role:<12}{self.web_url}{sign_in_path(user)}\n")
        return "".join(lines)

    def _check(self, processes: Processes) -> None:
        if name := processes.dead():
            log = processes.log(name)
            raise SystemExit(f"The {name} process ended. Its log, {log}:\n{log.read_text()[-2000:]}")

    def _say(self, line: str) -> None:
        print(line, flush=True)  # noqa: T201 - telling is what this is for

    @staticmethod
    def _last(model: Any) -> int:
        return model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def call_back(address: str, secret: str, body: dict[str, object]) -> str:
    """POST `body`, signed with `secret`, as a workflow of the receiver's would; return the answer in a few words."""
    text = json.dumps(body).encode()
    signature = hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", SIGNATURE_HEADER: signature}
    client = GuardedClient(AddressPolicy(allowed_hosts=(urlsplit(address).netloc,)), timeout=CALL_SECONDS)
    try:
        answer = client.request("POST", address, headers=headers, body=text)
        return printable(f"{answer.status} {answer.body[:200].decode(errors='replace')}")
    except IntegrationError as error:
        return f"✗ {error.message}"
    finally:
        client.close()
