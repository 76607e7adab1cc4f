"""Facts learned about an endpoint are kept for a while, and are never required."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from snapdir.model.keys import ENDPOINTS
from snapdir.stores.s3.checksums import LIFETIME_SECONDS, Checksums
from snapdir.stores.s3.store import S3Store
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL
from tests.stores.s3.canned_server import canned, error, reply

CRC_HEADER = "x-amz-checksum-crc32c"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDCANARY", "AWS_SECRET_ACCESS_KEY": "secret-canary"}
PLACE = "http://minio.example:9000"


def refuse(folder: Path | None) -> None:
    anyio.run(Checksums(folder, PLACE).note_refusal)


def test_a_refusal_is_remembered_for_its_endpoint_alone(tmp_path: Path) -> None:
    refuse(tmp_path)
    assert not Checksums(tmp_path, PLACE).accepted
    assert Checksums(tmp_path, "http://other.example").accepted


def test_a_refusal_is_forgotten_after_a_month(tmp_path: Path) -> None:
    refuse(tmp_path)
    (noted,) = (tmp_path / ENDPOINTS).iterdir()
    now = noted.stat().st_mtime
    assert not Checksums(tmp_path, PLACE, clock=lambda: now + LIFETIME_SECONDS - 1).accepted
    assert Checksums(tmp_path, PLACE, clock=lambda: now + LIFETIME_SECONDS).accepted


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file"):
        refuse(folder)
        assert Checksums(folder, PLACE).accepted


async def test_a_later_run_does_not_offer_what_was_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = StoreSettings(notes_dir=tmp_path)
    async with canned() as server:
        environment = {**CREDENTIALS, "AWS_REGION": "us-east-1", "SNAPDIR_S3_STORE_ENDPOINT_URL": server.url}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        server.play(error("NotImplemented", 501), reply())
        for _ in range(2):
            store = await S3Store.open(StoreURL.parse("s3://bucket/prefix"), settings)
            await store.write("key", b"123456789")
            await store.aclose()
        assert [CRC_HEADER in request.headers for request in server.requests] == [True, False, False]
        await server.stop()
