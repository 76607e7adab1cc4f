"""An S3 store on a real server keeps every promise, whichever transport carries its requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.rclone_server import RcloneServer

from snapdir.stores.base import Store
from snapdir.stores.retrying import RetryingStore
from snapdir.stores.s3.store import S3Store
from snapdir.stores.settings import RetryPolicy, StoreSettings
from snapdir.stores.urls import StoreURL
from snapdir.testing.contract import StoreContract


@pytest.fixture(scope="module")
def part_keeping_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RcloneServer]:
    """S3 lets a part be sent again with other bytes; rclone only if it keeps parts instead of streaming them on."""
    folder = tmp_path_factory.mktemp("served-in-parts")
    with RcloneServer(folder, arguments=("--disable-multipart-streaming",)) as server:
        yield server


class TestS3Store(StoreContract):
    transport = "aiobotocore"
    prefix = ""
    bucket_folder: Path

    @pytest.fixture
    async def store(
        self, part_keeping_server: RcloneServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> AsyncIterator[Store]:
        for name, value in {**part_keeping_server.environment, "SNAPDIR_S3_TRANSPORT": self.transport}.items():
            monkeypatch.setenv(name, value)
        bucket = tmp_path.name.replace("_", "-")
        self.bucket_folder = part_keeping_server.folder / bucket
        self.bucket_folder.mkdir()
        store = await self.opened(StoreURL.parse(f"s3://{bucket}{self.prefix}"))
        yield store
        await store.aclose()

    async def opened(self, url: StoreURL) -> Store:
        return await S3Store.open(url, StoreSettings())

    def put_behind(self, key: str, data: bytes) -> None:
        file = self.file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def get_behind(self, key: str) -> bytes | None:
        file = self.file(key)
        return file.read_bytes() if file.is_file() else None

    def file(self, key: str) -> Path:
        return self.bucket_folder / self.prefix.removeprefix("/") / key


class TestRetryingS3StoreUnderAPrefix(TestS3Store):
    prefix = "/datasets/of the team"

    async def opened(self, url: StoreURL) -> Store:
        return RetryingStore(await super().opened(url), RetryPolicy())
