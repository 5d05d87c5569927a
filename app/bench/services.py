"""Where the benchmark's rows and messages live: PostgreSQL and Redis, or the embedded wheels where those do not answer.

The databases are our own (bench_outbox…) and are dropped at the end; the broker's keys have a prefix of our own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from app.embedded_broker import PROJECT, EmbeddedBroker

from .processes import BenchError

PROJECTS = {"ours": "app.settings", "peers": "app.bench.peers.settings"}
DATABASE = os.environ.get("TEST_DATABASE_URL", "postgres://postgres@127.0.0.1:5432/outbox")
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
NAME = "bench_outbox"
LOCK = 0x6F7574626F78  # "outbox": one benchmark at a time on one server, or both measure each other


class Database(ABC):
    """Gives each measurement a fresh database of its project, copied from one that was migrated once."""

    kind: str
    is_server = False

    @abstractmethod
    def url(self, project: str) -> str: ...

    @abstractmethod
    def make_template(self, project: str) -> None: ...

    @abstractmethod
    def renew(self, project: str) -> None:
        """Make the project's database empty again."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Postgres(Database):
    """Databases on the server of TEST_DATABASE_URL."""

    is_server = True

    def __init__(self, url: str) -> None:
        import psycopg

        self._url = url
        self._admin = psycopg.connect(_named(url, "postgres"), autocommit=True, connect_timeout=3)
        row = self._admin.execute("SELECT pg_try_advisory_lock(%s), version()", [LOCK]).fetchone()
        assert row is not None
        if not row[0]:
            self._admin.close()
            raise BenchError("another benchmark is running on this PostgreSQL server; wait until it has ended")
        self.kind = " ".join(str(row[1]).split()[:2])

    def url(self, project: str) -> str:
        return _named(self._url, f"{NAME}_{project}" if project != "ours" else NAME)

    def make_template(self, project: str) -> None:
        name = self._template(project)
        self._drop(name)
        self._admin.execute(f'CREATE DATABASE "{name}"')
        migrate(project, _named(self._url, name))

    def renew(self, project: str) -> None:
        name = urlsplit(self.url(project)).path[1:]
        self._drop(name)
        self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template(project)}"')

    def close(self) -> None:
        for project in PROJECTS:
            self._drop(urlsplit(self.url(project)).path[1:])
            self._drop(self._template(project))
        self._admin.close()

    def _template(self, project: str) -> str:
        return f"{NAME}_template_{project}"

    def _drop(self, name: str) -> None:
        self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class SQLite(Database):
    """Files under .local/bench."""

    def __init__(self, directory: Path) -> None:
        import sqlite3

        self.kind = f"SQLite {sqlite3.sqlite_version} (no PostgreSQL answers)"
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def url(self, project: str) -> str:
        return f"sqlite:///{quote(str(self._file(project)))}"

    def make_template(self, project: str) -> None:
        template = self._file(f"template-{project}")
        _remove(template)
        migrate(project, f"sqlite:///{quote(str(template))}")

    def renew(self, project: str) -> None:
        _remove(self._file(project))
        shutil.copy(self._file(f"template-{project}"), self._file(project))

    def close(self) -> None:
        for project in PROJECTS:
            _remove(self._file(project))
            _remove(self._file(f"template-{project}"))

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.sqlite3"


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def _named(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def migrate(project: str, url: str) -> None:
    """Create the project's tables, in a process of its own."""
    command = [sys.executable, "manage.py", "migrate", "--run-syncdb", "-v0", "--settings", PROJECTS[project]]
    env = {**os.environ, **quiet(project), "DATABASE_URL": url}
    done = subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise BenchError(f"the tables of {project!r} could not be made:\n{done.stderr[-3000:]}")


@dataclass(frozen=True)
class Broker:
    """A broker, and how to forget everything that we put into it."""

    kind: str
    url: str
    prefix: str
    socket: str = ""

    @property
    def env(self) -> dict[str, str]:
        options = {"global_keyprefix": self.prefix} if self.prefix else {}
        return {
            "CELERY_BROKER_URL": self.url,
            "CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps(options),
            "CELERY_RESULT_BACKEND": "disabled://",
        }

    def forget(self) -> None:
        """Delete our keys and no others."""
        import redis

        client = redis.Redis(unix_socket_path=self.socket) if self.socket else redis.Redis.from_url(self.url)
        with contextlib.closing(client):
            if keys := list(client.scan_iter(match=f"{self.prefix}*", count=1000)):
                client.delete(*keys)


def quiet(project: str) -> dict[str, str]:
    """The environment that every process of the benchmark has, whatever .env says."""
    return {
        "DJANGO_SETTINGS_MODULE": PROJECTS[project],
        "ENV_FILE": "",
        "SECRET_KEY": "for measurements on loopback only",
        "ENCRYPTION_MASTER_KEY": "0123456789abcdef" * 4,
        "DEBUG": "0",
        "LOG_LEVEL": "WARNING",
        "CACHE_URL": "locmemcache://",
        "PYTHONWARNINGS": "ignore",
    }


@dataclass(frozen=True)
class Services:
    """Database and broker of one run."""

    database: Database
    broker: Broker

    def env(self, project: str) -> dict[str, str]:
        return {**quiet(project), **self.broker.env, "DATABASE_URL": self.database.url(project)}


@contextlib.contextmanager
def services(projects: set[str], *, embedded: bool = False) -> Iterator[Services]:
    """Yield the services, with a template for each of `projects`; remove everything afterwards."""
    with contextlib.ExitStack() as stack:
        database: Database | None = None if embedded else _postgres()
        broker = None if embedded or database is None else _redis()
        if database is None or broker is None:
            if database is not None:
                database.close()
            database = SQLite(PROJECT / ".local" / "bench" / "databases")
            server = stack.enter_context(EmbeddedBroker(private=True))
            broker = Broker("Valkey, embedded (no Redis answers)", server.url, "", str(server.socket_path))
        stack.enter_context(database)
        stack.callback(broker.forget)
        for project in sorted(projects):
            database.make_template(project)
        yield Services(database, broker)


def _postgres() -> Database | None:
    import psycopg

    try:
        return Postgres(DATABASE)
    except psycopg.OperationalError:
        return None


def _redis() -> Broker | None:
    import redis

    client = redis.Redis.from_url(REDIS, socket_connect_timeout=2, socket_timeout=2)
    try:
        version = client.info("server")["redis_version"]
    except redis.RedisError:
        return None
    finally:
        client.close()
    return Broker(f"Redis {version}", REDIS, f"bench-outbox:{os.getpid()}:")
