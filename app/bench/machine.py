"""Describe the machine and the versions that a run was measured with."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from app.embedded_broker import PROJECT

PACKAGES = (
    "django",
    "celery",
    "kombu",
    "psycopg",
    "redis",
    "urllib3",
    "requests",
    "pycurl",
    "django-webhook",
    "django-outbound-webhooks",
    "django-domain-events",
)


def describe() -> dict[str, str]:
    """Return what a reader must know to compare figures: processors, memory, system, versions, revision."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} not installed")
    return {
        "processor": f"{os.cpu_count()} × {_field('/proc/cpuinfo', 'model name') or platform.machine()}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(versions),
        "revision": _revision(),
    }


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def is_busy(value: float) -> bool:
    """Tell whether others use so much of the machine that a measurement says little."""
    return value > 0.5 * (os.cpu_count() or 1)


def _field(file: str, name: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _memory() -> str:
    total = _field("/proc/meminfo", "MemTotal").split()
    return f"{int(total[0]) / 1024 / 1024:.0f} GiB" if total else "unknown"


def _revision() -> str:
    try:
        words = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
