"""Every way in which talking to another system can go wrong (docs/state-machine.md).

    IntegrationError
    ├── IntegrationDisabled         switched off: a state, not a fault; nothing is sent
    ├── IntegrationNotConfigured    switched on, but something is missing or unreadable
    │   ├── EncryptionError         a stored credential cannot be opened with our keys
    │   ├── ConfigurationError      a field of the configuration is missing or wrong; `problems` says which
    │   ├── UnknownConnector        no connector of that name is registered (also a ValueError)
    │   ├── IncompatibleConnector   written for another version of the connector or of this kit
    │   ├── TemplateError           a connector template is wrong; says file, line and fix (also a ValueError)
    │   │   └── IncompatibleTemplate  written for another version of the format, or of the connector that it names
    │   └── IntegrationNotConnected a person must connect it at the provider first (also an IntegrationAuthError)
    ├── IntegrationAuthError        401, 403: the credentials are refused; three refusals stop us
    ├── IntegrationRateLimited      429: asked to wait, `retry_after` says how long
    ├── IntegrationTemporaryError   timeouts, connections, 5xx: the same request may work later
    └── IntegrationPermanentError   other 4xx: the same request will hardly work later
        ├── IntegrationBlocked      our own guard refused the address; nothing was sent
        ├── IntegrationIncomplete   an answer that is not whole; `reason` is the provider's, `partial` what there is
        ├── IntegrationMoved        301, 308: the address changed and a person must say so
        └── IntegrationGone         410: the receiver wants no more

The class says whether the same request may work later; `fault` says whose fault it is, and so what a lane does
(docs/state-machine.md, "Whose fault it is"):

    event         this event's: its row ends (permanent), or is tried again by itself (temporary)
    setup         the account's or the set-up's: a person must mend it; rows wait, the third in a row stops the lane
    quota         the account's allowance is used up: the lane rests for an hour, or as long as the provider says
    destination   the other side's, for now: tried again, and evidence for the breaker

No message here ever holds a credential, a full URL or an unredacted body: what is raised is what is
logged, stored on the row and shown to people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from traceback import clear_frames
from typing import Any, ParamSpec, TypeVar

MAX_MESSAGE = 500

EVENT, SETUP, QUOTA, DESTINATION = "event", "setup", "quota", "destination"

P = ParamSpec("P")
T = TypeVar("T")


def printable(text: str) -> str:
    """Return `text` without control characters and half surrogates: a NUL would make the database refuse the row
    that says what happened, an escape sequence would paint an operator's terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


class IntegrationError(Exception):
    """Base of the tree; catch it to handle any failure of an integration.

    Args:
        message: our own words, without secrets; cut to 500 characters.
        code: a short stable word for the kind of failure, e.g. ``timeout`` (for logs and tests).
        status: the HTTP status that the receiver answered with, if it answered.
        retry_after: seconds that the receiver asked us to wait, if it asked.
        excerpt: at most 500 characters of the *redacted* answer.
        was_sent: False when the request certainly never left: it may be repeated without fear of a copy.
        fault: whose fault it is, where it is not that of the class.
        progress: what this attempt has done already, for the next one; it must fit into JSON and hold no secret.
    """

    default_code = "error"
    fault = DESTINATION

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        excerpt: str = "",
        was_sent: bool = True,
        fault: str | None = None,
        progress: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = printable(message[:MAX_MESSAGE])
        self.code = code or self.default_code
        self.status = status
        self.retry_after = retry_after
        self.excerpt = printable(excerpt[:MAX_MESSAGE])
        self.was_sent = was_sent
        if fault:
            self.fault = fault
        self.progress = dict(progress or {})
        super().__init__(self.message)


class IntegrationDisabled(IntegrationError):
    """The integration is switched off; not a fault."""

    default_code = "disabled"


class IntegrationNotConfigured(IntegrationError):
    """The integration is on but incomplete; the message names the missing field."""

    default_code = "not_configured"
    fault = SETUP


class EncryptionError(IntegrationNotConfigured):
    """A stored credential cannot be opened: wrong key, corrupted data, or a row copied elsewhere."""

    default_code = "encryption"


class ConfigurationError(IntegrationNotConfigured):
    """Fields are missing or wrong; ``problems`` maps each to what a person can do. Never a value."""

    default_code = "configuration"

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in self.problems.items()))

    def __reduce__(self) -> Any:
        return type(self), (self.problems,), self.__dict__  # copied from its problems, not from its text


class UnknownConnector(IntegrationNotConfigured, ValueError):
    """No connector of that name is registered (also a ValueError)."""

    default_code = "unknown_connector"


class IncompatibleConnector(IntegrationNotConfigured):
    """A connector, a template or a stored configuration was made for another version."""

    default_code = "incompatible"


class TemplateError(IntegrationNotConfigured, ValueError):
    """A connector template cannot be used: ``crm.yaml:12:5: what is wrong; what to do``.

    Args:
        problem: what is wrong and how to mend it.
        file: the template's file name. line, column: counted from 1; 0: the whole file.
    """

    default_code = "template"

    def __init__(self, problem: str, *, file: str = "", line: int = 0, column: int = 0) -> None:
        self.problem, self.file, self.line, self.column = problem, file, line, column
        place = ":".join(str(part) for part in (file, line, column) if part)
        super().__init__(f"{place}: {problem}" if place else problem)


class IncompatibleTemplate(TemplateError, IncompatibleConnector):
    """A template was written for another version of the format, or of the connector that it names."""

    default_code = "incompatible"


class IntegrationAuthError(IntegrationError):
    """The receiver refused our credentials (401, 403)."""

    default_code = "auth"
    is_refusal = True  # of a request that was made: it counts against the credentials
    fault = SETUP
    is_counted = False  # by whoever saw it first, on the connection's row


class IntegrationNotConnected(IntegrationNotConfigured, IntegrationAuthError):
    """Nobody has connected it at the provider yet, or the access has ended; nothing was sent, so nothing counts."""

    default_code = "not_connected"
    is_refusal = False


class IntegrationRateLimited(IntegrationError):
    """The receiver asked us to slow down (429); ``retry_after`` is in seconds or None."""

    default_code = "rate_limited"


class IntegrationTemporaryError(IntegrationError):
    """The same request may work later: timeout, connection failure, 408, 421, 423, 425, 5xx."""

    default_code = "temporary"


class IntegrationPermanentError(IntegrationError):
    """The same request will never work: other 4xx."""

    default_code = "permanent"
    fault = EVENT


class IntegrationBlocked(IntegrationPermanentError):
    """Our address guard refused to connect; ``reason`` is the guard's word, e.g. ``ip_blocked``."""

    default_code = "ssrf_blocked"

    def __init__(self, message: str = "", *, reason: str = "") -> None:
        self.reason = reason
        super().__init__(message)


class IntegrationIncomplete(IntegrationPermanentError):
    """A success whose answer is not whole: cut, withheld or empty.

    Args:
        reason: the provider's own word or words, redacted; "" if it says none.
        partial: what there is of the answer; None: nothing.
    """

    default_code = "incomplete"

    def __init__(self, message: str = "", *, reason: str = "", partial: Any = None, **more: Any) -> None:
        self.reason, self.partial = reason, partial
        super().__init__(message, **more)


class IntegrationMoved(IntegrationPermanentError):
    """The receiver moved for good (301, 308); redirects are never followed."""

    default_code = "redirect"


class IntegrationGone(IntegrationPermanentError):
    """The receiver answered 410: it wants no more."""

    default_code = "gone"


def forgets_locals(function: Callable[P, T]) -> Callable[P, T]:
    """Let an IntegrationError leave `function` with its traceback, but without the local variables of its frames: they
    hold credentials, and error reporters send them."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except IntegrationError as error:
            failure = error
        del args, kwargs
        clear_frames(failure.__traceback__)
        raise failure

    return call


def missing_extra(what: str, extra: str, error: ImportError | None = None) -> ImportError:
    """Return the error of a part that is not installed; it names the extra that brings it."""
    why = f" ({error})" if error is not None else ""
    return ImportError(f"{what}; that needs an extra{why}: pip install 'django-integration-outbox[{extra}]'")
