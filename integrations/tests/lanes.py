"""``python -m integrations.tests.lanes LANE …``: run tests on PostgreSQL and Redis, or on the embedded default.

LANE is *services*: skipped where a service is missing, and failed with REQUIRE_SERVICES=1. Addresses:
TEST_DATABASE_URL and TEST_REDIS_URL. *beside* is the same on a database and a Redis number beside those, so that both
may run at once.
Or it is *embedded*: what `services` tries at the same time is left out where it can (`make test-slow` tries it here
too); everything is tried where a service is missing. The other arguments go to pytest; the last one is its marker
expression.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

import pytest

from .services import port_answers, services_required

DATABASE = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/outbox")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
ON_SERVICES = "integration and not portable"


def main(arguments: list[str]) -> int:
    """Return pytest's exit code; 0 when the lane was skipped."""
    lane, *rest = arguments
    missing = [name for name, url, port in (("PostgreSQL", DATABASE, 5432), ("Redis", REDIS, 6379)) if _away(url, port)]
    if lane == "embedded":
        return pytest.main(rest if missing else [*rest[:-1], f"({rest[-1]}) and not ({ON_SERVICES})"])
    if missing:
        print(f"lane PostgreSQL + Redis: {' and '.join(missing)} not found here")
        return 1 if services_required() else 0
    is_beside = lane == "beside"
    os.environ["DATABASE_URL"] = f"{DATABASE}_beside" if is_beside else DATABASE
    os.environ["TEST_REDIS_URL"] = _next_number(REDIS) if is_beside else REDIS
    os.environ["TEST_BROKER"] = "redis"
    print(f"lane PostgreSQL + Redis: {urlsplit(DATABASE).hostname}, {urlsplit(REDIS).hostname}")
    return pytest.main(rest)


def _next_number(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"/{int(parts.path.strip('/') or 0) + 1}").geturl()


def _away(url: str, default_port: int) -> bool:
    parts = urlsplit(url)
    return not port_answers(parts.hostname or "127.0.0.1", parts.port or default_port)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
