"""``manage.py rotate_encryption``: seal every stored credential again with the newest key.

To rotate: put the new key first in ENCRYPTION_MASTER_KEY (``new:hex,old:hex``), restart, run this, then take
the old key out. Safe to run at any time and again after an interruption.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from integrations.credentials.fields import encrypted_attributes
from integrations.errors import EncryptionError
from integrations.models import IntegrationConfiguration, OAuthGrant, TenantIntegration


class Command(BaseCommand):
    help = "Seal every stored credential again with the newest encryption key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what would be sealed again")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        resealed, unreadable = 0, []
        for kind, manager, reseal in (
            ("integration", TenantIntegration.unannounced, _reseal),
            ("system integration", IntegrationConfiguration.objects, _reseal_configuration),
        ):
            for pk in manager.order_by("pk").values_list("pk", flat=True).iterator():
                try:
                    resealed += reseal(pk, dry_run)
                except EncryptionError as error:
                    unreadable.append(f"  {kind} {pk}: {error}")
        self.stdout.write(f"{resealed} integration(s) {'would be' if dry_run else 'were'} sealed with the newest key.")
        if unreadable:
            raise CommandError("\n".join([f"{len(unreadable)} integration(s) cannot be read:", *unreadable]))


def _reseal(pk: int, dry_run: bool) -> bool:
    """One integration and its grant in one transaction, locked, so that a save in between is not overwritten."""
    with transaction.atomic():
        row = TenantIntegration.unannounced.select_for_update().filter(pk=pk).first()
        if row is None:
            return False
        grant = OAuthGrant.objects.select_for_update().filter(pk=pk).first()
        if grant is not None:
            grant.integration = row
        return any([_reseal_row(row, dry_run), grant is not None and _reseal_row(grant, dry_run)])


def _reseal_configuration(pk: int, dry_run: bool) -> bool:
    with transaction.atomic():
        row = IntegrationConfiguration.objects.select_for_update().filter(pk=pk).first()
        return row is not None and _reseal_row(row, dry_run)


def _reseal_row(row: TenantIntegration | OAuthGrant | IntegrationConfiguration, dry_run: bool) -> bool:
    stale = [attribute for attribute in encrypted_attributes(type(row)) if attribute.needs_reseal(row)]
    if stale and not dry_run:
        for attribute in stale:
            attribute.reseal(row)
        row.save(update_fields=[attribute.column for attribute in stale])
    return bool(stale)
