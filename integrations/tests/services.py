"""The real things that integration tests talk to: brokers, Celery processes, and waiting for them.

fixtures.py turns these into fixtures. A service that is missing skips the test locally and fails it with
REQUIRE_SERVICES=1. Every process here is started, watched and ended by its own id.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import pytest

PROJECT = Path(__file__).resolve().parents[2]
BROKERS = ("embedded", "redis", "rabbitmq")
READY_SECONDS = 40.0
STOP_SECONDS = 15.0

# On a test: run it once on each broker. Without it, `broker` is the one named by TEST_BROKER (embedded).
every_broker = pytest.mark.parametrize("broker", BROKERS, indirect=True)

T = TypeVar("T")


def is_of_tests(file: str | Path) -> bool:
    """Tell whether `file` is one of the project's tests; the checkout itself may be in a folder of that name."""
    return Path(file).is_relative_to(PROJECT) and "tests" in Path(file).relative_to(PROJECT).parts


def port_answers(host: str, port: int, timeout: float = 1.0) -> bool:
    """Return whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def services_required() -> bool:
    return os.environ.get("REQUIRE_SERVICES", "").strip().lower() in {"1", "true", "yes", "on"}


def missing(what: str) -> None:
    """Skip the test; with REQUIRE_SERVICES=1 fail it."""
    if services_required():
        pytest.fail(f"{what} (REQUIRE_SERVICES is set)", pytrace=False)
    pytest.skip(what)


def wait_until(predicate: Callable[[], T], timeout: float = 10.0, message: str = "", *, interval: float = 0.01) -> T:
    """Call `predicate` until it returns something true, and return that; fail the test after `timeout`."""
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s: {message or predicate!r} (last: {result!r})")
        time.sleep(interval)


# -- brokers ------------------------------------------------------------------------------------------


@dataclass
class Broker:
    """One place for messages that no other test run shares."""

    kind: str
    url: str
    options: dict[str, Any] = field(default_factory=dict)  # Celery's broker_transport_options
    flush: Callable[[], None] = lambda: None  # lose every message in it, and only those
    pid: int | None = None  # of the embedded server: stop it with SIGSTOP to have a hung broker

    @property
    def env(self) -> dict[str, str]:
        return {
            "CELERY_BROKER_URL": self.url,
            "CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(self.options),
            "CELERY_RESULT_BACKEND": "disabled://",
        }


def redis_broker() -> Broker:
    """Return a broker under a key prefix of its own (TEST_REDIS_URL; db 9 of the local Redis)."""
    import redis

    url = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
    prefix = f"outbox-test:{uuid.uuid4().hex[:12]}:"

    def flush() -> None:
        with redis.Redis.from_url(url, socket_timeout=5) as client:
            for key in client.scan_iter(match=f"{prefix}*", count=1000):
                client.delete(key)

    if not _answers(url, 6379):
        missing(f"Redis does not answer at {_place(url)}")
    return Broker("redis", url, {"global_keyprefix": prefix}, flush)


def rabbitmq_broker() -> tuple[Broker, Callable[[], None]]:
    """Return a broker in a virtual host of its own, and what removes it again.

    Making one needs rabbitmqctl; elsewhere TEST_RABBITMQ_URL names a virtual host that tests may empty.
    """
    given = os.environ.get("TEST_RABBITMQ_URL", "")
    url = given or "amqp://guest:guest@127.0.0.1:5672/"
    if not _answers(url, 5672):
        missing(f"RabbitMQ does not answer at {_place(url)}")
    vhost = f"outbox-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def control(*words: str) -> None:
        subprocess.run(["rabbitmqctl", "-q", *words], check=True, capture_output=True, timeout=60, cwd="/", text=True)

    def remove() -> None:
        if not given:
            control("delete_vhost", vhost)

    if not given:
        try:
            control("add_vhost", vhost)
            control("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        except (OSError, subprocess.SubprocessError):
            missing("RabbitMQ answers, but rabbitmqctl cannot make a virtual host: set TEST_RABBITMQ_URL")
        url += vhost

    def flush() -> None:
        from kombu import Connection

        from app.celery import app

        with Connection(url, connect_timeout=5) as connection:
            for name in app.amqp.queues:
                with suppress(*connection.channel_errors):  # not declared yet: nothing to lose
                    connection.channel().queue_purge(name)

    return Broker("rabbitmq", url, {}, flush), remove


def _answers(url: str, port: int) -> bool:
    parts = urlsplit(url)
    return port_answers(parts.hostname or "127.0.0.1", parts.port or port)


def _place(url: str) -> str:
    """Return the host and port of `url`: a test's output needs no password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def use_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process publish to `broker`: Celery reads the environment before its settings."""
    from app.celery import app

    for name, value in broker.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(app.conf.changes, "broker_url", broker.url)
    monkeypatch.setitem(app.conf.changes, "broker_transport_options", dict(broker.options))
    forget_connections()


def forget_connections() -> None:
    """Close Celery's kept broker connections in this process, so that the next one is made anew."""
    from kombu import pools

    from app.celery import app

    pools.reset()
    app._pool = None
    app.amqp._producer_pool = None


# -- the database, for another process ----------------------------------------------------------------


def database_url(alias: str = "default") -> str:
    """Return the URL of the *test* database; while it exists, `settings_dict` holds its name."""
    from django.db import connections

    settings = connections[alias].settings_dict
    name = str(settings["NAME"])
    if settings["ENGINE"].endswith("sqlite3"):
        if ":memory:" in name or "mode=memory" in name:
            pytest.fail("the test database is in memory: a worker process cannot open it (set TEST NAME)")
        return f"sqlite:///{quote(str(Path(name).absolute()))}"
    user = quote(settings["USER"] or "", safe="")
    password = f":{quote(settings['PASSWORD'], safe='')}" if settings["PASSWORD"] else ""
    port = f":{settings['PORT']}" if settings["PORT"] else ""
    login = f"{user}{password}@" if user else ""
    return f"postgres://{login}{quote(settings['HOST'] or '', safe='')}{port}/{quote(name, safe='')}"


# -- processes ----------------------------------------------------------------------------------------


class CeleryProcess:
    """One ``celery -A app …`` in a session of its own, so that its group is exactly what we started."""

    program: Sequence[str] = ("celery", "-A", "app")

    def __init__(self, words: Sequence[str], env: Mapping[str, str], log_path: Path, ready: str, name: str) -> None:
        self.name = name
        self.log_path = log_path
        self._ready = re.compile(ready)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", *self.program, *words],
                cwd=PROJECT,
                env={**inherited, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def log(self) -> str:
        """Everything it printed so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def children(self) -> list[int]:
        """Process ids of its children (prefork pool), oldest first."""
        return children_of(self.pid)

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Return when it takes work, judged by what it printed."""

        def ready() -> bool:
            if not self.alive:
                pytest.fail(f"{self.name} ended ({self.process.returncode}) before it was ready:\n{self.log}")
            return bool(self._ready.search(self.log))

        deadline = time.monotonic() + timeout
        while not ready():
            if time.monotonic() > deadline:
                pytest.fail(f"{self.name} was not ready within {timeout:g} s:\n{self.log}")
            time.sleep(0.02)

    def kill9_group(self) -> None:
        """Kill it and its children at once; nothing of it gets to clean up."""
        self._signal_group(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def kill9(self) -> None:
        """Kill the main process only."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def kill9_child(self) -> int:
        """Kill one pool process and return its id; the main process starts another."""
        child = wait_until(lambda: self.children, 10, f"{self.name} has no pool process")[0]
        os.kill(child, signal.SIGKILL)
        return child

    def pause(self) -> None:
        """Stop the whole group in its tracks (SIGSTOP)."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_group(signal.SIGCONT)

    def terminate(self, timeout: float = STOP_SECONDS) -> int:
        """Ask for a warm shutdown, wait for it, and return the exit code."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} did not stop within {timeout:g} s:\n{self.log}")

    def clean_up(self) -> None:
        """End whatever is left of it, at once: a warm shutdown is what terminate() tests, and takes seconds."""
        if "COVERAGE_PROCESS_CONFIG" in os.environ:  # who is killed writes down nothing of what it reached
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self._signal_group(signal.SIGKILL)
        self.process.wait(STOP_SECONDS)

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class WebProcess(CeleryProcess):
    """One ``gunicorn app.wsgi`` on a free port."""

    program = ("gunicorn", "app.wsgi")

    @property
    def address(self) -> str:
        """The beginning of its URLs."""
        return wait_until(lambda: re.search(r"Listening at: (http://[\d.:]+)", self.log), 30)[1]


def children_of(pid: int) -> list[int]:
    """Return the child process ids of `pid`, oldest first."""
    pairs = _parents_from_proc() if Path("/proc/self/stat").exists() else _parents_from_ps()
    return sorted(child for child, parent in pairs if parent == pid)


def _parents_from_proc() -> list[tuple[int, int]]:
    pairs = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone since the listing
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                pairs.append((int(entry.parent.name), int(parent)))
    return pairs


def _parents_from_ps() -> list[tuple[int, int]]:
    found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    return [(int(child), int(parent)) for child, parent in map(str.split, found.stdout.splitlines())]


def start_worker(
    broker: Broker,
    log_path: Path,
    *,
    pool: str = "prefork",
    concurrency: int = 2,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> CeleryProcess:
    """Start a worker on the test database and `broker`; call ``wait_ready()`` on it."""
    name = f"worker-{uuid.uuid4().hex[:8]}"
    words = ["worker", "--loglevel=INFO", "-n", f"{name}@test", "-P", pool, "-c", str(concurrency)]
    words += ["--without-gossip", "--without-mingle", *args]
    return CeleryProcess(words, {**_environment(broker), **(env or {})}, log_path, r"@test ready\.", name)


def start_beat(
    broker: Broker, log_path: Path, *, args: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> CeleryProcess:
    """Start a scheduler; ``-S`` and the like go into `args`."""
    name = f"beat-{uuid.uuid4().hex[:8]}"
    words = ["beat", "--loglevel=INFO", "--pidfile=", "-s", str(log_path.with_suffix(".schedule")), *args]
    return CeleryProcess(words, {**_environment(broker), **(env or {})}, log_path, r"beat: Starting", name)


def start_web(broker: Broker, log_path: Path, *, env: Mapping[str, str] | None = None) -> WebProcess:
    """Start a web server with one process and two threads, over plain HTTP."""
    name = f"web-{uuid.uuid4().hex[:8]}"
    words = ["--bind", "127.0.0.1:0", "--worker-class", "gthread", "--workers", "1", "--threads", "2"]
    given = {**_environment(broker), "HTTPS": "0", "DEBUG": "0", **(env or {})}
    return WebProcess(words, given, log_path, r"Booting worker with pid", name)


# -- a machine whose clock is wrong -------------------------------------------------------------------


def faketime(offset: str = "", file: Path | None = None) -> dict[str, str]:
    """Return the environment of a process whose clock differs by `offset`, e.g. ``+70s``, or by what `file` says now.

    As on a real machine, the clock that counts from the start of the system is right.
    """
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed (Debian's package faketime)")
    sleeps = str(Path(__file__).parent / "faketime_sleep")
    env = {"LD_PRELOAD": str(found[0]), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": sleeps}
    if file is None:
        return {**env, "FAKETIME": offset}
    return {**env, "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1"}


def _environment(broker: Broker) -> dict[str, str]:
    return {**broker.env, "DATABASE_URL": database_url(), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
