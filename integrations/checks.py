"""``manage.py check``: refuse settings that would lose or leak something, and warn of unsafe ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

from celery import current_app
from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFailure
from django.db import connections, router, transaction
from django.db.models import ForeignKey
from django.utils.module_loading import import_string

from integrations import conf
from integrations.capture.discovery import unconnected, unseen, unusable
from integrations.connections.conditions import problems_of_summaries
from integrations.connections.models import versions_that_are_not_made
from integrations.connections.registered import connection_model
from integrations.connectors.registry import ConnectorRegistry
from integrations.counted import counted
from integrations.database import clock, times
from integrations.errors import IntegrationPermanentError
from integrations.inbound.receive import webhook_event_model
from integrations.inbound.sweep import stored_models
from integrations.label import app_label
from integrations.observability.processes import with_wrong_clocks
from integrations.outbox.models import IntegrationEvent
from integrations.pull.handlers import families
from integrations.tenancy.people import METHODS
from integrations.tenancy.people import SETTING as PEOPLE
from integrations.transport.guard.policy import AddressPolicy

ACTING_USER = "integrations.middleware.ActingUser"
OURS = "default"  # the database
PER_PROCESS = ("LocMemCache", "DummyCache")


@register()
def settings_are_usable(app_configs: Any, **_: Any) -> list[Any]:
    """Return errors for settings with which delivery would not work as promised."""
    found: list[Any] = [Error(problem, id="integrations.E002") for problem in conf.problems()]
    if not found:
        found += _lease_is_long_enough()
    try:
        AddressPolicy.from_conf()
    except ImproperlyConfigured as error:
        found.append(Error(str(error), id="integrations.E003"))
    found += [Error(str(problem), id="integrations.E010") for problem in ConnectorRegistry.template_errors()]
    if connections[OURS].vendor not in ("postgresql", "sqlite"):
        engine = settings.DATABASES[OURS].get("ENGINE", "no database")
        found.append(Error(f"{engine} is untested; use PostgreSQL (or SQLite to try).", id="integrations.E004"))
    return found


@register()
def tables_are_in_our_database(app_configs: Any, **_: Any) -> Iterator[Any]:
    """Yield an error if a router writes our tables to a database that workers do not use, a warning if it reads one."""
    label = app_label()
    hint = f'Let your router answer "{OURS}" (or None) for the app label "{label}".'
    written, read = router.db_for_write(IntegrationEvent), router.db_for_read(IntegrationEvent)
    if written != OURS:
        said = f'The tables of {label} must be in the database "{OURS}", but a router has them written to "{written}".'
        yield Error(said, hint=hint, id="integrations.E019")
    elif read != OURS:
        said = f'A router has the tables of {label} read from "{read}": pages and workers go by what was so before.'
        yield Warning(said, hint=hint, id="integrations.W016")


@register()
def broker_is_known(app_configs: Any, **_: Any) -> list[Any]:
    """Return a warning if Celery has no broker: hints would go to its default, where no worker listens."""
    values = current_app.conf
    if values.broker_url or values.broker_write_url or values.task_always_eager:
        return []
    return [
        Warning(
            "Celery knows no broker here, so hints go to amqp://localhost: what is saved waits for the next sweep.",
            hint="Set CELERY_BROKER_URL, let your Celery app read it (config_from_object with a namespace), and import "
            "the app in the __init__.py of your project, as Celery's guide for Django says: web processes need it.",
            id="integrations.W015",
        )
    ]


def _lease_is_long_enough() -> Iterator[Any]:
    longest = max(conf.SLICE_SECONDS, conf.DRAIN_SECONDS) + conf.PACE_SECONDS + conf.TIMEOUT_SECONDS
    if longest >= conf.LEASE_SECONDS:
        yield Error(
            f"INTEGRATIONS_LEASE_SECONDS ({conf.LEASE_SECONDS:g}) must be longer than SLICE_SECONDS (or DRAIN_SECONDS) "
            f"+ PACE_SECONDS + TIMEOUT_SECONDS ({longest:g}), or a slow worker loses its lane while it is sending.",
            id="integrations.E001",
        )


@register(Tags.models)
def models_are_usable(app_configs: Any, **_: Any) -> list[Any]:
    """Return errors for settings that name a missing or unsuitable model: no webhook would be stored."""
    found: list[Any] = []
    models: list[Any] = []
    named = (("CONNECTION_MODEL", connection_model), ("WEBHOOK_EVENT_MODEL", webhook_event_model))
    for name, model in named:
        try:
            models.append(model())
        except IntegrationPermanentError as error:
            hint = f'Name one as "app_label.Model"; without a name it is {conf.DEFAULTS[name]}.'
            found.append(Error(f"INTEGRATIONS_{name}: {error.message}.", hint=hint, id="integrations.E011"))
    if not found and not _is_key_to(models[0], models[1]):
        connection, event = (model._meta.label for model in models)
        found.append(
            Error(
                f"INTEGRATIONS_WEBHOOK_EVENT_MODEL: {event} has no foreign key `connection` to {connection}.",
                hint="Set CONNECTION_MODEL and WEBHOOK_EVENT_MODEL together.",
                id="integrations.E012",
            )
        )
    return found + list(_models_that_nobody_asks(models[0]) if len(models) == len(named) else ())


def _models_that_nobody_asks(connection: Any) -> Iterator[Any]:
    """Yield a warning for each model that stores webhooks and is not served by the built-in address."""
    if conf.is_named("CONNECTION_MODEL"):
        return
    for event in stored_models():
        if _is_key_to(connection, event):
            continue
        meta: Any = event._meta  # the subclass has the key, and its target
        ours, its = connection._meta.label, meta.label
        theirs = meta.get_field("connection").related_model._meta.label
        yield Warning(
            f"{theirs} has webhooks ({its}), but webhooks/ takes only those of {ours}; to others the answer is 404.",
            hint=f'Set in INTEGRATIONS "CONNECTION_MODEL": "{theirs}" and "WEBHOOK_EVENT_MODEL": "{its}"; or, if views '
            "of your own take them in, name there the one that webhooks/ is for.",
            id="integrations.W010",
        )


def _is_key_to(connection: Any, event: Any) -> bool:
    keys = [field for field in event._meta.get_fields() if isinstance(field, ForeignKey) and field.name == "connection"]
    return any(isinstance(key.related_model, type) and issubclass(connection, key.related_model) for key in keys)


@register()
def people_can_be_asked_for(app_configs: Any, **_: Any) -> list[Any]:
    """Return errors for functions that say what people may see and do, and that cannot be called."""
    return [problem for name, (given, hint) in _ABOUT_PEOPLE.items() for problem in _not_callable(name, given, hint)]


# What each is called with, and what it has to be.
_ABOUT_PEOPLE: dict[str, tuple[tuple[str, ...], str]] = {
    "INTEGRATIONS_TENANTS_OF": (
        ("user",),
        'function(user) that returns a queryset of tenants, as "accounts.access.accounts_of"',
    ),
    "INTEGRATIONS_ROLE_OF": (
        ("user", "tenant_key"),
        'function(user, tenant_key) that returns a role, as "accounts.access.role_of"',
    ),
    "INTEGRATIONS_ROLES_OF": (
        ("user",),
        'function(user) that returns a dict of roles by tenant key, as "accounts.access.roles_of"',
    ),
    PEOPLE: ((), 'class that knows who works for a tenant, as "accounts.people.People"'),
}


def _not_callable(name: str, given: tuple[str, ...], hint: str) -> Iterator[Any]:
    path = getattr(settings, name, None)
    if path is None:
        return
    try:
        found = import_string(path)
        problem = _why_not_called(found, given)
        if not problem and name == PEOPLE and (missing := [each for each in METHODS if not hasattr(found, each)]):
            problem = f"it has no {', '.join(missing)}"
    except (ImportError, AttributeError, TypeError) as error:
        problem = str(error)
    if problem:
        yield Error(f"{name} is {path!r}: {problem}.", hint=f"Name your {hint}.", id="integrations.E017")


def _why_not_called(function: Any, given: tuple[str, ...]) -> str:
    if not callable(function):
        return "that is no function"
    try:
        signature(function).bind(*given)
    except TypeError:
        return f"it cannot be called with ({', '.join(given)})"
    except ValueError:  # of what is not written in Python
        pass
    return ""


@register()
def pulls_have_a_provider(app_configs: Any, **_: Any) -> list[Any]:
    """Return a warning for each pull handler whose family no connector has, so that it is never called."""
    known = {connector.manifest.family for connector in ConnectorRegistry.all()}
    return [
        Warning(
            f"A function takes what is pulled from the family {family!r}, but no connector is of that family.",
            hint=f"There are: {', '.join(sorted(known))}.",
            id="integrations.W009",
        )
        for family in sorted(families() - known)
    ]


@register(Tags.models)
def captured_models_are_covered(app_configs: Any, **_: Any) -> list[Any]:
    """Return errors for models that cannot be captured, and warnings for managers whose writes are not seen."""
    return [*unusable(), *unconnected(), *unseen()]


PROCESSES = "integrations.tasks.process_received_webhooks"


OUR_SCHEDULER = "integrations.observability.scheduler:DatabaseClockScheduler"
PLAIN_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"


@register()
def beat_is_set_up(app_configs: Any, **_: Any) -> list[Any]:
    """Return a warning if no schedule looks for due work: a lost hint would lose an event or a webhook."""
    has_rows = "django_celery_beat" in settings.INSTALLED_APPS  # they make themselves (delivery/schedule.py)
    scheduler = getattr(settings, "CELERY_BEAT_SCHEDULER", None)
    if has_rows and scheduler:
        return []
    if scheduler in (OUR_SCHEDULER, PLAIN_SCHEDULER):
        return [
            Warning(
                "Beat cannot start: its scheduler reads the rows of django_celery_beat, which is not installed.",
                hint='Add "django_celery_beat" to INSTALLED_APPS and migrate, or leave CELERY_BEAT_SCHEDULER out.',
                id="integrations.W006",
            )
        ]
    schedule = getattr(settings, "CELERY_BEAT_SCHEDULE", None) or {}
    entries = schedule.values() if isinstance(schedule, Mapping) else ()
    if any(isinstance(entry, Mapping) and entry.get("task") == PROCESSES for entry in entries):
        return []
    if has_rows:
        what = f'Set CELERY_BEAT_SCHEDULER = "{OUR_SCHEDULER}", or beat does not read the rows of django_celery_beat'
    else:
        what = "Set CELERY_BEAT_SCHEDULE = {**integrations.beat_schedule()}, with entries of your own beside them"
    return [
        Warning(
            "Nothing is scheduled: events and webhooks that fail, or whose hint is lost, are not looked at again.",
            hint=f"{what}. If beat has them from elsewhere (its option --scheduler, another file), silence this.",
            id="integrations.W006",
        )
    ]


@register()
def scheduler_keeps_going(app_configs: Any, **_: Any) -> list[Any]:
    """Return a warning if setting a clock back would stop the schedule."""
    if getattr(settings, "CELERY_BEAT_SCHEDULER", "") != PLAIN_SCHEDULER:
        return []
    return [
        Warning(
            "The scheduler goes by its machine's clock: after a step back, nothing is scheduled until it has caught up "
            "with the last run.",
            hint=f'Set CELERY_BEAT_SCHEDULER = "{OUR_SCHEDULER}".',
            id="integrations.W007",
        )
    ]


@register(Tags.database)
def clocks_agree(app_configs: Any, databases: Any = None, **_: Any) -> list[Any]:
    """Return a warning for each process whose clock differs from the database's (`check --database default`)."""
    if "default" not in (databases or ()):
        return []
    try:
        skew = times.compare()
        found = [(each.name, each.skew_seconds) for each in with_wrong_clocks()]
    except DatabaseFailure:  # not there yet, or not migrated: others say so
        return []
    if skew is not None and abs(skew) > clock.OFF_SECONDS:
        found.append(("this process", skew))
    return [
        Warning(
            f"The clock of {name} is {clock.described(skew)} the database's.",
            hint="Set that machine's time (NTP). Deliveries go by the database's clock meanwhile; logs do not.",
            id="integrations.W008",
        )
        for name, skew in found
    ]


@register(Tags.database)
def payload_versions_are_made(app_configs: Any, databases: Any = None, **_: Any) -> list[Any]:
    """Return errors for subscriptions to a payload version that is not made (`check --database default`, `migrate`)."""
    if "default" not in (databases or ()):
        return []
    try:
        with transaction.atomic():
            found = list(versions_that_are_not_made())
    except DatabaseFailure:  # not there yet, or not migrated
        return []
    return [
        Error(
            f"{counted(count, 'subscription')} to {event_type} {'has' if count == 1 else 'have'} version {version} of "
            f"its payload, which nobody makes; there {'is' if len(known) == 1 else 'are'} "
            f"{', '.join(map(str, known))}.",
            hint=f"Put version {version} back into payload_version or older_payloads of its trigger handler, or move "
            "the subscriptions (console, Events of the integration) before you take it away.",
            id="integrations.E018",
        )
        for event_type, version, count, known in found
    ]


@register()
def summaries_can_be_made(app_configs: Any, **_: Any) -> list[Any]:
    """Return a warning for each summary that names a field which its payload does not have."""
    return [
        Warning(
            f"The summary of {event_type}: {problem}",
            hint="Correct it in the SummaryFormat of its trigger handler, or add the value to the payload.",
            id="integrations.W011",
        )
        for event_type, problem in problems_of_summaries()
    ]


@register(Tags.security, deploy=True)
def settings_are_safe(app_configs: Any, **_: Any) -> list[Any]:
    """Return warnings for what is fine on a laptop and not in production (`check --deploy`)."""
    found: list[Any] = []
    if conf.ALLOW_HTTP:
        found.append(
            Warning(
                "INTEGRATIONS_ALLOW_HTTP is on: tenants may send their data and credentials unencrypted.",
                hint="Turn it off; list private hosts in INTEGRATIONS_ALLOWED_HOSTS instead.",
                id="integrations.W001",
            )
        )
    if connections[OURS].vendor == "sqlite":
        found.append(
            Warning(
                "The database is SQLite: one writer at a time, and a power cut may lose the last commits.",
                hint='Name a PostgreSQL database in DATABASES["default"].',
                id="integrations.W002",
            )
        )
    if getattr(settings, "SECRET_KEY_IS_LOCAL", False):
        found.append(
            Error(
                "SECRET_KEY is not set; one was generated for this checkout and is lost with its folder.",
                hint='Set SECRET_KEY, e.g. from python -c "import secrets; print(secrets.token_urlsafe(50))".',
                id="integrations.E005",
            )
        )
    if not getattr(settings, "HTTPS", True):
        found.append(Warning("HTTPS is off: sessions travel unencrypted.", hint="Set HTTPS=1.", id="integrations.W003"))
    backend = settings.CACHES.get("default", {}).get("BACKEND", "")
    if backend.endswith(PER_PROCESS):
        found.append(
            Warning(
                "The cache is each process's own: INTEGRATIONS_INBOUND_PER_MINUTE, and the number of rejected webhooks "
                "that are kept, are multiplied by the number of web processes (DummyCache counts nothing).",
                hint='Name a cache that all processes share in CACHES["default"], such as Redis.',
                id="integrations.W005",
            )
        )
    if ACTING_USER not in settings.MIDDLEWARE:
        found.append(
            Warning(
                'The audit trail cannot tell who changed something on a page: it says "system".',
                hint=f'Add "{ACTING_USER}" to MIDDLEWARE, anywhere.',
                id="integrations.W014",
            )
        )
    return found
