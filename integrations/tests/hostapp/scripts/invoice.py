"""Inside of the host: an integration for each account, an invoice of one of them, and what a person sees of it."""

import json
import sys

import django

django.setup()

from accounts.models import Account, User  # noqa: E402
from billing.models import Invoice  # noqa: E402
from django.contrib.auth.models import Permission  # noqa: E402
from django.test import Client  # noqa: E402
from tasks.tasks import double  # noqa: E402

from integrations import get_connector  # noqa: E402
from integrations.acting import acting_as  # noqa: E402
from integrations.label import app_label  # noqa: E402
from integrations.models import IntegrationSync, TenantIntegration  # noqa: E402


def make(title: str, url: str) -> TenantIntegration:
    account = Account.objects.create(title=title)
    integration = TenantIntegration.objects.create(
        tenant=account, name=f"Hook of {title}", integration_type="webhook", webhook_url=url, is_signed=False
    )
    integration.subscribe("invoice_created", "invoice_updated", "invoice_deleted")
    return integration


def seen_by(user: User) -> dict[str, bool]:
    client = Client()
    client.force_login(user)
    label = app_label()
    lists = {
        name: client.get(f"/admin/{label}/{name}/?q=hook" if name == "tenantintegration" else f"/admin/{label}/{name}/")
        for name in ("tenantintegration", "integrationsync", "executionlog")
    }
    assert {page.status_code for page in lists.values()} == {200}, lists
    pages = {name: page.content.decode() for name, page in lists.items()}
    own, other = (TenantIntegration.objects.get(name=f"Hook of {name}") for name in ("Acme", "Globex"))
    changes = [client.get(f"/admin/{label}/tenantintegration/{each.pk}/change/") for each in (own, other)]
    return {
        "own": "Hook of Acme" in pages["tenantintegration"],
        "other": any("Globex" in page for page in pages.values()),
        "own page": changes[0].status_code == 200 and "Hook of Acme" in changes[0].content.decode(),
        "other page": changes[1].status_code == 200,
    }


def api_of(user: User, others: Account, url: str) -> dict[str, object]:
    client = Client()
    client.force_login(user)
    mine = [each["name"] for each in client.get("/api/connections/").json()]
    wanted = {"type": "webhook", "name": "Another", "settings": {"url": url}}
    made = client.post("/api/connections/", wanted, "application/json")
    for_another = client.post("/api/connections/", {**wanted, "tenant": str(others.pk)}, "application/json")
    TenantIntegration.objects.filter(name="Another").delete()
    listed = [each["number"] for each in client.get("/api/v1/invoices").json()["data"]]
    return {"mine": mine, "made": made.status_code, "made for another": for_another.status_code, "invoices": listed}


def story_of(invoice: Invoice, reader: User) -> str:
    """Return who changed it, as its delivery's page says."""
    client = Client()
    client.force_login(reader)
    sync = IntegrationSync.objects.filter(event__object_id=str(invoice.pk)).latest("pk")
    page = client.get(f"/console/deliveries/{sync.pk}/").content.decode()
    return page.partition("Changed by ")[2].partition("<")[0].strip()


def main(url: str) -> None:
    mine, other = make("Acme", f"{url}/acme"), make("Globex", f"{url}/globex")
    account = mine.tenant
    invoice = Invoice(account=account, number="INV-7", total="12.50")
    invoice.save()
    Invoice.objects.filter(pk=invoice.pk).update(total="13.00")
    account.invoice_set.update(paid=True)
    invoice.refresh_from_db()
    invoice.account = other.tenant
    invoice.save()
    pk = invoice.pk
    invoice.delete()
    person = User.objects.create_user("ann@example.com", "x", is_staff=True)
    with acting_as(person):
        kept = Invoice.objects.create(account=account, number="INV-8")
    mine.tenant.members.add(person)
    Invoice.objects.create(account=other.tenant, number="GL-1")
    person.user_permissions.set(Permission.objects.filter(content_type__app_label__in=(app_label(), "billing")))
    boss = User.objects.create_user("boss@example.com", "x", is_staff=True, is_superuser=True)
    task = double.delay(21)
    print(
        json.dumps(
            {
                "account": str(mine.tenant.pk),
                "invoice": pk,
                "kept": kept.pk,
                "seen": seen_by(person),
                "boss": seen_by(boss),
                "changed by": story_of(kept, boss),
                "api": api_of(person, other.tenant, f"{url}/api"),
                "connector": get_connector("webhook", str(mine.tenant.pk)).manifest.key,
                "task": task.id,
            }
        )
    )


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
