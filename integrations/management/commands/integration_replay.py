"""``manage.py integration_replay``: start a replay as the console does (docs/replay-and-backfill.md).

manage.py integration_replay --tenant acme-corp --status failed --since 24h --dry-run
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.acting import acting
from integrations.counted import counted
from integrations.jobs.actions import CannotStart, preview_replay, start_replay
from integrations.jobs.models import USUAL_PACE
from integrations.jobs.replay import ReplayFilter
from integrations.outbox.filters import SyncFilter
from integrations.tenancy.tenant import find_tenant

FILTERS = [name for name in SyncFilter.model_fields if name != "tenant"]


class Command(BaseCommand):
    help = "Start a job that sends deliveries of a tenant again, the same as they were. A worker does it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="its slug or its key")
        for name in FILTERS:
            parser.add_argument(f"--{name.replace('_', '-')}", default="", help="as in the console and its addresses")
        parser.add_argument("--pace", type=int, default=USUAL_PACE, help="rows per second, at most; %(default)s")
        parser.add_argument("--dry-run", action="store_true", help="only say what it would do")

    def handle(self, *args: Any, tenant: str, pace: int, dry_run: bool, **options: Any) -> None:
        whose = find_tenant(tenant)
        if whose is None:
            raise CommandError(f"There is no tenant {tenant!r}.")
        which, errors = ReplayFilter.from_query({name: options[name] for name in FILTERS if options[name]})
        if errors:
            raise CommandError("\n".join(f"--{name.replace('_', '-')}: {words}" for name, words in errors.items()))
        if dry_run:
            found = preview_replay(whose.pk, which)
            count = ("" if found.is_complete else "at least ") + counted(found.count, "delivery", "deliveries")
            self.stdout.write(f"It would look at {count}, and leave {found.left_alone} alone: {which.in_words()}.")
            return
        try:
            job = start_replay(whose.pk, which, actor=acting().name, pace=pace)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{job} is started: {job.in_words}.")
