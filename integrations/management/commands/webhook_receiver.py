"""``manage.py webhook_receiver``: print each webhook that arrives, verify it, fail on purpose when told."""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import signal
import socket
import sys
import threading
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from integrations.management.receiver import Behaviour, Received, Receiver, marker, signature_text


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("expected 0 to 86400 seconds")
    return value


def _failures(text: str) -> tuple[int, float]:
    """Read ``2`` (the first two), ``0.3`` or ``30%`` (that part of all)."""
    try:
        if text.endswith("%") or "." in text:
            rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
            if 0 <= rate <= 1:
                return 0, rate
        elif int(text) >= 0:
            return int(text), 0.0
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("expected a number of requests (2) or a rate (0.3 or 30%%)")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return value


def _status(text: str) -> int:
    value = int(text)
    if not 200 <= value <= 599:
        raise argparse.ArgumentTypeError("expected an HTTP status from 200 to 599")
    return value


class Command(BaseCommand):
    help = (
        "Print each webhook that arrives, verify its signature, and fail on purpose when told. "
        "Secrets may also come from WEBHOOK_RECEIVER_SECRETS (separated by spaces) and "
        "WEBHOOK_RECEIVER_API_KEY, which keeps them out of the process list."
    )
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--host", default="127.0.0.1", help="Address to listen on (default: %(default)s).")
        add("--port", type=int, default=8099, help="Port; 0 takes a free one (default: %(default)s).")
        add("--fd", type=int, metavar="N", help="File descriptor of a socket that listens already; then no --port.")
        add("--secret", action="append", default=[], metavar="whsec_…", help="Signing secret; repeatable.")
        add("--api-key", default="", metavar="VALUE", help="Ask for this X-API-Key; else answer 403.")
        add("--fail", type=_failures, default=(0, 0.0), metavar="N|RATE", help="Fail the first N, or a part.")
        add("--fail-every", type=_positive, default=0, metavar="N", help="Fail every N-th request.")
        add("--status", type=_status, default=500, help="Status of a failure (default: %(default)s).")
        add("--retry-after", type=int, metavar="SECONDS", help="Retry-After header on failures.")
        add("--delay", type=_seconds, default=0.0, metavar="SECONDS", help="Wait before each answer.")
        add("--drip", action="store_true", help="Send the answer one byte per second.")
        add("--json", action="store_true", help="Print one JSON object per webhook.")

    def handle(self, *args: Any, **options: Any) -> None:
        secrets = options["secret"] + os.environ.get("WEBHOOK_RECEIVER_SECRETS", "").split()
        for position, secret in enumerate(secrets, 1):
            _check_secret(position, secret)
        first, rate = options["fail"]
        behaviour = Behaviour(
            secrets=tuple(secrets),
            api_key=options["api_key"] or os.environ.get("WEBHOOK_RECEIVER_API_KEY", ""),
            fail_first=first,
            fail_rate=rate,
            fail_every=options["fail_every"],
            status=options["status"],
            retry_after=options["retry_after"],
            delay=options["delay"],
            drip=options["drip"],
        )
        announce = self._announce_json if options["json"] else self._announce
        try:
            if options["fd"] is not None:
                receiver = Receiver(socket.socket(fileno=options["fd"]), behaviour, announce)
            else:
                receiver = Receiver((options["host"], options["port"]), behaviour, announce)
        except (OSError, OverflowError) as error:
            where = f"{options['host']}:{options['port']}"
            if options["fd"] is not None:
                raise CommandError(f"Cannot listen on the file descriptor {options['fd']}: {error}.") from None
            raise CommandError(f"Cannot listen on {where}: {error}. Choose another --port.") from None
        self._serve(receiver, quiet=options["json"])

    def _serve(self, receiver: Receiver, *, quiet: bool) -> None:
        stop = threading.Event()
        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, lambda *_: stop.set())
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        try:
            thread.start()
            # On stderr with --json, so that stdout stays one JSON object per line.
            self._print(f"Listening on {receiver.url} (open it in a browser; Ctrl-C stops)", error=quiet)
            stop.wait()
        finally:
            receiver.shutdown()
            receiver.stop()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _announce(self, received: Received) -> None:
        ok = received.status < 300
        words = [
            received.time[11:23],
            self._paint(f"{'✓' if ok else '✗'} {received.status}", good=ok),
            received.event_type,
            received.reference or "-",
            received.webhook_id or "(no webhook-id)",
        ]
        if received.sequence:
            words.append(f"sequence {received.sequence}")
        if note := marker(received):
            words.append(self.style.WARNING(note))
        words.append(self._paint(signature_text(received), good=received.signature_ok))
        self._print("  ".join(words))

    def _announce_json(self, received: Received) -> None:
        row = asdict(received)
        del row["body"]
        self._print(json.dumps(row))

    def _paint(self, text: str, *, good: bool | None) -> str:
        if good is None:
            return text
        return self.style.SUCCESS(text) if good else self.style.ERROR(text)

    def _print(self, text: str, *, error: bool = False) -> None:
        """Write one line and flush: the reader may be a pipe, and its encoding may not know ✓."""
        stream = sys.stderr if error else self.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "replace").decode(encoding) + ("\n" if error else ""))
            stream.flush()
        except (BrokenPipeError, ValueError):
            return  # nobody reads any more; keep answering


def _check_secret(position: int, secret: str) -> None:
    """Refuse what could never verify anything, without repeating it."""
    kind, _, text = secret.partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if kind not in ("whsec", "whpk") or not key:
        raise CommandError(f"Signing secret number {position} is not of the form whsec_<base64>.")
