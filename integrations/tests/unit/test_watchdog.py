"""A process that is beyond help ends: real processes, and a gate with a clock."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest

from integrations.delivery import watchdog
from integrations.delivery.run_slot import Gate
from integrations.tests.services import PROJECT

HEAD = """
import django; django.setup()
import ctypes, threading
from integrations.delivery import run_slot, watchdog
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HEAD + code],
        cwd=PROJECT,
        env={"DJANGO_SETTINGS_MODULE": "app.settings", "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_who_keeps_pythons_lock_is_ended_with_a_traceback() -> None:
    """As an extension does that never lets other threads run; faulthandler's status is 1."""
    found = run("watchdog.start(look_seconds=0.05, frozen_seconds=1.0)\nctypes.PyDLL(None).pause()\n")
    assert found.returncode == 1
    assert "Timeout (0:00:01)!" in found.stderr and "<string>" in found.stderr


def test_a_lane_that_computes_for_ever_ends_its_process() -> None:
    found = run("""
def compute():
    with run_slot.running("lane 7", limit=0.2):
        while True: pass
threading.Thread(target=compute, daemon=True).start()
watchdog.start(look_seconds=0.05).join()
""")
    assert found.returncode == watchdog.EXIT_STATUS
    assert "lane 7 gave no sign for" in found.stderr and "in compute" in found.stderr


def test_a_lane_that_gives_signs_is_left_alone(caplog: Any) -> None:
    now = [0.0]
    gate = Gate(clock=lambda: now[0], has_watcher=False)
    stay = gate.begin("lane 7", limit=90)
    for _ in range(100):
        now[0] += 80
        gate.check(stay)
        watchdog.look(gate, lambda status: pytest.fail("it ends"))
    now[0] += 91
    ends: list[int] = []
    with caplog.at_level(logging.CRITICAL):
        watchdog.look(gate, ends.append)
    assert ends == [watchdog.EXIT_STATUS] and "lane 7" in caplog.text
    gate.end(stay)
    watchdog.look(gate, lambda status: pytest.fail("it ends"))
