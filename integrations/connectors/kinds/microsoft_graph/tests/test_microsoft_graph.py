"""Microsoft Graph: app tokens, sendMail, throttling, its error codes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import pytest

from integrations.connectors.kinds.microsoft_graph import MicrosoftGraphConnector
from integrations.connectors.tests.fixtures import Connect
from integrations.connectors.tests.samples import CHANGES, PAYLOAD, answer, envelope, failure, wire
from integrations.errors import ConfigurationError, IntegrationError
from integrations.errors import IntegrationAuthError as Auth
from integrations.errors import IntegrationPermanentError as Permanent
from integrations.errors import IntegrationRateLimited as Limited
from integrations.errors import IntegrationTemporaryError as Temporary
from integrations.tests.receiver import Answer, Receiver, Request

ACCESS = "eyJ0eXAi-canary7f3a91"
SECRET = "secret-canary7f3a91"
SEND = "/v1.0/users/noreply@contoso.com/sendMail"
TOKEN = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "fresh-canary7f3a91"}


def graph(connect: Connect, receiver: Receiver, **more: Any) -> MicrosoftGraphConnector:
    """Bound, and signed in already."""
    here = f"http://{receiver.netloc}"
    given = {
        "tenant_id": "contoso.onmicrosoft.com",
        "client_id": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "client_secret": SECRET,
        "sender": "noreply@contoso.com",
        "to": "jane@example.com\njohn@example.com",
        "base_url": f"{here}/v1.0",
        "login_url": here,
        "session": ACCESS,
        **more,
    }
    return connect(MicrosoftGraphConnector, **given)


def refusal(code: str, message: str = "No.") -> dict[str, Any]:
    inner = {"date": "2025-11-05T20:30:00", "request-id": "c9c1b3f1", "client-request-id": "c9c1b3f1"}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def recipients(*addresses: str) -> list[dict[str, Any]]:
    return [{"emailAddress": {"address": address}} for address in addresses]


# -- mail -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "body", "save"),
    [
        ({"text": "Hello"}, {"contentType": "Text", "content": "Hello"}, False),
        ({"html": "<b>Hello</b>", "save": True}, {"contentType": "HTML", "content": "<b>Hello</b>"}, True),
    ],
)
def test_send_mail(connect: Connect, receiver: Receiver, given: Any, body: Any, save: bool) -> None:
    receiver.answer_with(answer(None, 202))
    response = graph(connect, receiver).send_mail("noreply@contoso.com", "jane@example.com", "Done", **given)
    assert response.status == 202
    (request,) = receiver.requests
    message = {"subject": "Done", "body": body, "toRecipients": recipients("jane@example.com")}
    assert wire(request) == ("POST", SEND, {"message": message, "saveToSentItems": save})
    assert request.headers["authorization"] == f"Bearer {ACCESS}"


def test_an_event_becomes_a_mail(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(None, 202))
    connector = graph(
        connect,
        receiver,
        subject="Repair {workitem.reference_id} is {workitem.status}",
        fields="Customer: workitem.customer.name",
    )
    receipt = connector.deliver(envelope({**PAYLOAD, "changes": CHANGES}))
    assert (receipt.status, receipt.excerpt) == (202, "")
    message = {
        "subject": "Repair RMA-123 is New",
        "body": {
            "contentType": "Text",
            "content": "iPhone screen repair\n\nCustomer: John Doe\n\nStatus: New → In Progress",
        },
        "toRecipients": recipients("jane@example.com", "john@example.com"),
        "internetMessageHeaders": [{"name": "x-webhook-id", "value": "evt_7"}],
    }
    assert wire(receiver.requests[0]) == ("POST", SEND, {"message": message, "saveToSentItems": False})


@pytest.mark.parametrize("payload", [{}, {"order": {"id": 7}}, {"workitem": {"name": "a\r\nBcc: x@y.z"}}])
def test_any_payload_makes_a_mail(connect: Connect, receiver: Receiver, payload: Any) -> None:
    receiver.answer_with(default=answer(None, 202))
    graph(connect, receiver, subject="{workitem.name}").deliver(envelope(payload))
    graph(connect, receiver).deliver(envelope({"workitem": {"name": "x" * 900}}))
    message, long = (request.json["message"] for request in receiver.requests)
    assert message["body"]["content"]
    assert message["subject"] and "\n" not in message["subject"] and "\r" not in message["subject"]
    assert len(long["subject"]) == 255


@pytest.mark.parametrize("sender", ["../me", "a/b@contoso.com", "x?y@contoso.com"])
def test_a_sender_cannot_lead_elsewhere(connect: Connect, receiver: Receiver, sender: str) -> None:
    receiver.answer_with(answer(None, 202))
    graph(connect, receiver).send_mail(sender, "jane@example.com", "x", text="y")
    assert receiver.requests[0].path.count("/") == 4 and "?" not in receiver.requests[0].path


def test_a_mail_needs_a_recipient(connect: Connect, receiver: Receiver) -> None:
    assert isinstance(failure(graph(connect, receiver, to="").deliver, envelope()), ConfigurationError)
    error = failure(graph(connect, receiver).send_mail, "noreply@contoso.com", [], "x")
    assert isinstance(error, ConfigurationError) and receiver.requests == []


# -- signing in -----------------------------------------------------------------------------------------------


def test_one_token_for_many_mails(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(TOKEN), default=answer(None, 202))
    connector = graph(connect, receiver, session="")
    connector.deliver(envelope())
    connector.deliver(envelope())
    token, first, second = receiver.requests
    assert (token.method, token.path) == ("POST", "/contoso.onmicrosoft.com/oauth2/v2.0/token")
    assert token.headers["content-type"] == "application/x-www-form-urlencoded"
    assert parse_qs(token.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["00001111-aaaa-2222-bbbb-3333cccc4444"],
        "client_secret": [SECRET],
        "scope": ["https://graph.microsoft.com/.default"],
    }
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer fresh-canary7f3a91"


def test_a_token_that_is_refused_is_renewed_once(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(refusal("InvalidAuthenticationToken"), 401), answer(TOKEN), answer(None, 202))
    graph(connect, receiver).deliver(envelope())
    first, _token, second = receiver.requests
    assert first.headers["authorization"] == f"Bearer {ACCESS}"
    assert second.headers["authorization"] == "Bearer fresh-canary7f3a91"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer({"error": "invalid_client", "error_description": f"AADSTS7000215: {SECRET}"}, 401), Auth),
        (answer({"error": "temporarily_unavailable"}, 503), Temporary),
        (answer({}, 429, Retry_After="9"), Limited),
    ],
)
def test_a_sign_in_that_fails(connect: Connect, receiver: Receiver, reply: Answer, expected: type) -> None:
    receiver.answer_with(reply)
    error = failure(graph(connect, receiver, session="").deliver, envelope())
    assert type(error) is expected and SECRET not in repr(vars(error)) and len(receiver.requests) == 1


def test_the_renewal_ends(connect: Connect, receiver: Receiver) -> None:
    def server(request: Request) -> Answer:
        if request.path.endswith("/token"):
            return answer({**TOKEN, "access_token": f"token-{len(receiver.requests)}"})
        return answer(refusal("InvalidAuthenticationToken"), 401)

    receiver.answer_with(server)
    error = failure(graph(connect, receiver).deliver, envelope())
    assert type(error) is Auth and error.code == "InvalidAuthenticationToken" and len(receiver.requests) == 3


# -- what Graph refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "headers", "expected", "wait"),
    [
        (429, "ApplicationThrottled", {"Retry_After": "17"}, Limited, 17),
        (429, "TooManyRequests", {}, Limited, None),
        (503, "serviceNotAvailable", {"Retry_After": "9"}, Temporary, 9),
        (503, "ErrorServerBusy", {"Retry_After": "9"}, Limited, 9),
        (503, "MailboxStoreUnavailable", {}, Temporary, None),
        (504, "UnknownError", {}, Temporary, None),
        (403, "ErrorAccessDenied", {}, Auth, None),
        (403, "Authorization_RequestDenied", {}, Auth, None),
        (404, "MailboxNotEnabledForRESTAPI", {}, Permanent, None),
        (404, "ErrorInvalidUser", {}, Permanent, None),
        (400, "ErrorInvalidRecipients", {}, Permanent, None),
        (413, "ErrorMessageSizeExceeded", {}, Permanent, None),
    ],
)
def test_refusals(
    connect: Connect,
    receiver: Receiver,
    status: int,
    code: str,
    headers: dict[str, str],
    expected: type[IntegrationError],
    wait: float | None,
) -> None:
    receiver.answer_with(answer(refusal(code), status, **headers))
    error = failure(graph(connect, receiver).deliver, envelope())
    assert (type(error), error.code, error.status, error.retry_after) == (expected, code, status, wait)
    assert code in error.message and len(receiver.requests) == 1


def test_refusals_say_what_to_do(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(refusal("ErrorAccessDenied", "Access is denied to noreply@contoso.com"), 403))
    error = failure(graph(connect, receiver).deliver, envelope())
    assert "Mail.Send" in error.message and "contoso" not in error.message


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"code": "<b>"}}', b"\xff"])
def test_errors_that_are_not_graphs(connect: Connect, receiver: Receiver, body: bytes) -> None:
    receiver.answer_with(Answer(502, body))
    error = failure(graph(connect, receiver).deliver, envelope())
    assert type(error) is Temporary and error.code == "http_502"


# -- check, secrets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "success", "words"),
    [
        (answer({"id": "87d349ed"}), True, "The app signs in, and the sender exists."),
        (answer(refusal("Authorization_RequestDenied"), 403), True, "seen with the first mail"),
        (answer(refusal("Request_ResourceNotFound"), 404), False, "the sender does not exist"),
        (answer(refusal("InvalidAuthenticationToken"), 401), False, "InvalidAuthenticationToken"),
    ],
)
def test_check(connect: Connect, receiver: Receiver, reply: Answer, success: bool, words: str) -> None:
    def server(request: Request) -> Answer:
        return answer({"error": "invalid_client"}, 401) if request.path.endswith("/token") else reply

    receiver.answer_with(server)
    result = graph(connect, receiver).health_check()
    assert result.success is success and (words in result.message or receiver.requests[-1].path.endswith("/token"))
    assert wire(receiver.requests[0]) == ("GET", "/v1.0/users/noreply@contoso.com?%24select=id", None)


@pytest.mark.parametrize("status", [202, 400, 403, 500])
def test_no_secret_anywhere(connect: Connect, receiver: Receiver, caplog: Any, status: int) -> None:
    caplog.set_level("DEBUG")
    receiver.answer_with(default=answer(refusal("ErrorX", f"{ACCESS} {SECRET}"), status))
    connector = graph(connect, receiver)
    seen: list[object] = [connector, connector.binding, connector.auth, connector.http]
    try:
        seen.append(connector.deliver(envelope()))
    except IntegrationError as error:
        seen += [error, vars(error), error.args]
    assert "canary" not in "".join(map(repr, seen)) + caplog.text


# -- the app's own secret --------------------------------------------------------------------------------------

APP = "/v1.0/applications(appId='00001111-aaaa-2222-bbbb-3333cccc4444')"
OLD_ID, NEW_ID = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
NEW_SECRET = "new~canary7f3a91"


class Entra:
    """Graph's and Entra's part: which secrets the app has, and how long a new one is unknown."""

    def __init__(self, unknown_for: int = 0, hints: tuple[str, ...] = ()) -> None:
        self.secrets = {OLD_ID: SECRET}
        self.unknown_for = unknown_for
        ids = (f"cccccccc-0000-4000-8000-00000000000{number}" for number in range(9))
        self.others = [{"keyId": key, "hint": hint} for key, hint in zip(ids, hints, strict=False)]
        self.removed: list[str] = []

    def __call__(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        if path.endswith("/oauth2/v2.0/token"):
            given = parse_qs(request.body.decode())["client_secret"][0]
            if given == NEW_SECRET and self.unknown_for:
                self.unknown_for -= 1
                return answer({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid secret."}, 401)
            return answer(TOKEN) if given in self.secrets.values() else answer({"error": "invalid_client"}, 401)
        if path == f"{APP}/addPassword":
            self.secrets[NEW_ID] = NEW_SECRET
            return answer({"keyId": NEW_ID, "secretText": NEW_SECRET, "hint": NEW_SECRET[:3]})
        if path == f"{APP}/removePassword":
            key_id = request.json["keyId"]
            self.removed.append(key_id)
            self.secrets.pop(key_id, None)
            return answer(None, 204)
        assert path == APP
        own = [{"keyId": key, "hint": value[:3]} for key, value in self.secrets.items()]
        return answer({"passwordCredentials": [*own, *self.others]})


@pytest.mark.parametrize("unknown_for", [0, 3])
@pytest.mark.parametrize("more", [{}, {"client_secret_id": OLD_ID}])
def test_the_secret_is_renewed_and_the_old_one_removed(
    connect: Connect, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, unknown_for: int, more: dict[str, str]
) -> None:
    monkeypatch.setattr(MicrosoftGraphConnector, "propagation_seconds", 0.0)
    entra = Entra(unknown_for)
    receiver.answer_with(entra)
    connector = graph(connect, receiver, **more)
    assert connector.rotate() == {"client_secret": NEW_SECRET, "client_secret_id": NEW_ID}
    assert entra.removed == [], "until the new one is stored the old one works"
    connector.retire()
    assert entra.removed == [OLD_ID] and list(entra.secrets) == [NEW_ID]


def test_a_new_secret_that_is_never_known_is_removed_again(
    connect: Connect, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MicrosoftGraphConnector, "propagation_seconds", 0.0)
    entra = Entra(unknown_for=100)
    receiver.answer_with(entra)
    with pytest.raises(Auth) as raised:
        graph(connect, receiver).rotate()
    assert entra.secrets == {OLD_ID: SECRET} and "canary" not in str(raised.value)


def test_a_secret_that_cannot_be_told_from_others_is_left(connect: Connect, receiver: Receiver, caplog: Any) -> None:
    entra = Entra(hints=(SECRET[:3],))
    receiver.answer_with(entra)
    graph(connect, receiver).retire()
    assert entra.removed == [] and "remove it in Microsoft Entra" in caplog.text and "canary" not in caplog.text


def test_an_app_that_may_not_change_itself_says_what_it_needs(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(refusal("Authorization_RequestDenied"), 403))
    with pytest.raises(Auth, match="consent"):
        graph(connect, receiver).rotate()


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (404, "ErrorInvalidUser", "setup"),
        (404, "MailboxNotEnabledForRESTAPI", "setup"),
        (400, "ErrorInvalidRecipients", "setup"),
        (403, "ErrorSendAsDenied", "setup"),
        (429, "ErrorExceededMessageLimit", "quota"),
        (413, "ErrorMessageSizeExceeded", "event"),
        (503, "MailboxStoreUnavailable", "destination"),
    ],
)
def test_whose_fault_a_code_is(connect: Connect, receiver: Receiver, status: int, code: str, fault: str) -> None:
    receiver.answer_with(answer(refusal(code), status))
    assert failure(graph(connect, receiver).deliver, envelope()).fault == fault


def test_it_waits_as_graphs_own_clients_do(connect: Connect, receiver: Receiver) -> None:
    receiver.answer_with(answer(refusal("UnknownError"), 504, Retry_After="11"))
    assert failure(graph(connect, receiver).deliver, envelope()).retry_after == 11
