"""The project's URLs and one more: a signed link that signs one of the demo's people in."""

from __future__ import annotations

import hashlib

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.core import signing
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from app.urls import handler500 as handler500
from app.urls import urlpatterns as project_urls

SALT = "demo-sign-in"
DAY = 86400
USED = "This link has been used: each signs in once. Stop the demo (Ctrl-C) and `make run` it again for new ones.\n"


def sign_in_path(user: User) -> str:
    """Return a path that signs `user` in, good once, for a day."""
    return reverse("demo-sign-in", args=[signing.dumps([user.pk, _state(user)], salt=SALT)])


def _state(user: User) -> str:
    """Changes with every sign-in and every new password: an old link is worth nothing."""
    return hashlib.sha256(f"{user.last_login}|{user.get_session_auth_hash()}".encode()).hexdigest()[:16]


@never_cache
@require_GET
def sign_in(request: HttpRequest, token: str) -> HttpResponse:
    """Sign the token's user in and go to the console."""
    try:
        pk, state = signing.loads(token, salt=SALT, max_age=DAY)
    except signing.BadSignature:
        raise Http404 from None
    user = get_object_or_404(User, pk=pk, is_active=True)
    if request.user == user:
        return redirect("console:overview")
    if state != _state(user):
        return HttpResponse(USED, status=410, content_type="text/plain; charset=utf-8")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("console:overview")


urlpatterns = [path("demo/sign-in/<str:token>/", sign_in, name="demo-sign-in"), *project_urls]
