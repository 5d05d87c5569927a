"""The project's settings for a demonstration on one machine: plain HTTP, and a link that signs you in."""

from app.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "app.demo"]  # noqa: F405
ROOT_URLCONF = "app.demo.urls"
HTTPS = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = False
SECURE_HSTS_SECONDS = 0
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
