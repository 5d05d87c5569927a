"""Every page of the console. A project mounts it: ``path("console/", include("integrations.console.urls"))``."""

from __future__ import annotations

from django.urls import path

from .overview.views import overview
from .sign_in.views import SignIn, password, sign_out
from .tenant.views import choose_tenant

app_name = "console"
urlpatterns = [
    path("", overview, name="overview"),
    path("tenant/", choose_tenant, name="tenant"),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", sign_out, name="sign-out"),
    path("password/", password, name="password"),
]
