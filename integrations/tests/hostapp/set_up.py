"""Inside of the fresh project: the commands that the page names, in one process."""

from __future__ import annotations

import io
import json

import django

django.setup()

from django.core.management import call_command  # noqa: E402


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def main() -> None:
    made = printed("makemigrations", "companies", "connectors")
    printed("migrate")
    found = {"made": made, "left": printed("makemigrations", "--check", "--dry-run"), "check": printed("check")}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
