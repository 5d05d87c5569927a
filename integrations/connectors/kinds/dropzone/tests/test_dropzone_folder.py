"""JSON files into a folder of this machine: only below what the operator opened, whole, and never over another one."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from integrations.connectors.kinds.dropzone import DropzoneJsonV1Connector, folder
from integrations.connectors.port import Envelope, ExportResult
from integrations.errors import (
    ConfigurationError,
    IntegrationError,
    IntegrationPermanentError,
    IntegrationTemporaryError,
)

BODY = json.dumps({"event_type": "order_push", "order": {"id": 7}}).encode()
ENVELOPE = Envelope("order_push", "evt_1", BODY)


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    root = tmp_path / "root"
    (root / "orders").mkdir(parents=True)
    settings.INTEGRATIONS = {**getattr(settings, "INTEGRATIONS", {}), "DROPZONE_ROOTS": [str(root)]}
    return root


def written(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file is replaced or written, but not when it is read."""
    found = path.lstat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def dropzone(path: object) -> Any:
    return DropzoneJsonV1Connector.bound_to({"folder": str(path)})


def failure(path: object) -> Any:
    with pytest.raises(IntegrationError) as caught:
        dropzone(path).deliver(ENVELOPE)
    assert caught.value.__cause__ is None
    return caught.value


def test_a_file_for_an_event(root: Path) -> None:
    receipt = dropzone(root / "orders").deliver(ENVELOPE)
    path = root / "orders" / "evt_1.json"
    assert receipt.location == str(path)
    assert receipt.details == {"bytes": len(BODY), "host": "", "was_there": False}
    assert path.read_bytes() == BODY and path.stat().st_nlink == 1
    assert [each.name for each in (root / "orders").iterdir()] == ["evt_1.json"]
    before = written(path)
    assert dropzone(root / "orders").deliver(ENVELOPE).details["was_there"] is True
    assert written(path) == before


def test_an_order_as_the_guide_exports_it(root: Path) -> None:
    connector, config = DropzoneJsonV1Connector(), {"folder": str(root)}
    first, again = (connector.export({"id": 7, "total": "12.50"}, config) for _ in range(2))
    assert isinstance(first, ExportResult) and first.success
    assert first.export_id == 7
    assert first.storage_key == again.storage_key and Path(str(first.storage_key)).parent == root
    stored = json.loads(Path(str(first.storage_key)).read_bytes())
    assert stored == {"event_type": "order_push", "order": {"id": 7, "total": "12.50"}}
    assert again.connector_metadata["was_there"] is True
    with pytest.raises(IntegrationPermanentError, match="another content"):
        connector.export({"id": 7, "total": "99.00"}, config)
    result = connector.test_connection(config)
    assert result.success and result.latency_ms > 0


def test_nothing_is_open_by_default(tmp_path: Path, settings: Any) -> None:
    settings.INTEGRATIONS = {}
    assert type(failure(tmp_path)) is ConfigurationError
    assert list(DropzoneJsonV1Connector.validate_config({"folder": str(tmp_path)})) == ["folder"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "path", ["/", "..", "{root}/..", "{root}/orders/../../other", "{root}2", "orders", "{root}/../root2", "~", "", " "]
)
def test_nothing_outside_of_the_root(root: Path, path: str) -> None:
    (root.parent / "root2").mkdir()
    (root.parent / "other").mkdir()
    assert type(failure(path.format(root=root))) is ConfigurationError
    assert DropzoneJsonV1Connector.validate_config({"folder": path.format(root=root)})
    assert not list((root.parent / "root2").iterdir()) and not list((root.parent / "other").iterdir())


@pytest.mark.parametrize("place", ["orders/link", "link/orders"])
def test_links_lead_nowhere(root: Path, place: str) -> None:
    outside = root.parent / "outside"
    (outside / "orders").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    (root / "orders" / "link").symlink_to(outside)
    error = failure(root / place)
    assert (type(error), error.code) == (IntegrationTemporaryError, "storage_failed")
    assert not [path for path in outside.rglob("*") if path.is_file()]


def test_a_folder_that_is_swapped_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    written = folder._written

    def swap(directory: int, part: str, body: bytes) -> Any:
        (root / "orders").rename(root / "moved")
        (root / "orders").symlink_to(outside)
        return written(directory, part, body)

    monkeypatch.setattr(folder, "_written", swap)
    dropzone(root / "orders").deliver(ENVELOPE)
    assert (root / "moved" / "evt_1.json").read_bytes() == BODY
    assert not list(outside.iterdir())


@pytest.mark.parametrize("kind", ["file", "longer", "empty", "folder", "pipe", "link"])
def test_another_thing_of_that_name_is_never_replaced(root: Path, kind: str) -> None:
    path = root / "orders" / "evt_1.json"
    secret = root.parent / "secret"
    secret.write_bytes(BODY)
    match kind:
        case "file":
            path.write_bytes(b'{"another": 1}')
        case "longer":
            path.write_bytes(BODY + b" " * 1_000_000)
        case "empty":
            path.touch()
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(secret)
    before = written(path)
    error = failure(root / "orders")
    assert type(error) is (IntegrationTemporaryError if kind == "link" else IntegrationPermanentError)
    assert written(path) == before
    assert [each.name for each in path.parent.iterdir()] == ["evt_1.json"]


def test_what_a_crash_left_is_replaced_and_not_written_into(root: Path) -> None:
    picked_up = root / "picked-up"
    picked_up.write_bytes(b"an earlier file")
    (root / "orders" / ".evt_1.json.part").hardlink_to(picked_up)
    dropzone(root / "orders").deliver(ENVELOPE)
    assert picked_up.read_bytes() == b"an earlier file"
    assert [each.name for each in (root / "orders").iterdir()] == ["evt_1.json"]


def test_a_full_disk_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        error = failure(root / "orders")
    assert (type(error), error.code, error.was_sent) == (IntegrationTemporaryError, "storage_failed", False)
    assert "space" in error.message
    assert not list((root / "orders").iterdir())


def test_a_file_system_without_hard_links(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    dropzone(root / "orders").deliver(ENVELOPE)
    assert [each.name for each in (root / "orders").iterdir()] == ["evt_1.json"]


@pytest.mark.parametrize(("content", "is_ours"), [(BODY, True), (b'{"another": 1}', False)])
def test_somebody_else_is_first(root: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, is_ours: bool) -> None:
    path = root / "orders" / "evt_1.json"
    give_name = folder._give_name

    def be_first(*args: Any) -> None:
        path.write_bytes(content)
        give_name(*args)

    monkeypatch.setattr(folder, "_give_name", be_first)
    if is_ours:
        dropzone(root / "orders").deliver(ENVELOPE)
    else:
        assert failure(root / "orders").code == "file_differs"
    assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["evt_1.json"]


def test_many_at_once_make_one_file(root: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: _outcome(root / "orders"), range(40)))
    assert set(outcomes) <= {"stored", "storage_failed"}  # who loses its part to another tries again later
    assert "stored" in outcomes
    assert (root / "orders" / "evt_1.json").read_bytes() == BODY
    assert [each.name for each in (root / "orders").iterdir()] == ["evt_1.json"]


def test_whoever_writes_a_file_finds_no_half_of_anothers(root: Path) -> None:
    body = bytes(range(256)) * 160  # long enough for another to look in the middle

    def put(name: str) -> str:
        try:
            folder.put(str(root / "orders"), [str(root)], name, body, body.__eq__)
        except IntegrationError as error:
            return error.code
        return "stored"

    with ThreadPoolExecutor(8) as threads:
        outcomes = set(threads.map(put, (f"order_{n}.csv" for n in range(40) for _ in range(16))))
    assert outcomes <= {"stored", "storage_failed"}
    assert {each.read_bytes() for each in (root / "orders").iterdir()} == {body}


def _outcome(path: Path) -> str:
    try:
        dropzone(path).deliver(ENVELOPE)
    except IntegrationError as error:
        return error.code
    return "stored"


def test_missing_folder(root: Path) -> None:
    error = failure(root / "none")
    assert (type(error), error.code) == (IntegrationTemporaryError, "storage_failed")
    assert "does not exist" in error.message
    assert not dropzone(root / "none").health_check().success


@pytest.mark.skipif(os.getuid() == 0, reason="everything is open to root")
def test_closed_folder(root: Path) -> None:
    (root / "orders").chmod(0o500)
    assert "permission" in failure(root / "orders").message
    assert not dropzone(root / "orders").health_check().success


def test_check_changes_nothing(root: Path) -> None:
    assert dropzone(root / "orders").health_check().success
    assert not list((root / "orders").iterdir())
