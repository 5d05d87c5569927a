"""A process that ends or forks as soon as it has saved: the hint of its last commit is sent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from app.celery import app
from integrations.delivery import hints
from integrations.delivery.wakeup import wake
from integrations.models import TenantIntegration
from integrations.tests import saving_task
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.services import PROJECT, Broker, CeleryProcess, database_url, every_broker, wait_until
from tasks.models import WorkItem

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

SAVE = """
import django
django.setup()
from integrations.delivery import hints
from tasks.models import WorkItem
hints.BROKER_SECONDS = hints.WAKE_SECONDS = 30.0  # a busy machine's broker takes its time, and no sweep runs here
def save():
    WorkItem.objects.create(tenant_id={tenant}, reference_id="RMA-1")
"""


def run(broker: Broker, target: TenantIntegration, program: str) -> None:
    """Run `program` behind the definition of ``save()``, until it ends."""
    env = {"DJANGO_SETTINGS_MODULE": "app.settings", "DATABASE_URL": database_url(), **broker.env}
    words = [sys.executable, "-c", SAVE.format(tenant=target.tenant_id) + program]
    done = subprocess.run(words, cwd=PROJECT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def hinted(count: int) -> list[int]:
    """Take `count` hints from the broker, and return their lanes."""
    found = []
    with app.connection_for_read() as connection, connection.SimpleQueue("deliveries") as queue:
        for _ in range(count):
            message = queue.get(timeout=30)
            message.ack()
            found.append(message.payload[1]["integration_id"])
    return found


@pytest.mark.parametrize("end", ["save()", "import atexit; atexit.register(save)"])
def test_the_hint_of_its_last_save_is_sent(broker: Broker, end: str) -> None:
    """Also when it saves while it ends, when no thread takes up anything new."""
    target = make_integration(make_tenant())
    run(broker, target, end)
    assert hinted(1) == [target.pk]


FORK = """
import faulthandler, os, sys, threading
from django.db import connections
from integrations.delivery.wakeup import wait_until_sent

class Imports:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("kombu.transport."):
            has_begun.set()
            may_go_on.wait()

has_begun, may_go_on = threading.Event(), threading.Event()
sys.meta_path.insert(0, Imports())
os.register_at_fork(before=may_go_on.set)
save()
connections.close_all()
assert has_begun.wait(30)
if (child := os.fork()) == 0:
    faulthandler.dump_traceback_later(40, exit=True)
    save()
    os._exit(0 if wait_until_sent(30) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@every_broker
def test_a_fork_amid_a_hint_leaves_nothing_locked(broker: Broker) -> None:
    """What another thread imports or holds while the process forks stays locked in the child for ever."""
    target = make_integration(make_tenant())
    run(broker, target, FORK)
    assert hinted(2) == [target.pk, target.pk], "of the parent and of the child"


def socket_name() -> object:
    with hints.bounded_producer() as producer:
        _ = producer.channel  # connects
        return producer.connection.connection.sock.getsockname()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_a_forked_process_opens_a_connection_of_its_own(broker: Broker) -> None:
    """Two processes that write to one socket spoil each other's messages."""
    assert wake(1)
    parents = socket_name()
    assert socket_name() == parents, "it is kept"
    if (child := os.fork()) == 0:
        os._exit(0 if socket_name() != parents else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert socket_name() == parents


def test_a_process_of_the_pool_sends_its_hints_before_it_ends(
    broker: Broker, celery_worker: Callable[..., CeleryProcess]
) -> None:
    """It ends without the interpreter's end, here after each task."""
    targets = [make_integration(make_tenant(f"tenant {number}")) for number in range(4)]
    words = ("--max-tasks-per-child=1", "-I", saving_task.__name__, "-Q", saving_task.QUEUE)
    worker = celery_worker(pool="prefork", concurrency=1, args=words)
    for target in targets:
        saving_task.save_item.apply_async([target.tenant_id], queue=saving_task.QUEUE)
    wait_until(lambda: WorkItem.objects.count() == len(targets), 60)
    worker.terminate()
    assert sorted(hinted(len(targets))) == sorted(each.pk for each in targets)


EAGER = """
import sys
import django
django.setup()
from celery import current_app
from integrations.delivery.hints import send_hint
current_app.conf.task_always_eager = True
assert "integrations.tasks" not in sys.modules
assert send_hint("integrations.tasks.send_integration_webhook", {"integration_id": 0, "turn": 0}, "deliveries")
"""


def test_an_eager_task_runs_in_a_process_that_has_not_imported_it() -> None:
    env = {"DJANGO_SETTINGS_MODULE": "app.settings", "DATABASE_URL": database_url(), "CELERY_BROKER_URL": "memory://"}
    words = [sys.executable, "-c", EAGER]
    done = subprocess.run(words, cwd=PROJECT, env={**os.environ, **env}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
