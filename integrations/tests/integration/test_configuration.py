"""System-wide configurations: stored encrypted, read once, forgotten when they change."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache as django_cache
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, models, transaction
from django.test.utils import CaptureQueriesContext, isolate_apps

from integrations import BaseIntegration, IntegrationDisabled, IntegrationNotConfigured, config
from integrations.configuration import cache
from integrations.configuration.models import AbstractConfiguration
from integrations.connectors.registry import ConnectorRegistry
from integrations.errors import EncryptionError
from integrations.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    IntegrationConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]
committing = pytest.mark.django_db(transaction=True)

CANARY = "canary-5d1c"
DOWN = {"default": {"BACKEND": "integrations.tests.broken_cache.BrokenCache"}}


def queries(count: int) -> Any:
    class Counted(CaptureQueriesContext):
        def __exit__(self, *exc: Any) -> None:
            super().__exit__(*exc)
            if exc[0] is None:
                assert len(self) == count, [query["sql"] for query in self.captured_queries]

    return Counted(connection)


# -- what is stored -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (GitHubConfiguration, {"github_token": CANARY, "github_base_url": "https://ghe.example"}),
        (WeaviateConfiguration, {"weaviate_url": "https://w.example", "weaviate_api_key": CANARY}),
        (
            GraphConfiguration,
            {
                "graph_tenant_id": "contoso.com",
                "graph_client_id": "c",
                "graph_client_secret": CANARY,
                "graph_sender": "a@contoso.com",
            },
        ),
        (OpenAIConfiguration, {"openai_api_key": CANARY, "openai_model": "m", "openai_base_url": "https://o.example"}),
        (GeminiConfiguration, {"gemini_api_key": CANARY, "gemini_model": "m", "gemini_base_url": "https://g.example"}),
    ],
)
def test_every_proxy_reads_what_it_was_given_and_stores_no_secret_in_the_clear(
    model: Any, values: dict[str, str]
) -> None:
    made = model.objects.create(enabled=True, **values)
    found = model.objects.get()
    assert {name: getattr(found, name) for name in values} == values
    assert found.pk == made.pk and found.enabled and found.rotated_at is not None
    assert (found.name, str(found)) == (model.of, model.of)
    stored = IntegrationConfiguration.objects.filter(pk=found.pk).values()[0]
    assert CANARY not in repr([stored, found, vars(found), pickle.dumps(found)])
    assert model.objects.count() == IntegrationConfiguration.objects.count() == 1
    assert IntegrationConfiguration.objects.get().settings == found.settings


def test_what_is_not_set_is_empty() -> None:
    empty = GitHubConfiguration.objects.create()
    assert (empty.github_token, empty.github_base_url, empty.settings, empty.enabled) == ("", "", {}, False)
    assert empty.rotated_at is None


def test_a_system_is_configured_once() -> None:
    GitHubConfiguration.objects.create()
    WeaviateConfiguration.objects.create()
    with transaction.atomic(), pytest.raises(IntegrityError):
        GitHubConfiguration.objects.create()


def test_a_credential_does_not_open_in_another_row() -> None:
    GitHubConfiguration.objects.create(github_token=CANARY)
    other = WeaviateConfiguration.objects.create()
    stolen = GitHubConfiguration.objects.get().credentials_encrypted
    IntegrationConfiguration.objects.filter(pk=other.pk).update(credentials_encrypted=stolen)
    with pytest.raises(EncryptionError):
        _ = WeaviateConfiguration.objects.get().weaviate_api_key


def test_settings_are_split_by_the_manifest_and_a_new_secret_is_a_rotation() -> None:
    row = GitHubConfiguration.objects.create(github_token="first")
    before = row.rotated_at
    row.apply_settings({"token": "first", "labels": ["bug"]})
    assert row.config == {"labels": ["bug"]} and row.credentials == {"token": "first"}
    assert row.rotated_at == before
    row.apply_settings({"token": "second"})
    assert row.github_token == "second" and row.config == {} and row.rotated_at > before
    row.github_token = "third"
    assert row.github_token == "third"


@pytest.mark.parametrize("broken", [{}, {"nobody-knows-it": "it was written for another version"}])
def test_settings_of_an_unknown_system_are_all_secret(broken: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConnectorRegistry, "_broken", broken)
    row = IntegrationConfiguration(name="nobody-knows-it")
    row.apply_settings({"dsn": CANARY})
    assert row.credentials == {"dsn": CANARY} and row.config == {} and CANARY not in repr(vars(row))


def test_a_secret_needs_a_name_to_be_bound_to() -> None:
    with pytest.raises(ValueError, match="before this secret"):
        IntegrationConfiguration(credentials={"token": CANARY})


def test_rotate_encryption_seals_configurations_too(settings: Any, capsys: Any) -> None:
    settings.ENCRYPTION_MASTER_KEY = f"old:{'ab' * 32}"
    row = WeaviateConfiguration.objects.create(weaviate_url="https://w.example", weaviate_api_key=CANARY)
    GitHubConfiguration.objects.create()
    rotated_at = row.rotated_at
    settings.ENCRYPTION_MASTER_KEY = f"new:{'cd' * 32},old:{'ab' * 32}"
    call_command("rotate_encryption")
    assert "integrations.IntegrationConfiguration: 1 of 1 row(s) were sealed" in capsys.readouterr().out
    settings.ENCRYPTION_MASTER_KEY = f"new:{'cd' * 32}"
    row.refresh_from_db()
    assert (row.weaviate_url, row.weaviate_api_key) == ("https://w.example", CANARY)
    assert row.rotated_at == rotated_at  # the credential is the same
    settings.ENCRYPTION_MASTER_KEY, settings.SECRET_KEY = f"other:{'ef' * 32}", "another"
    with pytest.raises(CommandError, match=f"integrations.IntegrationConfiguration {row.pk}: "):
        call_command("rotate_encryption")


# -- the service ----------------------------------------------------------------------------------------------


def test_two_calls_are_one_query() -> None:
    GitHubConfiguration.objects.create(enabled=True, github_token=CANARY)
    cache.forget()
    connection.run_on_commit.clear()  # as if it had been committed
    with queries(1):
        first, second = config.get_singleton(GitHubConfiguration), config.get_github_config()
        assert config.is_github_enabled()
    assert first == second and first is not second
    assert first.github_token == CANARY


def test_none_is_remembered_too() -> None:
    with queries(1):
        assert config.get_github_config() is None
        assert not config.is_github_enabled()


@pytest.mark.parametrize("system", ["github", "weaviate", "graph", "openai", "gemini"])
def test_every_system_has_its_two_functions(system: str) -> None:
    get, is_enabled = getattr(config, f"get_{system}_config"), getattr(config, f"is_{system}_enabled")
    assert get() is None and is_enabled() is False
    model = {"github": GitHubConfiguration, "weaviate": WeaviateConfiguration, "graph": GraphConfiguration,
             "openai": OpenAIConfiguration, "gemini": GeminiConfiguration}[system]  # fmt: skip
    row = model.objects.create(enabled=False)
    assert type(get()) is model and is_enabled() is False
    row.enabled = True
    row.save()
    assert is_enabled() is True


def test_a_caller_may_change_what_it_got() -> None:
    GitHubConfiguration.objects.create(enabled=True, config={"labels": ["bug"]})
    connection.run_on_commit.clear()
    mine = config.get_github_config()
    mine.enabled = False
    mine.config["labels"].append("mine")
    theirs = config.get_github_config()
    assert theirs.enabled and theirs.config == {"labels": ["bug"]}


def test_no_secret_is_kept_in_memory_or_in_djangos_cache() -> None:
    row = GitHubConfiguration.objects.create(enabled=True, github_token=CANARY)
    connection.run_on_commit.clear()
    config.get_github_config()
    assert cache._entries and CANARY not in repr([vars(entry.row) for entry in cache._entries.values()])
    assert CANARY not in repr(copy.deepcopy(django_cache._cache)) and row.github_token == CANARY  # type: ignore[attr-defined]


@committing
def test_a_save_and_a_delete_are_seen_at_once() -> None:
    row = GitHubConfiguration.objects.create(enabled=True, github_token="one")
    assert config.get_github_config().github_token == "one"
    row.github_token = "two"
    row.save()
    assert config.get_github_config().github_token == "two"
    IntegrationConfiguration.objects.get().delete()  # through the base: the same row
    assert config.get_github_config() is None
    GitHubConfiguration.objects.create(enabled=True)
    assert config.is_github_enabled()
    GitHubConfiguration.objects.all().delete()
    assert not config.is_github_enabled()


@committing
def test_what_is_rolled_back_was_never_there() -> None:
    row = GitHubConfiguration.objects.create(enabled=True, github_token="kept")
    assert config.get_github_config().github_token == "kept"
    with pytest.raises(RuntimeError), transaction.atomic():
        row.github_token = "never"
        row.save()
        assert config.get_github_config().github_token == "never"  # who writes it sees it
        assert cache._entries == {}  # and nobody else does
        raise RuntimeError
    assert config.get_github_config().github_token == "kept"
    with queries(0):
        assert config.get_github_config().github_token == "kept"


@committing
def test_other_processes_are_told_after_the_commit_and_not_before(settings: Any) -> None:
    row = GitHubConfiguration.objects.create(enabled=True)
    before = django_cache.get(cache._key(GitHubConfiguration))
    with transaction.atomic():
        row.save()
        assert django_cache.get(cache._key(GitHubConfiguration)) == before
    assert django_cache.get(cache._key(GitHubConfiguration)) not in (None, before)


@committing
def test_nothing_is_older_than_the_setting(settings: Any, monkeypatch: Any) -> None:
    settings.INTEGRATIONS = {"CONFIG_CACHE_SECONDS": 7.0}
    now = 1000.0
    monkeypatch.setattr(cache, "monotonic", lambda: now)
    row = GitHubConfiguration.objects.create(enabled=True)
    assert config.is_github_enabled()
    GitHubConfiguration.objects.filter(pk=row.pk).update(enabled=False)  # sends no signal
    now += 6.9
    assert config.is_github_enabled()
    now += 0.1
    assert not config.is_github_enabled()


@committing
def test_zero_seconds_is_no_cache(settings: Any) -> None:
    settings.INTEGRATIONS = {"CONFIG_CACHE_SECONDS": 0.0}
    with queries(2):
        config.get_github_config()
        config.get_github_config()


@committing
def test_a_stamp_from_elsewhere_is_obeyed(monkeypatch: Any) -> None:
    row = GitHubConfiguration.objects.create(enabled=True)
    assert config.is_github_enabled()
    GitHubConfiguration.objects.filter(pk=row.pk).update(enabled=False)
    django_cache.set(cache._key(GitHubConfiguration), "what another process wrote")
    assert not config.is_github_enabled()


@committing
def test_a_change_between_the_stamp_and_the_row_is_not_lost(monkeypatch: Any) -> None:
    row = GitHubConfiguration.objects.create(enabled=True)
    cache.forget()
    read = cache.read

    def read_and_then_somebody_writes(model: Any) -> Any:
        found = read(model)
        if monkeypatch_is_on:
            row.enabled = False
            row.save()
        return found

    monkeypatch_is_on = True
    monkeypatch.setattr(cache, "read", read_and_then_somebody_writes)
    assert config.is_github_enabled()  # it began before the change
    monkeypatch_is_on = False
    assert not config.is_github_enabled()


@committing
def test_while_djangos_cache_is_down_the_database_is_asked(settings: Any, caplog: Any, monkeypatch: Any) -> None:
    settings.CACHES = DOWN
    now = 1000.0
    monkeypatch.setattr(cache, "monotonic", lambda: now)
    row = GitHubConfiguration.objects.create(enabled=True)
    with queries(2):
        assert config.is_github_enabled()
        assert config.is_github_enabled()
    GitHubConfiguration.objects.filter(pk=row.pk).update(enabled=False)
    assert not config.is_github_enabled()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # once written, once read
    assert "RuntimeError" in caplog.text and CANARY not in caplog.text
    now += 5
    assert not config.is_github_enabled()
    assert len(caplog.records) == 3  # it is asked again now and then
    cache._silent_until = 0.0


# -- a host's own model ------------------------------------------------------------------------------------------


@pytest.fixture
def my_configuration(transactional_db: None) -> Iterator[Any]:
    with isolate_apps("integrations"):

        class MyConfiguration(AbstractConfiguration):
            api_key = models.CharField(max_length=100, blank=True)

            class Meta:
                app_label = "integrations"
                db_table = "my_configuration"

        with connection.schema_editor() as editor:
            editor.create_model(MyConfiguration)
        yield MyConfiguration
        with connection.schema_editor() as editor:
            editor.delete_model(MyConfiguration)


class MyIntegration(BaseIntegration[Any]):
    name = "myservice"

    def __init__(self, model: Any) -> None:
        self.model = model

    def _get_config_model(self) -> Any:
        return self.model

    def _is_config_complete(self, config: Any) -> bool:
        return bool(config.api_key)


@committing
def test_disabled_raises_error_as_printed(my_configuration: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    integration = MyIntegration(my_configuration)
    assert integration.get_config() is None and integration.enabled() is False
    with pytest.raises(IntegrationDisabled):
        integration.require_enabled()
    my_configuration.objects.create(enabled=False, api_key="k")
    with pytest.raises(IntegrationDisabled):
        integration.require_config()
    assert integration.get_config().api_key == "k" and integration.enabled() is False
    assert {record.levelname for record in caplog.records if record.name.startswith("integrations.")} == {"INFO"}


@committing
def test_incomplete_config_raises_error_as_printed(my_configuration: Any) -> None:
    integration = MyIntegration(my_configuration)
    row = my_configuration.objects.create(enabled=True, api_key="")
    with pytest.raises(IntegrationNotConfigured, match=r"^myservice is switched on, .* enter api_key$"):
        integration.require_config()
    integration.require_enabled()  # complete or not, it is on
    row.api_key = "k"
    row.save()
    with queries(1):
        assert integration.require_config().api_key == integration.require_config().api_key == "k"


@committing
def test_a_model_without_our_base_is_never_read_from_memory() -> None:
    Group.objects.all().delete()  # those that come with the product
    group = Group.objects.create(name="old")
    assert config.get_singleton(Group).name == "old"
    group.name = "new"
    group.save()
    assert config.get_singleton(Group).name == "new"
    Group.objects.update(name="newer")
    assert config.get_singleton(Group).name == "newer"
    group.delete()
    assert config.get_singleton(Group) is None


@committing
def test_an_incomplete_configuration_of_ours_names_its_fields() -> None:
    class Weaviate(BaseIntegration[Any]):
        name = "weaviate"

        def _get_config_model(self) -> Any:
            return WeaviateConfiguration

        def _is_config_complete(self, found: Any) -> bool:
            return not found.missing()

    row = WeaviateConfiguration.objects.create(enabled=True)
    assert row.missing()
    with pytest.raises(IntegrationNotConfigured, match=f"incomplete: enter {', '.join(row.missing())}$"):
        Weaviate().require_config()


@committing
def test_a_hosts_configuration_is_a_singleton(my_configuration: Any) -> None:
    my_configuration.objects.create(enabled=True)
    with pytest.raises(IntegrityError):
        my_configuration.objects.create(enabled=False)
    with pytest.raises(IntegrityError):
        my_configuration(enabled=False).save()
    my_configuration.objects.update_or_create(defaults={"api_key": "k"})
    assert config.get_singleton(my_configuration).api_key == "k"


@committing
def test_forgetting_knows_whose_row_it_is(my_configuration: Any) -> None:
    my_configuration.objects.create(enabled=True)
    config.get_singleton(my_configuration), config.get_github_config()
    with queries(1):  # only the saved one is read again
        cache.forget(my_configuration)
        config.get_singleton(my_configuration), config.get_github_config()


def test_what_a_subclass_must_say() -> None:
    class Empty(BaseIntegration[Any]):
        pass

    with pytest.raises(NotImplementedError, match="Empty must set name"):
        _ = Empty().logger
    with pytest.raises(NotImplementedError, match="Empty must return the model"):
        Empty().enabled()
    with pytest.raises(NotImplementedError, match="Empty must say when"):
        Empty()._is_config_complete(None)


def test_the_logger_has_the_prefix_of_the_settings(settings: Any) -> None:
    assert MyIntegration(None).logger.name == "integrations.myservice"
    settings.INTEGRATIONS = {"LOGGER_PREFIX": "agira.integration"}
    assert MyIntegration(None).logger.name == "agira.integration.myservice"
