"""Who does what happens now: who acts, and from where; and which integration caused it by calling back.

Events keep both (outbox/record.py), the audit trail keeps the first (audit/trail.py). A request names its user, address
and path (the middleware `ActingUser`), a task and a command name themselves. Code that acts for somebody else says so:

    with acting_as("nightly import", source="task"):
        integration.save()

An integration must not hear of its own doing, or a workflow that answers every change with a change never ends:

    with caused_by(integration.pk):
        item.save()  # its events are recorded for everybody else
"""

from __future__ import annotations

import getpass
import ipaddress
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from integrations import conf

FORM, CONSOLE, API, COMMAND, TASK, SYSTEM = "form", "console", "api", "command", "task", "system"
NOBODY = "system"  # the name of an actor that is no person
_PROGRAMS = frozenset({"manage.py", "django-admin", "django-admin.py"})
_LONG_PART = re.compile(r"(?<=/)(?!(?:[0-9a-f]{8}-)(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?:/|$))[^/]{24,}")  # no UUID
# By the namespace of the URL; every other page is a form.
_SOURCES = {"console": CONSOLE, "integrations-api": API, "integrations-api-v1": API}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does what happens now.

    Attributes:
        name: what people call them: a user name, or "system".
        key: the user's primary key as text; "" for who is no user.
        source: form, console, api, command, task or system.
        address: the IP address of the request; None: there is none, or nobody knows it.
        path: the path of the request without its query; the name of the command or task.
        act: tells one request, task or block from the next.
    """

    name: str = NOBODY
    key: str = ""
    source: str = SYSTEM
    address: str | None = None
    path: str = ""
    act: object = None

    @property
    def label(self) -> str:
        """What an event keeps of it: a person's name, or that of the task or command; "" of nobody."""
        name = "" if self.name == NOBODY else self.name
        return ", ".join(filter(None, (name, self.path if self.source in (COMMAND, TASK) else "")))

    def named(self, actor: Any) -> Actor:
        """Return the same with another name: a user, or a text; a user's own name keeps the user's key."""
        if isinstance(actor, str):
            is_same = actor == self.name
            return self if is_same else Actor(actor, "", self.source, self.address, self.path, self.act)
        return Actor(actor.get_username(), str(actor.pk), self.source, self.address, self.path, self.act)


_request: ContextVar[Any] = ContextVar("request_of_actor", default=None)
_deed: ContextVar[tuple[str, Any]] = ContextVar("deed", default=("", None))
_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)
_origin: ContextVar[int | None] = ContextVar("origin", default=None)
_may_loop: ContextVar[bool] = ContextVar("may_loop", default=True)


def acting() -> Actor:
    """Return who acts now: as `acting_as` says, the user of the request, or the task or command that runs."""
    if (actor := _actor.get()) is not None:
        return actor
    if (request := _request.get()) is not None:
        return actor_of(request)
    return _of_process()


@contextmanager
def acting_as(actor: Any, *, source: str = SYSTEM, path: str = "") -> Iterator[None]:
    """Name who does what the block does.

    Args:
        actor: a user, or a name.
    """
    token = _actor.set(Actor(source=source, path=path, act=object()).named(actor))
    try:
        yield
    finally:
        _actor.reset(token)


@contextmanager
def serving(request: Any) -> Iterator[None]:
    """Take the user of `request` for the actor, as soon as somebody asks: signing in may come later."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


@contextmanager
def doing(action: str, actor: Any = None) -> Iterator[None]:
    """Name what is done by the saves of the block, where "changed" would say too little: "rotated".

    Args:
        actor: a user or a name, if it is somebody else than who acts; "system" names nobody.
    """
    token = _deed.set((action, None if actor == NOBODY else actor))
    try:
        yield
    finally:
        _deed.reset(token)


def deed() -> tuple[str, Any]:
    """Return what is done now and by whom, as `doing` says; ("", None) if nobody says it."""
    return _deed.get()


def actor_of(request: Any) -> Actor:
    """Return who sent `request`. What authenticates otherwise sets ``request.audit_actor = (name, key)``."""
    match = getattr(request, "resolver_match", None)
    sources = (_SOURCES[name] for name in (match.namespaces if match else ()) if name in _SOURCES)
    name, key = NOBODY, ""
    if (given := getattr(request, "audit_actor", None)) is not None:
        name, key = given
    elif (user := getattr(request, "user", None)) is not None and user.is_authenticated:
        name, key = user.get_username(), str(user.pk)
    path = _LONG_PART.sub("…", request.path)  # the link of a password's reset carries a token
    return Actor(name, key, next(sources, FORM), address_of(request.META), path, request)


def address_of(meta: Any) -> str | None:
    """Return the IP address of a request; behind PROXIES proxies, the one that the outermost of them saw."""
    found = meta.get("REMOTE_ADDR", "")
    if conf.PROXIES:
        seen = [part.strip() for part in meta.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
        found = seen[-min(conf.PROXIES, len(seen))] if seen else found
    try:
        return str(ipaddress.ip_address(found.partition("%")[0]))
    except ValueError:
        return None


def _of_process() -> Actor:
    celery = sys.modules.get("celery")
    task = celery.current_task if celery is not None else None
    if task:
        return Actor(source=TASK, path=str(task.name), act=task.request.id)
    return _of_command(*sys.argv[:2])


@lru_cache(maxsize=4)
def _of_command(program: str = "", name: str = "", *_: str) -> Actor:
    if name and PurePath(program).name in _PROGRAMS:
        return Actor(_login(), "", COMMAND, None, f"manage.py {name}")
    return Actor()


def _login() -> str:
    """Return who is logged in on this machine; commands have no other user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a name for its user
        return "command"


# -- integrations that call back -----------------------------------------------------------------------------


@contextmanager
def caused_by(integration_id: int | None, *, may_loop: bool = True) -> Iterator[None]:
    """Name the integration on whose behalf the block writes.

    Args:
        may_loop: False for what does not answer an event of ours, such as a pull: it is not counted
            (outbox/loops.py), and a page may hold as much about one object as it likes.
    """
    tokens = _origin.set(integration_id), _may_loop.set(may_loop)
    try:
        yield
    finally:
        _origin.reset(tokens[0])
        _may_loop.reset(tokens[1])


def origin() -> int | None:
    """Return the key of the integration that causes what happens now; None: a person, or the application."""
    return _origin.get()


def may_loop() -> bool:
    """Tell whether what happens now may be the answer to an event of ours."""
    return _origin.get() is not None and _may_loop.get()
