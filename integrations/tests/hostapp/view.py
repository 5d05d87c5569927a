"""Inside of the fresh project: ask the view of the page, as browsers do, and tell what it answered."""

from __future__ import annotations

import json
import sys
from typing import Any

import django

django.setup()

from companies.models import Company  # noqa: E402
from connectors.models import Connection  # noqa: E402
from connectors.views import setup_connection  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402
from project import settings, urls  # noqa: E402

settings.ALLOWED_HOSTS.append("testserver")
urls.urlpatterns.append(path("setup/<int:company_id>/", setup_connection))


def main(posts: list[dict[str, str]]) -> None:
    jane = User.objects.create_user("jane")
    mine, second, other = (Company.objects.create(name=name) for name in ("View Corp", "Second", "Other"))
    for company in (mine, second):
        company.members.add(jane)
    answers: dict[str, Any] = {}
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(jane)
    answers["without a token"] = browser.post(f"/setup/{mine.pk}/", posts[0]).status_code
    answers["nobody"] = Client().post(f"/setup/{mine.pk}/", posts[0]).status_code
    signed_in = Client()
    signed_in.force_login(jane)
    answers["another's company"] = signed_in.post(f"/setup/{other.pk}/", posts[0]).status_code
    answers["no such company"] = signed_in.post("/setup/999999/", posts[0]).status_code
    answers["read"] = signed_in.get(f"/setup/{mine.pk}/").status_code
    answers["rows so far"] = Connection.objects.filter(company__in=[mine, other]).count()
    answers["posts"] = []
    for values in posts:
        company = second if values.pop("company", "") == "second" else mine
        answer = signed_in.post(f"/setup/{company.pk}/", values)
        answers["posts"].append([answer.status_code, answer.json()])
    answers["rows"] = [
        {
            "credentials": row.credentials,
            "config": row.config,
            "is_connected": row.is_connected,
            "raw": row.credentials_encrypted,
            "id": row.pk,
        }
        for row in Connection.objects.filter(company__in=[mine, second]).order_by("pk")
    ]
    print(json.dumps(answers))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
