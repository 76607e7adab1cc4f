"""An environment without AWS settings; real and simulated servers, and stores on them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snapdir.stores.s3.client import S3Client
from snapdir.stores.s3.credentials import EnvironmentCredentials
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL
from tests.rclone_server import RcloneServer, s3_server
from tests.stores.s3.canned_server import Answer, CannedServer, canned

__all__ = [
    "CREDENTIALS",
    "IMPATIENT",
    "QUICK",
    "CannedS3",
    "opened",
    "s3_server",
]

# Short enough that a test of a limit is quick. What is answered in such a test has half a second on a busy machine.
QUICK = StoreSettings(connect_timeout_seconds=5.0, first_byte_timeout_seconds=10.0, stall_timeout_seconds=5.0)
IMPATIENT = replace(QUICK, first_byte_timeout_seconds=0.5, stall_timeout_seconds=0.5, max_concurrency=4)
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARY",
    "AWS_SECRET_ACCESS_KEY": "secret-canary",
    "AWS_SESSION_TOKEN": "token-canary",
}


@pytest.fixture(autouse=True)
def no_settings_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No AWS variables or files of the user; no request to a metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SNAPDIR_")) or name.lower() in PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def opened(url: str, settings: StoreSettings = QUICK) -> AsyncIterator[S3Store]:
    """An S3 store as the environment configures it, without the layer that retries."""
    store = await S3Store.open(StoreURL.parse(url), settings)
    try:
        yield store
    finally:
        await store.aclose()


class CannedS3:
    """One simulated server for the tests of a module, and stores on it."""

    def __init__(self, server: CannedServer) -> None:
        self.server = server

    @asynccontextmanager
    async def __call__(
        self, *answers: Answer, settings: StoreSettings = QUICK
    ) -> AsyncIterator[tuple[S3Store, CannedServer]]:
        """A store that gets these responses, one per request; the last one repeats."""
        self.server.play(*answers)
        store = self.store(settings)
        try:
            yield store, self.server
        finally:
            await store.aclose()
            await self.server.stop()

    def store(self, settings: StoreSettings) -> S3Store:
        source = EnvironmentCredentials.find(CREDENTIALS)
        assert source is not None
        environment = {"SNAPDIR_S3_STORE_ENDPOINT_URL": self.server.url}
        target = S3Target.of(StoreURL.parse("s3://bucket/prefix"), environment).with_profile(endpoint=None, region=None)
        return S3Store(S3Client(target, source, settings, max_connections=8))


@pytest.fixture(scope="module")
async def against() -> AsyncIterator[CannedS3]:
    async with canned() as server:
        yield CannedS3(server)


@pytest.fixture
def server(s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> RcloneServer:
    """The real server of the session, with the variables that lead there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
