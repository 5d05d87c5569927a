"""Inside of the fresh project: its admin pages, its URLs, and a provider that only it knows."""

from __future__ import annotations

import json

import django

django.setup()

from companies.models import Company  # noqa: E402
from connectors.models import Connection  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402
from django_celery_beat.models import PeriodicTask  # noqa: E402
from project import settings  # noqa: E402
from project.celery import app  # noqa: E402
from project.schedule import CELERY_BEAT_SCHEDULE  # noqa: E402

from integrations.errors import ConfigurationError  # noqa: E402
from integrations.services import ConnectionService  # noqa: E402

settings.ALLOWED_HOSTS.append("testserver")


def main() -> None:
    company = Company.objects.create(name="Pages")
    connection = Connection.objects.create(company=company, provider_family="shop", provider_name="woocommerce")
    admin, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    browser = Client()
    browser.force_login(admin)
    models = ("connection", "syncstate", "executionlog", "webhookevent")
    webhook = reverse("webhook-receiver", args=[connection.public_id, "orders"])
    found = {
        "pages": {name: browser.get(reverse(f"admin:connectors_{name}_changelist")).status_code for name in models},
        "public_id": str(connection.public_id),
        "webhook_url": connection.webhook_url_for("orders"),
        "receiver": webhook,
        "webhook": Client(enforce_csrf_checks=True).post(webhook, "{}", content_type="application/json").status_code,
        "callback": reverse("oauth-callback", args=["woocommerce"]),
    }
    found["companies"] = browser.get(reverse("admin:companies_company_changelist")).status_code
    print(json.dumps({**found, **provider_of_ones_own(company), **workers()}))


def queue_of(task: str) -> str:
    """Return the queue to which beat's message for `task` goes."""
    return app.amqp.router.route(dict(app.tasks[task]._get_exec_options()), task)["queue"].name


def workers() -> dict[str, object]:
    """What a worker of the project knows, and what its beat asks for, by the rows and by the dict of the page."""
    app.loader.import_default_modules()
    rows = PeriodicTask.objects.filter(task__startswith="integrations.").values_list("task", "interval__every")
    return {
        "default queue": app.conf.task_default_queue,
        "queues": {task: queue_of(task) for task, _ in rows},
        "rows": sorted(rows),
        "schedule": sorted((entry["task"], int(entry["schedule"])) for entry in CELERY_BEAT_SCHEDULE.values()),
        "unknown": sorted({task for task, _ in rows} - set(app.tasks)),
    }


def provider_of_ones_own(company: Company) -> dict[str, object]:
    connection = Connection(company=company, provider_family="shop", provider_name="shelf")
    connection.display_name = "Shelf of Acme"
    connection.config = {"base_url": "https://shelf.example.com"}
    connection.save()
    missing: list[str] = []
    try:
        connection.get_adapter()
    except ConfigurationError as error:
        missing = list(error.problems)
    providers = [each.key for each in ConnectionService.list_available_providers("shop")]
    return {"shops": providers, "shelf": str(Connection.objects.get(provider_name="shelf")), "missing": missing}


if __name__ == "__main__":
    main()
