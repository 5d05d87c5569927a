"""Fill the demo's database, or that of DATABASE_URL with ``--database``, and say who may sign in."""

from __future__ import annotations

import argparse
import os
import sys
import time

from app.demo.environment import make_own
from app.demo.processes import LOGS
from app.terminal import print_anywhere

RECEIVER_PORT = 8180  # where make run has them


def main() -> int:
    print_anywhere()
    parser = argparse.ArgumentParser(prog="make demo-data ARGS=…", description=__doc__)
    parser.add_argument("--database", metavar="URL", help="another database than that of make run, migrated already")
    parser.add_argument("--beside", action="store_true", help="also beside other tenants' data")
    parser.add_argument("--seed", type=int, default=1, help="another number makes another week (default: 1)")
    parser.add_argument("--pace", type=float, default=1.0, help="how much happens (default: 1)")
    options = parser.parse_args()
    if options.database:
        os.environ["DATABASE_URL"] = options.database
    else:
        LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_own(os.environ, LOGS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings" if options.database else "app.demo.settings")
    # Where destinations are loopback, as in the demo, their addresses are allowed while they are saved here.
    os.environ["INTEGRATIONS_ALLOWED_HOSTS"] = f"127.0.0.1:{RECEIVER_PORT}"

    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from .fill import fill
    from .here import last_filled, others_here

    if not options.database:
        call_command("migrate", verbosity=0, interactive=False)
    if (found := others_here()) and not options.beside:
        sys.stderr.write(
            f"This database ({connection.settings_dict['NAME']}) has data of others: {found}. Nothing was written; "
            "ARGS=--beside writes all the same.\n"
        )
        return 1
    started = time.monotonic()
    filled = fill(f"http://127.0.0.1:{RECEIVER_PORT}", seed=options.seed, since=last_filled(), pace=options.pace)
    say = sys.stdout.write
    say(", ".join(f"{number:,} {what}" for what, number in filled.counts.items()))
    say(f", in {time.monotonic() - started:.1f} s.\n")
    if filled.accounts:
        say("\nWho may sign in (said once):\n")
        for account in filled.accounts:
            say(f"  {account.username:<22} {account.password:<14} {account.role} of {account.tenant}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
