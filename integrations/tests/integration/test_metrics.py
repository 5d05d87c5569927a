"""What Prometheus is told: who may ask, what the names are, and that a real Prometheus reads it and fires its rules."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from integrations.alone import MAX_DEATHS
from integrations.delivery import operator_actions
from integrations.delivery.drain import drain
from integrations.delivery.models import Lane
from integrations.metrics import worker as metrics_worker
from integrations.models import IntegrationSync, TenantIntegration
from integrations.observability.heartbeat import beat
from integrations.statistics.reading import HOUR_LONG, Whose, totals
from integrations.tests.factories import make_integration, make_item, make_tenant
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import Broker, WebProcess, missing, wait_until

DOCS = Path(__file__).resolve().parents[3] / "docs"
TOKEN = "a token of forty characters, or about that"

pytestmark = [pytest.mark.integration, pytest.mark.django_db]


@pytest.fixture
def asked(settings: Any, broker: Broker) -> Any:
    settings.SECURE_SSL_REDIRECT = False
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "METRICS_TOKEN": TOKEN}
    client = Client(headers={"Authorization": f"Bearer {TOKEN}"})

    def ask() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        answer = client.get("/metrics")
        assert answer.status_code == 200, answer.content
        families = text_string_to_metric_families(answer.content.decode())
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    return ask


def test_only_who_has_the_token_or_the_address_may_ask(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    base = dict(settings.INTEGRATIONS)
    assert Client().get("/metrics").status_code == 404
    settings.INTEGRATIONS = {**base, "METRICS_TOKEN": TOKEN}
    for header in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer töken"):
        assert Client(headers={"Authorization": header}).get("/metrics").status_code == 403
    assert Client(headers={"Authorization": f"Bearer {TOKEN}"}).get("/metrics").status_code == 200
    settings.INTEGRATIONS = {**base, "METRICS_NETWORKS": ["10.0.0.0/8", "::1/128"]}
    assert Client(REMOTE_ADDR="10.9.8.7").get("/metrics").status_code == 200
    assert Client(REMOTE_ADDR="::1").get("/metrics").status_code == 200
    for address in ("11.0.0.1", "", "no address"):
        assert Client(REMOTE_ADDR=address).get("/metrics").status_code == 403
    # Through a proxy, whose own address is in such a network.
    proxied = Client(REMOTE_ADDR="10.0.0.2", headers={"X-Forwarded-For": "10.9.9.9, 203.0.113.9"})
    assert proxied.get("/metrics").status_code == 403
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "PROXIES": 1}
    assert proxied.get("/metrics").status_code == 403
    assert Client(REMOTE_ADDR="10.0.0.2").get("/metrics").status_code == 200
    inside = Client(REMOTE_ADDR="10.0.0.2", headers={"X-Forwarded-For": "10.9.9.9"})
    assert inside.get("/metrics").status_code == 200


def test_a_delivery_is_counted_by_its_outcome(asked: Any, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    integration = make_integration(make_tenant(), receiver.url)
    before = asked()
    receiver.answer_with(200, 500, default=500)
    for number in range(2):
        make_item(integration.tenant, reference_id=f"RMA-{number}")
        drain(integration.pk)
    after = asked()

    def grown(outcome: str) -> float:
        key = ("integrations_deliveries_total", (("connector_type", "webhook"), ("outcome", outcome)))
        return float(after.get(key, 0) - before.get(key, 0))

    assert (grown("delivered"), grown("failed"), grown("given_up")) == (1, 1, 0)
    requests = ("integrations_delivery_request_seconds_count", (("connector_type", "webhook"),))
    assert after[requests] - before.get(requests, 0) == 2
    connections = ("integrations_http_connections_total", (("outcome", "opened"),))
    assert after[connections] > before.get(connections, 0)


def test_the_age_of_a_delivery_includes_its_wait_for_those_before_it(
    asked: Any, receiver: Receiver, settings: Any
) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc], "PARALLEL_SECONDS": 60.0}
    integration = make_integration(make_tenant(), receiver.url)
    receiver.answer_with(default=Answer(200, delay=0.1))
    for number in range(3):
        make_item(integration.tenant, reference_id=f"RMA-{number}")
    before = asked()
    drain(integration.pk)
    age = ("integrations_delivery_age_seconds_sum", (("connector_type", "webhook"),))
    grown = asked()[age] - before.get(age, 0)
    assert grown * 1000 == pytest.approx(totals(Whose(integration=integration.pk), HOUR_LONG).age_ms, abs=5)


def test_what_was_never_sent_took_no_time(asked: Any, receiver: Receiver, settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "ALLOWED_HOSTS": [receiver.netloc]}
    integration = make_integration(make_tenant(), receiver.url)
    make_item(integration.tenant)
    IntegrationSync.objects.update(deaths=MAX_DEATHS, first_failed_at=timezone.now())
    before = asked()
    drain(integration.pk)
    after = asked()
    given_up = ("integrations_deliveries_total", (("connector_type", "webhook"), ("outcome", "given_up")))
    assert after[given_up] - before.get(given_up, 0) == 1 and not receiver.requests
    requests = ("integrations_delivery_request_seconds_count", (("connector_type", "webhook"),))
    assert after[requests] == before.get(requests, 0)


def test_the_state_is_read_from_the_database(asked: Any) -> None:
    beat("worker")
    tenant = make_tenant()
    made = [make_integration(tenant, events=("workitem_created",), name=f"hook {n}") for n in range(5)]
    operator_actions.pause(made[4], actor="ann")
    TenantIntegration.objects.filter(pk=made[0].pk).update(is_active=False)
    TenantIntegration.objects.filter(pk=made[1].pk).update(is_enabled=False)
    Lane.objects.filter(pk=made[2].pk).update(paused_until=timezone.now() + timedelta(hours=1))
    make_item(tenant)
    old = timezone.now() - timedelta(minutes=10)
    IntegrationSync.objects.filter(integration__in=made).update(next_attempt_at=old)
    found = asked()

    def value(name: str, /, **labels: str) -> float:
        return found[f"integrations_{name}", tuple(sorted(labels.items()))]

    states = {
        state: value("lanes", state=state) for state in ("off", "disabled", "paused", "resting", "idle", "sending")
    }
    assert states == {"off": 1, "disabled": 1, "paused": 1, "resting": 1, "idle": 1, "sending": 0}
    assert value("backlog_rows") == 4  # the one that is off was owed nothing
    assert value("oldest_due_seconds", lanes="free") >= 600
    assert value("oldest_due_seconds", lanes="resting") >= 600
    assert value("parts_up", part="database") == 1
    assert value("queue_workers", queue="slow") == 0
    assert ("integrations_heartbeat_age_seconds", (("name", "worker"),)) in found
    names = {integration.name for integration in made} | {str(tenant)}
    assert not [labels for _, labels in found if names & {each for _, each in labels}]


def test_an_empty_product_answers_too(asked: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(15):
        found = asked()
    assert found["integrations_backlog_rows", ()] == 0
    assert found["integrations_oldest_due_seconds", (("lanes", "free"),)] == 0


def test_probes(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = False
    assert Client().get("/health/live").status_code == 200
    assert Client().get("/health/ready").status_code == 200
    assert Client().post("/health/live").status_code == 405


def test_rules_dashboard_and_page_name_metrics_that_exist(asked: Any) -> None:
    sources = [DOCS / "observability" / name for name in ("alerts.yml", "alerts_test.yml", "grafana.json")]
    texts = [path.read_text() for path in (*sources, DOCS / "observability.md")]
    answer = Client(headers={"Authorization": f"Bearer {TOKEN}"}).get("/metrics").content.decode()
    families = {family.name for family in text_string_to_metric_families(answer)}
    for text in texts:
        named = set(re.findall(r"\bintegrations_[a-z_]+", text))
        assert named
        assert not {name for name in named if re.sub(r"_(total|bucket|count|sum)$", "", name) not in families}
    page = texts[-1]
    ours = {name for name in families if name.startswith("integrations_") and not name.endswith("_created")}
    assert not {name for name in ours if name not in page}
    panels = json.loads(sources[2].read_text())["panels"]
    assert len({panel["title"] for panel in panels}) == len(panels)


@pytest.mark.slow
def test_every_rule_fires_once() -> None:
    if not shutil.which("promtool"):
        missing("promtool is not installed (Debian's package prometheus)")
    rules = yaml.safe_load((DOCS / "observability/alerts.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((DOCS / "observability/alerts_test.yml").read_text())["tests"]
    fired = {rule["alertname"] for test in tests for rule in test["alert_rule_test"] if rule.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules}
    done = subprocess.run(
        ["promtool", "test", "rules", str(DOCS / "observability/alerts_test.yml")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_worker_answers_on_its_port(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings.INTEGRATIONS = {**settings.INTEGRATIONS, "METRICS_PORT": port}
        metrics_worker.serve()  # says that the port is taken, and goes on
    metrics_worker.serve()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert "integrations_sweeps_total" in answer.read().decode()
    finally:
        metrics_worker.stop()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_reads_web_and_worker(
    web: Any, celery_worker: Any, receiver: Receiver, tmp_path: Path
) -> None:
    if not shutil.which("prometheus"):
        missing("Prometheus is not installed (Debian's package prometheus)")
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
        port, own = free.getsockname()[1], other.getsockname()[1]
    counted = tmp_path / "counted"
    counted.mkdir()
    shared = {"INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc, "PROMETHEUS_MULTIPROC_DIR": str(counted)}
    celery_worker(pool="prefork", concurrency=2, env={**shared, "INTEGRATIONS_METRICS_PORT": str(port)})
    server: WebProcess = web(env={"INTEGRATIONS_METRICS_TOKEN": TOKEN, "HTTPS": "false"})
    make_item(make_integration(make_tenant(), receiver.url).tenant)
    receiver.wait_for(1)
    config = {
        "global": {"scrape_interval": "1s"},
        "rule_files": [str(DOCS / "observability/alerts.yml")],
        "scrape_configs": [
            {
                "job_name": "integrations",
                "authorization": {"credentials": TOKEN},
                "static_configs": [{"targets": [server.address.removeprefix("http://")]}],
            },
            {"job_name": "workers", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
        ],
    }
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    words = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    words += [f"--web.listen-address=127.0.0.1:{own}", "--log.level=error"]
    with subprocess.Popen(["prometheus", *words]) as prometheus:

        def value(query: str) -> float | None:
            address = f"http://127.0.0.1:{own}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
                return float(found[0]["value"][1]) if found else None
            return None

        try:
            delivered = 'integrations_deliveries_total{job="workers",outcome="delivered"}'
            wait_until(lambda: value(delivered) == 1, timeout=60)
            wait_until(lambda: value('up{job="integrations"}') == 1, timeout=60)
            assert value('integrations_parts_up{part="database"}') == 1
            assert value('integrations_queue_workers{queue="deliveries"}') == 1
        finally:
            prometheus.terminate()
