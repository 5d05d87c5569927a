"""A real OAuth2 server, django-oauth-toolkit, in a project and a process of its own.

    with OAuthServer() as server:
        server.netloc, server.agree(authorize_url)

It rotates refresh tokens, refuses used ones (and then the whole family), and requires PKCE. One user: jane / jane. Two
clients, whose id and secret are the same word: ``web`` (authorization code) and ``machine`` (client credentials).
``/api/`` answers 200 to a bearer token with the scope ``read``, else 401 or 403.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, Request, build_opener

import pytest


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Browser:
    """A person's browser, as far as a login and a consent page need one; follows no redirect."""

    def __init__(self) -> None:
        self.cookies = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.cookies), _Stay())

    def open(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Return (status, Location, body)."""
        data = urlencode(form).encode() if form is not None else None
        try:
            response: Any = self._opener.open(Request(url, data), timeout=10)
        except HTTPError as error:
            response = error
        with response:
            return response.status, response.headers.get("Location", ""), response.read().decode()


class OAuthServer:
    def __init__(self, redirect_uri: str = "http://testserver/webhooks/oauth/callback/hubdemo/") -> None:
        self._redirect_uri = redirect_uri

    def __enter__(self) -> OAuthServer:
        self._folder = tempfile.TemporaryDirectory()
        environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "OAUTH_DATABASE": str(Path(self._folder.name) / "oauth.sqlite3"),
            "OAUTH_REDIRECT_URI": self._redirect_uri,
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "project.py")],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()  # written once it listens; "" if it ended
        if not port:
            pytest.fail(f"the OAuth server did not start:\n{self._process.communicate()[1]}")
        self.netloc = f"127.0.0.1:{port}"
        self.url = f"http://{self.netloc}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def agree(self, authorize_url: str) -> str:
        """Log in as jane, allow what the page at `authorize_url` asks for, and return where that leads back to."""
        browser = Browser()
        browser.open(f"{self.url}/login/", {"username": "jane", "password": "jane"})
        status, _, page = browser.open(authorize_url)
        assert status == 200, (status, page[:500])
        fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
        fields = {name: _unescaped(value) for name, value in fields.items()}
        status, location, page = browser.open(authorize_url, {**fields, "allow": "Authorize"})
        assert status == 302, (status, page[:500])
        return location


def _unescaped(text: str) -> str:
    return text.replace("&amp;", "&").replace("&#x27;", "'").replace("&quot;", '"')
