"""``pytest -m sandbox`` as a whole, with one "provider" on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from integrations.testing.receiver import Receiver

pytestmark = [pytest.mark.integration, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[3]


def test_the_lane_asks_who_is_there_and_says_whom_it_skipped() -> None:
    with Receiver() as receiver:
        ours = {
            "SANDBOX_WEBHOOK_URL": receiver.url,
            "SANDBOX_WEBHOOK_DELIVER": "1",
            "INTEGRATIONS_ALLOWED_HOSTS": receiver.netloc,
        }
        words = [sys.executable, "-m", "pytest", "-q", "-m", "sandbox", "-p", "no:cacheprovider", "-p", "no:randomly"]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
        done = subprocess.run(
            [*words, "integrations/tests/sandbox"],
            cwd=ROOT,
            env=environ | ours,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(receiver.requests) == 1
    assert "1 passed" in done.stdout
    assert "Slack is not asked: set SANDBOX_SLACK_" in done.stdout
    assert "Microsoft Graph mail is not asked: set SANDBOX_MICROSOFT_GRAPH_TENANT_ID" in done.stdout
