"""SFTP: put one file under its final name, whole or not at all, and never over another one.

In: an open conversation, a login, the pinned host keys, folder, name and bytes. Out: `Stored`. The file is written
aside (``.name.part``), flushed to the disk where the server can (fsync@openssh.com), measured, and renamed. Putting the
same file again finds it; a crash in between leaves at most the part, which the next attempt removes.

The rename is the one of SFTP 3, which refuses to replace a file (OpenSSH: a hard link, then unlink). posix-rename,
which does replace, is used only where the other does not work and no file of that name is there.

Errors, beside those of ssh.py:

    IntegrationPermanentError   ``file_differs``: a file of that name has another content
    IntegrationTemporaryError   ``storage_failed``: folder missing, no permission, no space: somebody can mend that, and
                                the file waits
"""

from __future__ import annotations

import contextlib
import errno
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integrations.errors import IntegrationPermanentError

from .host_keys import HostKeys
from .login import Login
from .ssh import sftp_session
from .tcp import Conversation, hold

if TYPE_CHECKING:
    import paramiko


@dataclass(frozen=True, slots=True)
class Stored:
    """The file lies at `path`; `was_there`: an earlier attempt had brought it."""

    path: str
    size: int
    was_there: bool = False


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
        with sftp_session(conversation, login, host_keys) as sftp:
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
        with sftp_session(conversation, login, host_keys) as sftp:
            if not stat.S_ISDIR(sftp.stat(folder or ".").st_mode or 0):
                raise OSError(errno.ENOTDIR, "")

    hold(conversation, talk)


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
