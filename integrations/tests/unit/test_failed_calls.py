"""What a failed call leaves behind: an error in our words, and no secret in the frames that it has passed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from integrations.auth.scheme import BearerAuth
from integrations.auth.spec import OAuth
from integrations.auth.token_endpoint import TokenEndpoint
from integrations.errors import IntegrationError, IntegrationTemporaryError
from integrations.tests.effort import waiting
from integrations.tests.receiver import Answer, Receiver
from integrations.tests.services import is_of_tests
from integrations.transport.deadline import ends_at, within
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.http_client import HTTPClient

OURS = "/integrations/"


@pytest.fixture
def client(receiver: Receiver) -> Iterator[GuardedClient]:
    client = GuardedClient(AddressPolicy(allowed_hosts=(receiver.netloc,)))
    yield client
    client.close()


def locals_of(error: BaseException) -> str:
    """Return what a reporter would show of our frames, the test's own left out."""
    found, frame = [], error.__traceback__
    while frame is not None:
        path = frame.tb_frame.f_code.co_filename
        if OURS in path and not is_of_tests(path):
            found += [f"{frame.tb_frame.f_code.co_name}: {value!r}" for value in list(frame.tb_frame.f_locals.values())]
        frame = frame.tb_next
    return "\n".join(found)


@pytest.mark.parametrize("url", ["/canary-path", "http://10.0.0.1/canary-path", "http://{}/canary-path?k=canary"])
def test_no_secret_in_the_frames_of_a_failed_call(client: GuardedClient, receiver: Receiver, url: str) -> None:
    receiver.answer_with(default=Answer(500))
    caller = HTTPClient(
        receiver.url, {"X-Key": "canary-header"}, client=client, auth=BearerAuth("canary-token"), max_retries=1
    )
    with pytest.raises(IntegrationError) as caught:
        caller.send("POST", url.format(receiver.netloc), json={"password": "canary-body"})
    assert caught.tb.tb_next is not None and "canary" not in locals_of(caught.value)
    assert caught.value.__context__ is None and caught.value.__cause__ is None


def test_no_secret_in_the_frames_of_a_refused_token_request(client: GuardedClient, receiver: Receiver) -> None:
    oauth = OAuth(grant="client_credentials", token_url="http://10.0.0.1/token")
    settings = {"client_id": "app", "client_secret": "canary-secret"}
    with pytest.raises(IntegrationError) as caught:
        TokenEndpoint(oauth, settings, client).client_credentials()
    assert caught.value.code == "ssrf_blocked" and "canary" not in locals_of(caught.value)


def test_all_requests_of_a_block_share_its_deadline(client: GuardedClient, receiver: Receiver) -> None:
    """A delivery that asks for a token, looks and writes may not take three times as long as its lease allows."""
    receiver.answer_with(Answer(200, delay=0.3), default=Answer(200, delay=30))
    with within(1.0):
        with waiting() as waited:
            client.request("GET", receiver.url, timeout=30)
            with within(60.0), pytest.raises(IntegrationTemporaryError):  # an inner block cannot put it off
                client.request("GET", receiver.url, timeout=30)
        assert waited.seconds < 5
        with pytest.raises(IntegrationTemporaryError) as caught:
            client.request("POST", receiver.url, timeout=30)
    assert (caught.value.code, caught.value.was_sent, len(receiver.requests)) == ("timeout", False, 2)
    assert ends_at() == float("inf")
