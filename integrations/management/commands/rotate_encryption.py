"""``manage.py rotate_encryption``: seal every stored credential again with the newest key (docs/SECURITY.md).

To rotate: put the new key first in ENCRYPTION_MASTER_KEY (``new:hex,old:hex``), restart, run this, ask ``--check``,
then take the old key out. Safe to run at any time and again after an interruption.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from integrations.audit.trail import record
from integrations.credentials.encryption import key_name
from integrations.credentials.key_ring import get_key_ring
from integrations.credentials.resealing import Found, look, reseal, sealed_models

MOST = 50  # lines about unreadable values


class Command(BaseCommand):
    help = "Seal every stored credential, of every model, again with the newest encryption key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count what would be sealed again")
        parser.add_argument(
            "--check", action="store_true", help="change nothing; say which keys are still needed, and fail if one is"
        )

    def handle(self, *args: Any, dry_run: bool, check: bool, **options: Any) -> None:
        models = sealed_models()
        found = {sealed.label: look(sealed) if dry_run or check else reseal(sealed) for sealed in models}
        would = "to be" if dry_run or check else "were"
        for label, each in found.items():
            self.stdout.write(f"{label}: {each.resealed} of {each.rows} row(s) {would} sealed with the newest key.")
        if not (dry_run or check):
            record(
                "re-encrypted", name="stored secrets", details={label: each.resealed for label, each in found.items()}
            )
        problems = self._check(found) if check else []
        unreadable = [line for each in found.values() for line in each.unreadable]
        if unreadable:
            more = [f"  and {len(unreadable) - MOST} more"] if len(unreadable) > MOST else []
            lines = [f"  {line}" for line in unreadable[:MOST]]
            problems.append("\n".join([f"{len(unreadable)} value(s) cannot be read:", *lines, *more]))
        if problems:
            raise CommandError("\n".join(problems))

    def _check(self, found: dict[str, Found]) -> list[str]:
        """Say of each key whether a stored value needs it; return what speaks against removing the older ones."""
        ring = get_key_ring()
        needed = {label: each.by_key for label, each in found.items()}
        total: Counter[str] = sum(needed.values(), Counter())
        names = [key_name(key) for key in ring.keys] + [f"Fernet key of {key.source}" for key in ring.fernet_keys]
        current, problems = names[0], []
        for name in dict.fromkeys(names):
            where = ", ".join(f"{label} {keys[name]}" for label, keys in needed.items() if keys[name])
            if name == current:
                verdict = "seals; keep it"
            elif not total[name]:
                verdict = "no stored value needs it; it can be removed"
            else:
                verdict = "still needed; run rotate_encryption before you remove it"
                problems.append(f"{name}: {verdict} ({where}).")
            self.stdout.write(f"{name}: {total[name]} value(s){f' ({where})' if where else ''}; {verdict}.")
        return problems
