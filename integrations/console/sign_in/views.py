"""Sign in and out."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from integrations.console.page import FOLDER, POLICY


class SignIn(LoginView):
    """Ask for name and password; then go on to the page that was asked for, if it is one of this site."""

    template_name = FOLDER + "sign_in.html"
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        return reverse("console:overview")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out and show the page on which one signs in."""
    logout(request)
    return HttpResponseRedirect(reverse("console:sign-in"))
