"""What a worker of its own imports to collect spans: ``celery worker -I integrations.tests.traced_process``.

As a host sets up an SDK, but with a file in the place of a collector: TRACE_FILE, a line of JSON for each span.
"""

from __future__ import annotations

import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

_file = open(os.environ["TRACE_FILE"], "a")  # noqa: SIM115, PTH123 - for as long as the process lives
_exporter = ConsoleSpanExporter(out=_file, formatter=lambda span: f"{span.to_json(indent=None)}\n")
_provider = TracerProvider()
_provider.add_span_processor(SimpleSpanProcessor(_exporter))
trace.set_tracer_provider(_provider)
