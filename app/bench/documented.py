"""The processes of the documented set-up (docs/OPERATIONS.md), in one place: change it here when it changes there."""

from __future__ import annotations

WORKER = ("-m", "celery", "-A", "app")
QUIET = ("--loglevel", "warning", "--without-gossip", "--without-mingle")


def workers(processes: int | None, *, sqlite: bool) -> list[list[str]]:
    """Return the arguments of each Celery worker.

    Args:
        processes: how many processes deliver; None: as many as documented.
        sqlite: the set-up of ``make run``, for a database that is one file.
    """
    if sqlite:
        return [[*WORKER, "worker", "-P", "threads", "--concurrency", "8", *QUIET]]
    return [[*WORKER, "worker", "-P", "threads", "--concurrency", "100", *QUIET] for _ in range(processes or 2)]


def beat() -> list[str]:
    """Return the arguments of the scheduler."""
    return [*WORKER, "beat", "--loglevel", "warning", "--pidfile=", "-s", "/dev/null"]
