"""Keep what one piece of work sends and gets, as it went over the wire, until its secrets are masked.

    recorder = Recorder()
    token = current.set(recorder)          # from here on the guarded client adds each exchange
    connector.deliver(envelope)
    current.reset(token)
    entries = scribe.entries(recorder, sync.pk, envelope.body, …)

What a recorder holds is secret; what a scribe returns may be stored and shown. One scribe serves the attempts that are
settled together. Their requests are mostly alike, and to mask and store each in full would cost a tenth of sending it:
one that differs from another only in what its row and event say, in time and signature, refers to that one (`Alike`).

What is no HTTP, a mail or a file, is handed over in one go, and kept beside the requests:

    with handing_over("smtp", "smtp://mail.example.com:465", mail, [("MAIL FROM", sender)]) as handover:
        handover.answer = smtp.send(…).reply
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default as MAIL_POLICY
from functools import lru_cache
from typing import Any, NamedTuple

from integrations.errors import IntegrationError, printable
from integrations.transport.redaction import MASK, is_safe_header, mask_url, redact, shown_url
from integrations.transport.response import Response

MOST_EXCHANGES = 10  # of one attempt; of more, the first nine and the last
MOST_BODY = 16_384  # characters of a request's body that are kept
MOST_ANSWER = 4_096  # and of an answer's
MOST_VALUE = 1_000  # and of one header's
_SHORT = 500  # bytes of an answer that an excerpt says as well
_REMEMBERED = 500  # lines
_SPACE = "\n\r\t"
_OURS = re.compile(r"webhook-(?:timestamp: [0-9]{1,12}|signature: v1a?,[A-Za-z0-9+/=]+(?: v1a?,[A-Za-z0-9+/=]+)*)")

# Of which row the request is like, the time, and if there are any, the signature ("" for none) and the trace.
Alike = tuple[int | str, ...]
Entries = list[dict[str, Any]] | Alike

_TIME, _TRACE = "webhook-timestamp: ", "traceparent: "
_TIME_AT, _SIGNATURE_AT = len(_TIME), len("webhook-signature: ")

FROM_ROW = "row"  # what an entry says of a body that is the event's, or what the row's own payload makes of it
HIDDEN = "hidden"  # and of one that is nothing but credentials


class Exchange(NamedTuple):
    """One request and what came of it, unmasked.

    Attributes:
        lines: its headers as libcurl got them; None: it was refused before there were any.
        answer: what came back, or why nothing did.
        is_hidden: its bodies are credentials (a token endpoint's).
    """

    method: str
    url: str
    lines: Sequence[str | bytes] | None
    body: bytes
    answer: Response | IntegrationError
    is_hidden: bool


@dataclass(slots=True)
class Handover:
    """A mail or a file that was handed over without HTTP, and what came of it, unmasked; its repr shows none of it.

    Attributes:
        protocol: ``smtp``, ``sftp`` or ``file``.
        where: the server, as a URL without credentials.
        content: the mail, or what is in the file.
        envelope: what was said beside it, name and value: sender and recipients, the path.
        answer: what the other side said to it.
        error: why it was not taken; None: it was.
    """

    protocol: str
    where: str
    content: bytes = field(repr=False)
    envelope: list[tuple[str, str]] = field(repr=False)
    answer: str = field(default="", repr=False)
    error: IntegrationError | None = None
    milliseconds: int = 0


class Recorder:
    """Collects the exchanges of one attempt; its repr shows none of them."""

    __slots__ = ("exchanges", "left_out", "secrets")

    def __init__(self) -> None:
        self.exchanges: list[Exchange | Handover] = []
        self.left_out = 0
        self.secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Recorder({len(self.exchanges)} exchanges)"

    def add(
        self,
        method: str,
        url: str,
        lines: Sequence[str | bytes] | None,
        body: bytes,
        answer: Response | IntegrationError,
    ) -> None:
        """Take note of one exchange; of more than MOST_EXCHANGES, the last takes the place of the one before."""
        self.keep(Exchange(method, url, lines, body, answer, _is_hidden.get()))

    def keep(self, exchange: Exchange | Handover) -> None:
        """Take note of what is put together already; see `add`."""
        if len(self.exchanges) >= MOST_EXCHANGES:
            self.exchanges.pop()
            self.left_out += 1
        self.exchanges.append(exchange)


current: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
_is_hidden: ContextVar[bool] = ContextVar("recorder_hides", default=False)


@contextmanager
def bodies_hidden() -> Iterator[None]:
    """Let no body of what is exchanged meanwhile be kept: it is made of credentials."""
    token = _is_hidden.set(True)
    try:
        yield
    finally:
        _is_hidden.reset(token)


@contextmanager
def handing_over(
    protocol: str, where: str, content: bytes, envelope: Sequence[tuple[str, str]] = ()
) -> Iterator[Handover]:
    """Keep what the block hands over, with its error if it raises one; see `Handover`."""
    handover, started = Handover(protocol, where, content, list(envelope)), time.perf_counter()
    try:
        yield handover
    except IntegrationError as error:
        handover.error = error
        raise
    except Exception as error:  # its words may hold anything
        handover.error = IntegrationError(f"unexpected {type(error).__name__}", code="unexpected")
        raise
    finally:
        handover.milliseconds = round((time.perf_counter() - started) * 1000)
        if (recorder := current.get()) is not None:
            recorder.keep(handover)


class _Model:
    """A request that was written in full, to which those after it are compared.

    Only such as a signed webhook sends: the event's own bytes, and our lines (`own` and the time), perhaps with a
    signature, between others that stay the same.
    """

    __slots__ = ("answer", "begin", "end", "exchange", "row", "unsigned")

    def __init__(self, row: int, exchange: Exchange, answer: Response, begin: int, unsigned: int, end: int) -> None:
        self.row, self.exchange, self.answer = row, exchange, answer
        self.begin, self.unsigned, self.end = begin, unsigned, end  # our lines, and where those before a signature end

    @classmethod
    def of(cls, row: int, exchange: Exchange, row_body: bytes, own: list[str], excerpt: str) -> _Model | None:
        """Return `exchange` as a model; None if it is of another kind."""
        lines, answer = exchange.lines or (), exchange.answer
        if not isinstance(answer, Response) or exchange.is_hidden or not own or own[0] not in lines:
            return None
        begin = lines.index(own[0])
        end = unsigned = begin + len(own) + 1
        end += end < len(lines) and _OURS.fullmatch(str(lines[end])) is not None
        model = cls(row, exchange, answer, begin, unsigned, end)
        return model if model.differs(exchange, row_body, own, excerpt) is not None else None

    def differs(self, other: Exchange, row_body: bytes, own: list[str], excerpt: str) -> Alike | None:
        """Return what tells `other` from this one: the row of this one, time, signature. None if that is not all."""
        mine, begin, unsigned, end = self.exchange, self.begin, self.unsigned, self.end
        lines, answer = other.lines, other.answer
        if (
            lines is None
            or lines[:begin] != mine.lines[:begin]  # type: ignore[index]
            or lines[end:] != mine.lines[end:]  # type: ignore[index]
            or other.body != row_body
            or other.url != mine.url
            or other.method != mine.method
            or not isinstance(answer, Response)
            or answer.status != self.answer.status
            or not answer.headers.same_as(self.answer.headers)
            or (answer.body and not (excerpt and len(answer.body) <= _SHORT))
        ):
            return None
        when = lines[begin + 1]
        if (
            lines[begin] != own[0]
            or lines[begin + 2 : unsigned] != own[1:]
            or not isinstance(when, str)
            or when[:_TIME_AT] != _TIME
            or not when[_TIME_AT:].isdigit()
        ):
            return None
        traced = (own[-1].removeprefix(_TRACE),) if own[-1].startswith(_TRACE) else ()
        if end == unsigned:
            return (self.row, when[_TIME_AT:], *(("", *traced) if traced else ()))
        signature = lines[end - 1]
        if not isinstance(signature, str) or not _OURS.fullmatch(signature):
            return None
        return (self.row, when[_TIME_AT:], signature[_SIGNATURE_AT:], *traced)


class Scribe:
    """Writes exchanges so that they may be stored and shown.

    Args:
        secrets: returns every value that must not be seen.
        secret_path: addresses are shown without their path.
        address: the destination, as the log's line has it anyway.
    """

    def __init__(self, secrets: Callable[[], Sequence[str]], *, secret_path: bool, address: str) -> None:
        self._secrets = secrets
        self._secret_path = secret_path
        self._address = address
        self._model: _Model | None = None

    def entries(self, recorder: Recorder, row: int, row_body: bytes, own: list[str], excerpt: str) -> Entries:
        """Return what may be stored of the exchanges, in order: an object for each, or how they differ from a row's.

        An object has ``method``, ``url`` (left out where it is `address`), ``head`` and ``body`` of the request,
        ``status``, ``ms``, ``answer_head`` and ``answer`` of what came back, or ``error``. That of a mail or file has
        ``protocol``, ``envelope`` and ``files`` (name, type, size of what is attached) besides. A body that is
        `row_body` is not repeated (``body_is``), nor a short answer that `excerpt` says.

        Args:
            row: what these are the exchanges of.
            row_body: what can be made again of row and event.
            own: the lines with id, event, sequence, attempt and version, of which we know that they hold no secret;
                then that of the trace, if there is one.
            excerpt: what the log keeps of the last answer.
        """
        exchanges = recorder.exchanges
        if len(exchanges) != 1:
            return self._in_full(recorder, row_body, own, excerpt)
        model, only = self._model, exchanges[0]
        if isinstance(only, Handover):
            return self._in_full(recorder, row_body, own, excerpt)
        if model is not None and (alike := model.differs(only, row_body, own, excerpt)) is not None:
            return alike
        found = self._in_full(recorder, row_body, own, excerpt)
        self._model = _Model.of(row, only, row_body, own, excerpt)
        return found

    def _in_full(self, recorder: Recorder, row_body: bytes, own: list[str], excerpt: str) -> list[dict[str, Any]]:
        found = []
        last = len(recorder.exchanges) - 1
        secrets = (*self._secrets(), *recorder.secrets)
        for number, each in enumerate(recorder.exchanges):
            if isinstance(each, Handover):
                found.append(self._handover(each, row_body, secrets))
                continue
            entry: dict[str, Any] = {"method": each.method}
            if url := self._url(each.url, secrets):
                entry["url"] = url
            if each.lines is not None:
                lines = [shown for line in each.lines if (shown := _line(line, own, secrets))]
                entry["head"] = "\n".join(lines)
            if each.body:
                _add_body(entry, each, row_body, secrets)
            answer = each.answer
            if isinstance(answer, Response):
                entry["status"] = answer.status
                entry["ms"] = answer.elapsed_ms
                entry["answer_head"] = "\n".join(
                    [_shown(name, value, secrets) for name, value in answer.headers.pairs()]
                )
                is_said = number == last and excerpt and len(answer.body) <= _SHORT
                if answer.body and not each.is_hidden and not is_said:
                    entry["answer"] = _text(answer.body, (*secrets, *answer.secrets), MOST_ANSWER)
            else:
                entry["error"] = answer.message
                if each.lines is None or not answer.was_sent:
                    entry["was_sent"] = False
            found.append(entry)
        if recorder.left_out:
            found[-1]["left_out"] = recorder.left_out
        return found

    def _handover(self, each: Handover, row_body: bytes, secrets: tuple[str, ...]) -> dict[str, Any]:
        entry: dict[str, Any] = {"protocol": each.protocol, "url": redact(each.where, secrets)[:500]}
        entry["ms"] = each.milliseconds
        entry["envelope"] = _lines(each.envelope, secrets)
        text: bytes | None = each.content
        if each.protocol == "smtp":
            mail = message_from_bytes(each.content, policy=MAIL_POLICY)
            entry["head"] = _lines([(name, str(value)) for name, value in mail.items()], secrets)
            part = mail.get_body(("plain",))
            text = part.get_content().encode() if part is not None else None
            entry["files"] = [
                [
                    redact(printable(file.get_filename() or ""), secrets)[:200],
                    file.get_content_type(),
                    len(content := file.get_content()),
                    FROM_ROW if content == row_body else "",
                ]
                for file in mail.iter_attachments()
            ][:MOST_EXCHANGES]
        if text == row_body:
            entry["body_is"] = FROM_ROW
        elif text is not None:
            entry["body"], entry["size"] = _text(text, secrets, MOST_BODY), len(text)
        if each.error is not None:
            entry["error"] = redact(each.error.message, secrets)
        elif each.answer:
            entry["answer"] = redact(printable(each.answer), secrets)[:MOST_ANSWER]
        return entry

    def _url(self, url: str, secrets: Sequence[str]) -> str:
        if self._secret_path and mask_url(url) == self._address:
            return ""
        return redact(shown_url(url, secret_path=self._secret_path), secrets)[:500]


def _line(line: str | bytes, own: list[str], secrets: tuple[str, ...]) -> str:
    """Return one line of a request's head, "" if libcurl leaves it out."""
    text = line if isinstance(line, str) else line.decode("latin-1")
    if text in own or _OURS.fullmatch(text):
        return text
    name, colon, value = text.partition(":")
    if colon:  # a name alone: it is not sent
        return _shown(name, value.strip(), secrets) if value else ""
    return _shown(name.removesuffix(";"), "", secrets)  # libcurl's way to send one without a value


def _add_body(entry: dict[str, Any], exchange: Exchange, row_body: bytes, secrets: tuple[str, ...]) -> None:
    body = exchange.body
    if exchange.is_hidden:
        entry["body_is"] = HIDDEN
    elif body == row_body:
        entry["body_is"] = FROM_ROW
    else:
        entry["body"], entry["size"] = _text(body, secrets, MOST_BODY), len(body)


@lru_cache(maxsize=_REMEMBERED)  # the same few for every slice, and looking for secrets costs as much as sending
def _shown(name: str, value: str, secrets: tuple[str, ...]) -> str:
    """Return a header as it may be shown: its value, if nothing of that name can be a secret."""
    name = redact(printable(name), secrets)
    text = redact(printable(value), secrets)[:MOST_VALUE] if not value or is_safe_header(name) else MASK
    return f"{name}: {text}"


def _lines(pairs: Sequence[tuple[str, str]], secrets: Sequence[str]) -> str:
    """Return names and values as lines. They are no headers of HTTP: none of them carries credentials."""
    return "\n".join(f"{name}: {redact(printable(value), secrets)[:MOST_VALUE]}" for name, value in pairs)


def _text(body: bytes, secrets: Sequence[str], most: int) -> str:
    """Return a body as text, masked, at most `most` characters of it."""
    read = body[: 8 * most]  # a character has four bytes at most
    try:
        text = read.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(read) - 3 or len(read) == len(body):
            return f"({len(body)} bytes that are no text)"
        text = read[: error.start].decode("utf-8")
    is_split = len(body) > len(read) or len(text) > 2 * most
    text = text[: 2 * most]
    # Masked before it is cut: a secret that the cut splits would not be found.
    shown = redact("".join(char if char in _SPACE or char.isprintable() else "\ufffd" for char in text), secrets)
    if is_split and len(shown) <= most:
        return MASK  # nearly all of it was secret, and its end was split
    return shown if len(shown) <= most else f"{shown[:most]}…"
