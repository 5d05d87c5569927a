"""SFTP: put one file under its final name, whole or not at all, and never over another one.

In: an open conversation, a login, the pinned host keys, folder, name and bytes. Out: `Stored`. The file is written
aside (``.name.part``), flushed to the disk where the server can (fsync@openssh.com), measured, and renamed. Putting the
same file again finds it; a crash in between leaves at most the part, which the next attempt removes.

The rename is the one of SFTP 3, which refuses to replace a file (OpenSSH: a hard link, then unlink). posix-rename,
which does replace, is used only where the other does not work and no file of that name is there.

Nothing is read from ~/.ssh, an agent or the environment. A host key that is not pinned ends the conversation before
any credential is sent. Errors:

    IntegrationAuthError        login refused; ``host_key``: another host key than the pinned ones. Three in a row
                                disable an integration: until a person has looked, nothing should go there
    IntegrationPermanentError   ``file_differs``: a file of that name has another content
    IntegrationTemporaryError   ``storage_failed``: folder missing, no permission, no space: somebody can mend that, and
                                the file waits; ``ssh_failed``, ``sftp_refused``, timeout, connection_reset
    IntegrationNotConfigured    paramiko is not installed; the private key cannot be read
"""

from __future__ import annotations

import contextlib
import errno
import logging
import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from integrations.errors import (
    IntegrationAuthError,
    IntegrationError,
    IntegrationNotConfigured,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)

from .host_keys import HostKeys, fingerprint_of
from .login import Login
from .ssh_key import ssh_key
from .tcp import Conversation, hold

if TYPE_CHECKING:
    import paramiko

PORTS = frozenset({22})
LOGGER = "integrations.sftp"  # of paramiko; silent unless somebody sets its level: it would repeat what servers say
_SLACK = 5.0  # seconds that paramiko's own timeouts are longer than ours, so that ours say what happened


@dataclass(frozen=True, slots=True)
class Stored:
    """The file lies at `path`; `was_there`: an earlier attempt had brought it."""

    path: str
    size: int
    was_there: bool = False


def library() -> Any:
    """Return paramiko.

    Raises:
        IntegrationNotConfigured: it is not installed.
    """
    try:
        import paramiko
    except ImportError:
        paramiko = None  # type: ignore[assignment]
    if paramiko is None:
        raise IntegrationNotConfigured("SFTP needs the package paramiko: pip install paramiko")
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    return paramiko


def put(
    conversation: Conversation,
    login: Login,
    host_keys: HostKeys,
    folder: str,
    name: str,
    body: bytes,
    is_same: Callable[[bytes], bool],
) -> Stored:
    """Put `body` into `folder` as `name`; `is_same` judges a file that is there already."""

    def talk() -> Stored:
        with _session(conversation, login, host_keys) as sftp:
            path, part = posixpath.join(folder, name), posixpath.join(folder, f".{name}.part")
            if _is_there(sftp, path, len(body), is_same):
                return Stored(path, len(body), was_there=True)
            with contextlib.suppress(FileNotFoundError):
                # What a crash left may be a second name of a file that was picked up since: it is not written into.
                sftp.remove(part)
            with sftp.open(part, "wbx") as file:
                file.write(body)
                file.flush()
                _flush_to_disk(sftp, file)
            if sftp.stat(part).st_size != len(body):
                raise OSError("not all of it was stored")
            if not _renamed(sftp, part, path):
                _rename_anyway(sftp, part, path, len(body), is_same)
            return Stored(path, len(body))

    return hold(conversation, talk)


def check(conversation: Conversation, login: Login, host_keys: HostKeys, folder: str) -> None:
    """Log in and look at the folder; whether files may be written there is not tried."""

    def talk() -> None:
        with _session(conversation, login, host_keys) as sftp:
            if not stat.S_ISDIR(sftp.stat(folder or ".").st_mode or 0):
                raise OSError(errno.ENOTDIR, "")

    hold(conversation, talk)


@contextlib.contextmanager
def _session(conversation: Conversation, login: Login, host_keys: HostKeys) -> Iterator[paramiko.SFTPClient]:
    """Give an SFTP session with a server that has proven to be the pinned one."""
    library_ = library()
    key = ssh_key(library_, login) if login.private_key else None
    transport = library_.Transport(conversation.sock)
    failure: IntegrationError | None = None
    speaks_ssh = False
    try:
        transport.set_log_channel(LOGGER)
        patience = conversation.remaining + _SLACK
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = patience
        if host_keys.algorithms:
            transport.get_security_options().key_types = host_keys.algorithms
        transport.start_client(timeout=patience)
        speaks_ssh = True
        _check_host_key(transport, host_keys, conversation.host)
        _authenticate(transport, login, key)
        channel = transport.open_session(timeout=patience)
        channel.settimeout(patience)
        channel.invoke_subsystem("sftp")
        yield library_.SFTPClient(channel)
    except (OSError, EOFError, library_.SSHException) as error:
        failure = _explain(library_, error, conversation, transport.is_active(), speaks_ssh)
    finally:
        transport.close()
        transport.join(1)
    if failure is not None:
        raise failure


def _check_host_key(transport: Any, host_keys: HostKeys, host: str) -> None:
    key = transport.get_remote_server_key()
    fingerprint = fingerprint_of(key.asbytes())
    if fingerprint not in host_keys.fingerprints:
        raise IntegrationAuthError(
            f"{host} showed a host key ({key.get_name()}) that is not pinned: {fingerprint}. If its administrator "
            "confirms that this is its key, enter it; if not, somebody else may be answering",
            code="host_key",
            was_sent=False,
        )


def _authenticate(transport: Any, login: Login, key: Any) -> None:
    further = ["password"]
    if key is not None:
        further = transport.auth_publickey(login.username, key)
    if further and login.password:
        transport.auth_password(login.username, login.password)
    if not transport.is_authenticated():
        raise IntegrationAuthError("the server wants a further proof beside the one it got", was_sent=False)


def _explain(
    library_: Any, error: Exception, conversation: Conversation, is_open: bool, speaks_ssh: bool
) -> IntegrationError:
    """Return what `error` means: paramiko says of a connection that broke that the login failed, or the file."""
    host = conversation.host
    if conversation.expired or isinstance(error, TimeoutError | EOFError):
        return conversation.failure(error)
    if not is_open:
        if isinstance(error, library_.SSHException) and not speaks_ssh:
            message = f"{host} hung up, or does not speak SSH on this port in a way that we accept"
            return _temporary(message, "ssh_failed")
        return conversation.failure(EOFError())
    if isinstance(error, library_.AuthenticationException):
        message = f"{host} refused the login; check user name, password or key, and that the server allows that kind"
        return IntegrationAuthError(message, was_sent=False)
    if isinstance(error, library_.SSHException):
        return _temporary(f"{host} offers no SFTP to this user", "sftp_refused")
    code = error.errno if isinstance(error, OSError) else None
    why = {
        errno.ENOENT: "the folder does not exist",
        errno.ENOTDIR: "the folder is none",
        errno.EACCES: "permission denied",
    }
    return _temporary(f"{host} did not store the file: {why.get(code or 0, 'it failed; is there space?')}")


def _temporary(message: str, code: str = "storage_failed") -> IntegrationTemporaryError:
    # Putting a file twice gives one file: it may always be tried again.
    return IntegrationTemporaryError(message, code=code, was_sent=False)


def _is_there(sftp: paramiko.SFTPClient, path: str, size: int, is_same: Callable[[bytes], bool]) -> bool:
    """Tell whether the file lies there already.

    Raises:
        IntegrationPermanentError: another one does.
    """
    try:
        found = sftp.stat(path)
    except FileNotFoundError:
        return False
    content, most = b"", most_compared(size)
    if stat.S_ISREG(found.st_mode or 0):
        with sftp.open(path, "rb") as file:
            content = file.read(most)
    if len(content) < most and is_same(content):
        return True
    raise file_differs()


def most_compared(size: int) -> int:
    """Return how much of a file is read to see whether it is one of `size` bytes: JSON may be spaced differently."""
    return 4 * size + 65536


def file_differs() -> IntegrationPermanentError:
    """Return the error for a name that is taken by another content."""
    message = "a file of this name lies there with another content; it was not replaced"
    return IntegrationPermanentError(message, code="file_differs", was_sent=False)


def _renamed(sftp: paramiko.SFTPClient, part: str, path: str) -> bool:
    try:
        sftp.rename(part, path)
    except PermissionError:
        raise
    except OSError:  # SFTP 3 has one code for "exists" and "does not work here"
        return False
    return True


def _rename_anyway(
    sftp: paramiko.SFTPClient, part: str, path: str, size: int, is_same: Callable[[bytes], bool]
) -> None:
    try:
        if not _is_there(sftp, path, size, is_same):
            sftp.posix_rename(part, path)
    finally:
        with contextlib.suppress(OSError):
            sftp.remove(part)  # where somebody else was first


def _flush_to_disk(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> bool:
    from paramiko.sftp import CMD_EXTENDED

    try:
        sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)  # type: ignore[attr-defined]
    except OSError:  # not every server can
        return False
    return True
