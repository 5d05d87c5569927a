"""GitHub, Weaviate, Microsoft Graph, OpenAI and Gemini for the whole installation.

What goes over the wire is the connectors' own business and tested with them; here: the switch, the configuration, and
that each method reaches its system and comes back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from integrations import (
    ConfigurationError,
    ConnectedIntegration,
    GeminiIntegration,
    GitHubIntegration,
    GraphIntegration,
    IntegrationAuthError,
    IntegrationDisabled,
    IntegrationNotConfigured,
    IntegrationPermanentError,
    IntegrationRateLimited,
    IntegrationTemporaryError,
    OpenAIIntegration,
    WeaviateIntegration,
)
from integrations.errors import IntegrationBlocked
from integrations.models import (
    GeminiConfiguration,
    GitHubConfiguration,
    GraphConfiguration,
    IntegrationConfiguration,
    OpenAIConfiguration,
    WeaviateConfiguration,
)
from integrations.tests.callers import frames_of
from integrations.tests.receiver import Answer, Receiver, Request

pytestmark = [pytest.mark.django_db]

CANARY = "canary-9e21"


def answer(value: Any, status: int = 200, **more: Any) -> Answer:
    return Answer(status, body=json.dumps(value).encode(), **more)


@pytest.fixture
def here(receiver: Receiver, settings: Any) -> str:
    """The receiver's address, which the operator has allow-listed."""
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc], "HTTP_BASE_SECONDS": 0.001}
    return f"http://{receiver.netloc}"


def github(here: str, **more: Any) -> GitHubIntegration:
    GitHubConfiguration.objects.create(**{"enabled": True, "github_token": CANARY, "github_base_url": here, **more})
    return GitHubIntegration()


def weaviate(here: str, **more: Any) -> WeaviateIntegration:
    WeaviateConfiguration.objects.create(**{"enabled": True, "weaviate_url": here, "weaviate_api_key": CANARY, **more})
    return WeaviateIntegration()


def graph(here: str, **more: Any) -> GraphIntegration:
    GraphConfiguration.objects.create(
        enabled=True,
        config={"base_url": f"{here}/v1.0", "login_url": here},
        graph_tenant_id="contoso.com",
        graph_client_id=f"client-{here[-5:]}",  # tokens are kept per application: another one for each test
        graph_client_secret=CANARY,
        graph_sender="noreply@contoso.com",
        **more,
    )
    return GraphIntegration()


def openai(here: str, **more: Any) -> OpenAIIntegration:
    values = {"enabled": True, "openai_api_key": CANARY, "openai_model": "gpt-5-mini", "openai_base_url": here}
    OpenAIConfiguration.objects.create(**{**values, **more})
    return OpenAIIntegration()


def gemini(here: str, **more: Any) -> GeminiIntegration:
    values = {"enabled": True, "gemini_api_key": CANARY, "gemini_model": "gemini-2.5-flash", "gemini_base_url": here}
    GeminiConfiguration.objects.create(**{**values, **more})
    return GeminiIntegration()


# -- GitHub ---------------------------------------------------------------------------------------------------


def test_get_issue_as_printed(here: str, receiver: Receiver) -> None:
    receiver.answer_with(answer({"number": 7, "title": "Bug"}))
    assert github(here).get_issue("owner", "repo", 7) == {"number": 7, "title": "Bug"}
    (request,) = receiver.requests
    assert (request.method, request.path) == ("GET", "/repos/owner/repo/issues/7")
    assert request.headers["authorization"] == f"Bearer {CANARY}"


def test_issues_are_created_once_and_listed_to_the_end(here: str, receiver: Receiver) -> None:
    following = {"Link": f'<{here}/repos/owner/repo/issues?page=2>; rel="next"'}
    receiver.answer_with(
        answer({"number": 8}, 201), answer([{"number": 1}], headers=following), answer([{"number": 2}])
    )
    service = github(here)
    assert service.create_issue("owner", "repo", "Found a bug", "It is big.", labels=["bug"])["number"] == 8
    assert [issue["number"] for issue in service.list_issues("owner", "repo", state="all")] == [1, 2]
    created = receiver.requests[0]
    assert (created.method, created.json) == (
        "POST",
        {"title": "Found a bug", "body": "It is big.", "labels": ["bug"]},
    )


def test_a_call_is_tried_again_and_a_creation_is_not(here: str, receiver: Receiver) -> None:
    receiver.answer_with(502, answer({"number": 7}), 502)
    service = github(here)
    assert service.get_issue("owner", "repo", 7)["number"] == 7
    with pytest.raises(IntegrationTemporaryError):
        service.create_issue("owner", "repo", "Found a bug")
    assert [request.method for request in receiver.requests] == ["GET", "GET", "POST"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer({"message": "Bad credentials"}, 401), IntegrationAuthError),
        (answer({"message": "Not Found"}, 404), IntegrationPermanentError),
        (
            answer(
                {"message": "API rate limit exceeded"},
                403,
                headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "4102444800", "Retry-After": "60"},
            ),
            IntegrationRateLimited,
        ),
    ],
)
def test_github_errors(here: str, receiver: Receiver, reply: Answer, error: type[Exception]) -> None:
    receiver.answer_with(default=reply)
    with pytest.raises(error) as caught:
        github(here).get_issue("owner", "repo", 7)
    locals_shown = [frame.f_locals for frame in frames_of(caught.value)]
    assert locals_shown and CANARY not in f"{caught.value!r}{vars(caught.value)}{locals_shown}"
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("config", [{}, {"repository": "owner/repo"}])
def test_the_token_is_checked_with_and_without_a_repository(
    here: str, receiver: Receiver, config: dict[str, str]
) -> None:
    service = github(here, config={**config, "base_url": here})
    receiver.answer_with(answer({"full_name": "owner/repo"}), answer({"message": "Bad credentials"}, 401))
    assert service.health_check().success
    result = service.health_check()
    assert not result.success and result.is_auth_failure and result.status == 401
    assert receiver.requests[0].path == ("/repos/owner/repo" if config else "/rate_limit")


# -- Weaviate -------------------------------------------------------------------------------------------------


def test_weaviate(here: str, receiver: Receiver) -> None:
    service = weaviate(here)
    receiver.answer_with(
        answer({"id": "abc", "properties": {"title": "x"}}),
        answer({"data": {"Get": {}}}),
        answer({"errors": [{"message": "no such class"}]}),
    )
    assert service.get_object("abc")["properties"] == {"title": "x"}
    assert service.graphql("{ Get { Event { title } } }", {"a": 1}) == {"Get": {}}
    with pytest.raises(IntegrationPermanentError, match="GraphQL"):
        service.graphql("{ Get { Nothing } }")
    assert [request.path for request in receiver.requests[:2]] == ["/v1/objects/Event/abc", "/v1/graphql"]
    assert receiver.requests[0].headers["authorization"] == f"Bearer {CANARY}"


def test_weaviate_without_an_address_is_not_configured(here: str) -> None:
    with pytest.raises(IntegrationNotConfigured, match="weaviate is switched on, but its configuration is incomplete"):
        weaviate(here, weaviate_url="").graphql("{ }")


def test_a_private_weaviate_needs_the_operators_leave(receiver: Receiver) -> None:
    with pytest.raises((IntegrationBlocked, ConfigurationError)):
        weaviate(f"http://{receiver.netloc}").graphql("{ }")
    assert receiver.requests == []


# -- Microsoft Graph --------------------------------------------------------------------------------------------


def microsoft(mails: int = 202) -> Callable[[Request], Answer]:
    def reply(request: Request) -> Answer:
        if request.path.endswith("/oauth2/v2.0/token"):
            return answer({"access_token": "graph-token", "token_type": "Bearer", "expires_in": 3599})
        return Answer(mails, body=b"")

    return reply


def test_mail_is_sent_and_the_token_is_fetched_once(here: str, receiver: Receiver) -> None:
    receiver.answer_with(microsoft())
    service = graph(here)
    service.send_mail("jane@example.com", "Ready", text="Come and get it.")
    service.send_mail(["a@example.com", "b@example.com"], "Ready", html="<b>…</b>", sender="shop@contoso.com")
    paths = [request.path for request in receiver.requests]
    assert paths == [
        "/contoso.com/oauth2/v2.0/token",
        "/v1.0/users/noreply@contoso.com/sendMail",
        "/v1.0/users/shop@contoso.com/sendMail",
    ]
    assert receiver.requests[1].headers["authorization"] == "Bearer graph-token"
    assert receiver.requests[1].json["message"]["subject"] == "Ready"


def test_graph_asks_to_wait(here: str, receiver: Receiver) -> None:
    service = graph(here)
    receiver.answer_with(
        lambda request: microsoft()(request) if "token" in request.path else Answer(429, headers={"Retry-After": "30"})
    )
    with pytest.raises(IntegrationRateLimited) as caught:
        service.send_mail("jane@example.com", "Ready", text="…")
    assert caught.value.retry_after == 30.0
    assert [request.path for request in receiver.requests].count("/v1.0/users/noreply@contoso.com/sendMail") == 1


# -- AI -----------------------------------------------------------------------------------------------------------


def test_openai(here: str, receiver: Receiver) -> None:
    receiver.answer_with(
        answer({"choices": [{"message": {"content": "Hello."}}]}),
        answer({"data": [{"embedding": [0.5, 0.25]}]}),
    )
    service = openai(here)
    assert service.chat("Say hello", system="Be short.", max_tokens=9) == "Hello."
    assert service.embed(["one"]) == [[0.5, 0.25]]
    request = receiver.requests[0]
    assert request.headers["authorization"] == f"Bearer {CANARY}" and request.json["model"] == "gpt-5-mini"


def test_gemini_and_its_key_travels_in_a_header(here: str, receiver: Receiver) -> None:
    receiver.answer_with(
        answer({"candidates": [{"content": {"parts": [{"text": "Hello."}]}}]}), answer({"embedding": {"values": [0.5]}})
    )
    service = gemini(here)
    assert service.generate("Say hello") == "Hello."
    assert service.embed("one") == [0.5]
    for request in receiver.requests:
        assert request.headers["x-goog-api-key"] == CANARY and CANARY not in request.path and "key=" not in request.path


def test_an_empty_account_is_permanent_and_a_limit_is_not(here: str, receiver: Receiver) -> None:
    slow, empty = {"code": "rate_limit_exceeded"}, {"type": "insufficient_quota", "code": "insufficient_quota"}
    receiver.answer_with(answer({"error": slow}, 429, headers={"Retry-After": "20"}), answer({"error": empty}, 429))
    service = openai(here)
    with pytest.raises(IntegrationRateLimited) as caught:
        service.chat("Say hello")
    assert caught.value.retry_after == 20.0
    with pytest.raises(IntegrationPermanentError, match="credit"):
        service.chat("Say hello")
    assert len(receiver.requests) == 2


def test_a_prompt_is_not_paid_for_twice(here: str, receiver: Receiver) -> None:
    receiver.answer_with(default=Answer(then="drop"))
    with pytest.raises(IntegrationTemporaryError):
        openai(here).chat("Say hello")
    assert len(receiver.requests) == 1


# -- all of them ----------------------------------------------------------------------------------------------------

SYSTEMS: list[tuple[Callable[..., Any], type[IntegrationConfiguration]]] = [
    (github, GitHubConfiguration),
    (weaviate, WeaviateConfiguration),
    (graph, GraphConfiguration),
    (openai, OpenAIConfiguration),
    (gemini, GeminiConfiguration),
]


@pytest.mark.parametrize(("make", "model"), SYSTEMS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_switch_and_what_is_missing(here: str, caplog: Any, make: Any, model: Any) -> None:
    service = make(here)
    assert service.enabled() and service.require_config() == model.objects.get()
    assert service.logger.name == f"integrations.{service.name}" and service.name == model.of
    row = model.objects.get()
    assert row.missing() == [] and set(row.needed_settings()) <= set(row.settings)
    row.enabled = False
    row.save()
    caplog.set_level(logging.DEBUG)
    with pytest.raises(IntegrationDisabled):
        service.adapter()
    assert service.health_check().error_message == f"{service.name} is switched off"
    assert {record.levelname for record in caplog.records} == {"INFO"}

    row.enabled = True
    for name in row.needed_settings():
        settings = row.settings
        row.apply_settings({key: value for key, value in settings.items() if key != name})
        row.save()
        with pytest.raises(IntegrationNotConfigured, match="incomplete"):
            service.require_config()
        assert not service.health_check().success
        row.apply_settings(settings)


@pytest.mark.parametrize(("make", "model"), SYSTEMS, ids=lambda value: getattr(value, "__name__", ""))
def test_no_secret_is_shown(here: str, receiver: Receiver, caplog: Any, make: Any, model: Any) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.answer_with(default=answer({"error": f"{CANARY} is wrong", "error_description": CANARY}, 401))
    service = make(here)
    result = service.health_check()
    assert not result.success
    adapter = service.adapter()
    assert CANARY not in f"{result!r}{adapter!r}{adapter.http!r}{model.objects.get()!r}{vars(model.objects.get())}"
    assert CANARY not in caplog.text


def test_a_wrong_setting_is_named_and_not_quoted(here: str) -> None:
    service = github(here, config={"base_url": "https://hush.example/", "api_version": "hush"})
    with pytest.raises(ConfigurationError) as caught:
        service.adapter()
    assert {"api_version"} <= set(caught.value.problems) <= {"api_version", "base_url"}
    shown = [str(caught.value), *(frame.f_locals for frame in frames_of(caught.value))]
    assert len(shown) > 1 and "hush" not in repr(shown) and CANARY not in repr(shown)
    with pytest.raises(ConfigurationError, match="unknown"):
        weaviate(here, config={"colour": "red"}).adapter()


def test_a_configuration_that_cannot_be_decrypted_is_not_configured(here: str, settings: Any) -> None:
    service = github(here)
    settings.ENCRYPTION_MASTER_KEY, settings.SECRET_KEY = "07" * 32, "another environment's"
    with pytest.raises(IntegrationNotConfigured, match=r"\.credentials"):
        service.get_issue("owner", "repo", 7)


def test_a_system_that_nobody_built_a_class_for(here: str, receiver: Receiver) -> None:
    """The recipe of docs/config.md."""

    class SearchIntegration(ConnectedIntegration[IntegrationConfiguration]):
        name = "weaviate"

        def _get_config_model(self) -> type[IntegrationConfiguration]:
            return WeaviateConfiguration

        def search(self, text: str) -> Any:
            return self.call("graphql", query=text)

    weaviate(here)
    receiver.answer_with(answer({"data": [1]}))
    assert SearchIntegration().search("{ }") == [1]
    with pytest.raises(ConfigurationError, match="action"):
        SearchIntegration().call("nothing")
