"""The pure parts of the benchmark: statistics, catalogue, tables, charts; and its receivers and proxy on loopback."""

from __future__ import annotations

import http.client
import json
import math
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from app.bench import receiver as receivers
from app.bench import report
from app.bench.__main__ import main
from app.bench.catalogue import SCENARIOS, Scenario, scenario
from app.bench.delay_proxy import DelayProxy
from app.bench.figures import Spread, percentile, percentiles, ratio, spread, times, written
from app.bench.ours import workers
from app.bench.processes import BenchError, Processes, cpu_of, tree
from app.bench.receiver import Receiver
from app.bench.report import Bar, Group, chart
from app.embedded_broker import PROJECT
from integrations.tests.services import wait_until

# -- statistics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "expected"), [(0, 1), (0.5, 3), (0.25, 2), (0.9, 4.6), (1, 5)], ids=["least", "p50", "p25", "p90", "most"]
)
def test_a_percentile_lies_between_its_neighbours(part: float, expected: float) -> None:
    assert percentile([5, 1, 4, 2, 3], part) == pytest.approx(expected)


def test_percentiles_of_nothing_are_no_numbers() -> None:
    assert all(math.isnan(value) for value in percentiles([]).values())
    assert set(percentiles([1], "save_")) == {"save_p50", "save_p95", "save_p99", "save_max"}


def test_a_percentile_of_lost_events_is_infinite() -> None:
    assert percentile([1, math.inf, math.inf], 0.99) == math.inf


def test_a_part_beyond_one_is_refused() -> None:
    with pytest.raises(ValueError, match="part is 95; it must be between 0 and 1"):
        percentile([1], 95)


def test_a_spread_leaves_out_runs_without_the_metric() -> None:
    runs = [{"rate": 3.0}, {}, {"rate": math.nan}, {"rate": 1.0}, {"rate": 8.0}]
    assert spread(runs, "rate") == Spread(3.0, 1.0, 8.0, 3)
    assert spread(runs, "cpu") is None


def test_a_ratio_needs_both_values() -> None:
    assert ratio(3, 2) == 1.5
    assert ratio(3, 0) is ratio(None, 2) is ratio(3, None) is ratio(math.nan, 2) is None


def test_figures_are_written_as_long_as_they_say_something() -> None:
    assert [times(value) for value in (None, 0.583, 7.31, 42.42, 314.1)] == ["–", "0.58 ×", "7.31 ×", "42.4 ×", "314 ×"]
    assert [written(value, 1) for value in (None, math.nan, math.inf, 12345.67)] == ["–", "–", "∞", "12,345.7"]


# -- what a process uses ------------------------------------------------------------------------------


def test_a_process_tree_holds_all_descendants_and_nobody_else() -> None:
    table = {1: (0, 0.0, 0), 10: (1, 0.0, 0), 11: (10, 0.0, 0), 12: (11, 0.0, 0), 20: (1, 0.0, 0)}
    assert tree(table, [10]) == {10, 11, 12}
    assert tree(table, [99]) == set()


def test_cpu_is_user_and_system_time() -> None:
    words = ["S", *["0"] * 10, "300", "100", "0"]
    assert cpu_of(words) * 4 == cpu_of([*words[:11], "1600", "0", "0"])


# -- the catalogue ------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", SCENARIOS, ids=[one.key for one in SCENARIOS])
def test_a_scenario_names_what_it_has(one: Scenario) -> None:
    subjects, metrics = {subject.key for subject in one.subjects}, {metric.key for metric in one.metrics}
    assert one.base in subjects
    assert {one.ratio, *one.chart} <= metrics
    assert one.subjects[0].run is not None
    for target in one.targets:
        for place in (target.of, target.over, target.minus):
            assert place is None or (place[0] in subjects and place[1] in metrics), target
    for subject in one.subjects:
        if subject.run is not None:
            module, _, function = subject.run.partition(":")
            assert callable(getattr(import_module(module), function))


def test_scenarios_have_names_of_their_own() -> None:
    assert len({one.key for one in SCENARIOS}) == len(SCENARIOS)
    assert len({one.title for one in SCENARIOS}) == len(SCENARIOS)


def test_the_workers_are_those_of_the_documentation() -> None:
    """Whoever changes the documented set-up changes what is measured with it."""
    page = (PROJECT / "docs" / "OPERATIONS.md").read_text()
    for command in workers(None, sqlite=False):
        words = " ".join(command[1 : command.index("--loglevel")])
        assert f"`{words}`" in page


# -- the report ---------------------------------------------------------------------------------------


def _run(**scenarios: Any) -> report.Run:
    about = {"processor": "2 × X", "memory": "4 GiB", "system": "Linux", "python": "CPython", "packages": "django 5"}
    return {
        "format": 1,
        "scale": "quick",
        "begun": "2026-01-02T03:04:05+00:00",
        "machine": {**about, "revision": "abc"},
        "database": "PostgreSQL 15",
        "broker": "Redis 7",
        "receiver": "C",
        "load": [0.1, 0.2],
        "seconds": 12.0,
        "scenarios": scenarios,
    }


def _drained() -> report.Run:
    runs = {
        "ours": [{"rate": 2000.0, "worker_ms": 0.4}, {"rate": 2400.0, "worker_ms": 0.5}, {"rate": 2200.0}],
        "bare-pycurl": [{"rate": 4000.0}],
        "django-webhook-tuned": [{"rate": 300.0}],
    }
    errors = {"one-task-each": "BenchError: 60 s passed\nmore"}
    return _run(**{"drain-1": {"settings": {"rows": 1500}, "load": [], "runs": runs, "errors": errors}})


def test_a_table_holds_medians_spreads_and_ratios() -> None:
    table = {row[0]: row[1:] for row in report.rows(scenario("drain-1"), _drained()["scenarios"]["drain-1"])}
    assert table["this project"] == ["2,200 (2,000–2,400)", "0.450 (0.400–0.500)", "1.00 ×"]
    assert table["bare loop, pycurl"] == ["4,000", "–", "1.82 ×"]
    assert table["one task for each delivery"][0] == "no result: BenchError: 60 s passed"
    assert table["django-webhook, stock"] == ["–", "–", "–"]


def test_targets_are_judged_where_both_sides_were_measured() -> None:
    found = report.verdicts(scenario("drain-1"), _drained()["scenarios"]["drain-1"])
    judged = {target.label: (round(value, 2), within) for target, value, within in found}
    assert judged["at least half of the bare pycurl loop"] == (0.55, True)
    assert judged["14 × django-webhook, tuned"] == (7.33, False)
    assert judged["CPU of the worker for each delivery"] == (0.45, False)
    assert "CPU of the database for each delivery" not in judged


def test_a_difference_is_judged_too() -> None:
    runs = {name: [{"create_auto": value}] for name, value in (("plain", 1.5), ("one", 4.5), ("five", 9.0))}
    found = report.verdicts(scenario("save-network"), {"runs": runs})
    assert [(value, within) for _, value, within in found] == [(3.0, True), (7.5, False)]


def test_many_metrics_of_few_subjects_stand_on_their_side() -> None:
    metrics = {metric.key: 1.0 for metric in scenario("save").metrics}
    table = report.rows(scenario("save"), {"runs": {"plain": [metrics], "one": [metrics]}})
    assert table[0][:2] == ["", "a model that nobody captures"]
    assert table[1][0] == "create, autocommit, ms"


def test_the_text_names_machine_scenario_and_verdict() -> None:
    text = report.text(_drained())
    assert "2 × X" in text and "load average 0.10 → 0.20" in text
    assert "Drain: 1 lane, 1 process (rows 1,500)" in text
    assert "  one task for each delivery        no result: BenchError: 60 s passed\n" in text
    assert "at least half of the bare pycurl loop: 0.55 ×, wanted ≥ 0.5 ×: reached" in text


def test_a_busy_machine_is_said() -> None:
    assert "others were using the machine" in report.text({**_drained(), "load": [1000.0, 0.0]})


def test_the_page_gets_tables_charts_and_what_does_less(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    (tmp_path / "performance").mkdir()
    (tmp_path / "performance" / "gone.svg").write_text("old")
    report.publish(_drained(), page)
    text = page.read_text()
    assert text.startswith("# Before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| this project | 2,200 (2,000–2,400) |" in text
    assert "- bare loop, pycurl: a limit" in text
    assert "![Drain: 1 lane, 1 process](performance/drain-1.svg)" in text
    assert sorted(file.name for file in (tmp_path / "performance").iterdir()) == ["drain-1.svg", "results.json"]
    assert report.read(tmp_path / "performance" / "results.json") == _drained()
    report.publish(_drained(), page)
    assert page.read_text() == text


def test_several_runs_become_one_and_each_figure_tells_on_what_it_was_measured() -> None:
    first = {**_drained(), "load": [0.1, 0.1]}
    first["scenarios"] = {**first["scenarios"], "memory": {"settings": {}, "runs": {"ours": [{"end": 140.0}]}}}
    second = {**_drained(), "load": [0.7, 0.7]}
    found = report.together([first, second])
    assert [(part["of"], part["load"]) for part in found["parts"]] == [
        (["memory"], [0.1, 0.1]),
        (["drain-1"], [0.7, 0.7]),
    ]
    assert found["scenarios"]["drain-1"] is second["scenarios"]["drain-1"]
    for text in (report.text(found), report.markdown(found)):
        assert (
            text.index("`memory`:") < text.index("0.10 → 0.10") < text.index("`drain-1`:") < text.index("0.70 → 0.70")
        )


def test_a_run_that_is_several_already_brings_its_own_parts() -> None:
    def run(load: float, *keys: str) -> dict[str, Any]:
        found = {"settings": {}, "runs": {"ours": [{"end": 140.0}]}}
        return {**_drained(), "load": [load, load], "scenarios": {key: dict(found) for key in keys}}

    several = report.together([run(0.1, "memory", "sweep"), run(0.2, "drain-1")])
    last = run(0.3, "sweep", "delete")
    for found, parts in (
        (report.together([several, last]), [(["memory"], 0.1), (["drain-1"], 0.2), (["sweep", "delete"], 0.3)]),
        (report.together([last, several]), [(["delete"], 0.3), (["memory", "sweep"], 0.1), (["drain-1"], 0.2)]),
    ):
        assert [(part["of"], part["load"][0]) for part in found["parts"]] == parts
        assert found == report.together([found])


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Nothing here\n")
    with pytest.raises(ValueError, match="has no lines"):
        report.publish(_drained(), page)
    assert page.read_text() == "# Nothing here\n"


def test_another_file_is_no_run(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"format": 7}')
    with pytest.raises(ValueError, match="format is 7, expected 1"):
        report.read(file)


def test_a_chart_is_xml_with_a_bar_for_each_value() -> None:
    groups = [
        Group("a & b", [Bar("p50", Spread(1, 1, 1, 1)), Bar("p99", Spread(4, 3, 6, 3))], is_ours=True),
        Group("c", [Bar("p50", None), Bar("p99", Spread(2, 2, 2, 1))]),
    ]
    root = ElementTree.fromstring(chart('A "title"', "ms", groups))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{space}rect")) == 1 + 3
    texts = [element.text for element in root.findall(f"{space}text")]
    assert "a & b" in texts and "no result" in texts and "4.0" in texts
    widths = [float(bar.attrib["width"]) for bar in root.findall(f"{space}rect")[1:]]
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.01)


def test_every_scenario_can_be_drawn_and_written() -> None:
    scenarios = {
        one.key: {
            "settings": {},
            "load": [],
            "runs": {subject.key: [{metric.key: 1.0 for metric in one.metrics}] for subject in one.subjects},
        }
        for one in SCENARIOS
    }
    run = _run(**scenarios)
    for drawing in report.drawings(run).values():
        ElementTree.fromstring(drawing)
    text = report.markdown(run)
    for one in SCENARIOS:
        assert f"### {one.title}\n" in text
    assert report.text(run)


def test_the_published_results_are_those_of_the_published_run() -> None:
    """Nobody types a figure: the page is what ``python -m app.bench report --publish`` makes of the run beside it."""
    page = PROJECT / "docs" / "performance.md"
    run = report.read(page.with_suffix("") / "results.json")
    _, _, rest = page.read_text().partition(report.BEGIN)
    assert rest.partition(report.END)[0].strip() == report.markdown(run).strip()
    for name, drawing in report.drawings(run).items():
        assert (page.with_suffix("") / name).read_text() == drawing


# -- the command line ---------------------------------------------------------------------------------


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [one.key for one in SCENARIOS]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "drian"], "unknown scenario drian"),
        (["--set", "rows=many"], "--set rows=many: expected NAME=NUMBER"),
    ],
)
def test_a_wrong_word_is_said_before_anything_runs(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 1
    assert said in capsys.readouterr().err


# -- receivers ----------------------------------------------------------------------------------------


@pytest.fixture(params=["native", "loop"])
def counter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    if request.param == "loop":
        monkeypatch.setattr(receivers, "compiled", lambda: None)
    elif receivers.compiled() is None:
        pytest.skip("no C compiler here")
    with Processes() as processes, closing(Receiver(processes, "test-receiver")) as receiver:
        yield receiver


def _post(connection: http.client.HTTPConnection, path: str, body: str = "{}", **headers: str) -> int:
    connection.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    response.read()
    return response.status


def test_a_receiver_answers_by_path_and_body_and_keeps_the_connection(counter: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", counter.port, timeout=10)
    bad = json.dumps({"reference_id": "BAD-1"})
    good = json.dumps({"reference_id": "G-1"}, separators=(",", ":"))
    asked = [("/hook/1", bad), ("/bad/", bad), ("/bad/", good), ("/status/410/", good), ("/delay/1/", good)]
    connection.connect()
    kept = connection.sock
    assert [_post(connection, path, body, webhook_id="evt_7") for path, body in asked] == [200, 500, 200, 410, 200]
    assert connection.sock is kept
    connection.close()
    found = counter.arrivals()
    assert [(one.path, one.status, one.id, one.reference) for one in found[:2]] == [
        ("/hook/1", 200, "evt_7", "BAD-1"),
        ("/bad/", 500, "evt_7", "BAD-1"),
    ]
    assert found[2].reference == "G-1"
    assert counter.count() == 5
    assert [one.at for one in found] == sorted(one.at for one in found)
    counter.reset()
    assert counter.arrivals() == []


def test_a_receiver_hangs_when_it_is_told_to(counter: Receiver) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", counter.port, timeout=10)
    assert _post(connection, "/later/1") == 200
    counter.hang(True)
    assert _post(connection, "/hook/1") == 200
    with socket.create_connection(("127.0.0.1", counter.port), 10) as hung:
        hung.sendall(b"POST /later/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        wait_until(lambda: counter.count() == 3)
        assert [one.status for one in counter.arrivals()] == [200, 200, 0]
    counter.hang(False)
    assert _post(connection, "/later/1") == 200
    connection.close()


def test_a_receiver_reads_pipelined_and_split_requests(counter: Receiver) -> None:
    request = b'POST /hook/ HTTP/1.1\r\nHost: x\r\ncontent-length: 20\r\n\r\n{"reference_id": "1"}'
    with socket.create_connection(("127.0.0.1", counter.port), 10) as connection:
        connection.sendall(request * 2 + request[:70])
        connection.sendall(request[70:])
        with connection.makefile("rb") as answers:
            for _ in range(3):
                assert answers.readline().startswith(b"HTTP/1.1 200 ")
                while answers.readline() != b"\r\n":
                    pass
                assert answers.read(11) == b'{"ok":true}'
    assert [one.reference for one in counter.arrivals()] == ["1", "1", "1"]


def test_a_receiver_ends_with_whoever_started_it() -> None:
    with Processes() as processes:
        started = Receiver(processes, "test-receiver").process
        assert started.process.poll() is None
    assert started.process.poll() is not None


def test_a_process_that_ends_early_is_said_with_its_words() -> None:
    with Processes() as processes:
        started = processes.start("test-early", [sys.executable, "-c", "raise SystemExit('no room left')"])
        with pytest.raises(BenchError, match=r"(?s)test-early ended \(1\).*no room left"):
            started.wait_for("ready")


# -- the network between ------------------------------------------------------------------------------


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets, and an end for an end."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)
    listener.close()


def test_the_proxy_passes_every_byte_on_in_order_and_the_end_too(echo: int) -> None:
    before = threading.active_count()
    proxy = DelayProxy(("127.0.0.1", echo), round_trip=0.004)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    sent = bytes(range(256)) * 2000
    received = b""
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
        writer = threading.Thread(target=lambda: (client.sendall(sent), client.shutdown(socket.SHUT_WR)))
        writer.start()
        while data := client.recv(65536):
            received += data
        writer.join(10)
    assert received == sent
    proxy.close()
    thread.join(10)
    assert not thread.is_alive()
    wait_until(lambda: threading.active_count() <= before)  # it closed its sockets


def test_the_proxy_closes_where_the_other_side_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    proxy = DelayProxy(("127.0.0.1", port), round_trip=0)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
        assert client.recv(1) == b""
    proxy.close()
    thread.join(10)
