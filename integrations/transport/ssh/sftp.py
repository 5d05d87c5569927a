"""SFTP: put one file under its final name, whole or not at all, and never over another one.

In: an open conversation, a login, the pinned host keys, folder, name and bytes. Out: `Stored`. The file is written
aside, flushed to the disk where the server can (fsync@openssh.com), measured, and renamed. Putting the same file again
finds it; a crash in between leaves at most the part, which the next attempt removes.

Nothing is asked of a server that this does not need: not every one is OpenSSH. A part is only deleted where one is in
the way; where names that begin with a dot are refused, the part's name does without; a size that nobody tells is not
missed. The rename is the one of SFTP 3, which refuses to replace a file (OpenSSH: a hard link, then unlink).
posix-rename, which does replace, is used only where the other does not work and no file of that name is there.

Errors, beside those of session.py:

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
from integrations.transport.ssh.keys import HostKeys
from integrations.transport.ssh.session import sftp_session
from integrations.transport.tcp import Conversation, Login, hold

if TYPE_CHECKING:
    import paramiko

TEMPORARY_NAMES = (".{name}.part", "{name}.part")
CHECK_NAME = "outbox-check.tmp"


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
    *,
    temporary: str = "",
) -> Stored:
    """Put `body` into `folder` as `name`; `is_same` judges a file that is there already.

    Args:
        temporary: how the file is called until it is whole, with ``{name}`` in it; "": `TEMPORARY_NAMES` in turn.
    """

    def talk() -> Stored:
        with sftp_session(conversation, login, host_keys) as sftp:
            path = posixpath.join(folder, name)
            if _is_there(sftp, path, len(body), is_same):
                return Stored(path, len(body), was_there=True)
            _put(sftp, folder, name, body, is_same, temporary)
            return Stored(path, len(body))

    return hold(conversation, talk)


def check(conversation: Conversation, login: Login, host_keys: HostKeys, folder: str, *, temporary: str = "") -> str:
    """Write a small file as `put` does, and remove it; return the name of one that cannot be removed.

    Its name is always the same, so that a server that lets nobody delete keeps one of them, and does not look like an
    order to whoever picks up ``*.json``.
    """

    def talk() -> str:
        with sftp_session(conversation, login, host_keys) as sftp:
            if not stat.S_ISDIR(sftp.stat(folder or ".").st_mode or 0):
                raise OSError(errno.ENOTDIR, "")
            path, body = posixpath.join(folder, CHECK_NAME), b"{}"
            if _exists(sftp, path) and not _removed(sftp, path):
                return CHECK_NAME  # of an earlier check: files can be written here
            _put(sftp, folder, CHECK_NAME, body, body.__eq__, temporary)
            return "" if _removed(sftp, path) else CHECK_NAME

    return hold(conversation, talk)


def temporary_names(name: str, temporary: str = "") -> list[str]:
    """Return how the file `name` may be called until it is whole, in the order in which they are tried."""
    return [each.replace("{name}", name) for each in ((temporary,) if temporary else TEMPORARY_NAMES)]


def _put(
    sftp: paramiko.SFTPClient, folder: str, name: str, body: bytes, is_same: Callable[[bytes], bool], temporary: str
) -> None:
    path = posixpath.join(folder, name)
    file, part = _opened(sftp, [posixpath.join(folder, each) for each in temporary_names(name, temporary)])
    try:
        with file:
            file.write(body)
            file.flush()
            _flush_to_disk(sftp, file)
        with contextlib.suppress(PermissionError):  # the server has confirmed what was written
            if sftp.stat(part).st_size not in (None, len(body)):
                raise OSError("not all of it was stored")
        _rename(sftp, part, path, len(body), is_same)
    except (OSError, IntegrationPermanentError):
        _removed(sftp, part)
        raise


def _opened(sftp: paramiko.SFTPClient, parts: list[str]) -> tuple[paramiko.SFTPFile, str]:
    """Return a new file under the first of these names that the server takes."""
    refusal: OSError | None = None
    for part in parts:
        for attempt in range(2):
            try:
                return sftp.open(part, "wbx"), part
            except FileNotFoundError:  # the folder
                raise
            except OSError as error:
                refusal = refusal or error
            # What a crash left may be a second name of a file that was picked up since: it is not written into.
            if attempt or not _removed(sftp, part):
                break
    raise refusal or OSError()


def _exists(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        sftp.stat(path)
    except OSError:
        return False
    return True


def _removed(sftp: paramiko.SFTPClient, path: str) -> bool:
    try:
        sftp.remove(path)
    except OSError:
        return False
    return True


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


def _rename(sftp: paramiko.SFTPClient, part: str, path: str, size: int, is_same: Callable[[bytes], bool]) -> None:
    try:
        sftp.rename(part, path)
        return
    except OSError as error:  # SFTP 3 has one code for "exists" and "does not work here"
        refusal = error
    if _is_there(sftp, path, size, is_same):
        _removed(sftp, part)  # somebody else was first
        return
    try:
        sftp.posix_rename(part, path)
    except OSError:
        raise (refusal if refusal.errno else OSError(errno.ENOTSUP, "")) from None


def _flush_to_disk(sftp: paramiko.SFTPClient, file: paramiko.SFTPFile) -> bool:
    from paramiko.sftp import CMD_EXTENDED

    try:
        sftp._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)  # type: ignore[attr-defined]
    except OSError:  # not every server can
        return False
    return True
