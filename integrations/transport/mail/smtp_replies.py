"""What a mail server's refusal means: by its enhanced status code, by what it was an answer to, and by its words.

In: a reply and the step that it refuses. Out: a `Fault`. Pure. The steps:

    MAIL FROM   the sender is a setting of ours: what is refused is the set-up's fault
    RCPT TO     one recipient's fault, unless the code says that it is ours (no relaying, a quota, a limit)
    the mail    this mail's fault, unless the code says that it is ours

Source: RFC 5321 §4.2, RFC 3463, the registry of RFC 5248, RFC 7372 and RFC 7505; Google's "SMTP errors and codes" and
Microsoft's "Email non-delivery reports in Exchange Online" for 5.4.5, 5.1.90, 5.2.252, 5.7.57 … 5.7.750.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from integrations.faults import DAY, HOUR, Fault

SENDER, RECIPIENT, MAIL = "MAIL FROM", "RCPT TO", "the mail"

_USED_UP = "the account has sent as much as it may"
_NOT_THIS_SENDER = "the account may not send as this sender; check Sender, or its permission to send"
_RELAY = "the server does not relay for us; check user name and password, and to whom the account may send"
_DOMAIN = "the sender's domain is not set up for this server; check its SPF, DKIM and DMARC, and the server's own name"
_BLOCKED = "the provider has blocked the account or the address that we send from; ask the provider"
_TOO_LARGE = "the mail is too large"

# By enhanced status code; the first digit only says whether it is for now (4) or for good (5).
_BY_CODE = {
    "5.4.5": Fault("5.4.5", "quota", _USED_UP, DAY),
    "5.1.90": Fault("5.1.90", "quota", _USED_UP, DAY),
    "X.1.7": Fault("X.1.7", "setup", "the sender's address is wrong; check Sender"),
    "X.1.8": Fault("X.1.8", "setup", _BLOCKED),
    "X.2.252": Fault("X.2.252", "setup", _NOT_THIS_SENDER),
    "X.7.10": Fault("X.7.10", "setup", "the server wants an encrypted connection; change SMTP encryption"),
    "X.7.11": Fault("X.7.11", "setup", "the server wants an encrypted connection; change SMTP encryption"),
    "X.7.57": Fault("X.7.57", "setup", _RELAY),
    "X.7.60": Fault("X.7.60", "setup", _NOT_THIS_SENDER),
    "X.7.64": Fault("X.7.64", "setup", _RELAY),
    "X.7.8": Fault("X.7.8", "auth", "check user name and password"),
    "X.7.9": Fault("X.7.9", "auth", "check user name and password; it may want one that is made for apps"),
    "X.7.13": Fault("X.7.13", "auth", "the account is switched off"),
    "X.7.14": Fault("X.7.14", "auth", "the provider wants the user to sign in anew"),
    **{f"X.7.{n}": Fault(f"X.7.{n}", "setup", _DOMAIN) for n in (20, 21, 22, 23, 24, 25, 26, 27, 29, 30)},
    **{f"X.7.{n}": Fault(f"X.7.{n}", "setup", _BLOCKED) for n in (501, 502, 503, 508, 511, 606, 700, 705, 708, 750)},
    "X.3.4": Fault("X.3.4", "event", _TOO_LARGE),
    "X.2.3": Fault("X.2.3", "event", _TOO_LARGE),
}
_TOO_MANY = frozenset({"X.5.3"})  # recipients for one mail: the rest in a second one
# The server's own trouble, also where it answers so to a recipient: mail system, and network.
_SERVERS = re.compile(r"[45]\.[34]\.[0-9]+")

_IN_WORDS = (
    (re.compile(r"\b(?:dai|day)", re.I), Fault("words: a day's quota", "quota", _USED_UP, DAY)),
    (re.compile(r"", re.I), Fault("words: a quota", "quota", _USED_UP, HOUR)),
)
_PERIOD = r"(?:daily|hourly|monthly|sending|submission|outbound)"
_QUOTA = re.compile(
    rf"{_PERIOD}[\w ]{{0,40}}(?:quota|limit)|(?:quota|limit)[\w ]{{0,40}}{_PERIOD}|submissionquotaexceeded|"
    r"too many (?:mails|messages|emails) (?:sent|from|per|this)",
    re.I,
)
_RELAYING = re.compile(
    r"relay(?:ing)?(?: access)?(?: is)?(?: not (?:permitted|allowed)| denied| prohibited)|unable to relay|"
    r"(?:can|do|does|will|may)(?:not| not) relay|not permitted to relay|no relaying",
    re.I,
)
_SENDING_AS = re.compile(
    r"send(?:ing)?[ -]?as[ -]?denied|not (?:owned by|allowed to send|authori[sz]ed to send|permitted to send)|"
    r"does not have permissions? to send|address (?:is )?not verified|sender (?:address )?(?:is )?not (?:verified|all)",
    re.I,
)
_LISTED = re.compile(r"spamhaus|block ?list|black ?list|blocked using|listed (?:at|in|on)\b", re.I)
_WORDS: tuple[tuple[re.Pattern[str], Fault], ...] = (
    (_RELAYING, Fault("words: no relaying", "setup", _RELAY)),
    (_SENDING_AS, Fault("words: not as this sender", "setup", _NOT_THIS_SENDER)),
    (_LISTED, Fault("words: on a blocklist", "setup", _BLOCKED)),
)
_STEPS = {
    SENDER: Fault("other 5xx to MAIL FROM", "setup", "the server does not take this sender; check Sender"),
    RECIPIENT: Fault("other 5xx to a recipient", "event", "the others get the mail; row and note name who does not"),
    MAIL: Fault("other 5xx to the mail", "event"),
}
FAULTS = (
    Fault("530, 534, 535, 538", "auth", "check user name and password"),
    *_BY_CODE.values(),
    *(fault for _, fault in (*_IN_WORDS, *_WORDS)),
    Fault("all recipients refused", "setup", "every recipient is refused; check Recipients"),
    Fault("other 4xx", "temporary"),
    *_STEPS.values(),
)

_ENHANCED = re.compile(r"\s*([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9])")


class Reply(NamedTuple):
    """A reply: its code, its enhanced status code ("" if it has none), and its text."""

    code: int
    enhanced: str
    text: str

    @classmethod
    def of(cls, reply: tuple[int, bytes]) -> Reply:
        text = reply[1].decode("utf-8", "replace")
        found = _ENHANCED.match(text)
        return cls(reply[0], found[1] if found else "", text)

    @property
    def is_for_now(self) -> bool:
        """Tell whether the same may be taken later; anything but 5xx may."""
        return self.code // 100 != 5

    @property
    def is_too_many(self) -> bool:
        """Tell whether it refuses one more recipient of this mail, and not this recipient."""
        if self.enhanced:
            return _any_class(self.enhanced) in _TOO_MANY
        return self.code == 452 or "too many recipients" in self.text.lower()

    @property
    def numbers(self) -> str:
        return f"{self.code} {self.enhanced}".strip()


def fault_of(reply: Reply, step: str) -> Fault:
    """Return what `reply` to `step` means."""
    known = _BY_CODE.get(reply.enhanced) or _BY_CODE.get(_any_class(reply.enhanced))
    if known is not None and (known.kind == "quota" or not reply.is_for_now):
        return known
    text = " ".join(reply.text.split())
    is_mailbox = step == RECIPIENT and _any_class(reply.enhanced).startswith(("X.1.", "X.2."))
    if _QUOTA.search(text) and not is_mailbox:
        return next(fault for pattern, fault in _IN_WORDS if pattern.search(text))
    if reply.is_for_now:
        return Fault(reply.numbers, "temporary")
    return next((fault for pattern, fault in _WORDS if pattern.search(text)), _STEPS.get(step, _STEPS[MAIL]))


def is_recipients(reply: Reply) -> bool:
    """Tell whether a refused recipient says nothing of the server and our account: unknown, full, greylisted."""
    return reply.code != 421 and not _SERVERS.match(reply.enhanced) and not is_quota(reply)


def is_quota(reply: Reply) -> bool:
    """Tell whether a recipient is refused because we have sent enough: another day is another matter."""
    return fault_of(reply, RECIPIENT).kind == "quota"


def _any_class(enhanced: str) -> str:
    return f"X{enhanced[1:]}" if enhanced else ""
