"""Tell by mail: the managers of each tenant, and operators. Through Django's own mail.

What is to be mailed is written down with the event and deleted when a mail server took it for all who are to get it:
neither a worker that dies nor a mail server that is away for a day loses it. Then one mail says all that has gathered.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import transaction

from integrations import conf
from integrations.counted import counted
from integrations.database import clock
from integrations.errors import printable
from integrations.health.alert import AlertMail, AlertMute
from integrations.tenancy.people import SETTING, people
from integrations.tenancy.roles import Role
from integrations.tenancy.tenant import name_of, present

from .word import Word, absolute, moment, path_of

logger = logging.getLogger("integrations.alerts")

TIMEOUT_SECONDS = 10.0  # for connecting to a mail server, and for each of its answers
ENOUGH_SECONDS = 60.0  # for the mails of one run; the next one, a minute later, goes on
LISTED = 50  # alerts in one mail
AT_ONCE = 25_000  # alerts in one run
TAKEN = timedelta(minutes=10)  # a run that was killed leaves its alerts to the next one after that
WAITS = timedelta(minutes=5), timedelta(hours=1)  # between two tries, at first and at last
KEPT = timedelta(days=3)  # as long as a delivery is tried
# No auto-responder answers it (RFC 3834), Outlook's and Exchange's included.
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


def note(words: Iterable[Word], now: datetime) -> None:
    """Write down what is to be mailed of `words`, in the caller's transaction.

    Managers (``INTEGRATIONS_PEOPLE`` knows them) get what is about their tenant, unless ALERT_MAIL_MANAGERS is off.
    Operators (ALERT_MAIL_TO) get everything.
    """
    to_managers = conf.ALERT_MAIL_MANAGERS and getattr(settings, SETTING, "")
    rows = []
    for word in words:
        of = word.integration.tenant if word.integration is not None else None
        if to_managers and of is not None:
            rows.append(_row(word, now, of))
        if conf.ALERT_MAIL_TO:
            rows.append(_row(word, now, None, f" ({name_of(of)})" if of is not None else ""))
    AlertMail.objects.bulk_create(rows, batch_size=500)


def _row(word: Word, now: datetime, tenant: Any, of: str = "") -> AlertMail:
    lines = [
        f"{word.title}{of}",
        word.why,
        f"Since: {moment(word.since)}",
        f"What to do: {word.what_to_do}" if word.what_to_do else "",
        absolute(word.url),
    ]
    text = "\n".join(printable(line) for line in lines if line)
    return AlertMail(tenant=tenant, title=printable(word.title)[:300], text=text, made_at=now, next_try_at=now)


def send() -> int:
    """Mail what is due; return how many mails were sent. What a mail server does not take is tried again for days."""
    now = clock.now()
    given_up, _ = AlertMail.objects.filter(made_at__lt=now - KEPT).delete()
    if given_up:
        logger.warning("%s could not be mailed for days and will not be", counted(given_up, "alert"))
    with _Post() as post:
        for tenant, rows in _gathered(_taken(now)):
            letters = _letters(tenant, rows) if post.goes_on else None
            if letters is None:
                _wait(rows, post, now)
            else:
                taken = {letter.to[0]: post.takes(letter) for letter in letters}
                _settle(rows, taken, post, now)
    return post.sent


def _settle(rows: Sequence[AlertMail], taken: Mapping[str, bool], post: _Post, now: datetime) -> None:
    """Keep `rows` for those whose mail was not `taken`, and delete what nobody lacks.

    What was taken for nobody waits for whoever is to be told then: an address may be mended meanwhile.
    """
    left: dict[tuple[str, ...], list[AlertMail]] = defaultdict(list)
    unmailed = []
    for row in rows:
        theirs = {address: was_taken for address, was_taken in taken.items() if _goes_to(row, address)}
        if theirs and not any(theirs.values()):
            unmailed.append(row)
        else:
            left[tuple(address for address, was_taken in theirs.items() if not was_taken)].append(row)
    AlertMail.objects.filter(pk__in=[row.pk for row in left.pop((), [])]).delete()
    if unmailed:
        _wait(unmailed, post, now)
    for addresses, those in left.items():
        _wait(those, post, now, to=list(addresses))


def _wait(rows: Sequence[AlertMail], post: _Post, now: datetime, **columns: Any) -> None:
    """Have `rows` tried again: by the next run if this one only had no time for them."""
    wait = timedelta() if post.is_late else min(max(now - rows[0].made_at, WAITS[0]), WAITS[1])
    AlertMail.objects.filter(pk__in=[row.pk for row in rows]).update(next_try_at=now + wait, **columns)


def _goes_to(row: AlertMail, address: str) -> bool:
    return row.to is None or address in row.to


def _taken(now: datetime) -> list[AlertMail]:
    """Return what is due; nobody else takes it for a while."""
    with transaction.atomic():
        # Whoever comes second waits, and finds them taken: skipping what is locked, two would share them out while they
        # lock them row by row, and people would get two mails for one.
        due = AlertMail.objects.filter(next_try_at__lte=now).order_by("pk")
        rows = list(due.select_for_update()[:AT_ONCE])
        AlertMail.objects.filter(pk__in=[row.pk for row in rows]).update(next_try_at=now + TAKEN)
    return rows


def _gathered(rows: Iterable[AlertMail]) -> list[tuple[Any, list[AlertMail]]]:
    """Return what there is to tell each tenant, and operators (None)."""
    found: dict[Any, list[AlertMail]] = defaultdict(list)
    for row in rows:
        found[row.tenant_id].append(row)
    tenants = present().in_bulk([pk for pk in found if pk is not None])
    AlertMail.objects.filter(tenant__in=found.keys() - tenants.keys() - {None}).delete()  # they are gone
    return [(tenants.get(pk), those) for pk, those in found.items() if pk is None or pk in tenants]


def _letters(tenant: Any, rows: Sequence[AlertMail]) -> list[EmailMessage] | None:
    """Return a letter for each of the people who are to be told; None: nobody knows just now who they are."""
    addresses: Sequence[str] | None
    if tenant is None:
        addresses, name = conf.ALERT_MAIL_TO, ""
        why = "You get this because INTEGRATIONS_ALERT_MAIL_TO names your address."
    else:
        addresses, name = _managers_of(tenant), name_of(tenant)
        why = f"You get this because you are a manager of {name}. {_how_to_stop(tenant.pk)}"
    if addresses is None:
        return None
    theirs = {address: [row for row in rows if _goes_to(row, address)] for address in addresses}
    return [_letter(address, mine, name, why) for address, mine in theirs.items() if mine]


def _how_to_stop(tenant: Any) -> str:
    path = path_of("people")
    return f"To stop these mails, open People in the console: {absolute(path)}?tenant={tenant}" if path else ""


def _managers_of(tenant: Any) -> list[str] | None:
    """Return the addresses of the managers of `tenant` who want alerts by mail; None: the project's class failed."""
    try:
        known = people() if conf.ALERT_MAIL_MANAGERS else None
        if known is None:
            return []
        muted = set(AlertMute.objects.filter(tenant=tenant.pk).values_list("user_key", flat=True))
        managers = [member.user for member in known.members(tenant) if member.effective == Role.MANAGER]
        wanted = [user for user in managers if str(user.pk) not in muted]
        return sorted({address for user in wanted if (address := getattr(user, user.get_email_field_name(), ""))})
    except Exception as error:  # a project's class
        logger.warning("the managers of tenant %s are not known (%s)", tenant.pk, _name(error), exc_info=True)
        return None


def _letter(to: str, rows: Sequence[AlertMail], tenant: str, why: str) -> EmailMessage:
    shown = rows[-LISTED:]
    first, others = shown[0].title, len(rows) - 1
    subject = f"{first}, and {others} more" if others else first
    parts = [row.text for row in shown]
    if len(rows) > LISTED:
        parts.append(f"{len(rows) - LISTED} more are in the console.")
    subject = printable(f"[{tenant}] {subject}" if tenant else subject)[:200]
    body = "\n\n".join([*parts, f"-- \n{why.strip()}"])
    return EmailMessage(subject, f"{body}\n", to=[to], headers=HEADERS)


class _Post:
    """One connection to the mail server, for as long as that makes sense.

    Attributes:
        sent: how many mails the server took.
        is_away: it did not answer, or did not let us in.
    """

    def __init__(self) -> None:
        self.sent, self.is_away = 0, False
        self._began = clock.elapsed()
        self._connection: Any = None

    def __enter__(self) -> _Post:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    @property
    def is_late(self) -> bool:
        """True when this run has taken long enough."""
        return clock.elapsed() - self._began > ENOUGH_SECONDS

    @property
    def goes_on(self) -> bool:
        """Tell whether it makes sense to send another mail."""
        return not (self.is_away or self.is_late)

    def takes(self, letter: EmailMessage) -> bool:
        """Send `letter`; tell whether the server took it."""
        if not self.goes_on:
            return False
        try:
            self._open()
            self.sent += int(self._connection.send_messages([letter]) or 0)
        except Exception as error:  # whatever a mail server or a project's backend throws
            words = "alerts could not be mailed" if self.is_away else "an alert could not be mailed"
            logger.warning("%s (%s); it is tried again later", words, _name(error))
            self._close()  # who refused one letter may have hung up
            return False
        return True

    def _open(self) -> None:
        if self._connection is None:
            self.is_away = True  # unless it answers
            connection = get_connection(timeout=TIMEOUT_SECONDS)
            connection.open()
            self._connection, self.is_away = connection, False

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.close()
            self._connection = None


def _name(error: Exception) -> str:
    """Return the kind of error alone: its words may quote an address, or what the server was told."""
    return type(error).__name__
