"""The JSON dropzone: a file per order or event that some other program picks up.

The file is ``<key>.json``, by the event's key, or for an order by a key that depends on its id alone. It holds the
payload as it is: ``{"event_type": "order_push", "order": {…}}``.

Promised: a file under its final name is whole. A second attempt finds the first one's file and writes no second; a file
of that name with another content is never replaced, but reported. Not promised: that it comes only once. What was
picked up before we learnt that it had arrived is written again, under the same name. Nor any order among files.

`check` logs in, writes a small file (``outbox-check.tmp``) as every other is written, and removes it. A local folder
must lie below one of the operator's DROPZONE_ROOTS; every tenant that may use this kind may choose any folder below
them. Errors: transport/ssh/session.py, transport/ssh/sftp.py, folder.py.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from integrations import conf
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Logo, Manifest
from integrations.connectors.port import Envelope, Receipt
from integrations.connectors.registry import register
from integrations.credentials.secret_refs import is_reference
from integrations.errors import ConfigurationError
from integrations.faults import Fault
from integrations.transport.recording import handing_over
from integrations.transport.ssh import session as ssh
from integrations.transport.ssh import sftp
from integrations.transport.ssh.keys import HostKeys, parse_host_keys, private_key
from integrations.transport.ssh.sftp import Stored
from integrations.transport.tcp import Conversation, Login

from . import folder as local

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", re.ASCII)

NAME = "DROPZONE_JSON_V1"

MANIFEST = Manifest(
    key=NAME,
    label="JSON dropzone",
    family="erp",
    description="Drops a JSON file for every order or event, over SFTP or into a folder of this machine.",
    needs=("An SFTP server with a user, or a folder of this machine",),
    logo=Logo(path="M3 6h6l2 2h10v11H3zM12 10.5V16m-2.5-2.5L12 16l2.5-2.5", colour="#935400"),
    docs_url="https://man.openbsd.org/sftp-server",
    allow_multiple=False,
    does=("deliver", "export", "check"),
    fields=(
        Field(
            name="host",
            label="SFTP host",
            kind="host",
            help="Empty: a local folder, below one that the operator opened with DROPZONE_ROOTS.",
        ),
        Field(name="port", label="SFTP port", kind="integer", default=22, minimum=1, maximum=65535, advanced=True),
        Field(
            name="username",
            label="User name",
            pattern=r"[^\x00-\x1f\x7f]{1,100}",
            hint="must be a user name without control characters",
        ),
        Field(name="password", kind="secret", help="Not needed with a private key."),
        Field(
            name="private_key",
            kind="secret",
            trim=True,
            multiline=True,
            help="OpenSSH or PEM: Ed25519, ECDSA, or RSA from 2048 bits. The whole text, from BEGIN to END. A PuTTY "
            "key (.ppk) is exported as OpenSSH key first.",
        ),
        Field(name="passphrase", kind="secret", help="Of the private key, if it has one."),
        Field(
            name="host_key",
            label="Host key of the server",
            kind="lines",
            help="What `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints there: 256 SHA256:… (ED25519). "
            "Lines of ssh-keyscan do too, once somebody has compared them. Several lines while the key is changed. "
            "A server that shows another key gets nothing, not even a login.",
        ),
        Field(
            name="folder",
            help="Where the files go; it must exist. On the server: empty for the folder after login. On this "
            "machine: an absolute path.",
            pattern=r"[^\x00-\x1f\x7f]{1,500}",
            hint="must be a path without control characters",
        ),
        Field(
            name="temporary_name",
            pattern=r"(?!\{name\}$)[A-Za-z0-9._-]*\{name\}[A-Za-z0-9._-]*",
            hint="must be one name with {name} in it and something beside it, such as {name}.part",
            help="What a file is called until it is whole and gets its own name, such as {name}.part or tmp_{name}. "
            "Empty: .{name}.part, or {name}.part on a server that refuses names with a dot in front.",
            advanced=True,
        ),
    ),
)


@register
class DropzoneJsonV1Connector(BaseConnector):
    """JSON files for a program that picks them up."""

    manifest = MANIFEST
    faults = (
        Fault("login refused, another host key", "auth", "check user name, password or key, and the pinned host keys"),
        Fault("folder missing, no folder, permission denied", "setup", "make the folder, or let the user write there"),
        Fault("no space, no SFTP, connection, anything else", "temporary"),
        Fault("a file of that name with another content", "event", "find out why another file has the name"),
    )

    @property
    def base_url(self) -> str:
        host = str(self.settings.get("host") or "")
        shown = f"[{host}]" if ":" in host else host
        return f"sftp://{shown}:{self.settings['port']}" if host else ""

    @classmethod
    def validate_config(cls, config: Mapping[str, Any]) -> dict[str, str]:
        return {**_key_problem(config), **_problems(config), **super().validate_config(config)}

    def deliver(self, envelope: Envelope) -> Receipt:
        self._refuse_incomplete()
        name, body = file_name(envelope.idempotency_key), envelope.body

        def is_same(found: bytes) -> bool:
            return found == body or _parsed(found) == _parsed(body) is not None

        stored = self._put(name, body, is_same)
        details = {"bytes": stored.size, "host": self.host, "was_there": stored.was_there}
        return Receipt(location=stored.path, details=details)

    def check(self) -> str:
        self._refuse_incomplete()
        if not self.host:
            local.check(self._folder, conf.DROPZONE_ROOTS, temporary=self._temporary)
            return "The folder is there, and a file was written and removed."
        left = sftp.check(self._open(), self._login, self._host_keys, self._folder, temporary=self._temporary)
        done = f"written; {left} is still there, since this user may delete nothing" if left else "written and removed"
        return f"The server is the pinned one, the login works, and a file was {done}."

    def _put(self, name: str, body: bytes, is_same: Callable[[bytes], bool]) -> Stored:
        folder, temporary = self._folder, self._temporary
        protocol, where = ("sftp", self.base_url) if self.host else ("file", "")
        with handing_over(protocol, where, body, [("path", posixpath.join(folder, name))]) as handover:
            if self.host:
                login, keys = self._login, self._host_keys
                stored = sftp.put(self._open(), login, keys, folder, name, body, is_same, temporary=temporary)
            else:
                stored = local.put(folder, conf.DROPZONE_ROOTS, name, body, is_same, temporary=temporary)
            was_there = _("It lay there already, with this content.")
            handover.answer = was_there if stored.was_there else _("It was stored.")
        return stored

    def _open(self) -> Conversation:
        ssh.library()  # without it, say so before anybody is called
        settings = self.settings
        return self.open_tcp(
            settings["host"], settings["port"], ports=ssh.PORTS, security="ssh", timeout=self.binding.timeout
        )

    def _refuse_incomplete(self) -> None:
        if problems := _problems(self.settings):
            raise ConfigurationError(problems)

    @property
    def _folder(self) -> str:
        return str(self.settings.get("folder") or "")

    @property
    def _temporary(self) -> str:
        return str(self.settings.get("temporary_name") or "")

    @property
    def _host_keys(self) -> HostKeys:
        return parse_host_keys(self.settings["host_key"])

    @property
    def _login(self) -> Login:
        names = ("username", "password", "private_key", "passphrase")
        return Login(**{name: self.settings.get(name) or "" for name in names})


def file_name(key: str) -> str:
    """Return the file's name for an idempotency key: always the same, and never a path."""
    safe = key if _NAME.fullmatch(key) else f"key_{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:40]}"
    return f"{safe}.json"


def _problems(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what no single field can tell: what belongs to SFTP, what to a local folder."""
    folder = str(settings.get("folder") or "")
    if not settings.get("host"):
        if not folder:
            return {"host": "missing; give an SFTP host, or a local folder"}
        problem = local.problem_of(folder, conf.DROPZONE_ROOTS)
        return {"folder": problem} if problem else {}
    problems = {}
    if not settings.get("username"):
        problems["username"] = "missing; it is required for SFTP"
    if not (settings.get("password") or settings.get("private_key")):
        problems["password"] = "missing; give a password or a private key"  # noqa: S105 - what is wrong with it
    lines = settings.get("host_key") or ()
    try:
        pinned = parse_host_keys(lines.splitlines() if isinstance(lines, str) else lines)
        if not pinned.fingerprints:
            problems["host_key"] = "missing; without it the server cannot be identified"
    except (TypeError, ValueError):
        problems["host_key"] = "must be lines that ssh-keygen -lf or ssh-keyscan prints, or SHA256:… fingerprints"
    return problems


def _key_problem(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the private key, where a person has just entered one."""
    key, passphrase = (str(settings.get(name) or "") for name in ("private_key", "passphrase"))
    if not settings.get("host") or not key.strip() or is_reference(key) or is_reference(passphrase):
        return {}
    try:
        private_key(Login(private_key=key, passphrase=passphrase))
    except ConfigurationError as error:
        return dict(error.problems)
    return {}


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
