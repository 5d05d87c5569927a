"""Models that a host brings as they are: what of their writes is an event, for whom, and with what."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.models import F, Value
from django.db.models.signals import post_save, pre_save

from integrations.capture import TriggerHandler, publish, unannounced
from integrations.capture.discovery import unconnected, unseen, unusable
from integrations.delivery.manual import record_manual
from integrations.models import IntegrationEvent, TenantIntegration
from integrations.tenancy.boundary import OtherTenant, only_own, owner_of, owner_path
from integrations.tests.factories import make_integration, make_tenant
from integrations.tests.services import wait_until
from tenants.models import Tenant

from .world import INVOICES, bodies, heard

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def ann(billing: SimpleNamespace, acme: Tenant) -> Any:
    return billing.Client.objects.create(account=acme, name="Ann")


@pytest.fixture
def zoe(billing: SimpleNamespace, zulu: Tenant) -> Any:
    return billing.Client.objects.create(account=zulu, name="Zoe")


@pytest.fixture
def invoice(billing: SimpleNamespace, ann: Any) -> Any:
    found = billing.Invoice.objects.create(client=ann)
    heard()
    return billing.Invoice.objects.get(pk=found.pk)


# -- every way to write ---------------------------------------------------------------------------------------------


def test_a_row_two_steps_from_its_tenant(billing: SimpleNamespace, ann: Any) -> None:
    invoice = billing.Invoice(client=ann, amount="12.5")
    invoice.save()
    invoice.status, invoice.amount = "sent", 99
    invoice.save()
    invoice.save()
    pk = invoice.pk
    invoice.delete()
    created, changed, _, deleted = bodies()
    assert created["tenant"]["name"] == "Acme Corp"
    assert created["invoice"] == {
        "id": pk, "number": "INV-Ann", "status": "Draft", "amount": "12.50", "client": "Ann"
    }  # fmt: skip
    assert changed["changes"] == {
        "status": {"old": "Draft", "new": "Sent"}, "amount": {"old": "12.50", "new": "99.00"}
    }  # fmt: skip
    assert deleted["invoice"]["status"] == "Sent"
    kinds = ["created", "status_changed", "updated", "deleted"]
    assert heard() == [("acme", f"invoice_{kind}", str(pk)) for kind in kinds]


def _attached(billing: Any, invoice: Any) -> None:
    reminder = billing.Reminder.objects.create(text="pay")
    reminder.invoices.add(invoice)


WRITES: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "the host's manager": (lambda b, i: b.Invoice.objects.filter(pk=i.pk).update(amount=5), ["updated"]),
    "a manager's method": (lambda b, i: b.Invoice.objects.send_all(), ["status_changed"]),
    "a queryset's method": (lambda b, i: b.Invoice.objects.all().send_all(), ["status_changed"]),
    "another manager": (lambda b, i: b.Invoice.everything.update(amount=5), ["updated"]),
    "the base manager": (lambda b, i: b.Invoice._base_manager.update(amount=5), ["updated"]),
    "a related manager": (lambda b, i: i.client.invoices.update(amount=5), ["updated"]),
    "a related manager's method": (
        lambda b, i: i.client.invoices(manager="objects").send_all(), ["status_changed"]
    ),
    "a queryset by hand": (lambda b, i: models.QuerySet(b.Invoice).update(amount=5), ["updated"]),
    "an expression": (lambda b, i: b.Invoice.objects.update(amount=F("amount") + 5), ["updated"]),
    "a related condition": (lambda b, i: b.Invoice.objects.filter(client__name="Ann").update(amount=5), ["updated"]),
    "locked rows": (lambda b, i: b.Invoice.objects.select_for_update().update(amount=5), ["updated"]),
    "the first of each client": (
        lambda b, i: b.Invoice.objects.order_by("client", "pk").distinct("client").update(amount=5), ["updated"]
    ),
    "bulk_update": (lambda b, i: b.Invoice.objects.bulk_update([_with(i, amount=5)], ["amount"]), ["updated"]),
    "update_or_create": (
        lambda b, i: b.Invoice.objects.update_or_create(pk=i.pk, defaults={"amount": 5}), ["updated"]
    ),
    "bulk_create": (lambda b, i: b.Invoice.objects.bulk_create([b.Invoice(client=i.client)]), ["created"]),
    "related bulk_create": (lambda b, i: i.client.invoices.bulk_create([b.Invoice(client=i.client)]), ["created"]),
    "get_or_create": (lambda b, i: b.Invoice.objects.get_or_create(number="new", client=i.client), ["created"]),
    "related create": (lambda b, i: i.client.invoices.create(number="new"), ["created"]),
    "delete of a queryset": (lambda b, i: b.Invoice.objects.all().delete(), ["deleted"]),
    "delete by a related manager": (lambda b, i: i.client.invoices.all().delete(), ["deleted"]),
    "a cascade": (lambda b, i: i.client.delete(), ["deleted"]),
    "an untracked field": (lambda b, i: b.Invoice.objects.update(in_bin=True), []),
    "related add": (_attached, []),
    "many-to-many": (lambda b, i: i.tags.add(b.Tag.objects.create(name="x")), []),
    "update_fields": (lambda b, i: _with(i, amount=5, status="sent").save(update_fields=["amount"]), ["updated"]),
    "only a few fields loaded": (
        lambda b, i: _with(b.Invoice.objects.only("number", "amount").get(), amount=5).save(), ["updated"]
    ),
    "a silent update": (lambda b, i: unannounced(b.Invoice).update(amount=5), []),
    "a silent bulk_create": (lambda b, i: unannounced(b.Invoice).bulk_create([b.Invoice(client=i.client)]), []),
}  # fmt: skip


def _with(obj: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(obj, name, value)
    return obj


@pytest.mark.parametrize("way", WRITES)
def test_every_way_to_write(billing: SimpleNamespace, invoice: Any, way: str) -> None:
    write, kinds = WRITES[way]
    write(billing, invoice)
    assert [(whose, kind) for whose, kind, _ in heard()] == [("acme", f"invoice_{kind}") for kind in kinds]


def test_the_bin_of_the_hosts_manager_hides_no_event(billing: SimpleNamespace, invoice: Any) -> None:
    invoice.in_bin = True
    invoice.save()
    invoice.amount = 7
    invoice.save()
    assert [kind for _, kind, _ in heard()] == ["invoice_updated"]


def test_the_hosts_own_update_still_adds_what_it_adds(billing: SimpleNamespace, invoice: Any) -> None:
    assert billing.Invoice.objects.update(amount=5) == 1
    invoice.refresh_from_db()
    assert (invoice.amount, invoice.version) == (5, 1)


def test_a_subclass_with_a_table_of_its_own(billing: SimpleNamespace, acme: Tenant) -> None:
    special = billing.SpecialStock.objects.create(code="a", account=acme, reason="x")
    special.count = 3
    special.save()
    billing.SpecialStock.objects.update(count=4)
    billing.Stock.objects.update(count=5)
    special.delete(keep_parents=True)
    billing.Stock.objects.get().delete()
    assert [kind for _, kind, _ in heard()] == ["stock_created", *["stock_updated"] * 3, "stock_deleted"]


def test_what_of_it_is_told_the_host_chooses(billing: SimpleNamespace) -> None:
    class Deletions(TriggerHandler):
        model = billing.Reminder
        tenant = "account"
        name = "reminder"
        tracked = ("text",)
        events = ("deleted",)

        def payload(self, obj: Any) -> dict[str, Any]:
            return {"text": obj.text}

    handler = Deletions.connect()
    try:
        tenant = make_tenant("Kilo")
        kinds = ("reminder_created", "reminder_updated", "reminder_deleted")
        make_integration(tenant, events=kinds)
        reminder = billing.Reminder.objects.create(account=tenant, text="pay")
        reminder.text = "pay now"
        reminder.save()
        billing.Reminder.objects.update(text="x")
        billing.Reminder.objects.bulk_create([billing.Reminder(account=tenant)])
        billing.Reminder.objects.create(text="nobody's").delete()
        reminder.delete()
        assert [kind for _, kind, _ in heard()] == ["reminder_deleted"]
    finally:
        handler.disconnect()


def test_bulk_create_that_cannot_tell_its_rows_says_the_way_out(billing: SimpleNamespace, ann: Any) -> None:
    with pytest.raises(ValueError, match=r"unannounced\(Invoice\).bulk_create"):
        billing.Invoice.objects.bulk_create([billing.Invoice(client=ann)], ignore_conflicts=True)
    unannounced(billing.Invoice).bulk_create([billing.Invoice(client=ann)], ignore_conflicts=True)


# -- atomic ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", ["save", "create", "update", "related update", "bulk_create", "delete"])
def test_in_autocommit_row_and_event_are_written_together_or_not_at_all(
    billing: SimpleNamespace, acme: Tenant, monkeypatch: Any, way: str
) -> None:
    client = billing.Client.objects.create(account=acme, name="Ann")
    invoice = billing.Invoice.objects.create(client=client, number="before")
    heard()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the process died here")

    monkeypatch.setattr("integrations.capture.publishing.record", broken)
    ways = {
        "save": lambda: _with(invoice, number="after").save(),
        "create": lambda: billing.Invoice.objects.create(client=client),
        "update": lambda: billing.Invoice.objects.update(number="after"),
        "related update": lambda: client.invoices.update(number="after"),
        "bulk_create": lambda: billing.Invoice.objects.bulk_create([billing.Invoice(client=client)]),
        "delete": invoice.delete,
    }
    with pytest.raises(RuntimeError):
        ways[way]()
    assert list(billing.Invoice.everything.values_list("number", flat=True)) == ["before"]
    assert heard() == []


def _failing(billing: Any, when: Any, save: Callable[[], Any], *, handled: bool = False) -> None:
    """Save while a receiver raises that runs before ours."""
    from integrations.tests.hostapp.invoicing.integrations import InvoiceEvents

    def fails(sender: Any, **_: Any) -> None:
        raise LookupError("of the host")

    InvoiceEvents.connect().disconnect()
    when.connect(fails, sender=billing.Invoice)
    InvoiceEvents.connect()
    try:
        with pytest.raises(LookupError), transaction.atomic() if handled else nullcontext():
            save()
    finally:
        when.disconnect(fails, sender=billing.Invoice)


SAVES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "a new row": (lambda b, i: b.Invoice.objects.create(client=i.client, number="after"), "created"),
    "a changed row": (lambda b, i: _with(i, number="after").save(), "updated"),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", [pre_save, post_save])
@pytest.mark.parametrize("way", SAVES)
def test_a_receiver_that_raises_leaves_row_and_event_or_neither(
    billing: SimpleNamespace, acme: Tenant, way: str, when: Any
) -> None:
    save, kind = SAVES[way]
    invoice = billing.Invoice.objects.create(client=billing.Client.objects.create(account=acme, name="Ann"))
    heard()
    _failing(billing, when, lambda: save(billing, invoice))
    with transaction.atomic():
        _failing(billing, when, lambda: save(billing, invoice), handled=True)
    assert heard() == [] and not billing.Invoice.everything.filter(number="after").exists()
    with transaction.atomic():
        _failing(billing, when, lambda: save(billing, invoice))
    is_written = when is post_save
    assert billing.Invoice.everything.filter(number="after").count() == is_written
    assert [each[1] for each in heard()] == [f"invoice_{kind}"] * is_written
    assert "_outbox_saves" not in vars(invoice)


def test_a_receiver_that_raises_where_the_event_cannot_be_recorded(
    billing: SimpleNamespace, invoice: Any, monkeypatch: Any, caplog: Any
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("the process died here")

    monkeypatch.setattr("integrations.capture.publishing.record", broken)
    with pytest.raises(transaction.TransactionManagementError), transaction.atomic():
        _failing(billing, post_save, lambda: _with(invoice, number="after").save())
        billing.Invoice.everything.count()
    invoice.refresh_from_db()
    assert invoice.number != "after" and "cannot be recorded" in caplog.text


def test_a_save_inside_of_a_save_that_raises_keeps_the_outer_one(billing: SimpleNamespace, invoice: Any) -> None:
    from integrations.tests.hostapp.invoicing.integrations import InvoiceEvents

    depth = 0

    def saves_again(sender: Any, instance: Any, **_: Any) -> None:
        nonlocal depth
        depth += 1
        if depth == 2:
            raise LookupError("of the host")
        if depth == 1:
            with suppress(LookupError):
                _with(instance, amount=5).save()

    InvoiceEvents.connect().disconnect()
    post_save.connect(saves_again, sender=billing.Invoice)
    InvoiceEvents.connect()
    try:
        _with(invoice, number="after").save()
    finally:
        post_save.disconnect(saves_again, sender=billing.Invoice)
    assert {tuple(body["changes"]) for body in bodies()} == {("amount",), ("number", "amount")}


def test_a_save_that_goes_past_ours(billing: SimpleNamespace, invoice: Any) -> None:
    models.Model.save_base(_with(invoice, number="after"))
    models.Model.save_base(_with(invoice, number="raw"), raw=True)
    assert [kind for _, kind, _ in heard()] == ["invoice_updated"]


def test_a_rollback_takes_the_event_with_it(billing: SimpleNamespace, ann: Any) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        billing.Invoice.objects.create(client=ann)
        raise RuntimeError
    assert heard() == []


# -- rows that move -------------------------------------------------------------------------------------------------


def moved(invoice: Any) -> list[tuple[str, str, str]]:
    return [("acme", "invoice_deleted", str(invoice.pk)), ("zulu", "invoice_created", str(invoice.pk))]


MOVES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "save": lambda b, i, to: _with(i, client=to).save(),
    "save of one field": lambda b, i, to: _with(i, client=to).save(update_fields=["client"]),
    "made by hand": lambda b, i, to: b.Invoice(pk=i.pk, client=to, number="x").save(),
    "update": lambda b, i, to: b.Invoice.objects.filter(client__name="Ann").update(client=to),
    "update by key": lambda b, i, to: b.Invoice.objects.update(client_id=to.pk),
    "update by expression": lambda b, i, to: b.Invoice.objects.update(client_id=F("client_id") - i.client_id + to.pk),
    "bulk_update": lambda b, i, to: b.Invoice.objects.bulk_update([_with(i, client=to)], ["client"]),
    "related add": lambda b, i, to: to.invoices.add(i),
}


@pytest.mark.parametrize("way", MOVES)
def test_a_row_that_moves_is_deleted_for_one_and_created_for_the_other(
    billing: SimpleNamespace, invoice: Any, zoe: Any, way: str
) -> None:
    number = invoice.number
    MOVES[way](billing, invoice, zoe)
    gone, come = bodies()
    assert heard() == moved(invoice)
    assert (gone["tenant"]["name"], gone["invoice"]["client"], gone["invoice"]["number"]) == (
        "Acme Corp",
        "Ann",
        number,
    )
    assert (come["tenant"]["name"], come["invoice"]["client"]) == ("Zulu Corp", "Zoe")
    assert "Zoe" not in str(gone) and "Ann" not in str({**come, "invoice": {**come["invoice"], "number": ""}})


@pytest.mark.parametrize("way", MOVES)
@pytest.mark.parametrize("silent", ["Acme", "Zulu"])
def test_only_the_one_who_listens_is_told(
    billing: SimpleNamespace, invoice: Any, zoe: Any, way: str, silent: str
) -> None:
    TenantIntegration.objects.filter(tenant__name__startswith=silent).delete()
    MOVES[way](billing, invoice, zoe)
    assert heard() == [each for each in moved(invoice) if each[0] != silent.lower()]


def test_a_foreign_key_that_the_database_works_out(billing: SimpleNamespace, invoice: Any, zoe: Any) -> None:
    key = Value(invoice.client_id)
    stock = billing.Stock(code="a", account_id=Value(invoice.client.account_id))
    stock.save()
    _with(billing.Stock.objects.get(), account_id=Value(zoe.account_id)).save()
    new = billing.Invoice(client_id=key)
    new.save_base()
    (bulk,) = billing.Invoice.objects.bulk_create([billing.Invoice(client_id=key)])
    _with(billing.Invoice.objects.get(pk=invoice.pk), client_id=F("client_id"), amount=5).save()
    assert heard() == [
        ("acme", "stock_created", "a"), ("acme", "stock_deleted", "a"), ("zulu", "stock_created", "a"),
        ("acme", "invoice_created", str(new.pk)), ("acme", "invoice_created", str(bulk.pk)),
        ("acme", "invoice_updated", str(invoice.pk)),
    ]  # fmt: skip
    _with(billing.Invoice.objects.get(pk=invoice.pk), client_id=Value(zoe.pk)).save()
    assert heard() == moved(invoice)
    TenantIntegration.objects.filter(tenant=zoe.account).delete()
    _with(billing.Invoice.objects.get(pk=invoice.pk), client_id=key).save()
    assert heard() == [("acme", "invoice_created", str(invoice.pk))]


def test_a_row_that_stays_with_its_tenant_is_updated(billing: SimpleNamespace, invoice: Any, acme: Tenant) -> None:
    bob, carl = (billing.Client.objects.create(account=acme, name=name) for name in ("Bob", "Carl"))
    ann = invoice.client
    invoice.client = bob
    invoice.save()
    billing.Invoice.objects.update(client=carl)
    changes = [body["changes"] for body in bodies()]
    moves = ((ann.pk, bob.pk), (bob.pk, carl.pk))
    assert changes == [{"client": {"old": old, "new": new}} for old, new in moves]
    assert [kind for _, kind, _ in heard()] == ["invoice_updated"] * 2


def test_a_row_of_nobody_comes_and_goes(billing: SimpleNamespace, acme: Tenant, zulu: Tenant) -> None:
    class Reminders(TriggerHandler):
        model = billing.Reminder
        tenant = "account"
        name = "reminder"
        tracked = ("text", "account")
        status_field = None

        def payload(self, obj: Any) -> dict[str, Any]:
            return {"text": obj.text}

    handler = Reminders.connect()
    try:
        for tenant in (acme, zulu):
            make_integration(tenant, name="reminders", events=("reminder_created", "reminder_deleted"))
        reminder = billing.Reminder.objects.create(text="pay")
        for account in (acme, zulu, None):
            reminder.account = account
            reminder.save()
        for account in (acme, None):
            billing.Reminder.objects.update(account=account)
        told = [("acme", "created"), ("acme", "deleted"), ("zulu", "created"), ("zulu", "deleted")]
        assert [(whose, kind.removeprefix("reminder_")) for whose, kind, _ in heard()] == told + told[:2]
    finally:
        handler.disconnect()


def test_a_receiver_that_moves_the_row_behind_our_back(billing: SimpleNamespace, invoice: Any, zoe: Any) -> None:
    def move(sender: Any, instance: Any, **_: Any) -> None:
        instance.client = zoe

    pre_save.connect(move, sender=billing.Invoice)
    try:
        invoice.save()
    finally:
        pre_save.disconnect(move, sender=billing.Invoice)
    gone, come = bodies()
    assert gone["invoice"] == {"id": invoice.pk} and come["invoice"]["client"] == "Zoe"
    assert heard() == moved(invoice)


CAME = [("zulu", "invoice_deleted"), ("acme", "invoice_created")]
LATE: dict[str, tuple[Callable[[Any, Any], Any], list[tuple[str, str]]]] = {
    "a save of all": (lambda b, i: i.save(), CAME),
    "a save of one field": (
        lambda b, i: _with(i, amount=5).save(update_fields=["amount"]),
        [("zulu", "invoice_updated")],
    ),
    "an update": (lambda b, i: b.Invoice.objects.update(amount=5), [("zulu", "invoice_updated")]),
    "a moving update": (lambda b, i: b.Invoice.objects.update(client=i.client), CAME),
    "a deletion": (lambda b, i: i.delete(), [("zulu", "invoice_deleted")]),
}


@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs row locks: run with DATABASE_URL=postgres://…")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("way", LATE)
def test_a_row_that_moved_while_we_waited_for_it(billing: SimpleNamespace, invoice: Any, zoe: Any, way: str) -> None:
    write, told = LATE[way]
    stale = billing.Invoice.objects.select_related("client").get(pk=invoice.pk)

    def late_write() -> None:
        try:
            write(billing, stale)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            _with(invoice, client=zoe).save()
            late = pool.submit(late_write)
            wait_until(_somebody_waits)
        late.result(20)
    pk = str(invoice.pk)
    assert heard() == moved(invoice) + [(whose, kind, pk) for whose, kind in told]


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # our transaction would see the same picture again
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        return cursor.fetchone() is not None


def test_a_host_may_forbid_moves(billing: SimpleNamespace, acme: Tenant, zulu: Tenant, monkeypatch: Any) -> None:
    from integrations.tests.hostapp.invoicing.integrations import InvoiceEvents, StockEvents

    with monkeypatch.context() as forbidding:
        for events in (StockEvents, InvoiceEvents):
            events.connect().disconnect()
            forbidding.setattr(events, "may_move", False)
            events.connect()
        stock = billing.Stock.objects.create(code="a", account=acme)
        ann, bob = (billing.Client.objects.create(account=acme, name=name) for name in ("Ann", "Bob"))
        zoe = billing.Client.objects.create(account=zulu, name="Zoe")
        invoice = billing.Invoice.objects.create(client=ann)
        writes = [
            lambda: _with(stock, account=zulu).save(),
            lambda: billing.Stock.objects.update(account=zulu),
            lambda: billing.Stock.objects.update(account_id=F("account_id") + 1),
            lambda: _with(invoice, client=zoe).save(),
            lambda: zoe.invoices.add(invoice),
        ]
        for write in writes:
            with pytest.raises(OtherTenant):
                write()
        assert billing.Stock.objects.update(account=acme) == 1
        assert billing.Invoice.objects.update(client=bob) == 1
        _with(invoice, client=ann).save()
    for events in (StockEvents, InvoiceEvents):
        events.connect().disconnect()
        events.connect()


# -- what it costs --------------------------------------------------------------------------------------------------


RECORD = 1 if connection.vendor == "postgresql" else 2  # event and syncs


@pytest.mark.parametrize(("kinds", "create", "update"), [((), 2, 2), (INVOICES, 2 + RECORD, 3 + RECORD)])
def test_statements_of_a_save_two_steps_from_its_tenant(
    billing: SimpleNamespace, django_assert_num_queries: Any, kinds: tuple[str, ...], create: int, update: int
) -> None:
    tenant = make_tenant("Kilo")
    make_integration(tenant, events=kinds)
    client = billing.Client.objects.create(account=tenant, name="Kim")
    billing.Invoice.objects.create(client=client).save()
    with django_assert_num_queries(create):
        invoice = billing.Invoice.objects.create(client=client)
    invoice.amount = 7
    with django_assert_num_queries(update):
        invoice.save()


# -- nothing of another tenant ----------------------------------------------------------------------------------------


@pytest.fixture
def told(billing: SimpleNamespace, monkeypatch: Any) -> None:
    """Payloads that go wherever an invoice leads."""
    from integrations.tests.hostapp.invoicing.integrations import InvoiceEvents

    def payload(self: Any, obj: Any) -> dict[str, Any]:
        return {
            "client": obj.client.name,
            "referrer": obj.referrer and obj.referrer.name,
            "receipt": getattr(obj, "receipt", None) and obj.receipt.text,
            "payments": [each.text for each in obj.payments.all()],
            "texts": obj.payments.order_by("pk").values_list("text", flat=True),
            "paid": obj.payments.count(),
            "watchers": [each.name for each in obj.watchers.all()],
            "watching": obj.watchers.count(),
            "of client": obj.client.watched.count(),
            "tags": [each.name for each in obj.tags.all()],
            "rows": {"referrer": obj.referrer, "payments": obj.payments},
        }

    monkeypatch.setattr(InvoiceEvents, "payload", payload)


@pytest.mark.usefixtures("told")
def test_rows_of_another_tenant_are_null_and_not_found(
    billing: SimpleNamespace, invoice: Any, ann: Any, zoe: Any, caplog: Any
) -> None:
    acme, zulu = ann.account, zoe.account
    for account in (acme, zulu):
        billing.Payment.objects.create(account=account, invoice=invoice, text=f"paid by {account.name}")
    billing.Receipt.objects.create(account=zulu, invoice=invoice, text="Zulu receipt")
    invoice.watchers.add(ann, zoe)
    invoice.tags.add(billing.Tag.objects.create(name="red"))
    invoice.referrer = zoe
    invoice.save()
    (body,) = bodies()
    payment = billing.Payment.objects.get(account=acme)
    assert body["invoice"] == {
        "client": "Ann", "referrer": None, "receipt": None, "payments": ["paid by Acme Corp"],
        "texts": ["paid by Acme Corp"], "paid": 1, "watchers": ["Ann"], "watching": 1, "of client": 1, "tags": ["red"],
        "rows": {"referrer": None, "payments": [{"id": payment.pk}]},
    }  # fmt: skip
    assert body["changes"] == {"referrer": {"old": None, "new": None}}
    for path in ("referrer", "receipt"):
        assert f"invoice {invoice.pk}.{path}: " in caplog.text
    assert invoice.payments.count() == 2 and invoice.receipt.text == "Zulu receipt"  # outside of a payload


def test_what_is_not_told_about_another_tenants_row(billing: SimpleNamespace, zoe: Any, acme: Tenant) -> None:
    theirs = billing.Invoice.objects.create(client=zoe)
    heard()
    integration = TenantIntegration.objects.get(tenant=acme)
    content_type = ContentType.objects.get_for_model(theirs)
    ours = billing.Client.objects.create(account=acme, name="Ann")
    for obj in (theirs, billing.Invoice(pk=theirs.pk, client=ours), billing.Invoice.objects.get(pk=theirs.pk)):
        with pytest.raises(OtherTenant):
            publish(event_type="invoice_created", tenant=acme, obj=obj, payload={})
    with pytest.raises(OtherTenant):
        record_manual(integration.pk, content_type.pk, theirs.pk, "invoice_created", {"a": 1}, None)
    assert heard() == []


def test_whose_a_row_is_that_nobody_described(billing: SimpleNamespace, acme: Tenant) -> None:
    ways = {model.__name__: owner_path(model) for model in vars(billing).values()}
    assert {name: ways[name] for name in ("Client", "Payment", "Tag", "Reminder", "Invoice", "SpecialStock")} == {
        "Client": "account_id", "Payment": "account_id", "Tag": None, "Reminder": None,
        "Invoice": "client__account__pk", "SpecialStock": "account__pk",
    }  # fmt: skip


# -- descriptions that do not fit -----------------------------------------------------------------------------------


def wrong(billing: Any, **values: Any) -> type[TriggerHandler]:
    said = {
        "model": billing.Client,
        "name": "client",
        "tracked": ("name",),
        "payload": lambda self, obj: {"name": obj.name},
        **values,
    }
    return type("Wrong", (TriggerHandler,), {key: value for key, value in said.items() if value is not ...})


WRONG: dict[str, tuple[Callable[[Any], dict[str, Any]], str]] = {
    "another model than the tenant": (
        lambda b: {"model": b.Invoice, "tenant": "client"},
        r'leads from invoicing.Invoice to invoicing.Client, but the tenant model is tenants.Tenant .* Say tenant = '
        r'"client__account"',
    ),
    "no such field": (lambda b: {"tenant": "owner"}, r"has no field 'owner'. Say tenant = \"account\""),
    "no foreign key": (lambda b: {"tenant": "name"}, r"invoicing.Client.name is no foreign key"),
    "no way": (lambda b: {"model": b.Tag}, r"invoicing.Tag has no foreign key to tenants.Tenant. No foreign keys lead"),
    "several ways": (
        lambda b: {"model": b.Reminder}, r"several foreign keys .* Say tenant = \"account\" or tenant = \"copied_to\""
    ),
    "no model": (lambda b: {"model": "invoicing.Client"}, r"model must be a model"),
    "nothing tracked": (lambda b: {"tracked": ...}, r"tracked is missing"),
    "an unknown field": (lambda b: {"tracked": ("colour",)}, r"invoicing.Client has no field 'colour'"),
    "a text that should be tracked": (lambda b: {"tracked": "name"}, r'tracked must be a tuple .* \("name",\)'),
    "a text that should be related": (lambda b: {"related": "account"}, r'related must be a tuple .* \("account",\)'),
    "many-to-many": (
        lambda b: {"model": b.Invoice, "tenant": "client__account", "tracked": ("tags",)},
        r"Invoice.tags is no column; many-to-many changes are not captured",
    ),
    "an unknown relation": (lambda b: {"related": ("account__owner",)}, r"has no foreign key 'owner'"),
    "an unknown event": (lambda b: {"events": ("archived",)}, r"events must be some of created, status_changed"),
    "one event as text": (lambda b: {"events": "created"}, r"events must be some of"),
    "a status that is not tracked": (lambda b: {"status_field": "state"}, r"'state' must be one of the tracked"),
    "no payload": (lambda b: {"payload": ...}, r"payload\(self, obj\) is missing"),
    "two words": (lambda b: {"name": "our client"}, r"name must be a word"),
    "another's word": (lambda b: {"name": "invoice"}, r"InvoiceEvents calls invoicing.Invoice 'invoice' already"),
    "another's model": (
        lambda b: {"model": b.Stock, "tracked": ()}, r"invoicing.Stock is described by StockEvents already"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_description_that_does_not_fit_is_refused(billing: SimpleNamespace, what: str) -> None:
    values, says = WRONG[what]
    with pytest.raises(TypeError, match=says) as refused:
        wrong(billing, **values(billing)).connect()
    assert "Wrong (" in str(refused.value)
    assert not str(refused.value).endswith("..")


def test_check_says_what_does_not_fit_any_more(billing: SimpleNamespace, settings: Any) -> None:
    assert not unusable()
    settings.INTEGRATIONS_TENANT_MODEL = "invoicing.Client"
    found = [error.msg for error in unusable()]
    assert any("InvoiceEvents: " in each and "tenant model is invoicing.Client" in each for each in found), found


class Router:
    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return {"Stock": "elsewhere"}.get(model.__name__)


class ShyRouter:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        raise LookupError("which tenant?")


def test_check_says_what_no_transaction_can_hold_together(billing: SimpleNamespace, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.Router"]
    (error,) = unusable()
    assert error.msg == (
        "invoicing.Stock is written to the database 'elsewhere', its events to 'default': no transaction holds both."
    )
    settings.DATABASE_ROUTERS = [f"{__name__}.ShyRouter"]
    assert not unusable()


def test_check_names_managers_whose_writes_nobody_sees(billing: SimpleNamespace, monkeypatch: Any) -> None:
    assert not unseen()

    class Deaf(models.QuerySet[Any]):
        def update(self, **values: Any) -> int:
            return self._update(values)

    class Foreign(models.Manager[Any]):
        def get_queryset(self) -> Any:
            return []

    class Shy(models.Manager[Any]):
        def get_queryset(self) -> Any:
            raise RuntimeError("which tenant?")

    managers = list(billing.Invoice._meta.managers)
    for name, manager in (("deaf", Deaf.as_manager()), ("foreign", Foreign()), ("shy", Shy())):
        manager.model, manager.name = billing.Invoice, name
        managers.append(manager)
    monkeypatch.setitem(billing.Invoice._meta.__dict__, "managers", managers)
    assert [warning.msg for warning in unseen()] == [
        "invoicing.Invoice.deaf: Deaf.update() does not call super().update(); its writes are no events.",
        "invoicing.Invoice.foreign: get_queryset() returns a list and no QuerySet; its writes are no events.",
    ]


def test_publish_takes_tenants_alone(billing: SimpleNamespace, invoice: Any, acme: Tenant) -> None:
    for tenant in (invoice.client, invoice, acme.pk, None):
        with pytest.raises(TypeError, match=r"takes a tenants.Tenant .*, not a"):
            publish(event_type="invoice_created", tenant=tenant, obj=invoice, payload={})
    assert publish(event_type="invoice_created", tenant=acme, obj=invoice, payload={})


# -- nothing else of the host is touched ----------------------------------------------------------------------------


def test_connecting_again_changes_nothing(billing: SimpleNamespace, invoice: Any) -> None:
    from integrations.tests.hostapp.invoicing.integrations import InvoiceEvents

    before = (billing.Invoice.save_base, models.QuerySet.update, models.QuerySet.bulk_create)
    InvoiceEvents.connect()
    assert (billing.Invoice.save_base, models.QuerySet.update, models.QuerySet.bulk_create) == before
    invoice.amount = 5
    invoice.save()
    assert len(heard()) == 1
    assert models.QuerySet.update.alters_data and billing.Invoice.save_base.alters_data


def test_managers_models_and_migrations_are_the_hosts(billing: SimpleNamespace, invoice: Any) -> None:
    assert type(billing.Invoice.objects).__name__ == "InvoiceManager"
    assert pickle.loads(pickle.dumps(billing.Invoice.objects.all()))[0] == invoice
    assert pickle.loads(pickle.dumps(invoice)) == invoice
    assert "integrations" not in str(models.QuerySet.update.__module__)


def test_other_models_write_as_before(billing: SimpleNamespace, django_assert_num_queries: Any, ann: Any) -> None:
    with django_assert_num_queries(2):
        billing.Client.objects.update(name="Anne")
        billing.Tag.objects.create(name="x")
    with django_assert_num_queries(1):
        billing.Tag.objects.bulk_create([billing.Tag(name="y")], ignore_conflicts=True)
    assert heard() == []


def test_receivers_of_the_host_run_before_the_commit(billing: SimpleNamespace, ann: Any) -> None:
    states = []

    def look(sender: Any, **_: Any) -> None:
        states.append(connection.in_atomic_block)

    post_save.connect(look, sender=billing.Invoice)
    try:
        billing.Invoice.objects.create(client=ann)
    finally:
        post_save.disconnect(look, sender=billing.Invoice)
    assert states == [True]


def test_the_tenant_goes_with_all_it_has(billing: SimpleNamespace, invoice: Any, acme: Tenant) -> None:
    acme.delete()
    assert not IntegrationEvent.objects.exists()
    call_command("check")


def test_pages_find_the_tenant_of_a_row_two_steps_away(billing: SimpleNamespace, ann: Any, acme: Tenant) -> None:
    own = billing.Invoice.objects.create(client=ann)
    with only_own():
        found = billing.Invoice.objects.get(pk=own.pk)
        assert owner_of(found) == acme.pk
        assert found.client == ann


def test_a_handler_that_nobody_connects_is_spoken_of(billing: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shop.integrations")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert not unconnected()

    class StockEvents(TriggerHandler):
        model = billing.Stock
        name = "shelf"

    StockEvents.__module__, StockEvents.__qualname__ = module.__name__, "StockEvents"
    module.StockEvents = StockEvents  # type: ignore[attr-defined]
    (warning,) = unconnected()
    assert warning.msg == "StockEvents (shop.integrations) is not connected: it records no events."
    assert warning.hint == "Write StockEvents.connect() below it."
