"""What proves who we are where there are no headers: mail servers and SSH."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials; a repr shows none of them.

    Attributes:
        username: "" for a server that wants no login.
        private_key: OpenSSH or PEM text, for SSH; `passphrase` opens it.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    passphrase: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Everything that an answer might echo back at us."""
        sasl = f"\0{self.username}\0{self.password}" if self.password else ""  # as base64, what PLAIN sends
        return tuple(value for value in (self.password, sasl, self.private_key, self.passphrase) if value)
