"""What a save costs: the statements that it sends, counted, for every kind of key, and in batches."""

from __future__ import annotations

import enum
import itertools
import json
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from ipaddress import ip_address
from typing import Any

import pytest
from django.apps import apps as django_apps
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.test import Client
from django.urls import reverse
from django.utils.functional import lazy

from integrations.capture import trigger_handler
from integrations.capture.trigger_handler import TriggerHandler
from integrations.delivery.manual import record_manual
from integrations.label import app_label
from integrations.models import IntegrationEvent, IntegrationSync
from integrations.outbox.models import object_id_of
from integrations.outbox.objects import by_object_id
from integrations.outbox.record import Occurrence, record
from integrations.signals.workitem import WorkItemTrigger
from integrations.tenancy.boundary import OtherTenant
from integrations.tests.factories import events, make_integration, make_item, make_tenant
from integrations.tests.registered_types import forgotten_afterwards
from tasks.models import Customer, WorkItem
from tenants.models import Tenant, TenantOwned

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

POSTGRESQL = connection.vendor == "postgresql"
RECORD = 1 if POSTGRESQL else 2  # event and syncs
only_postgresql = pytest.mark.skipif(not POSTGRESQL, reason="run with DATABASE_URL=postgres://…")


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collect what is sent to the database; savepoints too."""
    sent: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        sent.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield sent


@pytest.mark.parametrize(("subscribers", "create", "update"), [(0, 2, 2), (1, 2 + RECORD, 3 + RECORD)])
@pytest.mark.parametrize("more", [1, 5])
def test_statements_of_a_save(subscribers: int, create: int, update: int, more: int) -> None:
    tenant = make_tenant()
    for number in range(subscribers * more):
        make_integration(tenant, name=f"Number {number}")
    item = make_item(tenant, comments="the first one finds out that somebody listens")
    item.save()
    with statements() as sent:
        make_item(tenant)
    assert len(sent) == create, sent
    for name, value in (("comments", "changed"), ("status", "waiting")):
        setattr(item, name, value)
        with statements() as sent:
            item.save(update_fields=[name])
        assert len(sent) == update, sent
    assert IntegrationSync.objects.count() == subscribers * more * 4


def test_a_deletion_asks_and_locks_in_one_statement() -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant).delete()
    item = make_item(tenant)
    with statements() as sent:
        item.delete()
    business = [sql for sql in sent if "tasks_note" in sql or sql.startswith("DELETE")]
    assert len(sent) - len(business) == 2 + RECORD, sent


def test_who_subscribes_or_leaves_between_two_saves_is_heard() -> None:
    tenant = make_tenant()
    item = make_item(tenant)
    heard = []
    for turn in range(6):
        if turn % 2:
            integration = make_integration(tenant, name=str(turn))
        item.comments = f"turn {turn}"
        item.save()
        item.comments = f"turn {turn}, again"
        item.save()
        heard.append(IntegrationEvent.objects.count())
        if turn % 2:
            integration.delete()
    assert heard == [0, 2, 2, 4, 4, 6]


@only_postgresql
def test_nobody_subscribed_takes_no_lock() -> None:
    tenant = make_tenant()
    item = make_item(tenant)
    integration = make_integration(tenant)
    rows = trigger_handler._handlers[WorkItem]._rows
    WorkItem.unannounced.filter(pk=item.pk).update(comments="of a transaction that is over")

    def is_locked() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT xmax::text FROM tasks_workitem WHERE id = %s", [item.pk])
            return bool(cursor.fetchone()[0] != "0")

    assert rows.ask_locked(("workitem_updated",), tenant.pk, item.pk, "default")[0]
    item = make_item(tenant)
    integration.subscriptions.all().delete()
    with statements() as sent:
        assert rows.ask_locked(("workitem_updated",), tenant.pk, item.pk, "default") == ({}, {})
    assert "FOR NO KEY UPDATE" in sent[0]
    assert not is_locked()
    integration.subscribe("workitem_updated")
    for _ in range(2):
        assert rows.ask_locked(("workitem_updated",), tenant.pk, item.pk, "default")[1]
    assert is_locked()


# -- every kind of key --------------------------------------------------------------------------------------------


_numbers = itertools.count(1)
_DAY = datetime(2026, 1, 1, tzinfo=UTC)


def _made(make: Callable[[int], Any]) -> Callable[[], Any]:
    return lambda: make(next(_numbers))


def _key(kind: str) -> dict[str, Any]:
    """Return the fields of a primary key."""
    if kind == "composite":
        return {
            "number": models.IntegerField(default=_made(int)),
            "part": models.UUIDField(default=uuid.uuid4),
            "pk": models.CompositePrimaryKey("tenant_id", "number", "part"),
        }
    fields: dict[str, Any] = {
        "auto": lambda: models.AutoField(primary_key=True),
        "small": lambda: models.SmallAutoField(primary_key=True),
        "big": lambda: models.BigAutoField(primary_key=True),
        "uuid": lambda: models.UUIDField(primary_key=True, default=uuid.uuid4),
        "text": lambda: models.CharField(primary_key=True, max_length=200, default=_text_key),
        "long text": lambda: models.TextField(primary_key=True, default=lambda: "x" * 400 + str(uuid.uuid4())),
        "slug": lambda: models.SlugField(primary_key=True, default=_made("slug-{}".format)),
        "integer": lambda: models.BigIntegerField(primary_key=True, default=_made(lambda n: -(2**62) - n)),
        "decimal": lambda: models.DecimalField(
            primary_key=True,
            max_digits=20,
            decimal_places=4,
            default=_made(lambda n: Decimal(n).quantize(Decimal("0.0001"))),
        ),
        "float": lambda: models.FloatField(primary_key=True, default=_made(lambda n: n / 8)),
        "date": lambda: models.DateField(primary_key=True, default=_made(lambda n: _DAY.date() + timedelta(n))),
        "moment": lambda: models.DateTimeField(primary_key=True, default=_made(lambda n: _DAY + timedelta(n, 0, n))),
        "duration": lambda: models.DurationField(primary_key=True, default=_made(lambda n: timedelta(n, n, n))),
        "address": lambda: models.GenericIPAddressField(
            primary_key=True, default=_made(lambda n: str(ip_address(0x0A000000 + n)))
        ),
        "one to one": lambda: models.OneToOneField(
            Customer, on_delete=models.CASCADE, primary_key=True, related_name="+", default=_customer_key
        ),
    }
    return {"id": fields[kind]()}


KINDS = [
    "auto", "small", "big", "uuid", "text", "long text", "slug", "integer", "decimal", "float", "date", "moment",
    "duration", "address", "one to one", "composite",
]  # fmt: skip


def _text_key() -> str:
    return f'a "{uuid.uuid4()}", {{x}} \\ é'


def _customer_key() -> Any:
    return Customer.objects.create(tenant=Tenant.objects.get(), name="key").pk


@pytest.fixture
def keyed(request: pytest.FixtureRequest, transactional_db: None) -> Iterator[Any]:
    class Meta(TenantOwned.Meta):
        app_label = "tasks"

    fields = {
        "__module__": __name__,
        "Meta": Meta,
        **_key(request.param),
        "name": models.CharField(max_length=50),
        "customer": models.ForeignKey(Customer, on_delete=models.SET_NULL, null=True, related_name="+"),
    }
    keyed_model: Any = type("Keyed", (TenantOwned,), fields)

    class KeyedTrigger(TriggerHandler):
        model = keyed_model
        name = "keyed"
        tracked = ("name", "customer")
        status_field = None
        related = ("customer",)

        def payload(self, obj: Any) -> dict[str, Any]:
            return {"id": obj.pk, "name": obj.name, "customer": obj.customer and obj.customer.name}

    with connection.schema_editor() as editor:
        editor.create_model(keyed_model)
    with forgotten_afterwards():
        handler = KeyedTrigger.connect()
        yield keyed_model
        handler.disconnect()
    ContentType.objects.filter(app_label="tasks", model="keyed").delete()
    ContentType.objects.clear_cache()
    with connection.schema_editor() as editor:
        editor.delete_model(keyed_model)
    del django_apps.all_models["tasks"]["keyed"]
    django_apps.clear_cache()


@pytest.mark.parametrize("keyed", KINDS, indirect=True)
def test_every_kind_of_key(keyed: Any) -> None:
    tenant = make_tenant()
    kinds = ("keyed_created", "keyed_updated", "keyed_deleted")
    make_integration(tenant, events=kinds)
    customer = Customer.objects.create(tenant=tenant, name="Ann")
    for name in ("first", "second"):  # the second is asked for another way
        thing = keyed.objects.create(tenant=tenant, name=name, customer=customer)
        thing.name = "renamed"
        thing.save()
    key = object_id_of(thing.pk)
    made = keyed.objects.bulk_create([keyed(tenant=tenant, name=f"{n}") for n in range(3)])
    assert keyed.objects.filter(name__in=["0", "1", "2"]).update(name="all") == 3
    thing.delete()
    found = events()
    assert [kind for kind, _ in found] == [
        *kinds[:2], *kinds[:2], *["keyed_created"] * 3, *["keyed_updated"] * 3, "keyed_deleted",
    ]  # fmt: skip
    assert {object_id for _, object_id in found[4:10]} == {object_id_of(each.pk) for each in made}
    assert {found[2][1], found[3][1], found[-1][1]} == {key}
    updated = json.loads(IntegrationEvent.objects.order_by("id")[3].body)
    assert updated["keyed"]["customer"] == "Ann"
    assert updated["changes"] == {"name": {"old": "second", "new": "renamed"}}
    assert set(IntegrationSync.objects.filter(event__object_id=key).values_list("object_key", flat=True)) == {
        f"{ContentType.objects.get_for_model(keyed).pk}:{key}"
    }


@pytest.mark.parametrize("keyed", sorted({*KINDS} - {"long text"}), indirect=True)  # of which only a digest is kept
def test_pages_find_the_object_of_every_kind_of_key(keyed: Any, client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    tenant = make_tenant()
    integration = make_integration(tenant, events=("keyed_created",))
    thing = keyed.objects.create(tenant=tenant, name="first")
    event = IntegrationEvent.objects.get()
    assert by_object_id(models.QuerySet(keyed), [event.object_id]) == {event.object_id: thing}
    client.force_login(User.objects.create_superuser("boss"))
    sync = event.syncs.get()
    for name, arguments in (
        ("console:delivery", [sync.pk]),
        ("console:object", [event.content_type_id, event.object_id]),
        ("console:deliveries", []),
        (f"admin:{app_label()}_integrationsync_changelist", []),
        (f"admin:{app_label()}_integrationsync_change", [sync.pk]),
    ):
        assert client.get(reverse(name, args=arguments)).status_code == 200
    assert record_manual(integration.pk, event.content_type_id, _sent(thing.pk), "keyed_created", {}, None)
    other = make_integration(make_tenant("Zulu"))
    with pytest.raises(OtherTenant):
        record_manual(other.pk, event.content_type_id, _sent(thing.pk), "keyed_created", {}, None)
    assert set(IntegrationEvent.objects.values_list("object_id", flat=True)) == {event.object_id}


def _sent(pk: Any) -> Any:
    """Return a key as a message of a broker has it."""
    return json.loads(json.dumps(pk, default=str))


@pytest.mark.parametrize("keyed", ["composite"], indirect=True)
def test_a_tenant_with_many_composite_keys_can_be_deleted(keyed: Any) -> None:
    tenant = make_tenant()
    keyed.unannounced.bulk_create([keyed(tenant=tenant, name="x") for _ in range(1001)])
    tenant.delete()
    assert not keyed.objects.exists()


# -- in batches ---------------------------------------------------------------------------------------------------


def test_bulk_writes_of_several_batches() -> None:
    tenant = make_tenant()
    integrations = {make_integration(tenant, name=name).pk for name in ("one", "two")}
    items = WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id=f"R{n}") for n in range(1100)])
    assert WorkItem.objects.filter(tenant=tenant).update(status="waiting", comments="x") == 1100
    found = defaultdict(list)
    for kind, object_id in events():
        found[object_id].append(kind)
    assert list(found) == [str(item.pk) for item in items]
    assert {tuple(kinds) for kinds in found.values()} == {
        ("workitem_created", "workitem_status_changed", "workitem_updated")
    }
    for event in IntegrationEvent.objects.filter(object_id=str(items[777].pk)).prefetch_related("syncs"):
        assert {sync.integration_id for sync in event.syncs.all()} == integrations
        assert {sync.object_key for sync in event.syncs.all()} == {f"{event.content_type_id}:{event.object_id}"}
        assert json.loads(event.body)["workitem"]["reference_id"] == "R777"


@only_postgresql
def test_statements_of_bulk_writes_do_not_grow_with_the_subscribers() -> None:
    tenant = make_tenant()
    for number in range(3):
        make_integration(tenant, name=f"Number {number}")
    make_item(tenant)
    with statements() as sent:
        WorkItem.objects.bulk_create([WorkItem(tenant=tenant, reference_id=f"R{n}") for n in range(100)])
    assert len([sql for sql in sent if "SAVEPOINT" not in sql]) == 3 + RECORD  # insert, question, rows
    with statements() as sent:
        WorkItem.objects.filter(tenant=tenant).update(comments="x")
    # tenants, question, keys, update of everybody else's, then for each batch: old rows, update, new rows
    assert len([sql for sql in sent if "SAVEPOINT" not in sql]) <= 7 + RECORD


# -- what the database would refuse -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['quotes " and \\ and {}, NULL', "\\", '"', "é — 漢字 🙂", "", "NULL", "a\nb\t\x01"])
def test_any_text_arrives_as_it_is(text: str) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    make_item(tenant, description=text)
    assert json.loads(IntegrationEvent.objects.get().body)["workitem"]["description"] == text


def furious(*_: Any) -> Any:
    raise RuntimeError("not today")


class Furious(dict[str, Any]):
    items = furious


class FuriousMapping(Mapping[str, Any]):
    __getitem__ = __iter__ = __len__ = furious


class FuriousList(list[int]):
    __iter__ = __len__ = furious


class FuriousColour(enum.Enum):
    RED = "red"
    __str__ = furious


class FuriousZone(tzinfo):
    utcoffset = dst = tzname = furious


@dataclass
class FuriousLine:
    sku: str = "A"

    def __getattribute__(self, name: str) -> Any:
        return furious() if name == "sku" else super().__getattribute__(name)


class FuriousCustomer(Customer):
    class Meta:
        proxy = True
        app_label = "tasks"

    email = property(furious)  # type: ignore[assignment]


def furious_words() -> Iterator[str]:
    yield "first"
    furious()


FURIOUS = {
    "dict": lambda: Furious(a=1),
    "mapping": FuriousMapping,
    "list": lambda: FuriousList([1]),
    "lazy text": lazy(furious, str),
    "lazy number": lazy(furious, int),
    "nested": lambda: {"deep": [Furious(a=1)]},
    "enum": lambda: FuriousColour.RED,
    "enum as key": lambda: {FuriousColour.RED: 1},
    "zone": lambda: datetime(2026, 1, 1, tzinfo=FuriousZone()),
    "dataclass": FuriousLine,
    "generator": furious_words,
    "property of a model": lambda: FuriousCustomer(name="x"),
}


@pytest.mark.parametrize("value", FURIOUS.values(), ids=FURIOUS)
def test_a_value_that_raises_while_it_is_encoded_makes_a_minimal_event(
    monkeypatch: Any, caplog: Any, value: Any
) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"id": obj.pk, "odd": value(), "comments": "x"})
    item = make_item(tenant)
    assert json.loads(IntegrationEvent.objects.get().body)["workitem"] == {"id": item.pk}
    assert "minimal event" in caplog.text


def test_what_cannot_be_compared_makes_a_minimal_event(monkeypatch: Any, caplog: Any) -> None:
    tenant = make_tenant()
    make_integration(tenant)
    item = make_item(tenant)
    rows = trigger_handler._handlers[WorkItem]._rows
    monkeypatch.setattr(rows, "shown", furious)
    item.comments = "changed"
    item.save()
    assert json.loads(IntegrationEvent.objects.order_by("id")[1].body)["workitem"]["comments"] == "changed"
    assert "cannot be told" in caplog.text


def test_a_value_without_a_hash_is_shown_as_changed() -> None:
    rows = trigger_handler._handlers[WorkItem]._rows
    item = make_item(make_tenant())
    [(_, old)] = rows.locked([item.pk], "default").items()
    item.comments = ["of a", "JSONField"]  # type: ignore[assignment]
    assert rows.changes(item, old, {}) == {"comments": {"old": "", "new": ["of a", "JSONField"]}}


def _occurrence(**values: Any) -> Occurrence:
    tenant = make_tenant()
    return Occurrence(
        **{
            "tenant_id": tenant.pk,
            "event_type": "x",
            "content_type_id": 1,
            "object_id": "1",
            "payload": {"a": 1},
            "minimal": {},
            "integration_ids": [make_integration(tenant).pk],
            **values,
        }
    )


@pytest.mark.parametrize("name", ["event_type", "object_id", "idempotency_key"])
@pytest.mark.parametrize(("value", "says"), [("x" * 256, "256 characters"), ("a\0b", "NUL")])
def test_what_does_not_fit_is_named_before_the_database_is_asked(name: str, value: str, says: str) -> None:
    occurrence = _occurrence(**{name: value})
    with pytest.raises(ValueError, match=rf"{name} .*{says}"):
        record([occurrence])
    assert record([replace(occurrence, **{name: "fits"})])  # the transaction is as it was


def test_a_payload_that_raises_is_minimal_also_without_a_trigger_handler() -> None:
    (event_id,) = record([_occurrence(payload={"a": Furious(b=1)}, minimal={"id": 7})])
    assert IntegrationEvent.objects.get(pk=event_id).body == '{"id":7}'
