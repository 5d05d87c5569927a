"""SSH: from an open conversation to a session with a server that has proven to be the pinned one.

In: a conversation, a login, the pinned host keys. Out: paramiko's SFTP client. Nothing is read from ~/.ssh, an agent or
the environment. A host key that is not pinned ends the conversation before any credential is sent. Errors:

    IntegrationAuthError        login refused; ``host_key``: another host key than the pinned ones. Three in a row
                                disable an integration: until a person has looked, nothing should go there
    IntegrationTemporaryError   ``ssh_failed``, ``sftp_refused``, timeout, connection_reset; ``storage_failed`` for what
                                the server says of files
    IntegrationNotConfigured    paramiko is not installed; the private key cannot be read
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from integrations.errors import (
    DESTINATION,
    SETUP,
    IntegrationAuthError,
    IntegrationError,
    IntegrationNotConfigured,
    IntegrationTemporaryError,
)
from integrations.transport.ssh.keys import HostKeys, fingerprint_of, ssh_key
from integrations.transport.tcp import Conversation, Login

if TYPE_CHECKING:
    import paramiko

PORTS = frozenset({22})
LOGGER = "integrations.sftp"  # of paramiko; silent unless somebody sets its level: it would repeat what servers say
_SLACK = 5.0  # seconds that paramiko's own timeouts are longer than ours, so that ours say what happened


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
        raise IntegrationNotConfigured(
            "SFTP needs the package paramiko: pip install paramiko, or django-integration-outbox[sftp]"
        )
    logger = logging.getLogger(LOGGER)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    return paramiko


@contextlib.contextmanager
def sftp_session(conversation: Conversation, login: Login, host_keys: HostKeys) -> Iterator[paramiko.SFTPClient]:
    """Give an SFTP session with a server that has proven to be the pinned one."""
    ssh = library()
    key = ssh_key(ssh, login) if login.private_key else None
    transport = ssh.Transport(conversation.sock)
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
        yield ssh.SFTPClient(channel)
    except (OSError, EOFError, ssh.SSHException) as error:
        failure = _explain(ssh, error, conversation, transport.is_active(), speaks_ssh)
    finally:
        transport.close()
        conversation.close()  # wakes paramiko's thread, which would look at its socket a tenth of a second later
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
        raise IntegrationAuthError("the server requires another login method beside the one it got", was_sent=False)


def _explain(
    ssh: Any, error: Exception, conversation: Conversation, is_open: bool, speaks_ssh: bool
) -> IntegrationError:
    """Return what `error` means: paramiko says of a connection that broke that the login failed, or the file."""
    host = conversation.host
    if conversation.expired or isinstance(error, TimeoutError | EOFError):
        return conversation.failure(error)
    if not is_open:
        if isinstance(error, ssh.SSHException) and not speaks_ssh:
            return _temporary(
                f"{host} closed the connection, or does not speak a supported SSH on this port", "ssh_failed"
            )
        return conversation.failure(EOFError())
    if isinstance(error, ssh.AuthenticationException):
        message = f"{host} refused the login; check user name, password or key, and which logins the server allows"
        return IntegrationAuthError(message, was_sent=False)
    if isinstance(error, ssh.SSHException):
        return _temporary(f"{host} does not offer SFTP to this user", "sftp_refused")
    code = error.errno if isinstance(error, OSError) else None
    why = {
        errno.ENOENT: "the folder does not exist",
        errno.ENOTDIR: "the path is not a folder",
        errno.EACCES: "permission denied",
        errno.ENOTSUP: "it does not allow renaming files, and without that an incomplete file could be picked up",
    }
    failure = _temporary(f"{host} did not store the file: {why.get(code or 0, 'it failed; is there space?')}")
    failure.fault = SETUP if code in why else DESTINATION
    return failure


def _temporary(message: str, code: str = "storage_failed") -> IntegrationTemporaryError:
    # Putting a file twice gives one file: it may always be tried again.
    return IntegrationTemporaryError(message, code=code, was_sent=False)
