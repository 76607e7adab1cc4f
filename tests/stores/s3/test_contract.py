"""An S3 store on a real server keeps every promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

from snapdir.stores.base import Store
from snapdir.stores.remote import RemoteStore
from snapdir.stores.s3.store import S3Store
from snapdir.stores.urls import StoreURL
from snapdir.testing.back_doors import KEY
from snapdir.testing.contract import StoreContract
from tests.e2e.scripted_s3 import ScriptedS3
from tests.rclone_server import RcloneServer
from tests.stores.s3.conftest import CREDENTIALS, QUICK


@pytest.fixture(scope="module")
def part_keeping_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """S3 lets a part be sent again with other bytes; rclone only if it keeps parts instead of streaming them on."""
    folder = tmp_path_factory.mktemp("served-in-parts")
    with RcloneServer(folder, arguments=("--disable-multipart-streaming",)) as server:
        yield server


class TestS3Store(StoreContract):
    prefix = ""
    bucket_folder: Path

    @pytest.fixture
    async def store(
        self, part_keeping_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Store]:
        for name, value in part_keeping_server.environment.items():
            monkeypatch.setenv(name, value)
        bucket = tmp_path.name.replace("_", "-")
        self.bucket_folder = await anyio.to_thread.run_sync(part_keeping_server.make_bucket, bucket)
        opened = await S3Store.open(StoreURL.parse(f"s3://{bucket}{self.prefix}"), QUICK)
        yield RemoteStore(opened)  # rclone answers 500 now and then while it is busy
        await opened.aclose()

    def put_behind(self, key: str, data: bytes) -> None:
        file = self.file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def get_behind(self, key: str) -> bytes | None:
        file = self.file(key)
        with suppress(FileNotFoundError):  # also where the server replaces it at this moment
            return file.read_bytes()
        return None

    def file(self, key: str) -> Path:
        return self.bucket_folder / self.prefix.removeprefix("/") / key

    async def test_a_key_never_shows_partial_bytes(self, store: Store) -> None:
        """rclone takes the old object away before it puts the new one there: at times there is neither, never half."""
        old, new = b"old" * 100_000, b"new" * 1_000_000
        self.put_behind(KEY, old)
        seen = set()
        async with anyio.create_task_group() as group:
            group.start_soon(store.write, KEY, new)
            while (found := self.get_behind(KEY)) != new:
                seen.add(found)
                await checkpoint()
        assert seen <= {old, new, None}


class TestS3StoreUnderAPrefix(TestS3Store):
    prefix = "/datasets/of the team"


class TestS3StoreThatHeedsConditions(StoreContract):
    """The store in memory of the tests, because rclone ignores conditions."""

    server: ScriptedS3

    @pytest.fixture
    async def store(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        with ScriptedS3(conditions="heeded") as self.server:
            monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", self.server.endpoint)
            opened = await S3Store.open(StoreURL.parse("s3://bucket/in/here"), QUICK)
            yield RemoteStore(opened)
            await opened.aclose()

    def put_behind(self, key: str, data: bytes) -> None:
        self.server.objects[f"bucket/in/here/{key}"] = data

    def get_behind(self, key: str) -> bytes | None:
        return self.server.objects.get(f"bucket/in/here/{key}")
