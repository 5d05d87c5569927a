"""``manage.py integration_backfill``: start a backfill as the console does (docs/replay-and-backfill.md).

manage.py integration_backfill 7f1dd1a6-… tasks.workitem --condition "workitem.priority == 'Urgent'" --dry-run
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as NoKey
from django.core.management.base import BaseCommand, CommandError, CommandParser
from pydantic import ValidationError

from integrations.acting import acting
from integrations.connections.models import TenantIntegration
from integrations.jobs.actions import CannotStart, preview_backfill, start_backfill
from integrations.jobs.backfill import BackfillFilter
from integrations.jobs.models import USUAL_PACE


class Command(BaseCommand):
    help = "Start a job that sends an integration the present state of a model's objects. A worker does it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("integration", help="its public id, as its page in the console has it")
        parser.add_argument("model", help="of which objects, such as tasks.workitem")
        parser.add_argument("--condition", default="", help="JMESPath over what is sent; none: all objects")
        parser.add_argument("--pace", type=int, default=USUAL_PACE, help="objects per second, at most; %(default)s")
        parser.add_argument("--dry-run", action="store_true", help="only say what it would do")

    def handle(
        self, *args: Any, integration: str, model: str, condition: str, pace: int, dry_run: bool, **options: Any
    ) -> None:
        try:
            found = TenantIntegration.objects.present().filter(public_id=integration).first()
        except NoKey:
            found = None
        if found is None:
            raise CommandError(f"There is no integration {integration!r}.")
        try:
            which = BackfillFilter(model=model.lower(), condition=condition)
        except ValidationError as error:
            raise CommandError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        if dry_run:
            self._say(found, which)
            return
        try:
            job = start_backfill(found, which, actor=acting().name, pace=pace)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{job} is started: {job.in_words}.")

    def _say(self, integration: TenantIntegration, which: BackfillFilter) -> None:
        try:
            preview = preview_backfill(integration, which)
        except CannotStart as error:
            raise CommandError(str(error)) from None
        least = "" if preview.is_complete else "at least "
        self.stdout.write(f"It would look at {least}{preview.count} objects: {which.in_words(integration.name)}.")
        if preview.looked_at:
            self.stdout.write(
                f"Of the first {preview.looked_at}, {preview.sent} would be sent; the condition leaves out "
                f"{preview.left_out}, and of {preview.failing} no payload can be made."
            )
        for each in preview.sample:
            self.stdout.write(f"{each.name}: {each.left_out or each.problem or each.payload}")
