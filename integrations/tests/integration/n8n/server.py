"""A real n8n for tests: its own folder, a free loopback port, stopped by its own process group.

In: N8N_HOME, a folder with node_modules/.bin/n8n (docs/N8N_WEBHOOK_SETUP.md says how to make one), and workflows as
n8n exports them. Out: a running server, its URLs, and the executions it recorded.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from integrations.tests.services import wait_until

COMMAND_SECONDS = 180.0  # one n8n command; the first also makes the database
READY_SECONDS = 180.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Execution:
    """One run of a workflow: ``status`` is n8n's word, ``nodes`` the items that each node put out, ``error`` what
    n8n shows of the node that failed."""

    status: str
    nodes: dict[str, list[dict[str, Any]]]
    error: str = ""


class N8n:
    """One n8n server. ``start`` and ``stop`` may be repeated; data and port stay.

    Args:
        command: the n8n executable.
        folder: empty; becomes n8n's home with its database.
        env: more environment variables for it.
    """

    def __init__(self, command: Path, folder: Path, env: Mapping[str, str]) -> None:
        self._command = str(command)
        self._folder = folder
        self._log = folder / "n8n.log"
        self.netloc = f"127.0.0.1:{_free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {
            "PATH": os.environ["PATH"],  # for node
            "HOME": str(folder),
            "N8N_USER_FOLDER": str(folder),
            "N8N_LISTEN_ADDRESS": "127.0.0.1",
            "N8N_HOST": "127.0.0.1",
            "N8N_PORT": self.netloc.rpartition(":")[2],
            "N8N_RUNNERS_BROKER_PORT": str(_free_port()),
            "N8N_EXPRESSION_ENGINE": "legacy",  # the other one needs Node 22
            "N8N_BLOCK_ENV_ACCESS_IN_NODE": "false",
            "N8N_DIAGNOSTICS_ENABLED": "false",
            "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
            "N8N_TEMPLATES_ENABLED": "false",
            "N8N_PERSONALIZATION_ENABLED": "false",
            **env,
        }
        self._active: set[str] = set()

    def url(self, path: str) -> str:
        """Return the production URL of a Webhook node's `path`."""
        return f"http://{self.netloc}/webhook/{path}"

    def install(self, credentials: Path, workflows: Sequence[Mapping[str, Any]]) -> None:
        """Import `credentials` and `workflows`, all inactive."""
        self._run("import:credentials", f"--input={credentials}")
        file = self._folder / "workflows.json"
        file.write_text(json.dumps(list(workflows)))
        self._run("import:workflow", f"--input={file}")

    def activate(self, *workflow_ids: str) -> None:
        """Activate these workflows; n8n must be stopped, a running one would not notice."""
        for workflow_id in workflow_ids:  # one by one: 2.x knows no --all here
            self._run("update:workflow", f"--id={workflow_id}", "--active=true")
        self._active.update(workflow_ids)

    def start(self) -> None:
        """Start the server and return when its active workflows answer (``/healthz`` answers earlier)."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self._command, "start"],
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_text = self._log.read_text(errors="replace")
                self.stop()
                pytest.fail(f"n8n did not start:\n{log_text[-4000:]}", pytrace=False)
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        text = self._log.read_text(errors="replace")
        return "Editor is now accessible" in text and all(f"(ID: {pk})" in text for pk in self._active)

    def stop(self) -> None:
        """End what `start` started, gently first."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

    def executions(self, workflow_id: str) -> list[Execution]:
        """Return the runs of a workflow that n8n has stored to the end, oldest first."""
        database = self._folder / ".n8n" / "database.sqlite"
        query = (
            "SELECT e.status, d.data FROM execution_entity e JOIN execution_data d ON d.executionId = e.id"
            " WHERE e.workflowId = ? AND e.stoppedAt IS NOT NULL ORDER BY e.id"
        )
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
            rows = connection.execute(query, (workflow_id,)).fetchall()
        found = [_execution(status, _unflatten(data)["resultData"]) for status, data in rows]
        return [execution for execution in found if execution.nodes]  # the nodes are written a moment later

    def runs_of(self, workflow_id: str, webhook_id: str | None) -> list[Execution]:
        """Return the stored runs that the event `webhook_id` caused; None: those without one."""
        runs = self.executions(workflow_id)
        return [run for run in runs if run.nodes["Webhook"][0]["headers"].get("webhook-id") == webhook_id]

    def wait_for_runs(self, workflow_id: str, webhook_id: str | None, count: int = 1) -> list[Execution]:
        """Return them once there are `count`; n8n stores a run just after it has ended."""

        def enough() -> list[Execution]:
            found = self.runs_of(workflow_id, webhook_id)
            return found if len(found) >= count else []

        return wait_until(enough, 30, f"{count} run(s) of {workflow_id} for {webhook_id}")

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            [self._command, *words],
            env=self._env,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        if done.returncode:
            pytest.fail(f"n8n {words[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}", pytrace=False)


def _execution(status: str, result: dict[str, Any]) -> Execution:
    nodes = {
        node: [item["json"] for branch in tries[-1].get("data", {}).get("main", []) for item in branch or []]
        for node, tries in result["runData"].items()
    }
    error = result.get("error") or {}
    return Execution(status, nodes, " ".join(map(str, error.get("messages") or [error.get("message", "")])))


def _unflatten(text: str) -> Any:
    """Read n8n's stored runs: a JSON list in which every text inside an entry is the index of another entry."""
    entries = json.loads(text)

    def follow(value: Any) -> Any:
        return read(entries[int(value)]) if isinstance(value, str) else value

    def read(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {key: follow(value) for key, value in entry.items()}
        return [follow(value) for value in entry] if isinstance(entry, list) else entry

    return read(entries[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
