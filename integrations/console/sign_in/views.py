"""Sign in and out, and choose another password."""

from __future__ import annotations

import hashlib
from typing import Any
from unicodedata import normalize

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from integrations import conf, per_minute
from integrations.acting import address_of
from integrations.console.access import Access
from integrations.console.page import FOLDER, POLICY, page, show
from integrations.credentials.error_reports import hides_secrets
from integrations.tenancy.roles import Role

from .address import has_password, own_sign_in_url, sign_in_url


@method_decorator(hides_secrets, name="dispatch")
class SignIn(LoginView):
    """Ask for name and password; then go on to the page that was asked for, if it is one of this site.

    Where the project has a page of its own, lead there: it may ask for more than a password.
    """

    template_name = FOLDER + "sign_in.html"
    redirect_authenticated_user = True

    def get_default_redirect_url(self) -> str:
        return reverse("console:overview")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if own := own_sign_in_url():
            return redirect_to_login(self.get_redirect_url() or self.get_default_redirect_url(), own)
        response = super().dispatch(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not are_too_many(*self._who()):
            return super().post(request, *args, **kwargs)
        seconds = per_minute.seconds_left()
        words = _("Too many wrong passwords. Wait %(seconds)s seconds, then try again.") % {"seconds": seconds}
        context = self.get_context_data(
            form=self.get_form_class()(request, initial={"username": self._who()[0]}), refused=words
        )
        response = self.render_to_response(context, status=429)
        response.headers["Retry-After"] = str(seconds)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        if form.cleaned_data.get("username") and form.cleaned_data.get("password"):
            count_wrong(*self._who())
        return super().form_invalid(form)

    def _who(self) -> tuple[str, str]:
        return self.request.POST.get("username", ""), address_of(self.request.META) or ""


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out and show the page on which one signs in, or the one that ``LOGOUT_REDIRECT_URL`` names."""
    logout(request)
    messages.success(request, _("You are signed out."), fail_silently=True)
    return HttpResponseRedirect(resolve_url(settings.LOGOUT_REDIRECT_URL or sign_in_url()))


@hides_secrets
@page(Role.VIEWER)
def password(request: HttpRequest, access: Access) -> HttpResponse:
    """Change the person's own password; where the project signs people in itself, there is no such page."""
    if not has_password(access.user):
        raise Http404
    form = PasswordChangeForm(access.user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        update_session_auth_hash(request, form.save())
        messages.success(request, _("Your password is changed."))
        return HttpResponseRedirect(reverse("console:overview"))
    return show(request, access, "password.html", {"form": form})


# Wrong passwords are counted for a name from one address, for an address, and for a name from everywhere: nobody tries
# passwords in numbers, and nobody keeps somebody else from signing in by typing wrong ones at one place.
FROM_ONE_ADDRESS = 3  # times as many, of all names
OF_ONE_NAME = 10  # times as many, from all addresses


def count_wrong(name: str, address: str) -> None:
    """Count one wrong password."""
    for what, _most in _counted(name, address):
        per_minute.count(what)


def are_too_many(name: str, address: str) -> bool:
    """Tell whether no further password is looked at in this minute."""
    return any(per_minute.counted(what) >= most for what, most in _counted(name, address))


def _counted(name: str, address: str) -> list[tuple[str, int]]:
    most = conf.SIGN_IN_PER_MINUTE
    # As the form reads a name: "ada " and "\uff41da" are the same account.
    texts = (normalize("NFKC", name.strip()).strip().lower(), address)
    who, where = (hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24] for text in texts)
    return [
        (f"sign-in:{who}:{where}", most),
        (f"sign-in:-:{where}", most * FROM_ONE_ADDRESS),
        (f"sign-in:{who}:-", most * OF_ONE_NAME),
    ]
