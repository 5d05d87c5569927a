"""What ``manage.py check`` refuses and what ``check --deploy`` speaks of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import isolate_apps

from integrations import beat_schedule, checks, conf
from integrations.checks import (
    OUR_SCHEDULER,
    _is_key_to,
    beat_is_set_up,
    models_are_usable,
    settings_are_safe,
    settings_are_usable,
)
from integrations.models import AbstractConnection, WebhookEvent


def ids(found: list[Any]) -> set[str]:
    return {message.id for message in found}


def test_the_defaults_are_usable() -> None:
    assert settings_are_usable(None) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"LEASE_SECONDS": 10.0}, "integrations.E001"),
        ({"RETRY_BASE_SECONDS": 0.0}, "integrations.E002"),
        ({"ADAPTER_TIMEOUT_SECONDS": -1}, "integrations.E002"),
        ({"ADAPTER_TIMEOUT_SECONDS": "abc"}, "integrations.E002"),
        ({"LEASE_SECONDS": float("inf")}, "integrations.E002"),
        ({"LEASE_SECONDS": "60"}, "integrations.E002"),
        ({"TIMEOUT_SECONDS": None}, "integrations.E002"),
        ({"RETRY_CAP_SECONDS": float("nan")}, "integrations.E002"),
        ({"RETENTION_DAYS": 10**9}, "integrations.E002"),
        ({"ROTATE_EVERY_DAYS": 90.5}, "integrations.E002"),
        ({"SLICE_ROWS": 100.0}, "integrations.E002"),
        ({"SLICE_ROWS": True}, "integrations.E002"),
        ({"RETRY_JITTER": 1.5}, "integrations.E002"),
        ({"ALLOW_HTTP": "false"}, "integrations.E002"),
        ({"OWN_HOSTS": "app.example.com"}, "integrations.E002"),
        ({"CA_BUNDLE": 3}, "integrations.E002"),
        ({"LEASE_SECOND": 60.0}, "integrations.E002"),
        ({"RETENTION_BATCH": 30_001}, "integrations.E002"),
        ({"ALLOWED_HOSTS": ["n8n:5678", 7]}, "integrations.E002"),
        ({7: 7}, "integrations.E002"),
        ({"WEBHOOK_BASE_URL": "not a url"}, "integrations.E002"),
        ({"PUBLIC_URL": "app.example.com"}, "integrations.E002"),
        ({"SMTP_EHLO_NAME": "localhost"}, "integrations.E002"),
        ({"SMTP_EHLO_NAME": "192.0.2.7"}, "integrations.E002"),
        ({"SMTP_EHLO_NAME": f"{'a.' * 126}com"}, "integrations.E002"),
        ({"ALLOWED_NETWORKS": ["not a network"]}, "integrations.E003"),
    ],
)
def test_what_would_not_work_is_an_error(settings: Any, values: dict[str, Any], expected: str) -> None:
    settings.INTEGRATIONS = values
    assert expected in ids(settings_are_usable(None))


@pytest.mark.parametrize("name", [name for name, value in conf.DEFAULTS.items() if type(value) in (int, float)])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), -1, 10**10, "7", None, [1], True])
def test_every_number_is_one(settings: Any, name: str, value: Any) -> None:
    settings.INTEGRATIONS = {name: value}
    assert f"INTEGRATIONS_{name} must be a" in " ".join(found.msg for found in settings_are_usable(None))


def test_what_may_be_switched_off_with_a_zero_is_no_error(settings: Any) -> None:
    settings.INTEGRATIONS = {"HEALTH_CHECK_SECONDS": 0.0, "RETRY_JITTER": 0.0, "CONFIG_CACHE_SECONDS": 0}
    assert settings_are_usable(None) == []


def test_what_is_usable_is_no_error(settings: Any) -> None:
    settings.INTEGRATIONS = {
        "ALLOWED_HOSTS": ("n8n:5678",),
        "LEASE_SECONDS": 120,
        "PUBLIC_URL": "https://app.example.com",
        "SMTP_EHLO_NAME": "mail.xn--bcher-kva.example",
    }
    assert settings_are_usable(None) == []


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("LEASE_SECONDS", ' of the settings module is not read; write INTEGRATIONS = {"LEASE_SECONDS": …}.'),
        ("TENANT_MODLE", ": there is no such setting. Did you mean INTEGRATIONS_TENANT_MODEL?"),
    ],
)
def test_a_setting_outside_of_the_dict_is_an_error(settings: Any, name: str, problem: str) -> None:
    setattr(settings, f"INTEGRATIONS_{name}", 120.0)
    (found,) = settings_are_usable(None)
    assert (found.id, found.msg) == ("integrations.E002", f"INTEGRATIONS_{name}{problem}")


def test_a_setting_of_its_own_in_the_dict_is_an_error(settings: Any) -> None:
    settings.INTEGRATIONS = {"TENANT_MODEL": "accounts.Account"}
    (found,) = settings_are_usable(None)
    assert found.msg == "INTEGRATIONS_TENANT_MODEL belongs in the settings module: INTEGRATIONS_TENANT_MODEL = …"


def test_a_wrong_value_of_the_guides_dict_is_named_as_it_stands_there(settings: Any) -> None:
    settings.BAPP_CONNECTORS = {"DEFAULT_TIMEOUT": "10", "ENCRYPTION_KEY": "canary"}
    (found,) = settings_are_usable(None)
    assert found.msg == """BAPP_CONNECTORS["DEFAULT_TIMEOUT"] must be a number from 0 to 1000000000, not '10'."""


@pytest.mark.parametrize(
    ("values", "expected", "words"),
    [
        (
            {"CONNECTION_MODEL": "connectors.Nothing"},
            "integrations.E011",
            "connectors.Nothing is not an installed model",
        ),
        ({"CONNECTION_MODEL": "auth.User"}, "integrations.E011", "derived from AbstractConnection"),
        ({"CONNECTION_MODEL": "integrations.AbstractConnection"}, "integrations.E011", "not an installed model"),
        ({"CONNECTION_MODEL": "no dot"}, "integrations.E011", "INTEGRATIONS_CONNECTION_MODEL"),
        ({"WEBHOOK_EVENT_MODEL": ""}, "integrations.E011", "INTEGRATIONS_WEBHOOK_EVENT_MODEL"),
        ({"WEBHOOK_EVENT_MODEL": "integrations.SyncState"}, "integrations.E011", "derived from AbstractWebhookEvent"),
    ],
)
def test_a_model_that_is_none_is_an_error(settings: Any, values: dict[str, str], expected: str, words: str) -> None:
    settings.INTEGRATIONS = values
    (found,) = models_are_usable(None)
    assert found.id == expected and words in found.msg and "app_label.Model" in found.hint


def test_events_without_a_key_to_the_connections_are_an_error(settings: Any) -> None:
    settings.INTEGRATIONS = {"CONNECTION_MODEL": "integrations.ERPConnection"}
    assert models_are_usable(None) == [], "a proxy of the model that the key leads to"
    settings.INTEGRATIONS = {}
    with isolate_apps("integrations"):

        class Elsewhere(AbstractConnection):
            class Meta:
                app_label = "integrations"

        assert not _is_key_to(Elsewhere, WebhookEvent)


def test_the_guides_dict_is_read_where_ours_says_nothing(settings: Any) -> None:
    settings.INTEGRATIONS = {}
    settings.BAPP_CONNECTORS = {"CONNECTION_MODEL": "auth.User", "DEFAULT_TIMEOUT": 7, "WEBHOOK_BASE_URL": ""}
    assert (conf.CONNECTION_MODEL, conf.ADAPTER_TIMEOUT_SECONDS, conf.WEBHOOK_BASE_URL) == ("auth.User", 7, "")
    assert ids(models_are_usable(None)) == {"integrations.E011"}
    settings.INTEGRATIONS = {"CONNECTION_MODEL": "integrations.TenantIntegration"}
    assert conf.CONNECTION_MODEL == "integrations.TenantIntegration" and models_are_usable(None) == []


def test_a_beat_that_does_not_process_webhooks_is_spoken_of(settings: Any) -> None:
    assert beat_is_set_up(None) == []
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_celery_beat"]
    (warning,) = beat_is_set_up(None)  # the scheduler is still the one that needs it
    assert warning.id == "integrations.W006" and 'Add "django_celery_beat" to INSTALLED_APPS' in warning.hint
    settings.CELERY_BEAT_SCHEDULER = None
    assert ids(beat_is_set_up(None)) == {"integrations.W006"}
    settings.CELERY_BEAT_SCHEDULE = {"pull": {"task": "integrations.tasks.pull_due", "schedule": 60.0}}
    assert ids(beat_is_set_up(None)) == {"integrations.W006"}
    settings.CELERY_BEAT_SCHEDULE["process"] = {
        "task": "integrations.tasks.process_received_webhooks",
        "schedule": 15.0,
    }
    assert beat_is_set_up(None) == []


def test_a_schedule_that_is_none_is_spoken_of(settings: Any) -> None:
    settings.INSTALLED_APPS = [name for name in settings.INSTALLED_APPS if name != "django_celery_beat"]
    settings.CELERY_BEAT_SCHEDULER = None
    settings.CELERY_BEAT_SCHEDULE = beat_schedule  # not called
    (warning,) = beat_is_set_up(None)
    assert warning.id == "integrations.W006" and "{**integrations.beat_schedule()}" in warning.hint


def test_rows_that_beat_does_not_read_are_spoken_of(settings: Any) -> None:
    assert "django_celery_beat" in settings.INSTALLED_APPS
    settings.CELERY_BEAT_SCHEDULER, settings.CELERY_BEAT_SCHEDULE = None, {}
    (warning,) = beat_is_set_up(None)
    assert warning.id == "integrations.W006" and "Set CELERY_BEAT_SCHEDULER = " in warning.hint
    settings.CELERY_BEAT_SCHEDULE = beat_schedule()
    assert beat_is_set_up(None) == []
    settings.CELERY_BEAT_SCHEDULER, settings.CELERY_BEAT_SCHEDULE = OUR_SCHEDULER, {}
    assert beat_is_set_up(None) == []


def test_what_is_unsafe_is_spoken_of(settings: Any) -> None:
    settings.INTEGRATIONS = {"ALLOW_HTTP": True, "ALLOWED_NETWORKS": ["0.0.0.0/0"]}
    settings.SECRET_KEY_IS_LOCAL, settings.HTTPS = True, False
    assert {"integrations.W001", "integrations.W003", "integrations.E005"} <= ids(settings_are_safe(None))
    (found,) = settings_are_usable(None)
    assert found.id == "integrations.E003" and "'0.0.0.0/0' would switch the address guard off" in found.msg


@pytest.mark.parametrize(
    ("backend", "is_told"),
    [
        ("django.core.cache.backends.locmem.LocMemCache", True),
        ("django.core.cache.backends.dummy.DummyCache", True),
        ("django.core.cache.backends.redis.RedisCache", False),
    ],
)
def test_a_cache_for_each_process_is_spoken_of(settings: Any, backend: str, is_told: bool) -> None:
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "redis://127.0.0.1:1/0"}}
    assert ("integrations.W005" in ids(settings_are_safe(None))) is is_told


def test_settings_from_the_environment() -> None:
    found = conf.from_environment(
        {
            "INTEGRATIONS_ALLOW_HTTP": "yes",
            "INTEGRATIONS_SLICE_ROWS": "7",
            "INTEGRATIONS_ALLOWED_HOSTS": "n8n:5678, other:1",
            "INTEGRATIONS_ALLOWED_NETWORKS": '["172.18.0.0/16"]',
            "HOME": "/root",
        }
    )
    assert found == {
        "ALLOW_HTTP": True,
        "SLICE_ROWS": 7,
        "ALLOWED_HOSTS": ["n8n:5678", "other:1"],
        "ALLOWED_NETWORKS": ["172.18.0.0/16"],
    }


@pytest.mark.parametrize("environ", [{"INTEGRATIONS_TYPO": "1"}, {"INTEGRATIONS_SLICE_ROWS": "many"}])
def test_a_typo_is_not_silent(environ: dict[str, str]) -> None:
    with pytest.raises(ImproperlyConfigured, match=next(iter(environ))):
        conf.from_environment(environ)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("accounts.access.accounts_of", "No module named 'accounts'"),
        ("tenants.scope.tenants_off", 'does not define a "tenants_off"'),
        ("tenants.scope.__name__", "that is no function"),
        ("tenants_of", "doesn't look like a module path"),
        (f"{__name__}.of_nobody", "it cannot be called with (user)"),
        (f"{__name__}.of_two", "it cannot be called with (user)"),
    ],
)
def test_a_function_that_names_tenants_must_be_there(settings: Any, path: str, words: str) -> None:
    settings.INTEGRATIONS_TENANTS_OF = path
    (error,) = checks.people_can_be_asked_for(None)
    assert error.id == "integrations.E017"
    assert repr(path) in error.msg and words in error.msg


def of_nobody() -> None: ...


def of_two(user: Any, tenant_key: Any) -> None: ...


def test_a_function_may_take_more_than_it_is_given(settings: Any) -> None:
    settings.INTEGRATIONS_TENANTS_OF = f"{__name__}.of_anybody"
    settings.INTEGRATIONS_ROLE_OF = f"{__name__}.of_two"
    assert checks.people_can_be_asked_for(None) == []
    settings.INTEGRATIONS_ROLE_OF = f"{__name__}.of_nobody"
    (error,) = checks.people_can_be_asked_for(None)
    assert "it cannot be called with (user, tenant_key)" in error.msg


class OfSomebody:
    def members(self, tenant: Any) -> list[Any]:
        return []


def test_the_class_of_people_must_do_all_that_is_asked_of_it(settings: Any) -> None:
    assert checks.people_can_be_asked_for(None) == []
    settings.INTEGRATIONS_PEOPLE = f"{__name__}.OfSomebody"
    (error,) = checks.people_can_be_asked_for(None)
    assert error.id == "integrations.E017" and "it has no set_role, remove" in error.msg


def of_anybody(user: Any, *args: Any, since: Any = None) -> None: ...


def test_without_such_a_function_only_superusers_see_tenants(settings: Any) -> None:
    del settings.INTEGRATIONS_TENANTS_OF
    assert checks.people_can_be_asked_for(None) == []


@pytest.mark.parametrize(
    ("vendor", "expected"), [("postgresql", set()), ("sqlite", set()), ("mysql", {"integrations.E004"})]
)
def test_a_database_is_judged_by_what_it_is_and_not_by_its_backends_name(
    vendor: str, expected: set[str], settings: Any, monkeypatch: Any
) -> None:
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": "of_the_host.backend"})
    monkeypatch.setattr(checks, "connections", {"default": SimpleNamespace(vendor=vendor)})
    assert ids(settings_are_usable(None)) == expected


class ToAReplica:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"


class Elsewhere(ToAReplica):
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "other"


@pytest.mark.parametrize(
    ("routers", "told"),
    [
        ([], []),
        ([ToAReplica()], [("integrations.W016", 'read from "replica"')]),
        ([Elsewhere()], [("integrations.E019", 'written to "other"')]),
    ],
)
def test_a_router_that_takes_our_tables_elsewhere(
    routers: list[Any], told: list[tuple[str, str]], settings: Any
) -> None:
    settings.DATABASE_ROUTERS = routers
    found = list(checks.tables_are_in_our_database(None))
    assert [(each.id, words) for each, (_, words) in zip(found, told, strict=True) if words in each.msg] == told


def test_a_process_that_knows_no_broker_is_told_of(monkeypatch: Any) -> None:
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    assert checks.broker_is_known(None) == []
    with Celery("nobody's", set_as_current=False) as without:
        monkeypatch.setattr(checks, "current_app", without)
        (warning,) = checks.broker_is_known(None)
        assert warning.id == "integrations.W015" and "__init__.py" in warning.hint
        without.conf.task_always_eager = True
        assert checks.broker_is_known(None) == []
