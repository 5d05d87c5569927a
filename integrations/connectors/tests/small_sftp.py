"""A small SSH server in this process, for what OpenSSH will not do for us: passwords without accounts, a full disk,
no rename, a login that breaks off."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko

USER, PASSWORD = "erp", "sftp-canary-pässword"


class SmallSftp:
    """Serves `folder` to whoever knows the password.

    Attributes:
        breaks: what does not work: ``login`` (cuts the line), ``sftp``, ``write``, ``short`` (drops what is written),
            ``rename``, ``posix_rename``, ``cut`` (ends the connection in the middle of the upload), ``remove``,
            ``remove_missing`` (with the code of a failure), ``dot`` (names that begin with one), ``stat_part``.
        further: kinds of proof that are wanted beside the password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.breaks: set[str] = set()
        self.further = ""
        self.logins: list[tuple[str, str]] = []
        self.host_key = paramiko.ECDSAKey.generate()
        self.pinned = f"{self.host_key.get_name()} {self.host_key.get_base64()}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> SmallSftp:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for transport in self._transports:
            transport.close()
        self._thread.join(5)

    def connections(self) -> list[paramiko.Transport]:
        return list(self._transports)

    @staticmethod
    def hang_up(connections: list[paramiko.Transport]) -> None:
        for transport in connections:
            transport.sock.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.set_log_channel("small_sftp")
            transport.add_server_key(self.host_key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files, self)
            self._transports.append(transport)
            with contextlib.suppress(paramiko.SSHException, EOFError):
                transport.start_server(server=_Door(self))


class _Door(paramiko.ServerInterface):
    def __init__(self, server: SmallSftp) -> None:
        self._server = server

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        self._server.logins.append((username, password))
        if "login" in self._server.breaks:
            self._server.hang_up(self._server.connections())
        if (username, password) != (USER, PASSWORD):
            return paramiko.AUTH_FAILED
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL if self._server.further else paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: Any, name: str) -> bool:
        return "sftp" not in self._server.breaks and super().check_channel_subsystem_request(channel, name)


class _Handle(paramiko.SFTPHandle):
    def __init__(self, file: Any, server: SmallSftp) -> None:
        super().__init__()
        self.readfile = self.writefile = file
        self._server = server
        self._connections = server.connections()  # writes that were under way cut no later one

    def write(self, offset: int, data: bytes) -> int:  # type: ignore[override]
        if "write" in self._server.breaks:
            return paramiko.SFTP_FAILURE  # no space
        if "cut" in self._server.breaks and offset:
            self._server.hang_up(self._connections)
        if "short" in self._server.breaks:
            return paramiko.SFTP_OK
        result = super().write(offset, data)
        self.writefile.flush()
        return result


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, door: _Door, server: SmallSftp) -> None:
        super().__init__(door)
        self._server = server

    def _path(self, path: str) -> Path:
        return self._server.folder / self.canonicalize(path).lstrip("/")

    def stat(self, path: str) -> Any:
        if "stat_part" in self._server.breaks and path.endswith(".part"):
            return paramiko.SFTP_PERMISSION_DENIED
        return self._try(lambda: paramiko.SFTPAttributes.from_stat(self._path(path).stat()))

    lstat = stat

    def open(self, path: str, flags: int, attr: Any) -> Any:
        if "dot" in self._server.breaks and Path(path).name.startswith("."):
            return paramiko.SFTP_PERMISSION_DENIED

        def opened() -> Any:
            descriptor = os.open(self._path(path), flags, 0o600)
            return _Handle(os.fdopen(descriptor, "w+b" if flags & os.O_WRONLY else "rb"), self._server)

        return self._try(opened)

    def remove(self, path: str) -> int:
        if "remove" in self._server.breaks or (
            "remove_missing" in self._server.breaks and not self._path(path).exists()
        ):
            return paramiko.SFTP_FAILURE
        return self._try(lambda: self._path(path).unlink() or paramiko.SFTP_OK)

    def rename(self, old: str, new: str) -> int:
        if "rename" in self._server.breaks or self._path(new).exists():
            return paramiko.SFTP_FAILURE
        return self._try(lambda: self._path(old).rename(self._path(new)) and paramiko.SFTP_OK)

    def posix_rename(self, old: str, new: str) -> int:
        if "posix_rename" in self._server.breaks:
            return paramiko.SFTP_OP_UNSUPPORTED
        return self._try(lambda: self._path(old).replace(self._path(new)) and paramiko.SFTP_OK)

    @staticmethod
    def _try(action: Any) -> Any:
        try:
            return action()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno or 0)
