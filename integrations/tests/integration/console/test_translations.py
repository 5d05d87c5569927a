"""All that people read in the console can be translated: in a language made for this, each text of ours has a mark."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.text import capfirst
from django.utils.translation import trans_real
from django_celery_beat.models import PeriodicTask

from app.demo.data.fill import fill
from app.demo.pages import pages
from integrations.connectors.registry import manifests
from integrations.models import (
    APIKey,
    AuditEntry,
    ExecutionLog,
    IntegrationEvent,
    IntegrationSync,
    Job,
    Lane,
    SyncState,
    TenantIntegration,
    WebhookEvent,
)
from integrations.outbox.filters import SyncFilter
from integrations.tests.factories import make_integration
from tasks.models import Customer, CustomerAsset, DropoffPoint, Note, WorkItem
from tenants.models import Membership, Tenant

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

LANGUAGE = "xx"
DATA = (
    APIKey, AuditEntry, Customer, CustomerAsset, DropoffPoint, ExecutionLog, IntegrationEvent, IntegrationSync, Job,
    Lane, Note, PeriodicTask, SyncState, Tenant, TenantIntegration, User, WebhookEvent, WorkItem,
)  # fmt: skip
_OPENS, _CLOSES = "⟦", "⟧"
_EMPTY = ("input", "br", "hr", "img", "meta", "link", "wbr", "col", "source")
_READ = ("title", "aria-label", "placeholder", "alt", "data-confirms", "data-label")
_CODE = ("script", "style", "pre", "code", "time", "textarea")
# Names, protocols and units: the same in every language.
_SAME = re.compile(
    r"\w+_\w+|\bHTTPS?\b|POST|GET|\bms\b|\bmin\b|webhook-id|JMESPath|JSON|pid|p50|p95|p99|CSV|UTC|evt_\w+|[\w.-]+\.\w+:?\d*|v1|SFTP|SMTP"
)


class Marked(trans_real.DjangoTranslation):
    """A translation in which each text is itself, between marks."""

    def to_language(self) -> str:
        """Return a name of its own: what is kept for each language is not mixed with English."""
        return LANGUAGE

    def gettext(self, message: str) -> str:
        return f"{_OPENS}{message}{_CLOSES}"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@contextmanager
def everything_marked() -> Iterator[None]:
    trans_real._translations[LANGUAGE] = Marked("en")
    try:
        with translation.override(LANGUAGE):
            yield
    finally:
        del trans_real._translations[LANGUAGE]


class _Visible(HTMLParser):
    """Collects what people read of a page and is not marked; what stands in monospace is data."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._depth = 0  # of marks: a text goes on over elements inside of it
        self._stack: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_code = tag in _CODE or "hidden" in given or "mono" in (given.get("class") or "").split()
        if not any(self._stack):
            self.found += [outside_of(value, 0)[0] for name, value in attrs if name in _READ and value and not is_code]
        if tag not in _EMPTY:
            self._stack.append(is_code)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Parts of a picture."""

    def handle_endtag(self, tag: str) -> None:
        if self._stack and tag not in _EMPTY:
            self._stack.pop()

    def handle_data(self, data: str) -> None:
        is_code = any(self._stack)
        outside, self._depth = outside_of(data, self._depth)
        if data.endswith("…") and not is_code:
            self._depth = 0  # a text that was cut has lost its closing marks
        if not is_code:
            self.found.append(outside)


def outside_of(text: str, depth: int) -> tuple[str, int]:
    """Return what of `text` stands outside of marks, and how deep it ends inside of them."""
    outside = []
    for char in text:
        depth += (char == _OPENS) - (char == _CLOSES)
        outside.append("\0" if depth or char == _CLOSES else char)
    return "".join(outside), max(depth, 0)


def unmarked(page: str, data: str) -> set[str]:
    """Return the words of a page that are neither marked nor in the database."""
    visible = _Visible()
    visible.feed(page)
    found = set()
    for text in visible.found:
        for part in re.split(r"[\0·→:;,()|/#…]|\d+", text):
            part = " ".join(part.split()).strip(" .–")
            words = " ".join(_SAME.sub("", part).split())
            if re.search(r"[^\W\d_]{2}", words) and part not in data and words not in data:
                found.add(part)
    return found


def test_each_word_of_each_page_can_be_translated() -> None:
    fill("http://127.0.0.1:8180", pace=0.12)
    acme = Tenant.objects.get(name="Acme Corp")
    root = User.objects.create_superuser("root", password="a long password")
    values: list[Any] = [model._meta.verbose_name for model in DATA]
    values.append("audit trail")  # what an entry is about that the page of the export writes below
    for manifest in manifests():
        values += [manifest.label, *(choice for field in manifest.fields for choice in field.choices)]
    for model in DATA:
        values += [
            value
            for row in serializers.serialize("python", model._base_manager.all())
            for value in row["fields"].values()
        ]
    values += [f"{capfirst(WorkItem._meta.verbose_name)} {item}" for item in WorkItem.objects.all()]
    data = " ".join(" ".join(f"{value} {str(value).capitalize()}" for value in values).split())
    operator, operator_of_all, viewer = (
        signed_in(user) for user in (root, root, User.objects.get(username="acme-viewer"))
    )
    operator.post(reverse("console:tenant"), {"tenant": str(acme.pk)})
    wrong: dict[str, set[str]] = {}
    opened: Counter[str] = Counter()
    with everything_marked():
        for page in pages(acme):
            for who, client in (("operator", operator), ("operator of all", operator_of_all), ("viewer", viewer)):
                answer: Any = client.get(page.url)
                is_page = answer.status_code in (200, 403) and "html" in answer["Content-Type"]
                opened[who] += is_page
                if is_page and (missing := unmarked(answer.content.decode(), data)):
                    wrong[f"{page.name} as {who}"] = missing
    assert wrong == {}, "\n".join(f"{name}: {sorted(words)}" for name, words in wrong.items())
    assert min(opened.values()) > 30, opened


def test_a_role_is_named_in_the_readers_language() -> None:
    """Its word is also in the database, where the test above would take it for data."""
    acme = Tenant.objects.create(name="Acme")
    viewer = User.objects.create_user("acme-viewer")
    Membership.objects.create(tenant=acme, user=viewer, role="viewer")
    integration = make_integration(acme)
    with everything_marked():
        people = signed_in(viewer).get(reverse("console:people")).content.decode()
        workbench = signed_in(viewer).get(reverse("console:integration", args=[integration.public_id])).content.decode()
    assert re.search(rf'<td data-label="[^"]*Role[^"]*"><div>\s*{_OPENS}viewer{_CLOSES}\s*</div>', people)
    assert f"<dt>{_OPENS}operator{_CLOSES}</dt>" in workbench and f"<dt>{_OPENS}manager{_CLOSES}</dt>" in workbench


@pytest.mark.timeout(30)
def test_what_is_wrong_with_a_filter_stays_with_its_field_in_every_language() -> None:
    with everything_marked():
        found, errors = SyncFilter.from_query({"since": "1h", "until": "24h", "status": "lost", "integration": "7"})
    assert set(errors) == {"until", "status", "integration"}
    assert all(message.startswith(_OPENS) and message.endswith(_CLOSES) for message in errors.values()), errors
    assert found == SyncFilter(since="1h")


def test_a_word_without_a_mark_is_found() -> None:
    page = (
        f'<p title="Look">Not {_OPENS}but {_OPENS}this{_CLOSES}{_CLOSES} <b>Acme</b> <code>nor this</code> and that</p>'
    )
    assert unmarked(page, "Acme") == {"Look", "Not", "and that"}
