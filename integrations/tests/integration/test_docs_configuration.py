"""Every example of the pages about the HTTP client and the system-wide integrations does what its page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import isolate_apps

from integrations import ConnectorRegistry, IntegrationDisabled, config
from integrations.connectors.base import BaseConnector
from integrations.connectors.manifest import Field, Manifest
from integrations.models import IntegrationConfiguration, OpenAIConfiguration, WeaviateConfiguration
from integrations.tests.receiver import Answer, Receiver, Request

pytestmark = [pytest.mark.django_db]

DOCS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def examples(page: str) -> list[str]:
    return BLOCK.findall((DOCS / page).read_text())


def answers(routes: dict[str, Any]) -> Callable[[Request], Answer]:
    """Answer by the longest beginning of "METHOD /path"."""

    def reply(request: Request) -> Answer:
        words = f"{request.method} {request.path}"
        found = [route for route in routes if words.startswith(route)]
        assert found, words
        value = routes[max(found, key=len)]
        return value if isinstance(value, Answer) else Answer(200, body=json.dumps(value).encode())

    return reply


@pytest.fixture
def here(receiver: Receiver, settings: Any) -> str:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc], "HTTP_BASE_SECONDS": 0.0}
    return f"http://{receiver.netloc}"


def names_of(page: str, **more: Any) -> dict[str, Any]:
    """The names that the examples of a page take as given."""
    return {"token": "canary", "api_key": "canary", "client_id": page, "client_secret": "canary", **more}


# -- docs/http-client.md ---------------------------------------------------------------------------------------


def test_http_client(here: str, receiver: Receiver, settings: Any) -> None:
    usage, addresses, once, key, hooks, real, scripted = examples("http-client.md")
    asked: list[Any] = []
    seen: list[Any] = []
    names = names_of(
        "http-client",
        ask_a_person_to_renew_the_token=lambda: asked.append("token"),
        try_again_in=asked.append,
        order=SimpleNamespace(pk=7),
        seen=seen,
    )
    receiver.answer_with(
        answers(
            {
                "GET /repos/owner/repo": {"id": 1},
                "POST /repos/owner/repo/issues": {"number": 2},
                "GET /u/1": Answer(200, body=b"PNG"),
                "POST /orders": {"id": 7},
            }
        )
    )
    exec(usage.replace("https://api.github.com", here), names)
    assert names["data"] == {"id": 1} and names["result"] == {"number": 2} and asked == []
    for status, expected in ((401, "token"), (429, 60), (503, 300)):
        receiver.answer_with(default=status)
        exec(usage.replace("https://api.github.com", here), names)
        assert asked.pop() == expected

    receiver.answer_with(answers({"GET /repos/owner/repo/issues": [], "GET /u/1": Answer(200, body=b"PNG")}))
    with Receiver() as elsewhere:
        settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc, elsewhere.netloc]}
        elsewhere.answer_with(default=Answer(200, body=b"PNG"))
        exec(addresses.replace("https://avatars.example.com", f"http://{elsewhere.netloc}"), names)
        assert names["page"] == [] and names["avatar"] == b"PNG"
        assert "authorization" not in elsewhere.requests[0].headers

    receiver.clear()
    receiver.answer_with(default=500)
    exec(once.replace("https://api.example.com", here), names)
    with pytest.raises(names["IntegrationTemporaryError"]):
        names["client"].get("/x")
    assert len(receiver.requests) == 1

    names["client"] = names["HTTPClient"](here)
    receiver.answer_with(500, Answer(200, body=b'{"id": 7}'))
    exec(hooks, names)
    exec(key, names)
    assert seen == [
        ("POST", f"{here}/orders", 500),
        ("POST", f"{here}/orders", "http_500"),
        ("POST", f"{here}/orders", 200),
    ]
    assert [request.headers["idempotency-key"] for request in receiver.requests[-2:]] == ["7", "7"]

    exec(real, names)
    names["test_retry_on_500"](settings)
    exec(scripted, names)
    names["test_auth_error"]()


# -- docs/config.md ---------------------------------------------------------------------------------------------


def test_config(here: str, receiver: Receiver) -> None:
    create, use, reading, *_ = examples("config.md")
    names = names_of("config")
    exec(create, names)
    OpenAIConfiguration.objects.update(config={"model": "gpt-5-mini", "base_url": here})
    receiver.answer_with(
        answers(
            {
                "POST /v1/chat/completions": {"choices": [{"message": {"content": "A broken screen."}}]},
                "POST /v1/embeddings": {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]},
            }
        )
    )
    exec(use, names)
    assert names["answer"] == "A broken screen." and names["vectors"] == [[1.0], [2.0]]
    exec(reading, names)
    for system in ("github", "weaviate", "graph", "openai", "gemini"):
        assert getattr(config, f"get_{system}_config")() is None or system == "openai"
        assert getattr(config, f"is_{system}_enabled")() == (system == "openai")


@pytest.mark.django_db(transaction=True)
def test_a_service_of_ones_own() -> None:
    own = examples("config.md")[3]
    names = names_of("own", answer_of=lambda endpoint, question: f"{endpoint}: {question}?")
    with isolate_apps("tasks"):
        exec(own, names)
        model = names["MyConfiguration"]
        with connection.schema_editor() as editor:
            editor.create_model(model)
        try:
            service = names["MyIntegration"]()
            with pytest.raises(IntegrationDisabled):
                service.ask("why")
            model.objects.create(enabled=True, endpoint="https://my.example")
            assert service.ask("why") == "https://my.example: why?"
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(model)


def test_another_system(settings: Any) -> None:
    class Zammad(BaseConnector):
        manifest = Manifest(
            key="zammad", label="Zammad", does=("read",), fields=(Field(name="token", kind="secret", required=True),)
        )

        def call(self, action: str, **params: Any) -> Any:
            return action, params, self.settings["token"]

    recipe = examples("config.md")[4]
    names = names_of("zammad")
    registered = dict(admin.site._registry)
    ConnectorRegistry.register("zammad", Zammad)
    try:
        exec(recipe, names)
        model, service = names["ZammadConfiguration"], names["ZammadIntegration"]()
        assert type(admin.site._registry[model]) is names["ZammadAdmin"]
        assert not service.enabled()
        model.objects.create(enabled=True, zammad_token="canary")
        assert service.open_ticket("Help") == ("open_ticket", {"title": "Help"}, "canary")
        assert IntegrationConfiguration.objects.get().name == "zammad"
        assert service.health_check().error_message == "Zammad has no connection check"
    finally:
        ConnectorRegistry.unregister("zammad")
        admin.site._registry.clear()
        admin.site._registry.update(registered)
        apps.all_models["tasks"].pop("zammadconfiguration", None)
        apps.clear_cache()


# -- docs/github.md, weaviate.md, graph-mail.md --------------------------------------------------------------------


def test_github(here: str, receiver: Receiver) -> None:
    configure, read, write = examples("github.md")
    names = names_of("github")
    exec(read, names)
    assert names["issue"] is None  # nothing is configured
    exec(configure.replace("github_token=token", f"github_token=token, github_base_url={here!r}"), names)
    receiver.answer_with(
        answers(
            {
                "GET /repos/octocat/hello-world/issues/7": {"number": 7},
                "GET /repos/octocat/hello-world/issues?": [{"title": "One"}],
                "POST /repos/octocat/hello-world/issues": Answer(201, body=b'{"number": 8}'),
            }
        )
    )
    exec(read, names)
    exec(write, names)
    assert (names["issue"], names["made"], names["titles"]) == ({"number": 7}, {"number": 8}, ["One"])


def test_weaviate(here: str, receiver: Receiver) -> None:
    configure, use = examples("weaviate.md")
    names = names_of("weaviate")
    exec(configure, names)
    row = WeaviateConfiguration.objects.get()
    row.weaviate_url = here
    row.save()
    receiver.answer_with(answers({"GET /v1/objects/Event/": {"id": "x"}, "POST /v1/graphql": {"data": {"a": 1}}}))
    exec(use, names)
    assert (names["found"], names["data"]) == ({"id": "x"}, {"a": 1})


def test_graph_mail(here: str, receiver: Receiver) -> None:
    configure, use = examples("graph-mail.md")
    names = names_of("graph")
    exec(configure, names)
    row = IntegrationConfiguration.objects.get(name="microsoft_graph")
    row.config = {**row.config, "base_url": here, "login_url": here}
    row.save()
    token = {"access_token": "t", "token_type": "Bearer", "expires_in": 3599}
    receiver.answer_with(answers({"POST /contoso.com/": token, "POST /users/": Answer(202, body=b"")}))
    exec(use, names)
    assert [request.path for request in receiver.requests] == [
        "/contoso.com/oauth2/v2.0/token",
        "/users/noreply@contoso.com/sendMail",
        "/users/noreply@contoso.com/sendMail",
    ]


# -- docs/moving-a-service.md -------------------------------------------------------------------------------------


def test_moving_a_service(here: str, receiver: Receiver) -> None:
    imports, inherit, call, handle = examples("moving-a-service.md")
    told: list[str] = []
    model = type("MyConfiguration", (), {})
    names = names_of(
        "moving", MyConfiguration=model, tell_the_operator=told.append, try_again_later=lambda: told.append("later")
    )
    for step in (imports, inherit, call):
        exec(step, names)
    row = SimpleNamespace(enabled=True, api_key="canary", endpoint=here)
    names["MyService"].get_config = lambda self: row

    receiver.answer_with(answers({"GET /things": [1, 2]}))
    exec(handle, names)
    assert names["found"] == [1, 2] and receiver.requests[0].headers["x-api-key"] == "canary"
    for status, word in ((401, "the key of myservice is refused"), (503, "later")):
        receiver.answer_with(default=status)
        exec(handle, names)
        assert told.pop() == word
    row.api_key = ""
    exec(handle, names)
    assert told.pop() == "complete the configuration of myservice"
    row.enabled = False
    exec(handle, names)
    assert names["found"] == [] and told == []
