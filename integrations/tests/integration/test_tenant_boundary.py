"""Nothing is recorded, sent, noted or said across tenants, whatever refers to what."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps as django_apps
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.test import Client

from integrations.audit.notes import AuditNote, write_notes
from integrations.capture.trigger_handler import TriggerHandler, trigger_integrations
from integrations.delivery.manual import record_manual
from integrations.erp.push import PushOrchestrator
from integrations.errors import ConfigurationError
from integrations.models import IntegrationEvent, IntegrationSync, TenantIntegration
from integrations.publish import publish
from integrations.signals.workitem import WorkItemTrigger, emit_workitem_event
from integrations.tasks import send_integration_webhook
from integrations.tenancy.boundary import OtherTenant
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Receiver
from integrations.tests.registered_types import forgotten_afterwards
from tasks.models import Customer, CustomerAsset, DropoffPoint, Note, WorkItem
from tenants.models import Membership, Tenant, TenantOwned

from .admin_world import page, superuser, url

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def acme() -> Tenant:
    tenant = make_tenant()
    make_integration(tenant, name="Acme hook")
    return tenant


@pytest.fixture
def zulu() -> Tenant:
    return make_tenant("Zulu Corp")


def nothing_of_zulu() -> None:
    for body in IntegrationEvent.objects.values_list("body", flat=True):
        assert "Zulu" not in body and "zulu" not in body, body


def last_body() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(IntegrationEvent.objects.order_by("id").last().body)  # type: ignore[union-attr]
    return body


# -- what happened to another tenant's object ---------------------------------------------------------------------


def zulus(zulu: Tenant) -> dict[str, models.Model]:
    customer = Customer.objects.create(tenant=zulu, name="Zulu customer")
    return {
        "item": make_item(zulu),
        "read": WorkItem.objects.get(pk=make_item(zulu).pk),
        "customer": customer,
        "asset": CustomerAsset.objects.create(tenant=zulu, customer=customer, name="Zulu asset"),
        "integration": TenantIntegration.objects.create(tenant=zulu, name="Zulu hook"),
        "note": Note.objects.create(tenant=zulu, work_item=make_item(zulu), text="Zulu"),
        "tenant": zulu,
    }


KINDS = ["item", "read", "customer", "asset", "integration", "note", "tenant"]


@pytest.mark.parametrize("kind", KINDS)
def test_publishing_about_another_tenants_object_is_refused(kind: str, acme: Tenant, zulu: Tenant) -> None:
    obj = zulus(zulu)[kind]
    for event_type in ("workitem_created", "nobody_listens"):
        with pytest.raises(OtherTenant, match="belongs to another tenant"):
            publish(event_type=event_type, tenant=acme, obj=obj, payload={"a": 1})
    assert not IntegrationEvent.objects.exists()


def test_publishing_about_an_object_that_only_says_it_is_ours_is_refused(acme: Tenant, zulu: Tenant) -> None:
    stored = make_item(zulu)
    moved = WorkItem.objects.get(pk=stored.pk)
    moved.tenant = acme
    for obj in (WorkItem(pk=stored.pk, tenant=acme), moved):
        with pytest.raises(OtherTenant):
            publish(event_type="workitem_created", tenant=acme, obj=obj, payload={"a": 1})
        with pytest.raises(OtherTenant):
            trigger_integrations(obj, "workitem_created")
    assert not IntegrationEvent.objects.exists()


def test_publishing_about_ours_or_nobodys_is_not(acme: Tenant) -> None:
    item, user = make_item(acme), User.objects.create(username="ann")
    gone = make_item(acme)
    gone.delete()
    before = IntegrationEvent.objects.count()
    for obj in (item, WorkItem(pk=item.pk, tenant=acme), WorkItem(tenant_id=str(acme.pk)), user, acme, gone):
        assert publish(event_type="workitem_updated", tenant=acme, obj=obj, payload={"a": 1})
    assert IntegrationEvent.objects.count() == before + 6


@pytest.mark.parametrize("kind", KINDS)
def test_sending_about_another_tenants_object_is_refused(kind: str, acme: Tenant, zulu: Tenant, caplog: Any) -> None:
    obj = zulus(zulu)[kind]
    integration = TenantIntegration.objects.get(tenant=acme)
    before = IntegrationEvent.objects.count()
    content_type = ContentType.objects.get_for_model(obj)
    for object_id in (obj.pk, str(obj.pk)):
        with pytest.raises(OtherTenant, match="belongs to another tenant"):
            record_manual(integration.pk, content_type.pk, object_id, "workitem_created", {"a": 1}, None)
    assert "belongs to another tenant" in caplog.text
    assert IntegrationEvent.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_the_task_refuses_another_tenants_object(acme: Tenant, zulu: Tenant) -> None:
    item = make_item(zulu)
    integration = TenantIntegration.objects.get(tenant=acme)
    content_type = ContentType.objects.get_for_model(WorkItem)
    with pytest.raises(OtherTenant, match=f"The work item {item.pk} belongs to another tenant"):
        send_integration_webhook(integration.pk, content_type.pk, item.pk, "workitem_created", {"a": 1})
    assert not IntegrationEvent.objects.exists() and not Note.objects.exists()


@pytest.mark.parametrize("object_id", [987_654, "no-key", "9" * 30, "' OR 1=1", ("a", 1)])
def test_sending_about_what_is_not_there_is_recorded(object_id: Any, acme: Tenant) -> None:
    integration = TenantIntegration.objects.get(tenant=acme)
    content_type = ContentType.objects.get_for_model(WorkItem)
    assert record_manual(integration.pk, content_type.pk, object_id, "workitem_created", {"a": 1}, None)
    assert IntegrationEvent.objects.count() == 1


def test_a_save_under_another_tenants_key_is_refused(acme: Tenant, zulu: Tenant) -> None:
    stored = make_item(zulu, description="Zulu secret")
    with pytest.raises(OtherTenant):
        WorkItem(pk=stored.pk, tenant=acme, reference_id="mine now").save()
    stored.refresh_from_db()
    assert (stored.tenant_id, stored.description) == (zulu.pk, "Zulu secret")
    with pytest.raises(OtherTenant), transaction.atomic():
        WorkItem(pk=stored.pk, tenant=acme).delete()
    assert not IntegrationEvent.objects.exists()
    WorkItem(pk=stored.pk, tenant=zulu, reference_id="ours", created_date=stored.created_date).save()


def test_no_note_is_written_on_another_tenants_object(acme: Tenant, zulu: Tenant) -> None:
    ours, theirs = make_item(acme), make_item(zulu)
    content_type = ContentType.objects.get_for_model(WorkItem).pk
    write_notes([AuditNote(acme.pk, content_type, str(item.pk), "Acme hook") for item in (ours, theirs)])
    assert list(Note.objects.values_list("work_item", "tenant")) == [(ours.pk, acme.pk)]


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_owed_across_tenants_is_not_sent(
    acme: Tenant, zulu: Tenant, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS_ALLOWED_HOSTS = [receiver.netloc]
    ours = make_integration(acme, receiver.url)
    make_integration(zulu, receiver.url, is_enabled=False)
    item = make_item(zulu)
    event = IntegrationEvent.objects.get(object_id=str(item.pk))
    sync = IntegrationSync.objects.create(
        event=event, integration=ours, object_key=f"{event.content_type_id}:{item.pk}"
    )
    send_integration_webhook(ours.pk)
    sync.refresh_from_db()
    assert not receiver.requests
    assert sync.attempts == 1 and "another tenant" in sync.last_error
    assert not Note.objects.filter(work_item=item).exists()


# -- what the payload holds ---------------------------------------------------------------------------------------


def foreign(name: str, zulu: Tenant) -> Any:
    customer = Customer.objects.create(tenant=zulu, name="Zulu customer", email="zulu@example.com")
    if name == "customer":
        return customer
    if name == "customer_asset":
        return CustomerAsset.objects.create(tenant=zulu, customer=customer, name="Zulu asset")
    return DropoffPoint.objects.create(tenant=zulu, name="Zulu store")


RELATIONS = ["customer", "customer_asset", "dropoff_point"]


def create(acme: Tenant, values: dict[str, Any]) -> None:
    make_item(acme, **values)


def create_in_bulk(acme: Tenant, values: dict[str, Any]) -> None:
    WorkItem.objects.bulk_create([WorkItem(tenant=acme, **values) for _ in range(2)])


def save(acme: Tenant, values: dict[str, Any]) -> None:
    item = make_item(acme)
    for name, value in values.items():
        setattr(item, name, value)
    item.save()


def update(acme: Tenant, values: dict[str, Any]) -> None:
    make_item(acme), make_item(acme)
    WorkItem.objects.update(**values)


def save_later(acme: Tenant, values: dict[str, Any]) -> None:
    item = make_item(acme, **values)
    item.status = "completed"
    item.save()


def take_away(acme: Tenant, values: dict[str, Any]) -> None:
    item = make_item(acme, **values)
    for name in values:
        setattr(item, name, None)
    item.save()


def delete(acme: Tenant, values: dict[str, Any]) -> None:
    make_item(acme, **values).delete()


def emit(acme: Tenant, values: dict[str, Any]) -> None:
    WorkItem.unannounced.create(tenant=acme, **values)
    emit_workitem_event(WorkItem.objects.all(), "workitem_updated")


def trigger(acme: Tenant, values: dict[str, Any]) -> None:
    trigger_integrations(WorkItem.unannounced.create(tenant=acme, **values), "workitem_updated")


def publish_by_hand(acme: Tenant, values: dict[str, Any]) -> None:
    item = WorkItem.unannounced.create(tenant=acme, **values)
    payload = {"workitem": WorkItemTrigger().payload(item), "more": values, "rows": list(values.values())}
    publish(event_type="workitem_updated", tenant=acme, obj=item, payload=payload)


WRITES = [
    create, create_in_bulk, save, update, save_later, take_away, delete, emit, trigger, publish_by_hand,
]  # fmt: skip


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("write", WRITES)
def test_a_related_row_of_another_tenant_is_null(
    write: Callable[..., None], name: str, acme: Tenant, zulu: Tenant, caplog: Any
) -> None:
    row = foreign(name, zulu)
    with caplog.at_level(logging.WARNING):
        write(acme, {name: row})
    nothing_of_zulu()
    body = last_body()
    assert body["workitem"][name] is None
    for change in body.get("changes", {}).values():
        assert row.pk not in change.values()
    warnings = [record for record in caplog.records if "belongs to another tenant" in record.getMessage()]
    assert warnings
    assert all(name in each.getMessage() and str(row.pk) in each.getMessage() for each in warnings[:1])
    assert "Zulu" not in caplog.text


def test_ones_own_related_rows_stay_and_the_instance_is_left_alone(acme: Tenant, zulu: Tenant) -> None:
    own = Customer.objects.create(tenant=acme, name="Ann")
    item = make_item(acme, customer=own, customer_asset=foreign("customer_asset", zulu))
    assert last_body()["workitem"]["customer"]["name"] == "Ann"
    WorkItemTrigger().payload(item)
    assert item.customer_asset is not None and item.customer_asset.name == "Zulu asset"  # as it is stored
    assert list(WorkItem.objects.filter(customer_asset__name="Zulu asset")) == [item]


def test_people_belong_to_no_tenant(acme: Tenant) -> None:
    make_item(acme, technician=User.objects.create(username="tech"))
    assert last_body()["workitem"]["technician"]["name"] == "tech"


# -- other handlers: relations that nobody listed, that are not null, that lead further, back or anywhere ------------


@pytest.fixture
def order_model(transactional_db: None) -> Iterator[tuple[Any, Any]]:
    class Order(TenantOwned):
        customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="+")
        asset = models.OneToOneField(CustomerAsset, on_delete=models.CASCADE, null=True, related_name="+")
        partner = models.ForeignKey(Tenant, on_delete=models.CASCADE, null=True, related_name="+")
        kind = models.ForeignKey(ContentType, on_delete=models.CASCADE, null=True, related_name="+")
        about_id = models.PositiveBigIntegerField(null=True)
        about = GenericForeignKey("kind", "about_id")

        class Meta(TenantOwned.Meta):
            app_label = "tasks"

    class Line(TenantOwned):
        order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
        text = models.CharField(max_length=50)

        class Meta(TenantOwned.Meta):
            app_label = "tasks"

    class OrderTrigger(TriggerHandler):
        model = Order
        name = "order"
        tracked = ("customer", "asset", "partner")
        status_field = None

        def payload(self, obj: Any) -> dict[str, Any]:
            return {
                "customer": obj.customer and obj.customer.name,
                "owner_of_asset": obj.asset and obj.asset.customer and obj.asset.customer.name,
                "partner": obj.partner and obj.partner.name,
                "about": obj.about and str(obj.about),
                "texts": [line.text for line in obj.lines.all()],
                "values": obj.lines.order_by("pk").values_list("text", flat=True),
                "count": obj.lines.count(),
                "rows": obj.lines.all(),
                "manager": obj.lines,
                "itself": {"customer": obj.customer},
            }

    with connection.schema_editor() as editor:
        editor.create_model(Order)
        editor.create_model(Line)
    with forgotten_afterwards():
        handler = OrderTrigger.connect()
        yield Order, Line
        handler.disconnect()
    ContentType.objects.filter(app_label="tasks", model__in=["order", "line"]).delete()
    ContentType.objects.clear_cache()
    with connection.schema_editor() as editor:
        editor.delete_model(Line)
        editor.delete_model(Order)
    del django_apps.all_models["tasks"]["order"], django_apps.all_models["tasks"]["line"]
    django_apps.clear_cache()


def test_every_relation_of_every_handler(order_model: Any, caplog: Any) -> None:
    order_kind, line_kind = order_model
    acme, zulu = make_tenant(), make_tenant("Zulu Corp")
    make_integration(acme, events=("order_created", "order_updated"))
    own = Customer.objects.create(tenant=acme, name="Ann")
    theirs = Customer.objects.create(tenant=zulu, name="Zulu customer")
    asset = CustomerAsset.objects.create(tenant=acme, customer=theirs, name="a thing")
    order = order_kind.objects.create(tenant=acme, customer=theirs, asset=asset, partner=zulu, about=theirs)
    line_kind.objects.create(tenant=zulu, order=order, text="Zulu line")
    line = line_kind.objects.create(tenant=acme, order=order, text="own line")
    assert last_body()["order"] == {
        "customer": None, "owner_of_asset": None, "partner": None, "about": None, "texts": [], "values": [],
        "count": 0, "rows": [], "manager": [], "itself": {"customer": None},
    }  # fmt: skip
    for field in ("customer", "partner", "about"):
        assert f"order {order.pk}.{field}: " in caplog.text
    assert f"customer asset {asset.pk}.customer: the customer {theirs.pk} belongs" in caplog.text
    order.customer, order.partner, order.about = own, acme, own
    order.save()
    body = last_body()
    assert body["order"] == {
        "customer": "Ann", "owner_of_asset": None, "partner": "Acme Corp", "about": "Ann", "texts": ["own line"],
        "values": ["own line"], "count": 1, "rows": [{"id": line.pk}], "manager": [{"id": line.pk}],
        "itself": {"customer": {"id": own.pk, "name": "Ann", "email": ""}},
    }  # fmt: skip
    assert body["changes"] == {"customer": {"old": None, "new": own.pk}, "partner": {"old": None, "new": acme.pk}}
    nothing_of_zulu()
    assert line_kind.objects.count() == 2  # outside of a payload everybody's rows are there


@pytest.mark.skipif(connection.vendor != "postgresql", reason="run with DATABASE_URL=postgres://…")
def test_a_statement_that_fails_in_a_payload_does_not_spoil_the_save(acme: Tenant, monkeypatch: Any) -> None:
    def broken(self: Any, obj: Any) -> dict[str, Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        return {}

    monkeypatch.setattr(WorkItemTrigger, "payload", broken)
    item = make_item(acme)
    assert last_body()["workitem"] == {"id": item.pk}
    rows = WorkItem.objects.extra(select={"odd": "1 / (id - id)"})
    monkeypatch.setattr(WorkItemTrigger, "payload", lambda self, obj: {"id": obj.pk, "rows": rows.values("odd")})
    item = make_item(acme)
    assert last_body()["workitem"] == {"id": item.pk}


def test_an_order_of_another_tenant_is_not_pushed(acme: Tenant, zulu: Tenant) -> None:
    erp = make_integration(acme, integration_type="mock", name="ERP", signed=False)
    stored = make_item(zulu)
    for order in (stored, WorkItem(pk=stored.pk, tenant=acme), Customer.objects.create(tenant=zulu, name="Zulu")):
        with pytest.raises(ConfigurationError, match="draft_order: belongs to another tenant"):
            PushOrchestrator().push_order(acme.pk, order, connection=erp, wait=False)
    assert not IntegrationEvent.objects.filter(event_type="order_push").exists()


def test_another_tenants_note_is_not_on_the_page(acme: Tenant, zulu: Tenant, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    item = make_item(acme)
    Note.objects.create(tenant=zulu, work_item=item, text="Zulu note")
    Note.objects.create(tenant=acme, work_item=item, text="own note")
    html = page(superuser(), url("workitem", "change", item.pk))
    assert "own note" in html and "Zulu note" not in html


@pytest.fixture
def crossed(acme: Tenant, zulu: Tenant, settings: Any) -> WorkItem:
    """A work item of Acme whose customer, asset and dropoff point are Zulu's."""
    settings.SECURE_SSL_REDIRECT = False
    customer = Customer.objects.create(tenant=zulu, name="Zulu customer")
    asset = CustomerAsset.objects.create(tenant=zulu, customer=customer, name="Zulu asset")
    point = DropoffPoint.objects.create(tenant=zulu, name="Zulu store")
    item = make_item(acme, reference_id="RMA-77")
    values = {"customer": customer, "customer_asset": asset, "dropoff_point": point}
    WorkItem.objects.filter(pk=item.pk).update(**values)
    return WorkItem.objects.get(pk=item.pk)


def viewers(acme: Tenant) -> list[Any]:
    return [superuser(), staff(acme)]


def staff(tenant: Tenant) -> Client:
    user = User.objects.create_user("carla", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=["tasks", "integrations"]))
    Membership.objects.create(tenant=tenant, user=user)
    client = Client()
    client.force_login(user)
    return client


def test_no_page_tells_what_a_related_row_of_another_tenant_is_called(acme: Tenant, crossed: WorkItem) -> None:
    ours = Customer.objects.create(tenant=acme, name="Acme customer")
    asset = CustomerAsset.objects.create(tenant=acme, customer=ours, name="Acme asset")
    CustomerAsset.objects.filter(pk=asset.pk).update(customer=crossed.customer_id)
    pages = [
        url("workitem", "changelist"),
        url("workitem", "change", crossed.pk),
        url("workitem", "history", crossed.pk),
        url("workitem", "delete", crossed.pk),
        f"{url('customerasset', 'changelist')}?tenant={acme.pk}",  # Zulu's own are Zulu's
        url("customerasset", "change", asset.pk),
    ]
    for client in viewers(acme):
        for path in pages:
            html = page(client, path)
            assert "Zulu customer" not in html and "Zulu asset" not in html and "Zulu store" not in html, path


def test_a_page_that_is_saved_leaves_what_it_does_not_tell(acme: Tenant, crossed: WorkItem) -> None:
    client = superuser()
    form = client.get(url("workitem", "change", crossed.pk)).context["adminform"].form
    values = {name: "" if value is None else value for name, value in form.initial.items()}
    for name in ("created_date", "due_date"):
        values |= {f"{name}_0": "2026-01-02", f"{name}_1": "03:04:05"}
    assert client.post(url("workitem", "change", crossed.pk), {**values, "comments": "new"}).status_code == 302
    crossed.refresh_from_db()
    assert crossed.comments == "new" and crossed.customer_id is not None


def test_the_page_that_asks_before_deleting_names_nothing_of_another_tenant(
    acme: Tenant, zulu: Tenant, settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = False
    customer = Customer.objects.create(tenant=acme, name="Acme customer")
    CustomerAsset.objects.create(tenant=acme, customer=customer, name="Acme asset")
    foreign = CustomerAsset.objects.create(tenant=zulu, customer=customer, name="Zulu asset")
    assert foreign.tenant_id == zulu.pk
    html = page(superuser(), url("customer", "delete", customer.pk))
    assert "Acme asset" in html and "Zulu asset" not in html and "Customer asset: —" in html


def test_a_search_does_not_find_by_the_words_of_another_tenant(acme: Tenant, crossed: WorkItem) -> None:
    own = Customer.objects.create(tenant=acme, name="Acme customer")
    make_item(acme, reference_id="RMA-78", customer=own)
    for client in viewers(acme):
        for term, found in {
            "Zulu": [],
            "RMA-77": ["RMA-77"],
            "Acme customer": ["RMA-78"],
            "RMA": ["RMA-77", "RMA-78"],
        }.items():
            html = page(client, url("workitem", "changelist") + f"?q={term}")
            assert [name for name in ("RMA-77", "RMA-78") if f">{name}</a>" in html] == found, term
