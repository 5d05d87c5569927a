"""One thing that is told, and how it reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateformat import format as formatted

from integrations import conf
from integrations.connections.models import TenantIntegration
from integrations.health.alert import LABELS


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that is told.

    Attributes:
        integration: the one it is about; None: the whole product.
        url: a path of the console.
        is_quiet: it is told by mail, and not as an event.
    """

    name: str
    integration: TenantIntegration | None
    title: str
    why: str
    what_to_do: str
    since: datetime
    count: int | None = None
    url: str = ""
    is_quiet: bool = False


def word_about(
    name: str,
    integration: TenantIntegration,
    why: str,
    what_to_do: str,
    since: datetime,
    count: int | None = None,
    *,
    is_quiet: bool = False,
) -> Word:
    """Return what is told of `integration` under `name`."""
    url = path_of("integration", integration.public_id)
    title = f"{LABELS[name]}: {integration.name}"
    return Word(name, integration, title, why, what_to_do, since, count, url, is_quiet)


def payload_of(word: Word) -> dict[str, Any]:
    """Return what the event of `word` says, as `event_types.example` has it."""
    about = word.integration
    alert = {
        "title": word.title,
        "since": word.since,
        "why": word.why,
        "what_to_do": word.what_to_do,
        "count": word.count,
        "url": absolute(word.url),
    }
    named = about and {
        "id": str(about.public_id),
        "name": about.name,
        "connector_type": about.integration_type,
    }
    return {"alert": alert, "integration": named}


def moment(when: datetime) -> str:
    """Return `when` as people read it, with the day and the name of the time zone (``TIME_ZONE``)."""
    return formatted(timezone.localtime(when, timezone.get_default_timezone()), "j F Y, H:i T")


def path_of(page: str, *args: Any) -> str:
    """Return the path of a page of the console; "": this installation has none."""
    try:
        return reverse(f"console:{page}", args=args)
    except NoReverseMatch:
        return ""


def absolute(path: str) -> str:
    """Return the address of `path`, or `path` itself if nobody said what our address is."""
    return f"{conf.PUBLIC_URL.rstrip('/')}{path}" if conf.PUBLIC_URL and path else path
