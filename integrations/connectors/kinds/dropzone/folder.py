"""Put one file into a folder of this machine, whole or not at all, and never over another one.

In: a folder that lies below one of the operator's roots (DROPZONE_ROOTS), a name, bytes. Out: `Stored`.
The way from the root down is walked folder by folder, refusing ``..`` and symbolic links, and everything happens
relative to the folder that was opened: whatever changes meanwhile, nothing is ever written outside of the root.
Errors: ConfigurationError ``folder``; IntegrationPermanentError ``file_differs``; IntegrationTemporaryError
``storage_failed`` (folder missing, no permission, no space).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from integrations.errors import DESTINATION, SETUP, ConfigurationError, IntegrationTemporaryError
from integrations.transport.ssh.sftp import CHECK_NAME, Stored, file_differs, most_compared, temporary_names

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK})  # of file systems without hard links
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})  # of those without locks


def check(folder: str, roots: Iterable[str], *, temporary: str = "") -> None:
    """Write a small file into the folder, and remove it."""
    (part, *_) = temporary_names(f"{CHECK_NAME}.{secrets.token_hex(4)}", temporary)
    with _opened(folder, roots) as directory, _written(directory, part, b"{}"):
        pass


def put(
    folder: str, roots: Iterable[str], name: str, body: bytes, is_same: Callable[[bytes], bool], *, temporary: str = ""
) -> Stored:
    """Put `body` into `folder` as `name`; `is_same` judges a file that is there already."""
    path, (part, *_) = str(PurePosixPath(folder) / name), temporary_names(name, temporary)
    with _opened(folder, roots) as directory:
        if _is_there(directory, name, len(body), is_same):
            return Stored(path, len(body), was_there=True)
        try:
            with _written(directory, part, body):
                _give_name(directory, part, name)
        except FileExistsError:
            _is_there(directory, name, len(body), is_same)
        os.fsync(directory)
    return Stored(path, len(body))


def problem_of(folder: str, roots: Iterable[str]) -> str:
    """Return why `folder` may not be used, "" if it may; the disk is not asked."""
    return "" if _below(folder, roots) else "is not below a folder that the operator opened (DROPZONE_ROOTS)"


def _below(folder: str, roots: Iterable[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return the root and the steps from there down."""
    wanted = PurePosixPath(folder)
    if "\0" in folder or not wanted.is_absolute() or ".." in wanted.parts:
        return None
    for root in roots:
        base = PurePosixPath(root)
        if base.is_absolute() and wanted.is_relative_to(base):
            return str(base), wanted.relative_to(base).parts
    return None


@contextlib.contextmanager
def _opened(folder: str, roots: Iterable[str]) -> Iterator[int]:
    """Give a descriptor of the folder."""
    found = _below(folder, roots)
    if found is None:
        raise ConfigurationError({"folder": problem_of(folder, roots)})
    root, steps = found
    problem, fault = "", SETUP
    try:
        directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for step in steps:
                below = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
                os.close(directory)
                directory = below
            yield directory
        finally:
            os.close(directory)
    except FileNotFoundError:
        problem = "it does not exist"
    except PermissionError:
        problem = "permission denied"
    except NotADirectoryError:
        problem = "part of the path is not a folder, or is a symbolic link"
    except BlockingIOError:
        problem, fault = "another process is writing it", DESTINATION
    except OSError as error:
        problem, fault = os.strerror(error.errno) if error.errno else "it failed", DESTINATION
    if problem:
        raise IntegrationTemporaryError(
            f"the file was not stored in the folder: {problem}", code="storage_failed", was_sent=False, fault=fault
        )


@contextlib.contextmanager
def _written(directory: int, part: str, body: bytes) -> Iterator[None]:
    """Write `part`, ours alone until it is removed at the end; whoever writes it at this moment keeps it.

    Raises:
        BlockingIOError: somebody does. What one gives its name must not be what another has just begun.
    """
    _free(directory, part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=directory)
    try:
        _hold(directory, part, descriptor)
        try:
            while body:
                body = body[os.write(descriptor, body) :]
            os.fsync(descriptor)
            yield
        finally:
            _remove(directory, part)
    finally:
        os.close(descriptor)


def _free(directory: int, part: str) -> None:
    """Remove what a crash left. It may be a second name of a file that was picked up since: it is not written into."""
    try:
        left = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return
    except OSError:  # a link, or somebody else's
        _remove(directory, part)
        return
    try:
        _hold(directory, part, left)
        _remove(directory, part)
    finally:
        os.close(left)


def _hold(directory: int, part: str, descriptor: int) -> None:
    """Lock the file, and see that it is still the one of that name; closing it, or a crash, unlocks it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        there = os.stat(part, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        there = None
    if there is None or not os.path.samestat(there, os.fstat(descriptor)):
        raise BlockingIOError(errno.EAGAIN, "")


def _give_name(directory: int, part: str, name: str) -> None:
    try:
        # A hard link is the one atomic way to take a name only if it is free.
        os.link(part, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)


def _remove(directory: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


def _is_there(directory: int, name: str, size: int, is_same: Callable[[bytes], bool]) -> bool:
    """Tell whether the file lies there already.

    Raises:
        IntegrationPermanentError: another one does.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        return False
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        most = most_compared(size)
        content = os.read(descriptor, most) if is_file else b""
    finally:
        os.close(descriptor)
    if len(content) < most and is_same(content):
        return True
    raise file_differs()
