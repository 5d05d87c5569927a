"""Fixtures that every test may ask for; what they hand out is in services.py and receiver.py.

broker          a message broker of this test's own: embedded, or the one named by TEST_BROKER;
                with @every_broker the test runs once on each
celery_worker   celery_worker(pool="threads", env={…}) starts a worker on the test database, and waits for it
celery_beat     the same for the scheduler
web             the same for a web server
caller          makes HTTPClients that may talk to a receiver, and notes how long they would wait
receiver        an HTTP receiver on loopback that answers as it is told
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import hypothesis
import pytest
from django.db import connection
from django.test import TransactionTestCase

from app.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from integrations.configuration import cache as configuration_cache
from integrations.database import clock
from integrations.delivery import hints, wakeup
from integrations.observability import health
from integrations.transport.http.guarded_client import close_client

from . import services
from .callers import Caller
from .empty_database import EmptyDatabase
from .receiver import Receiver
from .services import Broker, CeleryProcess, WebProcess

# No assertion on time: an example that takes 0.2 s on a busy machine is not wrong.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

# Half of Python's looks for cycles are at modules and tests, which stay: a tenth of a lane's time.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a unit test that uses the database: their lane runs beside one that does, on the same file."""
    users = {"db", "transactional_db", "django_db_setup"}
    for item in items:
        fixtures = users & set(getattr(item, "fixturenames", ()))
        if {"unit", "kinds"} & set(item.nodeid.split("/")) and (fixtures or item.get_closest_marker("django_db")):
            pytest.fail(f"{item.nodeid} uses the database: it belongs in tests/integration", pytrace=False)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Remove what an interrupted run left beside its SQLite file: Django removes the file alone, and a new one
    next to the old log is a "disk I/O error"."""
    name = connection.settings_dict["TEST"]["NAME"]
    for suffix in ("-wal", "-shm"):
        Path(f"{name}{suffix}").unlink(missing_ok=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any, pytestconfig: pytest.Config) -> Iterator[None]:
    """Let a test that commits find what the migrations left, see empty_database.py. At the end, end the sessions that
    still use PostgreSQL's test database, and say whose they are, before it is dropped.

    A worker killed in the middle of a statement leaves a session that lives until the statement ends; with one left,
    ``DROP DATABASE`` fails, and with it a run in which every test passed.
    """
    with django_db_blocker.unblock():
        if connection.vendor == "postgresql":  # no commit of a test has to outlive the server: 3 ms less for each
            with connection.cursor() as cursor:
                name = connection.ops.quote_name(connection.settings_dict["NAME"])
                cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
            connection.close()
            connection.close_pool()
        empty = EmptyDatabase(connection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: empty.restore())
        yield
    if connection.vendor != "postgresql":
        return
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.close()
        connection.close_pool()
        with connection._nodb_cursor() as cursor:
            cursor.execute(
                "SELECT pid, state, left(query, 200), pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = %s AND backend_type = 'client backend'",
                [name],
            )
            left = cursor.fetchall()
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        for pid, state, query, _ended in left:
            print(f"\nsession {pid} was still using the test database ({state}): {query}", file=sys.stderr)


@pytest.fixture(autouse=True)
def _nothing_left_of_the_last_test() -> Iterator[None]:
    health.forget()
    clock.forget()
    configuration_cache.forget()
    wakeup.wait_until_sent(30)  # or what it handed over is asked for afterwards
    wakeup.forget()
    yield
    close_client()


@pytest.fixture(autouse=True)
def _no_thread_keeps_a_connection() -> Iterator[None]:
    """Refuse a test, and the code it tests, whose threads end without giving their connection back to the pool.

    The pool never gets such a connection back: ten of them, and whoever comes next waits for one in vain.
    """
    yield
    if connection.vendor != "postgresql" or (pool := connection._connection_pools.get(connection.alias)) is None:
        return

    def taken() -> int:
        stats = pool.get_stats()
        return int(stats["pool_size"] - stats["pool_available"]) - (connection.connection is not None)

    before = kept_by_threads.get(pool, 0)
    with contextlib.suppress(pytest.fail.Exception):  # what is given back is reset first, by a thread of the pool
        services.wait_until(lambda: taken() <= before, timeout=30)
    kept_by_threads[pool] = max(taken(), 0)
    alive = [thread.name for thread in threading.enumerate()]
    assert kept_by_threads[pool] <= before, (
        f"a thread has kept its database connection: close it where the thread ends ({alive}, {pool.get_stats()})"
    )


kept_by_threads: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


@pytest.fixture(scope="session")
def _embedded_server() -> Iterator[EmbeddedBroker]:
    server = EmbeddedBroker(private=True)
    try:
        server.start()
    except EmbeddedBrokerError as error:
        services.missing(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def _rabbitmq_vhost() -> Iterator[Broker]:
    broker, remove = services.rabbitmq_broker()
    yield broker
    remove()


@pytest.fixture
def broker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    """An empty broker that nobody else uses; this process publishes to it while the test runs."""
    kind = getattr(request, "param", None) or os.environ.get("TEST_BROKER", "embedded")
    if kind == "redis":
        found = services.redis_broker()
    elif kind == "rabbitmq":
        found = request.getfixturevalue("_rabbitmq_vhost")
    elif kind == "embedded":
        found = _embedded(request.getfixturevalue("_embedded_server"))
    else:
        pytest.fail(f"TEST_BROKER={kind!r}: expected one of {', '.join(services.BROKERS)}")
    found = _flushed_after_hints(found)
    found.flush()
    services.use_broker(found, monkeypatch)
    hints._rest_until = 0.0  # whatever the last test's broker did, this one is trusted
    yield found
    services.forget_connections()
    found.flush()


def _flushed_after_hints(broker: Broker) -> Broker:
    """Return `broker`, whose `flush` takes with it also what goes out behind the saves before."""

    def flush() -> None:
        wakeup.wait_until_sent(30)
        broker.flush()

    return replace(broker, flush=flush)


@pytest.fixture
def broker_url(broker: Broker) -> str:
    return broker.url


def _embedded(server: EmbeddedBroker) -> Broker:
    def flush() -> None:
        import redis

        with redis.Redis(unix_socket_path=str(server.socket_path), socket_timeout=5) as client:
            client.flushall()

    return Broker("embedded", server.url, {}, flush, server.pid)


@pytest.fixture
def _processes(request: pytest.FixtureRequest) -> Iterator[list[CeleryProcess]]:
    started: list[CeleryProcess] = []
    request.node.stash[STARTED] = started
    yield started
    for process in reversed(started):
        process.clean_up()


@pytest.fixture
def celery_worker(
    transactional_db: None, broker: Broker, tmp_path: Path, _processes: list[CeleryProcess]
) -> Callable[..., CeleryProcess]:
    """Return ``start(*, wait=True, pool="prefork", concurrency=2, args=(), env=None)``.

    Settings that a test overrides in its own process do not reach the worker: pass them in `env`.
    """
    return _starter(services.start_worker, "worker", broker, tmp_path, _processes)


@pytest.fixture
def celery_beat(
    transactional_db: None, broker: Broker, tmp_path: Path, _processes: list[CeleryProcess]
) -> Callable[..., CeleryProcess]:
    """Return ``start(*, wait=True, args=(), env=None)``."""
    return _starter(services.start_beat, "beat", broker, tmp_path, _processes)


@pytest.fixture
def web(
    transactional_db: None, broker: Broker, tmp_path: Path, _processes: list[CeleryProcess]
) -> Callable[..., WebProcess]:
    """Return ``start(*, wait=True, env=None)``: a web server on the test database."""
    return _starter(services.start_web, "web", broker, tmp_path, _processes)


def _starter(
    start_process: Callable[..., Any],
    name: str,
    broker: Broker,
    folder: Path,
    processes: list[CeleryProcess],
) -> Callable[..., Any]:
    numbers = itertools.count(1)

    def start(*, wait: bool = True, **options: Any) -> Any:
        process = start_process(broker, folder / f"{name}-{next(numbers)}.log", **options)
        processes.append(process)
        if wait:
            process.wait_ready()
        return process

    return start


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A recording HTTP receiver; allow it to the client with INTEGRATIONS_ALLOWED_HOSTS=receiver.netloc."""
    with Receiver() as running:
        yield running


@pytest.fixture
def caller() -> Iterator[Caller]:
    """See callers.py."""
    made = Caller()
    yield made
    made.close()


STARTED = pytest.StashKey[list[CeleryProcess]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test printed."""
    report = yield
    if report.failed and report.when == "call":
        for process in item.stash.get(STARTED, []):
            report.sections.append((f"log of {process.name} (pid {process.pid})", process.log[-8000:]))
    return report
