"""What a receiver saw, judged: nothing lost, how many copies, in which order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from integrations.tests.receiver import Request


def object_of(request: Request) -> tuple[str, int]:
    """Destination and object: the unit of order."""
    return request.path, request.json["workitem"]["id"]


def sequence(request: Request) -> int:
    return int(request.headers["webhook-sequence"])


def copies(requests: Iterable[Request]) -> Counter[tuple[str, str]]:
    """How often each event came to each destination."""
    return Counter((request.path, request.id) for request in requests)


def assert_in_order(requests: Iterable[Request]) -> None:
    """Each object's events were first seen in the order in which they happened, at each destination."""
    seen: dict[tuple[str, int], list[int]] = defaultdict(list)
    for request in requests:
        numbers = seen[object_of(request)]
        if sequence(request) not in numbers:
            numbers.append(sequence(request))
    for key, numbers in seen.items():
        assert numbers == sorted(numbers), f"{key}: {numbers}"


def assert_copies_are_equal(requests: Iterable[Request]) -> None:
    """One webhook-id, one sequence, one body: a receiver may drop what it has seen."""
    first: dict[str, tuple[int, bytes]] = {}
    for request in requests:
        assert first.setdefault(request.id, (sequence(request), request.body)) == (sequence(request), request.body)
