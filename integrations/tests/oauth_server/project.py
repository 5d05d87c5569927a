"""The OAuth server's project in one file: ``python project.py``, which prints its port; see the package's docstring."""

from __future__ import annotations

import os
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    SECRET_KEY="only-for-this-test-server",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["OAUTH_DATABASE"],
            "OPTIONS": {"init_command": "PRAGMA synchronous=OFF"},
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    OAUTH2_PROVIDER={
        "SCOPES": {"read": "Read", "write": "Write", "admin": "Everything"},
        "PKCE_REQUIRED": True,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 0,
        "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"],
    },
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402
from oauth2_provider.oauth2_backends import get_oauthlib_core  # noqa: E402


def sign_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST["username"], password=request.POST["password"])
    if user is None:
        return HttpResponse(status=403)
    login(request, user)
    return HttpResponse("ok")


def api(request: HttpRequest) -> HttpResponse:
    is_valid, _ = get_oauthlib_core().verify_request(request, scopes=["read"])
    return JsonResponse({"ok": True}) if is_valid else HttpResponse(status=401)


urlpatterns: list[Any] = [
    path("login/", sign_in),
    path("api/", api),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


def main() -> None:
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    jane = get_user_model().objects.create_user("jane", password="jane")
    applications = get_application_model()
    for name, grant in (("web", "authorization-code"), ("machine", "client-credentials")):
        applications.objects.create(
            name=name,
            client_id=name,
            client_secret=name,
            client_type="confidential",
            authorization_grant_type=grant,
            redirect_uris=os.environ["OAUTH_REDIRECT_URI"],
            user=jane,
        )
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
