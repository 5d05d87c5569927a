"""The first load of the connectors, while another thread imports one of them."""

from __future__ import annotations

import subprocess
import sys

BEFORE_ANYTHING_IS_LOADED = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
import django; django.setup()
from integrations.connectors.base import BaseConnector
from integrations.connectors.registry import ConnectorRegistry
assert not ConnectorRegistry._loaded
class Mine(BaseConnector): pass
for replace in (False, True):
    try:
        ConnectorRegistry.register("SAP", Mine, replace=replace)
    except ValueError as error:
        print(str(error).split()[5])
print(ConnectorRegistry.type_of("SAP").__name__, len(ConnectorRegistry.all()) > 10)
"""

SCRIPT = """
import importlib, os, threading
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
import django; django.setup()
from integrations.connectors.registry import ConnectorRegistry
assert not ConnectorRegistry._loaded
start = threading.Barrier(2)
def look_up():
    start.wait(); ConnectorRegistry.type_of("slack")
def import_one():
    start.wait(); importlib.import_module("integrations.connectors.kinds.salesforce")
threads = [threading.Thread(target=work, daemon=True) for work in (look_up, import_one)]
[thread.start() for thread in threads]
[thread.join(20) for thread in threads]
print("stuck" if any(thread.is_alive() for thread in threads) else "loaded", flush=True)
os._exit(0)
"""


def test_two_threads_do_not_wait_for_each_other() -> None:
    """One holds the registry's lock and wants the module's, the other the other way round."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["loaded"], done.stderr


def test_a_host_that_registers_first_is_told_at_once_that_a_name_is_ours() -> None:
    command = [sys.executable, "-c", BEFORE_ANYTHING_IS_LOADED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    ours = "integrations.connectors.kinds.sap.connector.SAPConnector"
    assert done.stdout.split() == [ours, "Mine", "True"], done.stderr
