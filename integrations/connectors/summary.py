"""An event in words: a title, lines, a link; for messages that people read (a chat, an issue, a mail, a page).

In: the payload, and what its trigger handler says of it (`SummaryFormat`), if anything. Out: a `Summary`. It is made of
the stored payload when it is sent, so events from before a format was written or changed read with it too. Never
raises: what is missing is "".

Without a format: ``invoice_paid`` is about ``payload["invoice"]``, which is found by the event's type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from integrations import conf

from .texts import NAMES, expressions_in, filled, is_expression, problem_of, shown, words

MAX_DESCRIPTION = 100_000  # characters
MAX_LINK = 500
MAX_LINES, MAX_CHANGES = 10, 5  # that a template gets one by one; its `text` has all
_DESCRIPTIONS = ("description", "summary", "text")
_AROUND = frozenset({"event_type", "timestamp", "tenant", "changes", "test", "truncated"})  # not the object
_LINK = re.compile(r"https?://[^\s<>\"|\\^`{}\x00-\x20\x7f]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class SummaryFormat:
    """How the events of one trigger handler read. Texts and lines are those of texts.py; "" and (): as without it.

    Attributes:
        name: what the object is called: ``{invoice.number}``. The title is then "Invoice paid: INV-7".
        title: the whole title, for a handler whose events are of one type: ``{invoice.number} is overdue``.
        description: one sentence or paragraph more.
        lines: what is listed: ``Customer: invoice.customer.name``.
        link: where people see it: ``https://…/invoices/{invoice.id}``, or ``/invoices/{invoice.id}`` below
            INTEGRATIONS_PUBLIC_URL. Values are percent-encoded, unless the whole link is one.

    Raises:
        ValueError: one of them is none; the message names it.
    """

    name: str = ""
    title: str = ""
    description: str = ""
    lines: tuple[str, ...] = ()
    link: str = ""

    def __post_init__(self) -> None:
        names = ("name", "title", "description", "link")
        problems = [f"{name}: {found}" for name in names if (found := problem_of("text", getattr(self, name)))]
        problems += [f"lines: {problem}" for line in self.lines if (problem := problem_of("line", line))]
        if problems:
            raise ValueError(f"a summary cannot be made: {'; '.join(problems)}")

    def expressions(self) -> list[str]:
        """Return every expression in it, for whoever knows what the payload holds."""
        texts = (self.name, self.title, self.description, self.link)
        found = [each for text in texts for each in expressions_in("text", text)]
        return found + [each for line in self.lines for each in expressions_in("line", line)]


@dataclass(frozen=True, slots=True)
class Summary:
    """An event in words.

    Attributes:
        title: "Invoice paid: INV-7".
        name: what the object is called, "INV-7"; a title of a handler's own.
        lines: (label, value) of what is set, in the payload's order.
        changes: (label, old, new).
        link: where people see it, "" if nobody said.
    """

    title: str
    name: str = ""
    description: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    changes: tuple[tuple[str, str, str], ...] = ()
    link: str = ""

    @property
    def text(self) -> str:
        """What is below the title, as plain text: description, lines, changes."""
        lines = "\n".join(f"{label}: {value}" for label, value in self.lines)
        changes = "\n".join(f"{label}: {old or '–'} → {new or '–'}" for label, old, new in self.changes)
        return "\n\n".join(filter(None, (self.description, lines, changes)))

    def as_json(self) -> dict[str, Any]:
        """Return it for templates: ``summary.title``, ``summary.lines[*].label``, ``summary.text``, …."""
        lines = [{"label": label, "value": value} for label, value in self.lines[:MAX_LINES]]
        changes = [
            {"label": label, "old": old, "new": new, "value": f"{old or '–'} → {new or '–'}"}
            for label, old, new in self.changes[:MAX_CHANGES]
        ]
        return {**asdict(self), "lines": lines, "changes": changes, "text": self.text}


def summarise(
    payload: Mapping[str, Any], event_type: str, lines: Iterable[str] = (), form: SummaryFormat | None = None
) -> Summary:
    """Return `payload` in words.

    Args:
        lines: what a tenant wants listed, ``Customer: invoice.customer.name``; none: what the format says, or all
            that is set.
    """
    form = form or SummaryFormat()
    subject = object_of(payload, event_type)
    name = next((key for key in NAMES if words(subject.get(key))), "")
    description = next((key for key in _DESCRIPTIONS if key != name and words(subject.get(key))), "")
    called = filled(form.name, payload) or words(subject.get(name))
    event = _label(event_type) or "Event"
    title = " ".join(filled(form.title, payload).split())
    wanted = list(lines) or form.lines
    all_of_it = ((_label(key), words(value)) for key, value in subject.items() if key not in (name, description, "id"))
    return Summary(
        title=title or " ".join((f"{event}: {called}" if called else event).split()),
        name=title or called,
        description=filled(form.description, payload) or words(subject.get(description), MAX_DESCRIPTION),
        lines=tuple(shown(wanted, payload) if wanted else ((label, value) for label, value in all_of_it if value)),
        changes=tuple(_changes(payload.get("changes"))),
        link=_link(form.link, payload),
    )


def object_of(payload: Mapping[str, Any], event_type: str) -> Mapping[str, Any]:
    """Return what the event is about: ``payload["invoice"]`` for ``invoice_paid``; else the payload itself."""
    found = {key: value for key, value in payload.items() if key not in _AROUND and isinstance(value, Mapping)}
    for key in sorted(found, key=len, reverse=True):  # ``order_line_added`` is about the line, not the order
        if event_type.startswith(key):
            return found[key]
    if len(found) == 1:
        return next(iter(found.values()))
    return {key: value for key, value in payload.items() if key not in _AROUND}


def _changes(changes: Any) -> Iterable[tuple[str, str, str]]:
    for key, change in changes.items() if isinstance(changes, Mapping) else ():
        if isinstance(change, Mapping):
            yield _label(str(key)), words(change.get("old")), words(change.get("new"))


def _link(text: str, payload: Mapping[str, Any]) -> str:
    is_value = is_expression(text)
    link = filled(text, payload, str if is_value else lambda value: quote(value, safe=""))
    if link.startswith("/"):
        link = f"{conf.PUBLIC_URL.rstrip('/')}{link}" if conf.PUBLIC_URL else ""
    return link if len(link) <= MAX_LINK and _LINK.fullmatch(link) else ""


def _label(key: str) -> str:
    return key.replace("_", " ").strip().capitalize()
