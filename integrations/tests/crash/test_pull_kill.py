"""kill -9 of a process that pulls: a page is read again until it is committed, and never after that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from integrations.models import SyncState
from integrations.services import SyncService
from integrations.tests.pull_world import (
    OrderBook,
    allowed,
    make_shop,
    shop_is_registered,
    state_of,
    store_orders,
    stored,
)
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import PROJECT, database_url

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True)]

# Pulls one page; at its moment it says "here" and waits to be killed, or told to go on.
SCRIPT = """
import json, sys, django
django.setup()
import integrations.tests.pull_process
from django.db import connection
from integrations.models import SyncState
from integrations.services import SyncService
from integrations.signals import sync_completed
from integrations.tests.pull_world import store_orders

method, moment = sys.argv[1:]

def here(*_, **__):
    print("here", flush=True)
    sys.stdin.readline()

def after_the_cursor(execute, sql, params, many, context):
    done = execute(sql, params, many, context)
    if sql.startswith("UPDATE") and "integrations_syncstate" in sql:
        here()
    return done

def process(items, shop):
    store_orders(items, shop)
    if moment == "between effect and cursor":
        here()
    if moment == "between cursor and commit":
        connection.execute_wrappers.append(after_the_cursor)

if moment == "after the commit":
    sync_completed.connect(here)
state = SyncState.objects.select_related("connection").get()
result = getattr(SyncService, method)(state.connection, state, "orders", process_fn=process)
print(json.dumps([result.items_fetched, result.errors, result.is_skipped, result.has_more]), flush=True)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def book(receiver: Receiver) -> Iterator[OrderBook]:
    """Five orders, two a page, in a shop whose first page is read."""
    book = OrderBook(5)
    receiver.answer_with(book)
    with shop_is_registered(), override_settings(INTEGRATIONS=allowed(receiver)):
        state_of(make_shop(receiver))
        assert one_page().items_fetched == 2
        yield book


@pytest.fixture
def start(receiver: Receiver) -> Iterator[Start]:
    """``start(method, moment)`` pulls a page in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(method: str = "incremental_sync", moment: str = "") -> subprocess.Popen[str]:
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "app.settings",
            "DATABASE_URL": database_url(),
            "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
            "INTEGRATIONS_HTTP_MAX_ATTEMPTS": "1",
        }
        words, pipe = [sys.executable, "-c", SCRIPT, method, moment], subprocess.PIPE
        started.append(subprocess.Popen(words, cwd=PROJECT, env=env, stdin=pipe, stdout=pipe, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


def one_page() -> Any:
    state = SyncState.objects.select_related("connection").get()
    return SyncService.incremental_sync(state.connection, state, "orders", process_fn=store_orders)


def the_rest() -> None:
    while one_page().has_more:
        pass


def let_the_lease_run_out() -> None:
    SyncState.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    assert process.wait(10) == -9


@pytest.mark.parametrize("moment", ["while the shop answers", "between effect and cursor", "between cursor and commit"])
def test_a_page_that_was_not_committed_is_read_again(
    book: OrderBook, receiver: Receiver, start: Start, moment: str
) -> None:
    if moment == "while the shop answers":
        gate = receiver.hold()
        process = start(moment=moment)
        receiver.wait_for(2)
        kill(process)
        gate.set()
        receiver.answer_with(book)
    else:
        process = start(moment=moment)
        assert process.stdout is not None and process.stdout.readline() == "here\n"
        kill(process)
    state = SyncState.objects.get()
    assert (state.cursor, state.status) == ("2", "running") and state.lease_token != ""  # it could not tidy up
    assert stored() == ["order-1", "order-2"]
    assert one_page().is_skipped
    let_the_lease_run_out()
    the_rest()
    assert stored() == book.rows


def test_a_page_that_was_committed_is_not_read_again(book: OrderBook, start: Start) -> None:
    process = start(moment="after the commit")
    assert process.stdout is not None and process.stdout.readline() == "here\n"
    kill(process)
    assert (SyncState.objects.get().cursor, SyncState.objects.get().lease_token) == ("4", "")
    the_rest()
    assert stored() == book.rows and book.asked == ["", "2", "4"]


def test_a_killed_full_resync_is_not_forgotten(book: OrderBook, receiver: Receiver, start: Start) -> None:
    gate = receiver.hold()
    process = start("full_resync")
    receiver.wait_for(2)
    kill(process)
    gate.set()
    receiver.answer_with(book)
    let_the_lease_run_out()
    the_rest()
    assert stored() == ["order-1", "order-2", *book.rows]
    assert book.asked == ["", "", "2", "4"]


def test_two_processes_at_once_are_one(book: OrderBook, receiver: Receiver, start: Start) -> None:
    gate = threading.Event()
    receiver.answer_with(Answer(gate=gate, body=book.page("2").body), default=book)
    first = start()
    receiver.wait_for(2)
    second, _ = start().communicate(timeout=30)
    assert json.loads(second) == [0, [], True, False]
    gate.set()
    done, _ = first.communicate(timeout=30)
    assert json.loads(done) == [2, [], False, True]
    assert stored() == book.rows[:4] and len(receiver.requests) == 2


def test_who_was_too_slow_commits_nothing(book: OrderBook, receiver: Receiver, start: Start) -> None:
    gate = threading.Event()
    receiver.answer_with(Answer(gate=gate, body=book.page("2").body), default=book)
    slow = start()
    receiver.wait_for(2)
    let_the_lease_run_out()
    assert one_page().items_fetched == 2
    gate.set()
    done, _ = slow.communicate(timeout=30)
    items, errors, is_skipped, has_more = json.loads(done)
    assert (items, is_skipped, has_more) == (0, False, False) and "took over" in errors[0]
    the_rest()
    assert stored() == book.rows
