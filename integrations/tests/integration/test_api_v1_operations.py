"""Every operation of API v1, enumerated from its document: who may call it, what it leaves, what each answer has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache as kept
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.core.cache import cache
from jsonschema import Draft202012Validator

from integrations.api.v1.api import api
from integrations.api.v1.document import TAGS
from integrations.api_keys.scopes import Scope, scopes
from integrations.audit.trail import AuditEntry
from integrations.console import urls as console
from integrations.database import clock
from integrations.pull import handlers
from integrations.tenancy.capabilities import Capability
from integrations.tenancy.roles import Role
from integrations.tests.api_world import OPERATIONS, Operation, World, call, key_for, person
from integrations.tests.factories import make_integration, make_item

pytestmark = [pytest.mark.integration, pytest.mark.django_db, pytest.mark.portable]

IN_ORDER = sorted(OPERATIONS, key=lambda operation: operation.is_last)
EVERY_SCOPE = ("read", "deliveries:write", "integrations:write", "audit:read", "workitems:read", "workitems:write")
PROBLEM = "application/problem+json"
TABLE = Path(__file__).resolve().parents[3] / "docs" / "api-and-console.md"


@kept
def document() -> dict[str, Any]:
    return json.loads(json.dumps(api.get_openapi_schema(), default=str))


@pytest.fixture(autouse=True)
def _http(settings: Any, broker: Any) -> Iterator[None]:
    settings.SECURE_SSL_REDIRECT = False
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def world() -> Iterator[World]:
    there = World("acme")
    family, resource = there.integration.provider_family, there.pull.resource_type
    handlers.handles(family, resource)(lambda items, connection: None)
    yield there
    handlers.forget(family, resource)


def send(world: World, operation: Operation, **options: Any) -> Any:
    return call(operation.method, world.path(operation.path), operation.body, **options)


def described(operation: Operation) -> dict[str, Any]:
    found: dict[str, Any] = document()["paths"][f"/api/v1{operation.path}"][operation.method]
    return found


def _fields_of(operation: Operation) -> set[str]:
    """Return the fields of what is sent."""
    body = described(operation).get("requestBody")
    if not body:
        return set()
    return set(_named(body["content"]["application/json"]["schema"])["properties"])


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that `schema` refers to; beside it there is null, where a body may be left out."""
    name = schema.get("anyOf", [schema])[0]["$ref"].rpartition("/")[2]
    found: dict[str, Any] = document()["components"]["schemas"][name]
    return found


def test_every_operation_of_the_document_has_a_case() -> None:
    found = {
        f"{method} {path.removeprefix('/api/v1')}" for path, item in document()["paths"].items() for method in item
    }
    assert found == {str(operation) for operation in OPERATIONS}


@pytest.mark.parametrize("role", ["", "viewer", "operator", "manager"])
def test_a_person_does_what_the_role_says_and_no_more(world: World, role: str) -> None:
    client = person(world.tenant, role)
    for operation in IN_ORDER:
        world.prepare(operation)
        answer = send(world, operation, client=client)
        said = (str(operation), answer.status_code, answer.content)
        needs = operation.needs
        if needs is None or (isinstance(needs, Capability) and role and Role.named(role) >= needs.role):
            assert answer.status_code == operation.expected, said
            continue
        assert (answer.status_code, answer["Content-Type"]) == (403, PROBLEM), said
        words = f"role {needs.role.word}" if isinstance(needs, Capability) else "permissions tasks."
        assert f"need the {words}" in answer.json()["detail"]


@pytest.mark.parametrize("scope", EVERY_SCOPE)
def test_a_key_does_what_its_scope_says_and_no_more(world: World, scope: str) -> None:
    key, text = key_for(world.tenant, scope)
    for operation in IN_ORDER:
        world.prepare(operation)
        answer = send(world, operation, key=text)
        said = (str(operation), answer.status_code, answer.content)
        needs = operation.needs
        if needs is None or (key.has(needs.name) if isinstance(needs, Scope) else key.may(needs)):
            assert answer.status_code == operation.expected, said
        else:
            assert (answer.status_code, answer["Content-Type"]) == (403, PROBLEM), said
            assert "This API key needs the scope" in answer.json()["detail"]


def test_every_scope_is_tried_and_allows_something() -> None:
    ours = {scope.name: scope for scope in scopes()}
    assert set(EVERY_SCOPE) <= set(ours)
    for name in EVERY_SCOPE:
        needs = [operation.needs for operation in OPERATIONS]
        assert ours[name] in needs or any(each in ours[name].capabilities for each in needs), name


@pytest.mark.parametrize("key", [str(2**63), "9" * 30, "-1", "1.5", "²", "abc", "00000000-0000-0000-0000-000000000000"])
def test_what_can_be_no_rows_key_is_not_found_or_refused(world: World, key: str) -> None:
    """Where an address names a row, and in each filter of a list."""
    client = person(world.tenant, "manager")
    client.raise_request_exception = False
    tried, wrong = 0, []
    for operation in OPERATIONS:
        addresses = [re.sub(r"\{\w+\}", quote(key), operation.path)] if "{" in operation.path else []
        if operation.method == "get":
            asked = (each["name"] for each in described(operation).get("parameters", ()) if each["in"] == "query")
            addresses += [f"{world.path(operation.path)}?{urlencode({name: key})}" for name in asked]
        for address in addresses:
            answer = call(operation.method, address, operation.body, client=client)
            tried += 1
            if answer.status_code >= 500:
                wrong.append(f"{operation.method} {address}: {answer.status_code}")
    assert wrong == []
    assert tried > 80


def test_another_tenants_rows_do_not_exist(world: World) -> None:
    other = World("umbrella")
    everything = ("tasks.view_workitem", "tasks.view_note", "tasks.add_workitem", "tasks.change_workitem")
    client = person(other.tenant, "manager", *everything, "tasks.add_note")
    _, text = key_for(other.tenant, *EVERY_SCOPE)
    for operation in OPERATIONS:
        world.prepare(operation)
        is_row = "{public_id}" in operation.path or "{pk}" in operation.path
        for caller in ({"client": client}, {"key": text}):
            answer = send(world, operation, **caller)
            if is_row:
                assert answer.status_code == 404, (str(operation), answer.status_code)
            elif operation.method == "get" and operation.path != "/connector-types":  # an example there names Acme
                assert "acme" not in answer.content.decode(), str(operation)
            if "tenant" not in _fields_of(operation):
                continue
            theirs = {**operation.body, "tenant": world.tenant.slug}
            answer = call(operation.method, operation.path, theirs, **caller)
            assert answer.json()["fields"] == {"tenant": "there is no such tenant"}, str(operation)
    for filtered in ("/deliveries", "/inbound", "/pulls", "/pushes", "/statistics", "/audit"):
        answer = call("get", f"{filtered}?integration={world.integration.public_id}", client=client)
        assert answer.status_code == 404 or answer.json()["data"] == [], filtered
    backfill = {"kind": "backfill", "integration": str(world.integration.public_id), "model": "tasks.workitem"}
    replay = {"kind": "replay", "filter": {"integration": str(world.integration.public_id)}}
    for path in ("/jobs", "/jobs/preview"):
        assert call("post", path, backfill, client=client).status_code == 404
        assert call("post", path, replay, client=client).status_code == 404


def test_a_stranger_learns_nothing(world: World) -> None:
    for operation in OPERATIONS:
        answer = send(world, operation)
        assert answer.status_code == 401, str(operation)
        assert answer["Content-Type"] == PROBLEM and answer["WWW-Authenticate"] == "Bearer"
        answer = send(world, operation, key="iok_wrong")
        assert (answer.status_code, answer.json()["code"]) == (401, "wrong_api_key")


def test_every_write_is_done_once_and_leaves_the_key_and_its_address_in_the_audit_trail(world: World) -> None:
    key, text = key_for(world.tenant, *EVERY_SCOPE)
    for operation in IN_ORDER:
        if operation.method == "get":
            continue
        world.prepare(operation)
        name = {"Idempotency-Key": str(operation)}
        before = set(AuditEntry.objects.values_list("pk", flat=True))
        first = send(world, operation, key=text, **name)
        assert first.status_code == operation.expected, (str(operation), first.content)
        entries = AuditEntry.objects.exclude(pk__in=before)
        headers = described(operation)["responses"][str(operation.expected)]["headers"]
        assert ("Location" in headers) == ("Location" in first), str(operation)
        assert ("ETag" in headers) == ("ETag" in first), str(operation)
        said = set(entries.values_list("actor", "source", "address", "tenant_key"))
        expected = {(f"API key {key.name}", "api", "127.0.0.1", str(world.tenant.pk))} if operation.writes else set()
        assert said == expected, str(operation)
        count = entries.count()
        again = send(world, operation, key=text, **name)
        assert again["Idempotent-Replayed"] == "true", str(operation)
        assert (again.status_code, again.content) == (first.status_code, first.content), str(operation)
        for header in ("ETag", "Location", "Cache-Control"):
            assert again.get(header) == first.get(header), (str(operation), header)
        assert entries.count() == count, str(operation)
        other = call(operation.method, world.path(operation.path), {"another": 1}, key=text, **name)
        assert other.status_code == 422, (str(operation), other.content)


def test_every_answer_to_a_key_says_what_is_left(world: World, settings: Any) -> None:
    clock.measured(0.0, local=1_800_000_000.0, at=clock.elapsed())  # a minute begins
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "API_KEY_PER_MINUTE": len(OPERATIONS) + 5}
    _, text = key_for(world.tenant, "read")
    answers = [send(world, operation, key=text) for operation in IN_ORDER]
    answers.append(call("get", "/nothing", key=text))
    answers.append(call("put", "/deliveries", key=text))
    answers.append(call("get", "/deliveries?limit=0", key=text))
    assert {200, 403, 404, 405, 422} <= {answer.status_code for answer in answers}
    for number, answer in enumerate(answers, 1):
        assert answer["RateLimit-Limit"] == str(len(OPERATIONS) + 5)
        assert answer["RateLimit-Remaining"] == str(len(OPERATIONS) + 5 - number)
        assert 1 <= int(answer["RateLimit-Reset"]) <= 60
    for _ in range(2):
        call("get", "/me", key=text)
    refused = call("get", "/me", key=text)
    assert (refused.status_code, refused["RateLimit-Remaining"]) == (429, "0")
    assert refused["Retry-After"] == refused["RateLimit-Reset"]


def test_a_method_that_an_address_does_not_have_is_a_problem(world: World) -> None:
    answer = call("delete", "/deliveries", client=person(world.tenant, "manager"))
    assert (answer.status_code, answer["Content-Type"], answer["Allow"]) == (405, PROBLEM, "GET")


@pytest.mark.parametrize("role", ["viewer", "manager"])
def test_reading_costs_no_more_for_more_rows(world: World, role: str, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        make_item(world.tenant, reference_id=f"RMA-{number}")
        make_integration(world.tenant, name=f"hook {number}")
    client = person(world.tenant, role, "tasks.view_workitem", "tasks.view_note")
    for operation in OPERATIONS:
        is_theirs = not isinstance(operation.needs, Capability) or Role.named(role) >= operation.needs.role
        if operation.method == "get" and is_theirs:
            path = world.path(operation.path)
            with django_assert_max_num_queries(25):
                assert call("get", path, client=client).status_code == 200


# -- the document ---------------------------------------------------------------------------------------------------


def _example_of(schema: dict[str, Any]) -> Any:
    found = _named(schema)
    return found["examples"][0] if "examples" in found else None


def _check(schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": document()["components"]}).validate(value)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_is_described_with_examples_that_are_true(operation: Operation) -> None:
    said = described(operation)
    assert said["summary"] and said["description"]
    assert len(said["tags"]) == 1
    if body := said.get("requestBody"):
        schema = body["content"]["application/json"]["schema"]
        example = _example_of(schema)
        assert example is not None
        _check(schema, example)
    for status, response in said["responses"].items():
        schema = next(iter(response.get("content", {"": {"schema": None}}).values()))["schema"]
        if schema is None:
            assert status in ("204", "304", "414")
            continue
        example = _example_of(schema)
        if example is None:  # a page: its rows have one
            rows = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]["data"]
            schema, example = rows["items"], _example_of(rows["items"])
        assert example is not None, (status, schema)
        _check(schema, example)
        assert "RateLimit-Remaining" in response["headers"]
    names = {each["name"] for each in said["parameters"]}
    assert ("Idempotency-Key" in names) == (operation.method != "get")


def test_every_tag_is_described_and_every_operation_has_a_name_of_its_own() -> None:
    described_tags = {tag["name"]: tag["description"] for tag in document()["tags"]}
    assert set(TAGS) <= set(described_tags)
    names = [each["operationId"] for item in document()["paths"].values() for each in item.values()]
    assert len(names) == len(set(names))


def test_the_table_of_what_the_console_does_is_whole() -> None:
    text = TABLE.read_text()
    told = set(re.findall(r"`/([^` ]*)`", text))
    pages = {_plain(str(pattern.pattern)) for pattern in console.urlpatterns}
    assert pages - told == {"<rest>"}  # what no page has
    assert {each for each in told if each.endswith("/")} - pages == {"health/"}
    operations = {f"{operation.method.upper()} {_plain(operation.path)}" for operation in OPERATIONS}
    named = {_plain(each) for each in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^` ]*)`", text)}
    assert named == operations


def _plain(address: str) -> str:
    """Return an address as the table has it: ids are called id."""
    address = re.sub(r"<(?:[a-z]+:)?(\w+)>", r"<\1>", address)
    return re.sub(r"(?<=[<{])(pk|public_id)(?=[>}])", "id", address)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_nothing_that_is_sent_is_answered_otherwise_than_documented(web: Any, tmp_path: Path) -> None:
    """Every operation, with real ids, with thousands of right and wrong requests made from the document."""
    there = World("acme")
    for number in range(5):
        make_item(there.tenant, reference_id=f"RMA-{number}")
    _, text = key_for(there.tenant, *EVERY_SCOPE)
    server = web(env={"HTTPS": "false", "INTEGRATIONS_API_KEY_PER_MINUTE": "1000000"})
    checks = (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
    )
    for is_real in (True, False):
        settings = tmp_path / f"schemathesis-{is_real}.toml"
        settings.write_text(_real_ids(there) if is_real else "")
        words = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run"]
        words += [f"{server.address}/api/v1/openapi.json", "--header", f"Authorization: Bearer {text}"]
        words += ["--max-examples", "10", "--seed", "1", "--checks", ",".join(checks)]
        words += ["--phases", "examples,coverage,fuzzing", "--no-color"]
        # What ends the world that the others are tried in, and what talks to the network.
        words += ["--exclude-path-regex", "/(test|check)$"]
        words += ["--exclude-operation-id", _name_of("delete", "/integrations/{public_id}")]
        done = subprocess.run(words, capture_output=True, text=True, timeout=420)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def _name_of(method: str, path: str) -> str:
    return str(document()["paths"][f"/api/v1{path}"][method]["operationId"])


def _real_ids(world: World) -> str:
    """Return settings of Schemathesis that fill in the ids of rows that are there."""
    parts = []
    for path in document()["paths"]:
        short = path.removeprefix("/api/v1")
        if "{" not in short:
            continue
        template, real = short.split("/"), world.path(short).split("/")
        values = [(name[1:-1], value) for name, value in zip(template, real, strict=True) if name.startswith("{")]
        lines = "\n".join(
            f'"path.{name}" = {value if value.isdigit() else json.dumps(value)}' for name, value in values
        )
        parts.append(f'[[operations]]\ninclude-path = "{path}"\n[operations.parameters]\n{lines}\n')
    return "\n".join(parts)
