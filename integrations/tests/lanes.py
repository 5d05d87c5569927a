"""``python -m integrations.tests.lanes``: run tests on PostgreSQL and Redis, where they answer.

Addresses: TEST_DATABASE_URL and TEST_REDIS_URL. A missing service skips the lane, and fails it with
REQUIRE_SERVICES=1. Arguments go to pytest.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import pytest

from .services import port_answers, services_required

DATABASE = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/outbox")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


def main(arguments: list[str]) -> int:
    """Return pytest's exit code; 0 when the lane was skipped."""
    missing = [name for name, url, port in (("PostgreSQL", DATABASE, 5432), ("Redis", REDIS, 6379)) if _away(url, port)]
    if missing:
        print(f"lane PostgreSQL + Redis: {' and '.join(missing)} not found here")
        return 1 if services_required() else 0
    os.environ["DATABASE_URL"] = DATABASE
    os.environ["TEST_BROKER"] = "redis"
    print(f"lane PostgreSQL + Redis: {urlsplit(DATABASE).hostname}, {urlsplit(REDIS).hostname}")
    return pytest.main(arguments)


def _away(url: str, default_port: int) -> bool:
    parts = urlsplit(url)
    return not port_answers(parts.hostname or "127.0.0.1", parts.port or default_port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
