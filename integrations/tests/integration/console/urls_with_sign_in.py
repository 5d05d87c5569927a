"""The URLs of a project that signs people in on a page of its own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def own_sign_in(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Sign in with your second factor.")


urlpatterns = [path("accounts/login/", own_sign_in, name="own-sign-in"), path("", include("app.urls"))]
