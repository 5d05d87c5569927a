"""A real OpenSSH server on loopback, for one user with one key."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

from .ordinary_process import USER, OrdinaryProcess, program

CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
HostKey {folder}/host_rsa
PidFile none
# Without PAM, sshd takes an account whose password it may not read for a locked one.
UsePAM yes
StrictModes no
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {folder}/authorized_keys
Subsystem sftp internal-sftp -l DEBUG1
LogLevel DEBUG1
"""


class Sshd:
    """`drop` is the folder that files go to; `key` the private key that may log in."""

    user = USER.pw_name

    def __init__(self) -> None:
        self._daemon, self._keygen = program("sshd"), program("ssh-keygen")
        self._process = OrdinaryProcess()
        self.port = self._process.port
        self.netloc = f"127.0.0.1:{self.port}"
        self.drop = self._process.make_folder("drop")

    def __enter__(self) -> Sshd:
        self._make_key("host_ed25519", "ed25519")
        self._make_key("host_rsa", "rsa", "-b", "2048")
        self.key = self._make_key("user", "ed25519").read_text()
        folder = self._process.folder
        self._process.write("authorized_keys", (folder / "user.pub").read_bytes())
        config = self._process.write("sshd_config", CONFIG.format(port=self.port, folder=folder))
        self._process.run(self._daemon, "-D", "-e", "-f", str(config))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.close()

    @property
    def log(self) -> str:
        return self._process.log

    def pinned(self, kind: str = "ed25519") -> str:
        """Return what ``ssh-keygen -lf`` prints of the host key."""
        public = self._process.folder / f"host_{kind}.pub"
        return subprocess.run(
            [self._keygen, "-lf", str(public)], check=True, capture_output=True, text=True
        ).stdout.strip()

    def authorise(self, public_key: str) -> None:
        """Let one more key log in."""
        path = self._process.folder / "authorized_keys"
        self._process.write("authorized_keys", path.read_text() + public_key + "\n")

    def _make_key(self, name: str, kind: str, *more: str) -> Path:
        path = self._process.folder / name
        subprocess.run(
            [self._keygen, "-q", "-t", kind, *more, "-N", "", "-C", "test", "-f", str(path)],
            check=True,
            capture_output=True,
        )
        return self._process.write(name, path.read_bytes())
