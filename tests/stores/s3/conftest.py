"""An environment without anybody's AWS settings, real and pretended servers, and stores in them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
from tests.rclone_server import RcloneServer, s3_server
from tests.stores.s3.canned_server import Answer, CannedServer, canned

from snapdir.stores.s3.boto_transport import BotoTransport
from snapdir.stores.s3.control import Control
from snapdir.stores.s3.store import S3Store
from snapdir.stores.s3.target import S3Target
from snapdir.stores.settings import StoreSettings
from snapdir.stores.urls import StoreURL

__all__ = ["CREDENTIALS", "IMPATIENT", "QUICK", "BorrowingTransport", "CannedS3", "borrowed", "opened", "s3_server"]

# Short enough that a test of a limit is quick, long enough for a busy machine.
QUICK = StoreSettings(connect_timeout_seconds=5.0, first_byte_timeout_seconds=10.0, stall_timeout_seconds=5.0)
IMPATIENT = StoreSettings(
    connect_timeout_seconds=0.2, first_byte_timeout_seconds=0.2, stall_timeout_seconds=0.2, max_concurrency=4
)
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDCANARY",
    "AWS_SECRET_ACCESS_KEY": "secret-canary",
    "AWS_SESSION_TOKEN": "token-canary",
}


@pytest.fixture(autouse=True)
def no_settings_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor files of whoever runs the tests; no request to a metadata service."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "SNAPDIR_")) or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class BorrowingTransport(BotoTransport):
    """On a client that outlives it."""

    async def aclose(self) -> None:
        pass


def borrowed(control: Control, url: str = "s3://bucket/prefix") -> S3Store:
    """A store of its own on a client that is shared: to make one takes 0.15 s of CPU."""
    own = copy(control)
    own.target = replace(S3Target.of(StoreURL.parse(url)), endpoint=control.target.endpoint, region="us-east-1")
    return S3Store(BorrowingTransport(own), own.target)


@asynccontextmanager
async def opened(url: str, settings: StoreSettings = QUICK) -> AsyncIterator[S3Store]:
    """An S3 store on aiobotocore without the layer that retries: one request is one request."""
    control = await Control.open(S3Target.of(StoreURL.parse(url)), settings)
    store = S3Store(BotoTransport(control), control.target, max_concurrency=control.concurrency)
    try:
        yield store
    finally:
        await store.aclose()


class CannedS3:
    """One pretended server for the tests of a module, and a client for each settings."""

    def __init__(self, server: CannedServer) -> None:
        self.server = server
        self.controls: dict[StoreSettings, Control] = {}

    @asynccontextmanager
    async def __call__(
        self, *answers: Answer, settings: StoreSettings = QUICK
    ) -> AsyncIterator[tuple[S3Store, CannedServer]]:
        """A store that gets these answers, one a request; the last one again and again."""
        if settings not in self.controls:
            self.controls[settings] = await self.open(settings)
        self.server.play(*answers)
        store = borrowed(self.controls[settings])
        try:
            yield store, self.server
        finally:
            await self.server.stop()

    async def open(self, settings: StoreSettings) -> Control:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**CREDENTIALS, "SNAPDIR_S3_STORE_ENDPOINT_URL": self.server.url}.items():
                patch.setenv(name, value)
            return await Control.open(S3Target.of(StoreURL.parse("s3://bucket/prefix")), settings)


@pytest.fixture(scope="module")
async def against() -> AsyncIterator[CannedS3]:
    async with canned() as server:
        pretended = CannedS3(server)
        yield pretended
        for control in pretended.controls.values():
            await control.aclose()


@pytest.fixture
def server(s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch) -> RcloneServer:
    """The real server of the session, with the variables that lead there."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server
