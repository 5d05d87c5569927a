"""No configured secret comes out: not in a log, an error, a result, a repr, nor the locals of a traceback."""

from __future__ import annotations

import json
import logging

import pytest

from integrations.connectors.port import Envelope
from integrations.errors import IntegrationError
from integrations.transport import recording
from integrations.transport.redaction import mask_url

from .leaks import holds, leaks_of
from .receiver import Answer, Request
from .world import TOKEN, World


class SecrecyChecks(World):
    def test_secrets_are_long_enough_to_be_looked_for(self) -> None:
        manifest, settings = self.connector.manifest, self.settings()
        short = [
            name
            for name in sorted(manifest.secret_names)
            if name in settings and not any(len(line) >= 8 for line in str(settings[name]).splitlines())
        ]
        assert not short, f"give these secrets of `config` eight characters or more: {', '.join(short)}"

    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500])
    def test_an_echoed_secret_goes_nowhere(self, status: int, caplog: pytest.LogCaptureFixture) -> None:
        """A receiver that repeats all it got, as debugging proxies do."""
        caplog.set_level(logging.DEBUG)
        connector = self.bound()

        def echo(request: Request) -> Answer:
            if self.is_token_request(request):
                return TOKEN
            told = {"path": request.path, "headers": request.headers, "body": request.body.decode("utf-8", "replace")}
            return Answer(status, json.dumps({**told, "secrets": self.secrets}).encode())

        self.server.answer_with(echo)
        self._assert_nothing_shown(connector, caplog)

    @pytest.mark.parametrize("then", ["reset", "redirect", "garbage"])
    def test_a_failure_shows_no_secret(self, then: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        place = {"Location": f"https://evil.example/{next(iter(self.secrets), '')}"}
        answers = {"reset": Answer(then="reset"), "redirect": Answer(308, headers=place), "garbage": Answer(200, b"\0")}
        self.answering(answers[then])
        self._assert_nothing_shown(self.bound(), caplog)

    def _assert_nothing_shown(self, connector: object, caplog: pytest.LogCaptureFixture) -> None:
        shown = [repr(connector), repr(vars(connector).get("binding")), repr(vars(connector).get("http"))]
        envelope, recorder = self.envelope(), recording.Recorder()
        noting = recording.current.set(recorder)
        try:
            result = self.call(connector, envelope)  # type: ignore[arg-type]
        except IntegrationError as error:
            secrets = self.secrets + self._sent
            places = leaks_of(error, secrets, caller=self)
            assert not places, f"{type(error).__name__} shows a secret: {'; '.join(places)}"
            assert error.__cause__ is None, "raise … from None: what caused it holds addresses and headers"
            assert len(error.excerpt) <= 500
        else:
            secrets = self.secrets + self._sent
            shown.append(repr(result))
        finally:
            recording.current.reset(noting)
        shown.append(_written(recorder, connector, envelope))
        assert not holds("".join(shown), secrets), "a repr shows a secret"
        assert not holds(caplog.text, secrets), "a log line shows a secret"

    @property
    def _sent(self) -> list[str]:
        """What authenticated the requests so far: encoded, signed or fetched, it is as good as the secret."""
        sent = (request.headers.get("authorization", "").rpartition(" ")[2] for request in self.server.requests)
        return [value for value in sent if len(value) >= 8]


def _written(recorder: recording.Recorder, connector: object, envelope: Envelope) -> str:
    """Return what the execution log would keep of what was exchanged."""
    scribe = recording.Scribe(
        lambda: connector.secrets,  # type: ignore[attr-defined]
        secret_path=connector.manifest.secret_path,  # type: ignore[attr-defined]
        address=mask_url(connector.base_url),  # type: ignore[attr-defined]
    )
    return json.dumps(scribe.entries(recorder, 1, envelope.body, [], ""), ensure_ascii=False)
