"""Find what hosts capture, and say what of it stays unseen.

The ``integrations.py`` of each installed app is imported when Django starts, as ``admin.py`` is: there a host describes
its models, and connects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning
from django.db import models, router
from django.utils.module_loading import autodiscover_modules

from integrations.outbox.models import IntegrationEvent
from integrations.tenancy.boundary import bound_relations, owner_path

from .trigger_handler import TriggerHandler, handlers, problem_of

MODULE = "integrations"
_BESIDE = "Let your database router send the model and integrations to one database, or do not capture the model."
BULK_WRITES = ("update", "bulk_create")


def discover() -> None:
    """Import the ``integrations.py`` of each app, and let payloads find rows of their own tenant alone."""
    autodiscover_modules(MODULE)
    for model in apps.get_models():
        if owner_path(model) is not None:
            bound_relations(model)


def unusable() -> list[CheckMessage]:
    """Return errors for descriptions that do not fit their model."""
    found: list[CheckMessage] = []
    for handler in handlers():
        if problem := problem_of(type(handler)):
            found.append(
                Error(
                    f"{type(handler).__qualname__}: {problem.removesuffix('.')}.",
                    obj=handler.model,
                    id="integrations.E016",
                )
            )
        elif problem := _elsewhere(handler.model):
            found.append(Error(problem, hint=_BESIDE, obj=handler.model, id="integrations.E016"))
    return found


def unconnected() -> list[CheckMessage]:
    """Return warnings for trigger handlers of an ``integrations.py`` that nobody connected."""
    found: list[CheckMessage] = []
    waiting: list[type[TriggerHandler]] = TriggerHandler.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        module = sys.modules.get(kind.__module__)
        if kind.__subclasses__() or getattr(module, kind.__qualname__, None) is not kind:
            continue  # a base of others; or of a module that was read anew, or inside of a function
        if kind.__module__.rpartition(".")[2] == MODULE and not any(type(handler) is kind for handler in handlers()):
            found.append(
                Warning(
                    f"{kind.__qualname__} ({kind.__module__}) is not connected: it records no events.",
                    hint=f"Write {kind.__qualname__}.connect() below it.",
                    id="integrations.W013",
                )
            )
    return found


def _elsewhere(model: type[models.Model]) -> str:
    try:
        its, ours = (router.db_for_write(each) for each in (model, IntegrationEvent))
    except Exception:  # it wants an instance, or a request: nobody can tell now
        return ""
    if its == ours:
        return ""
    return f"{model._meta.label} is written to the database {its!r}, its events to {ours!r}: no transaction holds both."


def unseen() -> list[CheckMessage]:
    """Return warnings for managers of captured models that write in bulk past Django's own querysets."""
    return [
        Warning(
            f"{model._meta.label}.{manager.name}: {what}",
            hint="Let it call super(), or write through another manager; where no event is meant, use "
            "unannounced(Model), which nobody warns of.",
            obj=model,
            id="integrations.W012",
        )
        for handler in handlers()
        for model in handler.captured_models()
        for manager in dict.fromkeys([*model._meta.managers, model._meta.base_manager])
        for what in _past_us(manager)
    ]


def _past_us(manager: Any) -> Iterator[str]:
    try:
        rows = manager.get_queryset()
    except Exception:  # it wants a request, or a tenant: nobody can tell now
        return
    if not isinstance(rows, models.QuerySet):
        yield f"get_queryset() returns a {type(rows).__name__} and no QuerySet; its writes are no events."
        return
    for name in BULK_WRITES:
        for owner in (manager, rows):
            for kind in type(owner).__mro__:
                if kind is models.QuerySet:
                    break
                if name in vars(kind) and not _passes_on(vars(kind)[name]):
                    yield f"{kind.__name__}.{name}() does not call super().{name}(); its writes are no events."


def _passes_on(method: Any) -> bool:
    """Tell whether a method leaves the work to what it replaces, or to a queryset, as managers' methods do."""
    code = getattr(method, "__code__", None)
    if code is None or method.__module__.startswith("django."):
        return True
    return bool({"super", "QuerySet", "get_queryset"} & {*code.co_names, *code.co_freevars})
