"""What a team would change first in a peer: keep its HTTP connections."""

from __future__ import annotations

import threading
from typing import Any

import requests

_kept = threading.local()


def kept_session(*arguments: Any) -> requests.Session:
    """Return this thread's session, so that its connections are used again."""
    session: requests.Session | None = getattr(_kept, "session", None)
    if session is None:
        session = _kept.session = requests.Session()
        session.trust_env = False  # or each request reads the environment and .netrc
    return session


def keep_connections() -> None:
    """Let django-webhook's task use a kept session instead of a new one for each request."""
    from django_webhook import tasks

    tasks.Session = kept_session
