"""A real Dovecot on loopback: IMAP with TLS from the first byte, and with STARTTLS."""

from __future__ import annotations

import grp
import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from .ordinary_process import USER, OrdinaryProcess, free_port, program

CONFIG = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/certificate.pem
ssl_dh =
disable_plaintext_auth = yes
auth_mechanisms = plain login
auth_failure_delay = 0
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
mail_location = maildir:{folder}/mail
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service imap-login {{
  chroot =
  process_min_avail = 0
  inet_listener imap {{
    port = {plain_port}
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
}}
"""


class Dovecot:
    """`port` speaks TLS at once, `starttls_port` after STARTTLS; any user name goes with `password`."""

    user, password = "jane", "imap-canary-pass"

    def __init__(self, certificate: bytes) -> None:
        self._program = program("dovecot")
        self._process = OrdinaryProcess()
        self.port, self.starttls_port = self._process.port, free_port()
        self._certificate = certificate

    def __enter__(self) -> Dovecot:
        folder = self._process.folder
        for name in ("run", "mail", "home"):
            self._process.make_folder(name)
        self._process.write("certificate.pem", self._certificate)
        config = CONFIG.format(
            folder=folder,
            user=USER.pw_name,
            group=grp.getgrgid(USER.pw_gid).gr_name,
            uid=USER.pw_uid,
            gid=USER.pw_gid,
            password=self.password,
            port=self.port,
            plain_port=self.starttls_port,
        )
        path = self._process.write("dovecot.conf", config)
        self._process.run(self._program, "-F", "-c", str(path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.close()

    @contextmanager
    def session(self) -> Iterator[imaplib.IMAP4_SSL]:
        """Give a logged-in client of the standard library, to put mails there and look at flags."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with imaplib.IMAP4_SSL("127.0.0.1", self.port, ssl_context=context, timeout=10) as client:
            client.login(self.user, self.password)
            yield client

    def fill(self, mailbox: str, *mails: bytes) -> None:
        """Make `mailbox` anew and put `mails` into it."""
        with self.session() as client:
            client.delete(mailbox)
            client.create(mailbox)
            for mail in mails:
                status, answer = client.append(mailbox, "", None, mail)
                assert status == "OK", answer
