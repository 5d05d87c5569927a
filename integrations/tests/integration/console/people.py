"""People of a tenant, by role."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from tenants.models import Membership


def client_of(user: User) -> Client:
    """Return a browser in which `user` has signed in."""
    client = Client()
    client.force_login(user)
    return client


def person(role: str, *tenants: Any, name: str = "") -> Client:
    """Return the browser of somebody with this role, without a staff flag."""
    user = User.objects.create_user(name or f"{role}-{User.objects.count()}")
    for tenant in tenants:
        Membership.objects.create(tenant=tenant, user=user, role=role)
    return client_of(user)


def operator_of_all(name: str = "root") -> Client:
    """Return the browser of somebody who runs the product."""
    return client_of(User.objects.create_superuser(name, "root@example.com", "root"))
