"""What ``celery inspect active`` and ``reserved`` tell about our tasks: ids, never a payload."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request

SHOWN = ("integration_id", "sync_id", "webhook_event_id")


class QuietRequest(Request):
    """A worker's view of one message. Without this, ``inspect`` repeats the arguments in full."""

    def info(self, safe: bool = False) -> Any:
        kwargs = {name: self.kwargs[name] for name in SHOWN if name in self.kwargs}
        return {**super().info(safe=True), "args": "(…)" if self.args else "()", "kwargs": kwargs}
