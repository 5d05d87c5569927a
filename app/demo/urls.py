"""The project's URLs and one more: a signed link that signs the demo's admin in."""

from __future__ import annotations

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse

from app.urls import urlpatterns as project_urls

SALT = "demo-sign-in"
DAY = 86400


def sign_in_path(user: User) -> str:
    """Return a path that signs `user` in, good for a day."""
    return reverse("demo-sign-in", args=[signing.dumps(user.pk, salt=SALT)])


def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Sign the token's user in and go to the admin."""
    try:
        pk = signing.loads(token, salt=SALT, max_age=DAY)
    except signing.BadSignature:
        raise Http404 from None
    login(request, get_object_or_404(User, pk=pk), backend="django.contrib.auth.backends.ModelBackend")
    return redirect("admin:index")


urlpatterns = [path("demo/sign-in/<str:token>/", sign_in, name="demo-sign-in"), *project_urls]
