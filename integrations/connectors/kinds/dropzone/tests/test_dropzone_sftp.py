"""JSON files over SFTP: on a real OpenSSH, on a small server that fails as it is told, and on scripted ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from integrations.connectors.kinds.dropzone import DropzoneJsonV1Connector
from integrations.connectors.kinds.dropzone.connector import file_name
from integrations.connectors.orders import order_key
from integrations.connectors.port import Envelope
from integrations.connectors.tests.fixtures import HOST
from integrations.connectors.tests.small_sftp import PASSWORD, USER, SmallSftp
from integrations.connectors.tests.sshd import Sshd
from integrations.errors import (
    ConfigurationError,
    IntegrationAuthError,
    IntegrationBlocked,
    IntegrationError,
    IntegrationNotConfigured,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)
from integrations.tests.effort import waiting
from integrations.tests.scripted_server import ANY, HANG, RESET, Drip, Endless, ScriptedServer
from integrations.transport.guard.policy import AddressPolicy
from integrations.transport.http import guarded_client as client_module
from integrations.transport.http.guarded_client import GuardedClient
from integrations.transport.ssh import sftp
from integrations.transport.ssh.keys import HostKeys, parse_host_keys, ssh_key
from integrations.transport.ssh.session import sftp_session
from integrations.transport.tcp import Login

from .test_dropzone_folder import written

BODY = json.dumps({"event_type": "order_push", "order": {"id": 7, "lines": ["ä"] * 30_000}}).encode()
ENVELOPE = Envelope("order_push", "evt_1", BODY)
NOBODY = "SHA256:" + "A" * 43
LIMIT = 0.5  # seconds; the deadline in tests of slowness

Clients = Callable[..., GuardedClient]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallSftp]:
    with SmallSftp(tmp_path) as server:
        yield server


@pytest.fixture
def drop(sshd: Sshd, request: pytest.FixtureRequest) -> Path:
    """A folder of this test's own on the real server."""
    return sshd._process.make_folder(f"drop/{abs(hash(request.node.name))}")


def by_key(client: GuardedClient, sshd: Sshd, drop: Path, timeout: float = 10, **more: Any) -> Any:
    settings = {
        "host": HOST,
        "port": sshd.port,
        "username": sshd.user,
        "private_key": sshd.key,
        "host_key": [sshd.pinned()],
        "folder": str(drop),
        **more,
    }
    return DropzoneJsonV1Connector.bound_to(settings, client, timeout=timeout)


def by_password(client: GuardedClient, small: SmallSftp, timeout: float = 10, **more: Any) -> Any:
    settings = {
        "host": HOST,
        "port": small.port,
        "username": USER,
        "password": PASSWORD,
        "host_key": [small.pinned],
        **more,
    }
    return DropzoneJsonV1Connector.bound_to(settings, client, timeout=timeout)


def failure(dropzone: Any, envelope: Envelope = ENVELOPE) -> Any:
    with pytest.raises(IntegrationError) as caught:
        dropzone.deliver(envelope)
    error = caught.value
    secrets = [value for value in dropzone.binding.credentials.values() if value]
    frames = [entry.frame for entry in caught.traceback if "/integrations/transport/" in str(entry.path)]
    seen = f"{error!r} {error.args} {vars(error)}" + "".join(repr(frame.f_locals) for frame in frames)
    assert not any(secret in seen for secret in secrets)
    assert error.__cause__ is None and error.__context__ is None
    return error


# -- a real OpenSSH -------------------------------------------------------------------------------------------


def test_a_file_for_an_event(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    dropzone = by_key(client_for(sshd.port), sshd, drop)
    receipt = dropzone.deliver(ENVELOPE)
    assert receipt.location == f"{drop}/evt_1.json"
    assert receipt.details == {"bytes": len(BODY), "host": HOST, "was_there": False}
    assert [path.name for path in drop.iterdir()] == ["evt_1.json"]
    assert (drop / "evt_1.json").read_bytes() == BODY


def test_the_file_is_flushed_to_the_disk(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    dropzone = by_key(client_for(sshd.port), sshd, drop)
    with dropzone._open() as conversation, sftp_session(conversation, dropzone._login, dropzone._host_keys) as files:
        with files.open(f"{drop}/x", "wb") as file:
            assert sftp._flush_to_disk(files, file)
        assert not sftp._flush_to_disk(files, file)  # closed: the server looked, and said no


def test_a_second_attempt_finds_the_file(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    dropzone = by_key(client_for(sshd.port), sshd, drop)
    dropzone.deliver(ENVELOPE)
    before = written(drop / "evt_1.json")
    (drop / ".evt_1.json.part").write_bytes(b"half")  # what a crash left
    assert dropzone.deliver(ENVELOPE).details["was_there"] is True
    assert written(drop / "evt_1.json") == before
    spaced = json.dumps(json.loads(BODY), indent=1, ensure_ascii=False).encode()
    assert dropzone.deliver(Envelope("order_push", "evt_1", spaced)).details["was_there"] is True
    assert written(drop / "evt_1.json") == before


def test_what_a_crash_left_is_replaced(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    picked_up = drop / "picked-up"
    picked_up.write_bytes(b"an earlier file")
    (drop / ".evt_1.json.part").hardlink_to(picked_up)  # the server died between link and unlink
    by_key(client_for(sshd.port), sshd, drop).deliver(ENVELOPE)
    assert (drop / "evt_1.json").read_bytes() == BODY
    assert picked_up.read_bytes() == b"an earlier file"


@pytest.mark.parametrize("there", [b'{"another": 1}', b"", b"no json", BODY + b" " * 10_000_000])
def test_another_content_is_never_replaced(client_for: Clients, sshd: Sshd, drop: Path, there: bytes) -> None:
    (drop / "evt_1.json").write_bytes(there)
    error = failure(by_key(client_for(sshd.port), sshd, drop))
    assert (type(error), error.code) == (IntegrationPermanentError, "file_differs")
    assert (drop / "evt_1.json").read_bytes() == there
    assert [path.name for path in drop.iterdir()] == ["evt_1.json"]


def test_an_order(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    settings = by_key(client_for(sshd.port), sshd, drop).binding.settings
    dropzone = DropzoneJsonV1Connector(client=client_for(sshd.port))
    bound = dropzone.bound_to(settings, client_for(sshd.port))
    order = {"id": "../../7", "total": 12}
    envelope = Envelope("order_push", order_key(order), json.dumps({"order": order}).encode())
    receipt = bound.deliver(envelope)
    assert receipt.location == f"{drop}/{order_key(order)}.json"
    assert json.loads((drop / f"{order_key(order)}.json").read_bytes()) == {"order": order}


def test_check_changes_nothing(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    dropzone = by_key(client_for(sshd.port), sshd, drop)
    assert dropzone.health_check().success
    missing = by_key(client_for(sshd.port), sshd, drop / "none").health_check()
    assert not missing.success and "does not exist" in missing.message
    (drop / "file").touch()
    assert not by_key(client_for(sshd.port), sshd, drop / "file").health_check().success
    assert [path.name for path in drop.iterdir()] == ["file"]


def test_folder_missing_or_closed(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    error = failure(by_key(client_for(sshd.port), sshd, drop / "none"))
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, "storage_failed", False)
    assert "does not exist" in error.message
    drop.chmod(0o500)
    error = failure(by_key(client_for(sshd.port), sshd, drop))
    assert (type(error), error.code) == (IntegrationTemporaryError, "storage_failed")
    assert "permission" in error.message


def test_wrong_key(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    stranger = ed25519.Ed25519PrivateKey.generate()
    error = failure(by_key(client_for(sshd.port), sshd, drop, private_key=openssh(stranger)))
    assert (type(error), error.code) == (IntegrationAuthError, "auth")
    error = failure(by_key(client_for(sshd.port), sshd, drop, private_key="", password="wrong-canary"))
    assert type(error) is IntegrationAuthError  # this server takes no passwords


# -- the host's key -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
@pytest.mark.parametrize("form", ["line of ssh-keygen", "line of ssh-keyscan"])
def test_the_pinned_key_is_asked_for(client_for: Clients, sshd: Sshd, drop: Path, kind: str, form: str) -> None:
    line = sshd.pinned(kind)
    if form == "line of ssh-keyscan":
        line = f"[127.0.0.1]:{sshd.port} " + (sshd._process.folder / f"host_{kind}.pub").read_text().strip()
    assert (
        by_key(client_for(sshd.port), sshd, drop, host_key=[f"{NOBODY} ({kind.upper()})", line]).health_check().success
    )


def test_bare_fingerprint(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    assert by_key(client_for(sshd.port), sshd, drop, host_key=[sshd.pinned().split()[1]]).health_check().success


def test_another_host_key_gets_nothing(client_for: Clients, small: SmallSftp) -> None:
    error = failure(by_password(client_for(small.port), small, host_key=[NOBODY]))
    assert (type(error), error.code, error.was_sent) == (IntegrationAuthError, "host_key", False)
    (pinned,) = parse_host_keys([small.pinned]).fingerprints
    assert pinned in error.message  # to be compared with what the administrator says
    assert not small.logins


@pytest.mark.parametrize(
    ("lines", "algorithms"),
    [
        (["256 SHA256:" + "a" * 43 + " root@host (ED25519)"], ("ssh-ed25519",)),
        (["SHA256:" + "a" * 43], ()),
        (
            ["256 SHA256:" + "a" * 43 + " x (ED25519)", "3072 SHA256:" + "a" * 43 + " y (RSA)"],
            ("ssh-ed25519", "rsa-sha2-512", "rsa-sha2-256"),
        ),
        (["256 SHA256:" + "a" * 43 + " x (ED25519)", "SHA256:" + "a" * 43], ()),
        (["256 SHA256:" + "a" * 43 + " x (XMSS)"], ()),
    ],
)
def test_pins(lines: list[str], algorithms: tuple[str, ...]) -> None:
    assert parse_host_keys(lines) == HostKeys(frozenset({"SHA256:" + "a" * 43}), algorithms)


@pytest.mark.parametrize(
    "line", ["x", "SHA256:short", "MD5:aa:bb", "ssh-ed25519 AAAA", "SHA256:" + "a" * 44, "-----BEGIN KEY-----"]
)
def test_what_is_no_pin(line: str) -> None:
    with pytest.raises(ValueError, match="ssh-keygen"):
        parse_host_keys([line])


# -- private keys ---------------------------------------------------------------------------------------------


def openssh(key: Any, passphrase: bytes = b"") -> str:
    return _pem(key, serialization.PrivateFormat.OpenSSH, passphrase)


def _pem(key: Any, form: Any, passphrase: bytes = b"") -> str:
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, encryption).decode()


@pytest.mark.parametrize("form", ["OpenSSH", "PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("passphrase", ["", "canary phrase"])
@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP256R1())])
def test_forms_of_keys(make: Any, form: str, passphrase: str) -> None:
    key = make()
    if form == "TraditionalOpenSSL" and isinstance(key, ed25519.Ed25519PrivateKey):
        form = "PKCS8"  # it has no traditional form
    text = _pem(key, getattr(serialization.PrivateFormat, form), passphrase.encode())
    import paramiko

    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    variants = [text]
    if not (passphrase and form == "OpenSSH"):  # made to be slow
        variants += [text.replace("\n", "\r\n"), f"  {text}\n\n"]
    if not (passphrase and form == "TraditionalOpenSSL"):  # whose head has lines of its own
        variants.append(text.replace("\n", " "))
    for variant in variants:
        found = ssh_key(paramiko, Login(private_key=variant, passphrase=passphrase or "not needed"))
        assert f"{found.get_name()} {found.get_base64()}".encode() == public


@pytest.mark.parametrize(
    "text", ["", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "weak", "locked"]
)
def test_keys_that_cannot_be_used(text: str) -> None:
    import paramiko

    if text == "weak":
        text = openssh(rsa.generate_private_key(65537, 1024))
    if text == "locked":
        text = openssh(ed25519.Ed25519PrivateKey.generate(), b"another phrase")
    with pytest.raises(ConfigurationError) as caught:
        ssh_key(paramiko, Login(private_key=text, passphrase="canary"))
    assert list(caught.value.problems) == ["private_key"]
    assert "canary" not in str(caught.value)


def test_a_key_that_lies_elsewhere_is_not_looked_at(settings: Any) -> None:
    settings.INTEGRATIONS = {**settings.INTEGRATIONS, "SECRETS_DIR": "/run/secrets"}
    given = {"host": HOST, "username": "u", "private_key": "file:erp_key", "host_key": [NOBODY]}
    assert DropzoneJsonV1Connector.validate_config(given) == {}


PUTTY = "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: canary\nPublic-Lines: 2\nAAAA\n"
PUBLIC = ed25519.Ed25519PrivateKey.generate().public_key()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PUTTY, "is a PuTTY key; export it as OpenSSH"),
        (
            PUBLIC.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode(),
            "is a public key",
        ),
        (
            PUBLIC.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode(),
            "is a public key",
        ),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "is a public key"),
        ("hello", "is not a private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "is a certificate"),
        (openssh(rsa.generate_private_key(65537, 1024)), "has 1024 bits"),
        (openssh(ed25519.Ed25519PrivateKey.generate(), b"another phrase"), "the passphrase does not open it"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "is no Ed25519, ECDSA or RSA"),
        (openssh(ed25519.Ed25519PrivateKey.generate()), ""),
    ],
)
def test_a_key_is_looked_at_when_it_is_saved(text: str, words: str) -> None:
    settings = {"host": HOST, "username": "u", "private_key": text, "passphrase": "canary", "host_key": [NOBODY]}
    problem = DropzoneJsonV1Connector.validate_config(settings).get("private_key", "")
    assert words in problem and bool(words) == bool(problem) and "canary" not in problem


def test_a_key_with_a_passphrase_logs_in(client_for: Clients, sshd: Sshd, drop: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    sshd.authorise(public.decode())
    login = {"private_key": openssh(key, b"canary phrase"), "passphrase": "canary phrase"}
    assert by_key(client_for(sshd.port), sshd, drop, **login).deliver(ENVELOPE).location


# -- passwords, and servers that fail -------------------------------------------------------------------------


def test_password(client_for: Clients, small: SmallSftp) -> None:
    receipt = by_password(client_for(small.port), small).deliver(ENVELOPE)
    assert receipt.location == "evt_1.json"
    assert (small.folder / "evt_1.json").read_bytes() == BODY
    assert small.logins == [(USER, PASSWORD)]


def test_wrong_password(client_for: Clients, small: SmallSftp) -> None:
    error = failure(by_password(client_for(small.port), small, password="wrong-canary"))
    assert (type(error), error.code, error.was_sent) == (IntegrationAuthError, "auth", False)


def test_a_further_proof_is_wanted(client_for: Clients, small: SmallSftp) -> None:
    small.further = "keyboard-interactive"
    assert type(failure(by_password(client_for(small.port), small))) is IntegrationAuthError


def test_a_connection_that_breaks_during_the_login_is_no_wrong_password(client_for: Clients, small: SmallSftp) -> None:
    small.breaks = {"login"}
    error = failure(by_password(client_for(small.port), small))
    assert (type(error), error.code) == (IntegrationTemporaryError, "connection_reset")


@pytest.mark.parametrize(
    ("breaks", "code"),
    [("sftp", "sftp_refused"), ("write", "storage_failed"), ("short", "storage_failed"), ("cut", "connection_reset")],
)
def test_no_half_file_has_the_final_name(client_for: Clients, small: SmallSftp, breaks: str, code: str) -> None:
    small.breaks = {breaks}
    error = failure(by_password(client_for(small.port), small))
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, code, False)
    assert not (small.folder / "evt_1.json").exists()
    if breaks == "cut":
        assert (small.folder / ".evt_1.json.part").exists()
    small.breaks = set()
    by_password(client_for(small.port), small).deliver(ENVELOPE)
    assert [path.name for path in small.folder.iterdir()] == ["evt_1.json"]
    assert (small.folder / "evt_1.json").read_bytes() == BODY


def test_posix_rename_where_the_other_does_not_work(client_for: Clients, small: SmallSftp) -> None:
    small.breaks = {"rename"}
    by_password(client_for(small.port), small).deliver(ENVELOPE)
    assert [path.name for path in small.folder.iterdir()] == ["evt_1.json"]
    small.breaks = {"rename", "posix_rename"}
    error = failure(by_password(client_for(small.port), small), Envelope("order_push", "evt_2", BODY))
    assert error.code == "storage_failed" and "does not allow renaming" in error.message
    assert [path.name for path in small.folder.iterdir()] == ["evt_1.json"]


@pytest.mark.parametrize(
    "breaks",
    [{"remove_missing"}, {"dot"}, {"dot", "remove_missing"}, {"stat_part"}, {"rename"}, {"posix_rename"}, {"remove"}],
)
def test_servers_that_are_no_openssh(client_for: Clients, small: SmallSftp, breaks: set[str]) -> None:
    small.breaks = breaks
    dropzone = by_password(client_for(small.port), small)
    for _ in range(2):
        result = dropzone.health_check()
        assert result.success, result
        assert ("outbox-check.tmp is still there" in result.message) == ("remove" in breaks)
    assert dropzone.deliver(ENVELOPE).details["was_there"] is False
    assert dropzone.deliver(ENVELOPE).details["was_there"] is True
    left = {"outbox-check.tmp"} if "remove" in breaks else set()
    assert {path.name for path in small.folder.iterdir()} == {"evt_1.json"} | left
    assert (small.folder / "evt_1.json").read_bytes() == BODY


@pytest.mark.parametrize("breaks", [{"write"}, {"short"}, {"rename", "posix_rename"}, {"sftp"}])
def test_a_check_fails_where_a_delivery_would(client_for: Clients, small: SmallSftp, breaks: set[str]) -> None:
    small.breaks = breaks
    result = by_password(client_for(small.port), small).health_check()
    assert not result.success and not result.is_auth_failure
    assert not list(small.folder.iterdir())


def test_a_name_of_ones_own_until_it_is_whole(client_for: Clients, small: SmallSftp) -> None:
    small.breaks = {"cut"}
    dropzone = by_password(client_for(small.port), small, temporary_name="tmp_{name}")
    failure(dropzone)
    assert [path.name for path in small.folder.iterdir()] == ["tmp_evt_1.json"]
    small.breaks = set()
    dropzone.deliver(ENVELOPE)
    assert [path.name for path in small.folder.iterdir()] == ["evt_1.json"]


@pytest.mark.parametrize("name", ["{name}", "part", "../{name}.part", "{name}/x", "{name} x"])
def test_a_temporary_name_is_another_name_in_the_same_folder(name: str) -> None:
    settings = {"host": HOST, "username": "u", "password": "p", "host_key": [NOBODY], "temporary_name": name}
    assert list(DropzoneJsonV1Connector.validate_config(settings)) == ["temporary_name"]


@pytest.mark.parametrize(
    "script",
    [
        [HANG],
        [Drip(b"SSH-2.0-slow" + b"x" * 10_000)],
        [b"SSH-2.0-x\r\n", HANG],
        [Endless(b"x" * 1000)],
        [b"SSH-2.0-x\r\n", ANY, Drip(b"\0\0\x3f\xfc" + b"x" * 9999)],
    ],
)
def test_a_slow_server_ends_at_the_deadline(
    client_for: Clients, monkeypatch: pytest.MonkeyPatch, script: list[Any]
) -> None:
    monkeypatch.setattr(client_module, "MIN_TIMEOUT", 0.05)
    with ScriptedServer(script) as server:
        settings = {"host": HOST, "port": server.port, "username": "u", "password": "canary", "host_key": NOBODY}
        dropzone = DropzoneJsonV1Connector.bound_to(settings, client_for(server.port), timeout=LIMIT)
        with waiting() as waited:
            error = failure(dropzone)
        assert waited.seconds < LIMIT + 1
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, "timeout", False)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([], "ssh_failed"),
        ([b"220 mail.example.com ESMTP\r\n" * 200, HANG], "ssh_failed"),
        ([b"SSH-1.5-old\r\n", HANG], "ssh_failed"),
        ([b"SSH-2.0-x\r\n", ANY, b"\xff" * 100, HANG], "ssh_failed"),
        ([b"SSH-2.0-x\r\n", ANY, RESET], "connection_reset"),
    ],
)
def test_broken_conversations(client_for: Clients, script: list[Any], code: str) -> None:
    with ScriptedServer(script) as server:
        settings = {"host": HOST, "port": server.port, "username": "u", "password": "canary", "host_key": NOBODY}
        error = failure(DropzoneJsonV1Connector.bound_to(settings, client_for(server.port), timeout=2))
    assert (type(error), error.code) == (IntegrationTemporaryError, code)


# -- guard, configuration, secrets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [("127.0.0.1", 22, "ip_blocked"), ("169.254.169.254", 22, "ip_metadata"), (HOST, 25, "port_unusual")],
)
def test_private_addresses_are_refused(host: str, port: int, reason: str) -> None:
    settings = {"host": host, "port": port, "username": "u", "password": "canary", "host_key": NOBODY}
    error = failure(DropzoneJsonV1Connector.bound_to(settings, GuardedClient(AddressPolicy())))
    assert (type(error), error.reason) == (IntegrationBlocked, reason)


def test_a_name_is_resolved_once_and_every_answer_checked() -> None:
    answers = iter([["93.184.216.34", "192.168.0.9"]])
    client = GuardedClient(AddressPolicy(), resolve=lambda *asked: next(answers))
    settings = {"host": HOST, "username": "u", "password": "canary", "host_key": NOBODY}
    assert failure(DropzoneJsonV1Connector.bound_to(settings, client)).reason == "ip_blocked"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({}, ["host"]),
        ({"host": HOST}, ["host_key", "password", "username"]),
        ({"host": HOST, "username": "u", "password": "p"}, ["host_key"]),
        ({"host": HOST, "username": "u", "password": "p", "host_key": "\n"}, ["host_key"]),
        ({"host": HOST, "username": "u", "password": "p", "host_key": "AA:BB"}, ["host_key"]),
        ({"host": HOST, "username": "u\n", "password": "p", "host_key": [NOBODY]}, []),
        ({"host": HOST, "username": "u\0v", "password": "p", "host_key": [NOBODY]}, ["username"]),
    ],
)
def test_settings(settings: dict[str, Any], wrong: list[str]) -> None:
    assert sorted(DropzoneJsonV1Connector.validate_config(settings)) == wrong
    assert DropzoneJsonV1Connector().test_connection(settings).success is False


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/b", "", ".hidden", "x" * 300, "a\0b", "ä", "evt_1\n"])
def test_a_key_never_becomes_a_path(key: str) -> None:
    name = file_name(key)
    assert name.isascii() and "/" not in name and len(name) < 110 and not name.startswith(".")
    assert file_name(key) == name != file_name(key + "x")


def test_no_secret_anywhere(
    client_for: Clients, sshd: Sshd, drop: Path, small: SmallSftp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for dropzone in (by_key(client_for(sshd.port), sshd, drop), by_password(client_for(small.port), small)):
        seen = [dropzone, dropzone.binding, dropzone.deliver(ENVELOPE), dropzone.health_check(), dropzone._login]
        logged = "".join(record.getMessage() for record in caplog.records if record.name != "small_sftp")
        for secret in (PASSWORD, *sshd.key.splitlines()[1:-1]):
            assert secret not in "".join(map(repr, seen)) + logged


WITHOUT_PARAMIKO = """
import sys
sys.modules["paramiko"] = None
import django
django.setup()
from integrations.connectors.registry import ConnectorRegistry
from integrations.connectors.port import Envelope
settings = {"host": "sftp.example.com", "username": "u", "password": "p", "host_key": "SHA256:" + "A" * 43}
connector = ConnectorRegistry.type_of("DROPZONE_JSON_V1").bound_to(settings)
try:
    connector.deliver(Envelope("x", "evt_1", b"{}"))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_without_paramiko_it_says_what_to_install() -> None:
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "app.settings"}
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_PARAMIKO], capture_output=True, text=True, timeout=60, env=env
    )
    assert found.stdout.startswith(IntegrationNotConfigured.__name__), found.stderr
    assert "pip install paramiko" in found.stdout


def test_nothing_of_ours_is_read_from_the_home_folder(
    client_for: Clients, small: SmallSftp, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id_ed25519").write_text(openssh(ed25519.Ed25519PrivateKey.generate()))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "agent"))
    opened: list[str] = []
    sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
    by_password(client_for(small.port), small).deliver(ENVELOPE)
    assert opened and not any(str(home) in path for path in opened)
